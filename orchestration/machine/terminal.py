# SPDX-License-Identifier: BSD-2-Clause
"""The user's terminal, given to a program in the guest as ssh gives it: raw, and restored at every end."""

from __future__ import annotations

import os
import select
import signal
import sys
import termios
import tty
from collections.abc import Callable
from contextlib import suppress
from enum import Enum, auto
from types import FrameType, TracebackType
from typing import TYPE_CHECKING

from orchestration.machine import ssh, streams

if TYPE_CHECKING:
    import paramiko

INPUT, OUTPUT = 0, 1
# Bytes that were typed and that the guest does not take yet; more of them stay in the terminal.
AHEAD = 1 << 16
SUSPEND = 0x1A  # Ctrl-Z
# A login shell. The outer one stays, so that a signal which ends the inner one becomes 128 + n.
SHELL = '"${SHELL:-/bin/sh}" -l; exit $?'
ESCAPES = "~. leaves a guest that does not answer, ~^Z suspends"


class Escape(Enum):
    """Commands to the orchestrator among the keys typed."""

    LEAVE = auto()
    SUSPEND = auto()


class Escapes:
    """Finds the escapes of ssh among what is typed: at the beginning of a line ~. and ~^Z; ~~ is one ~."""

    def __init__(self) -> None:
        """Begin at the beginning of a line."""
        self.fresh, self.tilde = True, False

    def feed(self, typed: bytes) -> list[bytes | Escape]:
        """Return what goes to the guest, and the escapes, in order."""
        found: list[bytes | Escape] = []
        plain = bytearray()
        for byte in typed:
            if self.tilde:
                self.tilde = False
                escape = {ord("."): Escape.LEAVE, SUSPEND: Escape.SUSPEND}.get(byte)
                if escape is not None:
                    found += [bytes(plain), escape]
                    plain.clear()
                    self.fresh = True
                    continue
                if byte != ord("~"):
                    plain += b"~"
            elif self.fresh and byte == ord("~"):
                self.tilde = True
                continue
            plain.append(byte)
            self.fresh = byte in b"\r\n"
        return [part for part in [*found, bytes(plain)] if part]


class Terminal:
    """A terminal that is raw between enter and exit. Signals are noted here and handled by tend()."""

    SIGNALS = (signal.SIGWINCH, signal.SIGTSTP, signal.SIGCONT)

    def __init__(self, descriptor: int = INPUT) -> None:
        """Take a terminal's file descriptor."""
        self.descriptor = descriptor
        self.noted: set[int] = set()

    def __enter__(self) -> Terminal:
        """Make it raw."""
        self.before = termios.tcgetattr(self.descriptor)
        self.handlers = {number: signal.signal(number, self.note) for number in self.SIGNALS}
        self.make_raw()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        """Restore the terminal and the signal handlers."""
        self.restore()
        for number, handler in self.handlers.items():
            signal.signal(number, handler)

    def note(self, number: int, frame: FrameType | None) -> None:
        """Note a signal; tend() handles it."""
        self.noted.add(number)

    def make_raw(self) -> None:
        """Pass every byte on, both ways. What was typed before stays."""
        with suppress(termios.error):
            tty.setraw(self.descriptor, termios.TCSADRAIN)

    def restore(self) -> None:
        """Restore the terminal's settings."""
        # A terminal that has hung up has no state.
        with suppress(termios.error):
            termios.tcsetattr(self.descriptor, termios.TCSADRAIN, self.before)

    def size(self) -> tuple[int, int]:
        """Return columns and rows; 80 and 24 where the terminal does not know."""
        with suppress(OSError):
            columns, rows = os.get_terminal_size(self.descriptor)
            if columns and rows:
                return columns, rows
        return 80, 24

    def suspend(self) -> None:
        """Stop this process until its shell continues it, with the terminal as it was."""
        self.restore()
        handler = signal.signal(signal.SIGTSTP, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGTSTP)
        signal.signal(signal.SIGTSTP, handler)
        self.noted.add(signal.SIGCONT)

    def tend(self) -> bool:
        """Handle the signals that were noted; tell whether the size may have changed."""
        if signal.SIGTSTP in self.noted:
            self.noted.discard(signal.SIGTSTP)
            self.suspend()
        if signal.SIGCONT in self.noted:
            self.make_raw()
        changed = bool(self.noted)
        self.noted.clear()
        return changed


def join(channel: paramiko.Channel, terminal: Terminal, check: ssh.Check, out: streams.Sink) -> int | None:
    """Join the terminal with a program in the guest; return its status, None when the connection ended before."""
    from paramiko import SSHException

    escapes = Escapes()
    waiting = b""
    while True:
        if terminal.tend():
            with suppress(SSHException, OSError):
                channel.resize_pty(*terminal.size())
        check()
        # Ask this before reading: no output arrives after the end.
        over = ssh.ended(channel)
        quiet = not channel.recv_ready()
        if not quiet:
            out.write(channel.recv(ssh.CHUNK))
        elif over:
            return ssh.status(channel)
        sources = [terminal.descriptor] if len(waiting) < AHEAD else []
        ready = select.select([channel, *sources] if quiet else sources, [], [], ssh.POLL if quiet else 0)[0]
        if terminal.descriptor in ready:
            waiting += typed(terminal, escapes)
        with suppress(OSError):
            while waiting and channel.send_ready() and (sent := channel.send(waiting)):
                waiting = waiting[sent:]


def typed(terminal: Terminal, escapes: Escapes) -> bytes:
    """Read what was typed; act on escapes, return the rest. A terminal that has hung up interrupts."""
    try:
        data = os.read(terminal.descriptor, 4096)
    except OSError:
        data = b""
    if not data:
        raise KeyboardInterrupt
    rest = b""
    for part in escapes.feed(data):
        if part is Escape.LEAVE:
            raise KeyboardInterrupt
        if part is Escape.SUSPEND:
            terminal.suspend()
        elif isinstance(part, bytes):
            rest += part
    return rest


def run(connection: ssh.Connection, command: str, check: ssh.Check) -> int:
    """Run a shell command in the guest on a terminal that is joined with ours; return its status."""
    terminal = Terminal()
    name = os.environ.get("TERM") or "vt100"

    def prepare(channel: paramiko.Channel) -> None:
        columns, rows = terminal.size()
        channel.get_pty(os.fsencode(name), columns, rows)

    out, _ = streams.standard_output()
    channel = ssh.start(connection, command, check, prepare=prepare)
    try:
        with terminal:
            status = join(channel, terminal, check, out)
    finally:
        channel.close()
    if status is None:
        raise ssh.lost(connection, check)
    return status


def shell_is_interactive() -> bool:
    """Tell whether a shell gets a terminal: when our standard input is one."""
    return os.isatty(INPUT)


def serve(connection: ssh.Connection, argv: list[str], check: ssh.Check, *, wanted: bool = False,
          idle: Callable[[], int] | None = None) -> int:
    """Do what ssh does: run a program in the guest on our standard streams, or a shell; return the status.

    wanted: the program gets a terminal, as a shell does, when our standard input is one. idle is done instead of a
    shell that would have nothing to run: standard input is no terminal, and empty.
    """
    terminal = shell_is_interactive()
    if wanted and not terminal:
        print("no terminal for the guest's program: standard input is none", file=sys.stderr)
    first = b""
    try:
        if terminal and (wanted or not argv):
            return run(connection, ssh.quote(argv) if argv else SHELL, check)
        if not argv and idle is not None:
            first = first_input(check)
            if not first:
                return idle()
        out, err = streams.standard_output()
        return ssh.run(connection, ssh.quote(argv) if argv else SHELL, out=out, err=err, check=check,
                       source=None if terminal else ssh.Input(INPUT, first))
    except streams.OutputClosed:
        return 128 + signal.SIGPIPE
    except ssh.SwitchedOff:
        if argv:
            raise
        # Powering off is one way to leave a shell.
        return 0


def first_input(check: ssh.Check) -> bytes:
    """Return what comes first on standard input; nothing at its end."""
    while not select.select([INPUT], [], [], ssh.POLL)[0]:
        check()
    with suppress(OSError):
        return os.read(INPUT, ssh.CHUNK)
    return b""
