# SPDX-License-Identifier: BSD-2-Clause
"""Connections that are refused, that end, and commands that cannot start, without a guest."""

from __future__ import annotations

import socket
import threading
import time
from types import SimpleNamespace

import fabric
import pytest

from orchestration.base.errors import HangError, InfrastructureError, PanicError
from orchestration.machine import keys, ssh, streams


class Server:
    """Accepts connections; greets those that come after a number of others, and says no more."""

    def __init__(self, turned_away: int) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.turned_away = turned_away
        self.came = 0
        self.kept: list[socket.socket] = []
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self) -> None:
        while True:
            line = self.listener.accept()[0]
            self.came += 1
            if self.came <= self.turned_away:
                line.close()
            else:
                line.sendall(b"SSH-2.0-server\r\n")
                self.kept.append(line)


def running() -> bool:
    return False


def test_who_is_turned_away_comes_again() -> None:
    server = Server(1 << 30)
    made = keys.make()
    deadline = time.monotonic() + 60
    with pytest.raises(HangError, match="no SSH server answers"):
        ssh.wait_until_open(server.port, made.client, made.host,
                            lambda: deadline - time.monotonic() if server.came < 3 else 0.0, running)
    assert server.came == 3


def test_a_machine_that_is_off_lets_nobody_in() -> None:
    made = keys.make()
    with pytest.raises(ssh.SwitchedOff):
        ssh.wait_until_open(1, made.client, made.host, lambda: 100.0, lambda: True)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ssh, "LOSS_GRACE", 0.1)
    monkeypatch.setattr(ssh, "POWER_OFF_LIMIT", 1.0)


def connection(port: int, transport: object = None) -> ssh.Connection:
    made = fabric.Connection("127.0.0.1", port=port)
    made.client = SimpleNamespace(get_transport=lambda: transport)
    return made


@pytest.mark.usefixtures("quick")
def test_why_a_connection_ended() -> None:
    """The machine is off, its server still answers, or neither for as long as a power-off may take."""
    server = Server(0)
    assert isinstance(ssh.lost(connection(server.port), lambda: True), ssh.SwitchedOff)
    found = ssh.lost(connection(server.port), running)
    assert type(found) is InfrastructureError and "still runs" in found.hint
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
    assert isinstance(ssh.lost(connection(port), running), HangError)

    def panic() -> bool:
        raise PanicError("Linux gave up")

    with pytest.raises(PanicError):
        ssh.lost(connection(server.port), panic)


def test_a_command_that_gets_no_answer_does_not_hide_a_panic() -> None:
    """paramiko waits for the server's answer to a command without a limit."""
    held = threading.Event()
    transport = SimpleNamespace(open_session=lambda timeout: held.wait(60))
    began = time.monotonic()

    def check() -> bool:
        if time.monotonic() > began + 0.5:
            raise PanicError("Linux gave up")
        return False

    with pytest.raises(PanicError):
        ssh.start(connection(1, transport), "true", check)
    with pytest.raises(HangError, match="did not start in 1 s"):
        ssh.start(connection(1, transport), "true", running, limit=1.0)
    held.set()


def test_an_input_that_cannot_be_read_is_empty() -> None:
    """The command would wait for its end for ever."""
    told: list[object] = []
    channel = SimpleNamespace(sendall=told.append, shutdown_write=lambda: told.append("end"))
    ssh.pump_input(ssh.Input(1 << 20, b"first"), channel)
    assert told == [b"first", "end"]


def test_a_command_that_prints_for_ever_has_a_limit() -> None:
    channel = SimpleNamespace(closed=False, exit_status_ready=lambda: False, recv_ready=lambda: True,
                              recv=lambda size: b"y", get_transport=lambda: SimpleNamespace(is_active=lambda: True),
                              exec_command=lambda text: None, shutdown_write=lambda: None, close=lambda: None)
    transport = SimpleNamespace(open_session=lambda timeout: channel)
    out = streams.Buffer()
    with pytest.raises(ssh.Overdue, match="did not end in 0 s: yes"):
        ssh.run(connection(1, transport), "yes", out=out, err=out, limit=0.3)
    assert out.data.startswith(b"yyy")


def test_a_panic_ends_the_wait_for_a_server_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """QEMU takes a connection for a guest that is dead."""
    held = threading.Event()
    monkeypatch.setattr(ssh, "connect", lambda *_: held.wait())
    looks = iter([False, False])
    made = keys.make()

    def check() -> bool:
        if next(looks, True):
            raise PanicError("Linux gave up")
        return False

    with pytest.raises(PanicError):
        ssh.wait_until_open(1, made.client, made.host, lambda: 60.0, check)
    held.set()
