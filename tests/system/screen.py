# SPDX-License-Identifier: BSD-2-Clause
"""Runs a program on a pseudo-terminal and types there, as a user does."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import struct
import termios
import time
from pathlib import Path


class Screen:
    """A program on a pseudo-terminal; as a context manager it is ended if it still runs."""

    def __init__(self, program: Path, *arguments: str, rows: int = 24, columns: int = 80, **environment: str) -> None:
        self.seen = b""
        self.status: int | None = None
        self.child, self.terminal = pty.fork()
        if self.child == 0:
            self.size(rows, columns, 0)
            os.execve(str(program), [program.name, *arguments], {**os.environ, **environment})

    def __enter__(self) -> Screen:
        return self

    def __exit__(self, *error: object) -> None:
        if self.status is None:
            os.kill(self.child, 9)
            os.waitpid(self.child, 0)
        os.close(self.terminal)

    def size(self, rows: int, columns: int, terminal: int | None = None) -> None:
        fcntl.ioctl(self.terminal if terminal is None else terminal, termios.TIOCSWINSZ,
                    struct.pack("HHHH", rows, columns, 0, 0))

    def type(self, text: str | bytes) -> None:
        os.write(self.terminal, text.encode() if isinstance(text, str) else text)

    def read(self, seconds: float) -> bool:
        """Read what comes within so many seconds; return whether anything came."""
        if not select.select([self.terminal], [], [], seconds)[0]:
            return False
        try:
            data = os.read(self.terminal, 65536)
        except OSError:
            # The other end is closed.
            time.sleep(min(seconds, 0.1))
            return False
        self.seen += data
        return bool(data)

    def wait_for(self, text: str, limit: float = 60) -> None:
        """Wait for text after the text that was waited for before."""
        deadline = time.monotonic() + limit
        while (at := self.seen.find(text.encode())) < 0:
            assert time.monotonic() < deadline, self.text()
            self.read(0.5)
        self.seen = self.seen[at + len(text.encode()):]

    def end(self, limit: float = 120) -> int:
        """Return the exit code, or minus the signal."""
        deadline = time.monotonic() + limit
        while self.status is None:
            ended, status = os.waitpid(self.child, os.WNOHANG)
            if ended:
                self.status = os.waitstatus_to_exitcode(status)
            assert time.monotonic() < deadline, self.text()
            self.read(0.2)
        while self.read(0.2):
            pass
        return self.status

    def modes(self) -> list[object]:
        return termios.tcgetattr(self.terminal)

    def text(self) -> str:
        return self.seen.decode(errors="replace")
