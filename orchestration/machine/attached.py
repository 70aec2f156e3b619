# SPDX-License-Identifier: BSD-2-Clause
"""The user's terminal, joined with a guest's console through the machine's tee."""

from __future__ import annotations

import os
import select
import signal
import socket
import sys
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

from orchestration.base.errors import InfrastructureError
from orchestration.machine import ssh, streams, tee
from orchestration.machine.console import Channel, Splitter
from orchestration.machine.terminal import INPUT, Terminal

DETACH, LEAVE = 0x1D, "Ctrl-]"  # as telnet has it
# The log is text: what a driver or, by another way than its console, a guest has written there acts on no terminal.
PLAIN = bytes(byte if byte in b"\t\n" or 0x20 <= byte < 0x7F else ord("?") for byte in range(256))


def attach(sockets: Path, log: bool, check: Callable[[], bool] = lambda: False) -> int:
    """Join the terminal with the console of the machine with these sockets until Ctrl-] or the machine's end.

    check raises when the machine is lost, and returns whether it has ended.
    """
    line = socket.socket(socket.AF_UNIX)
    try:
        line.connect(str(sockets / tee.NAME))
    except OSError as error:
        raise InfrastructureError("the machine ended just now") from error
    try:
        with Terminal() if os.isatty(INPUT) else nullcontext() as raw:
            converse(line, raw, log, check)
    except streams.OutputClosed:
        return 128 + signal.SIGPIPE
    except OSError:
        return 0
    finally:
        line.close()
        print(file=sys.stderr)
    return 0


def converse(line: socket.socket, terminal: Terminal | None, log: bool, check: Callable[[], bool]) -> None:
    """Show what comes from a machine's tee, send what is typed, until Ctrl-] or either's end."""
    split = Splitter()
    out = streams.standard_output()[0]
    waiting: list[socket.socket | int] = [line, INPUT]
    while not check():
        if terminal is not None:
            terminal.tend()
        ready = select.select(waiting, [], [], ssh.POLL)[0]
        if line in ready:
            data = line.recv(65536)
            if not data:
                return
            for channel, run in split.feed(data):
                show(out, channel, run, log, terminal is not None)
        if INPUT in ready:
            typed = os.read(INPUT, 4096)
            if DETACH in typed or (not typed and terminal is not None):
                return
            if not typed or not sent(line, typed):
                waiting.remove(INPUT)


def sent(line: socket.socket, typed: bytes) -> bool:
    """Send what was typed; False if the machine has ended. What it said before that can still be received."""
    try:
        line.sendall(typed)
    except ConnectionError:
        return False
    return True


def show(out: streams.Sink, channel: Channel, run: bytes, log: bool, terminal: bool) -> None:
    """Write one channel's bytes: the guest's as they are, the log dimmed where it is wanted."""
    if channel is Channel.GUEST:
        out.write(run)
    elif log:
        text = run.translate(PLAIN, b"\r").replace(b"\n", b"\r\n") if terminal else run
        out.write(b"\x1b[2m" + text + b"\x1b[0m" if terminal else text)
