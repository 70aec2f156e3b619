# SPDX-License-Identifier: BSD-2-Clause
"""Standard input and output joined with a machine's console, without a terminal."""

from __future__ import annotations

import os
import select
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from orchestration.base.errors import InfrastructureError, PanicError
from orchestration.machine import attached, streams, tee
from orchestration.machine.console import Channel

LOG, GUEST = tee.mark(Channel.LOG), tee.mark(Channel.GUEST)


class Machine:
    """The machine's end of its socket: says something, and keeps what it is sent."""

    def __init__(self, folder: Path) -> None:
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(folder / tee.NAME))
        self.listener.listen()
        self.got = b""

    def start(self, says: bytes, until: bytes = b"") -> threading.Thread:
        """In a thread: say something, wait for some input, end."""
        thread = threading.Thread(target=self.serve, args=(says, until), daemon=True)
        thread.start()
        return thread

    def serve(self, says: bytes, until: bytes) -> None:
        # The other end may be gone before it has taken everything.
        with self.listener.accept()[0] as line, suppress(OSError):
            line.sendall(says)
            while until not in self.got:
                data = line.recv(4096)
                if not data:
                    break
                self.got += data


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[bytes], None]]:
    """Type on standard input, which is no terminal; b"" ends it."""
    end, own = os.pipe()
    monkeypatch.setattr(attached, "INPUT", end)
    with os.fdopen(end, "rb"), os.fdopen(own, "wb", buffering=0) as keyboard:

        def give(data: bytes) -> None:
            if data:
                keyboard.write(data)
            else:
                keyboard.close()

        yield give


def test_the_guests_text_is_shown_and_what_is_typed_arrives(tmp_path: Path, machine: Machine,
                                                            typed: Callable[[bytes], None],
                                                            capfd: pytest.CaptureFixture[str]) -> None:
    thread = machine.start(GUEST + b"login: " + LOG + b"l4: text\n", until=b"root\n")
    typed(b"root\n")
    assert attached.attach(tmp_path, log=False) == 0
    thread.join(10)
    assert machine.got == b"root\n"
    assert capfd.readouterr().out == "login: "


def test_the_log_is_shown_where_it_is_wanted(tmp_path: Path, machine: Machine, typed: Callable[[bytes], None],
                                             capfd: pytest.CaptureFixture[str]) -> None:
    machine.start(GUEST + b"login: " + LOG + b"l4: text\n")
    assert attached.attach(tmp_path, log=True) == 0
    assert capfd.readouterr().out == "login: l4: text\n"


def test_the_key_that_leaves_is_not_sent(tmp_path: Path, machine: Machine, typed: Callable[[bytes], None]) -> None:
    thread = machine.start(b"", until=b"never")
    typed(b"half a line\x1d")
    assert attached.attach(tmp_path, log=False) == 0
    thread.join(10)
    assert machine.got == b""


def test_the_end_of_the_input_is_not_the_end(tmp_path: Path, machine: Machine, typed: Callable[[bytes], None],
                                             capfd: pytest.CaptureFixture[str]) -> None:
    """What a pipe has given is sent, and the guest's answer is waited for."""
    thread = machine.start(GUEST + b"answer", until=b"ask\n")
    typed(b"ask\n")
    typed(b"")
    assert attached.attach(tmp_path, log=False) == 0
    thread.join(10)
    assert (machine.got, capfd.readouterr().out) == (b"ask\n", "answer")


def test_the_last_words_of_a_machine_that_takes_no_more_are_shown(tmp_path: Path, typed: Callable[[bytes], None],
                                                                 capfd: pytest.CaptureFixture[str],
                                                                 monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine's end comes after select() and before the input is sent: its text is in the socket, unread."""
    ours, theirs = socket.socketpair()
    first = iter([True])
    wait = select.select
    monkeypatch.setattr(select, "select", lambda ready, *rest: (ready[1:], [], []) if next(first, False)
                        else wait(ready, *rest))
    typed(b"too late\n")
    with ours:
        with theirs:
            theirs.sendall(GUEST + b"answer")
        attached.converse(ours, None, log=False, check=lambda: False)
    assert capfd.readouterr().out == "answer"


def test_a_machine_that_is_lost_is_told(tmp_path: Path, machine: Machine, typed: Callable[[bytes], None]) -> None:
    def check() -> bool:
        raise PanicError("Linux gave up")

    machine.start(b"", until=b"never")
    with pytest.raises(PanicError):
        attached.attach(tmp_path, log=False, check=check)


def test_a_machine_that_has_ended_meanwhile_is_told(tmp_path: Path) -> None:
    with pytest.raises(InfrastructureError, match="the machine ended just now"):
        attached.attach(tmp_path, log=False)


def test_a_terminal_gets_the_log_dimmed(capfd: pytest.CaptureFixture[str]) -> None:
    out: list[bytes] = []

    class Out:
        def write(self, data: bytes, /) -> None:
            out.append(data)

    attached.show(Out(), Channel.LOG, b"a\nb", log=True, terminal=True)
    attached.show(Out(), Channel.GUEST, b"a\nb", log=True, terminal=True)
    assert out == [b"\x1b[2ma\r\nb\x1b[0m", b"a\nb"]


def test_the_log_does_nothing_to_a_terminal() -> None:
    shown = streams.Buffer()
    attached.show(shown, Channel.LOG, b"a\x1b[6n\tb\r\x9b\x7f\n", log=True, terminal=True)
    assert shown.data == b"\x1b[2ma?[6n\tb??\r\n\x1b[0m"
