# SPDX-License-Identifier: BSD-2-Clause
"""A machine's serial line for several programs of the host."""

from __future__ import annotations

import errno
import socket
import struct
import threading
import time
from pathlib import Path

import pytest

from orchestration.machine import tee
from orchestration.machine.console import Channel, Splitter


def test_the_console_goes_to_everyone_and_comes_from_everyone(tmp_path: Path) -> None:
    typed: list[bytes] = []
    line = tee.Tee(tmp_path, typed.append)
    line.feed([(Channel.LOG, b"before ")])
    clients = [attached(tmp_path) for _ in range(2)]
    for client in clients:
        assert shown(client, Splitter(), 7)[Channel.LOG] == b"before "
    deadline = time.monotonic() + 5
    while len(line.clients) < 2 and time.monotonic() < deadline:
        time.sleep(0.01)
    line.feed([(Channel.LOG, b"after")])
    assert [client.recv(100) for client in clients] == [b"after", b"after"]
    clients[0].sendall(b"x")
    while not typed and time.monotonic() < deadline:
        time.sleep(0.01)
    assert typed == [b"x"]
    line.close()
    assert clients[1].recv(100) == b""


def attached(folder: Path) -> socket.socket:
    client = socket.socket(socket.AF_UNIX)
    client.settimeout(5)
    client.connect(str(folder / tee.NAME))
    return client


def shown(client: socket.socket, split: Splitter, size: int) -> dict[Channel, bytes]:
    """Return what someone who is attached gets, until there are size bytes of it."""
    got = dict.fromkeys(Channel, b"")
    while sum(map(len, got.values())) < size:
        data = client.recv(65536)
        assert data, got
        for channel, run in split.feed(data):
            got[channel] += run
    return got


def test_who_attaches_late_knows_whose_the_bytes_are(tmp_path: Path) -> None:
    """Also when the last mark of a channel came long before all that is remembered."""
    line = tee.Tee(tmp_path, lambda data: None)
    line.feed([(Channel.LOG, b"log\n"), (Channel.GUEST, b"\x01" * 3)])
    for _ in range(3 * tee.HISTORY // 100):
        line.feed([(Channel.GUEST, b"x" * 100)])
    client, split = attached(tmp_path), Splitter()
    assert shown(client, split, tee.HISTORY) == {Channel.LOG: b"", Channel.GUEST: b"x" * tee.HISTORY}
    deadline = time.monotonic() + 5
    while not line.clients and time.monotonic() < deadline:
        time.sleep(0.01)
    line.feed([(Channel.GUEST, b"\x01L"), (Channel.LOG, b"end")])
    assert shown(client, split, 5) == {Channel.LOG: b"end", Channel.GUEST: b"\x01L"}
    line.close()


def test_linux_on_the_bare_machine_is_shown(tmp_path: Path) -> None:
    """Its line has no marks; whoever attaches needs one."""
    line = tee.Tee(tmp_path, lambda data: None)
    line.feed(Splitter(Channel.GUEST).feed(b"login: \x01L"))
    assert shown(attached(tmp_path), Splitter(), 9) == {Channel.LOG: b"", Channel.GUEST: b"login: \x01L"}
    line.close()


def test_who_does_not_read_is_disconnected_and_holds_nobody_up(tmp_path: Path) -> None:
    """As an attached program is that is stopped: others go on."""
    line = tee.Tee(tmp_path, lambda data: None)
    stopped, reader = attached(tmp_path), attached(tmp_path)
    assert len(stopped.recv(2)) == len(reader.recv(2)) == 2
    taken = threading.Semaphore()

    def feed() -> None:
        while line.clients and taken.acquire():
            line.feed([(Channel.LOG, b"x" * 8192)])

    threading.Thread(target=feed, daemon=True).start()
    deadline = time.monotonic() + 30
    while len(line.clients) == 2 and time.monotonic() < deadline:
        assert len(reader.recv(8192, socket.MSG_WAITALL)) == 8192
        taken.release()
    while stopped.recv(65536):
        pass
    assert len(line.clients) == 1
    line.close()


def test_who_leaves_at_once_keeps_nobody_out(tmp_path: Path) -> None:
    line = tee.Tee(tmp_path, lambda data: None)
    for _ in range(50):
        patient(tmp_path).close()
    line.feed([(Channel.LOG, b"text")])
    with patient(tmp_path) as client:
        assert shown(client, Splitter(), 4)[Channel.LOG] == b"text"
    line.close()


def test_who_cannot_be_served_is_refused_and_keeps_nobody_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The host has no descriptor for the second socket, or no thread."""
    line = tee.Tee(tmp_path, lambda data: None)
    line.feed([(Channel.LOG, b"text")])

    def fail(*ignored: object) -> None:
        raise OSError(errno.EMFILE, "no descriptor")

    def fail_to_start(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    for of, name, failure in ((socket.socket, "dup", fail), (threading.Thread, "start", fail_to_start)):
        with monkeypatch.context() as patched:
            patched.setattr(of, name, failure)
            with patient(tmp_path) as client:
                assert client.recv(1) == b""
    assert not line.clients
    with patient(tmp_path) as client:
        assert shown(client, Splitter(), 4)[Channel.LOG] == b"text"
    line.close()


def patient(folder: Path) -> socket.socket:
    """Attach, and wait up to 5 s for a place in the queue of those who want to."""
    client = socket.socket(socket.AF_UNIX)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", 5, 0))
    client.connect(str(folder / tee.NAME))
    client.settimeout(5)
    return client
