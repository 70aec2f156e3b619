# SPDX-License-Identifier: BSD-2-Clause
"""The user's terminal joined with a program in the guest; a pseudo-terminal and a pipe stand for them."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from orchestration.base.errors import InfrastructureError, PanicError
from orchestration.base.tree import ROOT
from orchestration.machine import ssh, streams, terminal


class Channel:
    """What join() needs of paramiko's channel. The guest's side is the other end of a pipe."""

    def __init__(self) -> None:
        self.reading, self.writing = os.pipe()
        self.sent = b""
        self.sizes: list[tuple[int, int]] = []
        self.closed = self.eof_received = False
        self.exit_status = -1
        self.active = True
        self.room = 1 << 20

    def fileno(self) -> int:
        return self.reading

    def recv_ready(self) -> bool:
        return bool(select.select([self.reading], [], [], 0)[0]) and not self.closed

    def recv(self, size: int) -> bytes:
        return os.read(self.reading, size)

    def exit_status_ready(self) -> bool:
        return self.closed or self.exit_status >= 0

    def get_transport(self) -> Channel:
        return self

    def is_active(self) -> bool:
        return self.active

    def send_ready(self) -> bool:
        return self.room > 0

    def send(self, data: bytes) -> int:
        taken = data[:self.room]
        self.sent += taken
        self.room -= len(taken)
        return len(taken)

    def resize_pty(self, columns: int, rows: int) -> None:
        self.sizes.append((columns, rows))

    def end(self, status: int) -> None:
        self.exit_status, self.eof_received = status, True


class Ours:
    """A pseudo-terminal in the user's place, and a thread that is the user."""

    def __init__(self) -> None:
        self.master, self.slave = pty.openpty()
        self.channel = Channel()
        self.out = streams.Buffer()
        self.checks: list[Callable[[], bool]] = []

    def check(self) -> bool:
        for check in self.checks:
            check()
        return False

    def join(self, user: Callable[[], None]) -> int | None:
        """Join while the user does something; what fails there ends the connection, and the test."""
        errors: list[BaseException] = []

        def act() -> None:
            try:
                user()
            except BaseException as error:
                errors.append(error)
                self.channel.active = False

        with terminal.Terminal(self.slave) as raw:
            threading.Thread(target=act, daemon=True).start()
            status = terminal.join(self.channel, raw, self.check, self.out)
        if errors:
            raise errors[0]
        return status

    def modes(self) -> list[object]:
        return termios.tcgetattr(self.slave)


def void(value: object) -> None:
    """Drop a value."""


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert condition()


@pytest.fixture
def ours() -> Iterator[Ours]:
    made = Ours()
    yield made
    for descriptor in (made.master, made.slave, made.channel.reading, made.channel.writing):
        os.close(descriptor)


def test_every_byte_goes_both_ways(ours: Ours) -> None:
    """Keys that mean something to our own terminal are the guest's; umlauts and ends of lines stay what they are."""
    keys = "ä€\r".encode() + b"\x03\x1a\x1c\x04\x11\x13\xff\x00"
    said = "ü\r\n".encode() + bytes(range(256))

    def user() -> None:
        os.write(ours.master, keys)
        until(lambda: ours.channel.sent == keys)
        os.write(ours.channel.writing, said)
        until(lambda: ours.out.data == said)
        ours.channel.end(5)

    before = ours.modes()
    assert ours.join(user) == 5
    assert (ours.channel.sent, ours.out.data) == (keys, said)
    assert ours.modes() == before


def test_a_byte_is_not_kept_until_the_next_one(ours: Ours) -> None:
    def user() -> None:
        for number, key in enumerate("äx".encode(), 1):
            os.write(ours.master, bytes([key]))
            until(lambda number=number: len(ours.channel.sent) == number)  # type: ignore[misc]
        ours.channel.end(0)

    assert ours.join(user) == 0


def test_a_panic_is_told_while_the_shell_runs(ours: Ours) -> None:
    before = ours.modes()

    def panic() -> bool:
        raise PanicError("Linux gave up")

    with pytest.raises(PanicError):
        ours.join(lambda: ours.checks.append(panic))
    assert ours.modes() == before


def test_output_before_the_end_is_not_lost(ours: Ours) -> None:
    data = os.urandom(60000)

    def user() -> None:
        os.write(ours.channel.writing, data)
        ours.channel.end(0)

    assert ours.join(user) == 0
    assert ours.out.data == data


def test_a_connection_that_ends_has_no_status(ours: Ours) -> None:
    def user() -> None:
        ours.channel.active = False

    assert ours.join(user) is None


@pytest.mark.parametrize("end", [b"\r~.", b"~."])
def test_the_escape_leaves_also_when_the_guest_takes_nothing(ours: Ours, end: bytes) -> None:
    before = ours.modes()
    ours.channel.room = 0
    with pytest.raises(KeyboardInterrupt):
        ours.join(lambda: void(os.write(ours.master, end)))
    assert ours.modes() == before
    assert ours.channel.sent == b""


def test_a_signal_gives_the_terminal_back(ours: Ours) -> None:
    """SIGTERM and SIGHUP become KeyboardInterrupt (cli.terminate)."""
    before = ours.modes()
    handlers = {number: signal.getsignal(number) for number in terminal.Terminal.SIGNALS}

    def interrupt(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    old = signal.signal(signal.SIGTERM, interrupt)
    try:
        with pytest.raises(KeyboardInterrupt):
            ours.join(lambda: os.kill(os.getpid(), signal.SIGTERM))
    finally:
        signal.signal(signal.SIGTERM, old)
    assert ours.modes() == before
    assert {number: signal.getsignal(number) for number in terminal.Terminal.SIGNALS} == handlers


def test_the_guest_learns_of_a_new_size(ours: Ours) -> None:
    def user() -> None:
        fcntl.ioctl(ours.slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 100, 0, 0))
        os.kill(os.getpid(), signal.SIGWINCH)
        until(lambda: ours.channel.sizes == [(100, 40)])
        ours.channel.end(0)

    assert ours.join(user) == 0


@pytest.mark.parametrize(("typed", "found"), [
    (b"a~.b", [b"a~.b"]), (b"~~x", [b"~x"]), (b"~a", [b"~a"]), (b"x\r~.", [b"x\r", terminal.Escape.LEAVE]),
    (b"~\x1ay", [terminal.Escape.SUSPEND, b"y"]), (b"\n~~~.", [b"\n~~."])])
def test_escapes_are_sshs(typed: bytes, found: list[object]) -> None:
    whole, single = terminal.Escapes(), terminal.Escapes()
    assert whole.feed(typed) == found
    parts = [part for byte in typed for part in single.feed(bytes([byte]))]
    assert b"".join(part for part in parts if isinstance(part, bytes)) \
        == b"".join(part for part in found if isinstance(part, bytes))
    assert [part for part in parts if not isinstance(part, bytes)] \
        == [part for part in found if not isinstance(part, bytes)]


@pytest.mark.parametrize("closed", [(0,), (1,), (0, 1, 2)])
def test_closed_standard_streams_are_no_other_files(closed: tuple[int, ...]) -> None:
    """A file that is opened later would be taken for one of them."""
    code = (f"import os\nfor number in {closed}: os.close(number)\n"
            "from orchestration import bootstrap\nbootstrap.open_standard_streams()\n"
            "assert os.open('/', os.O_RDONLY) > 2\nassert all(os.get_inheritable(number) for number in range(3))\n")
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_an_output_that_takes_nothing_is_one_line(tmp_path: Path) -> None:
    full = os.open("/dev/full", os.O_WRONLY)
    with pytest.raises(InfrastructureError, match="cannot write standard output: No space left on device"):
        streams.Stream(full, "output").write(b"x")
    os.close(full)
    reading, writing = os.pipe()
    os.close(reading)
    with pytest.raises(streams.OutputClosed):
        streams.Stream(writing, "output").write(b"x")
    os.close(writing)


def test_an_output_that_does_not_block_gets_all() -> None:
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    data = os.urandom(300_000)
    got = bytearray()

    def read() -> None:
        while len(got) < len(data):
            got.extend(os.read(reading, 4096))

    thread = threading.Thread(target=read)
    thread.start()
    streams.Stream(writing, "output").write(data)
    thread.join(10)
    assert bytes(got) == data
    os.close(reading)
    os.close(writing)


def test_arguments_that_are_no_text_stay_what_they_are() -> None:
    argument = os.fsdecode(b"\xff\xfe")
    assert os.fsencode(ssh.quote(["echo", argument])) == b"echo '\xff\xfe'; exit $?"
