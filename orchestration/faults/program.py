# SPDX-License-Identifier: BSD-2-Clause
"""Programs of the verified workloads: compiled for the guest, and run there with their output by lines."""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from orchestration.base.arch import Arch
from orchestration.base.errors import BuildError, QuollError
from orchestration.base.tools import program
from orchestration.machine import ssh
from orchestration.machine.session import Session

# Linked out of the way of the drivers' addresses, so that their breakpoints are theirs.
LINK = ("-static", "-Wl,-Ttext-segment=0x20000000", "-O2", "-Wall", "-Wextra", "-D_GNU_SOURCE", "-pthread")


def compile_program(arch: Arch, source: Path, target: Path) -> Path:
    """Compile a guest program for an architecture."""
    done = subprocess.run([program(arch.compiler), *LINK, str(source), "-o", str(target)], capture_output=True,
                          text=True, check=False)
    if done.returncode:
        raise BuildError(f"{source.name} does not compile for {arch.name}", "", tuple(done.stderr.splitlines()[-8:]))
    return target


class GuestProgram(threading.Thread):
    """A program in the guest with its output by lines; closing its input asks it to end."""

    def __init__(self, session: Session, command: str, told: Callable[[str], None]) -> None:
        """Describe it; start() starts it. told takes each line of its output, on its thread."""
        super().__init__(daemon=True, name="workload")
        self.session, self.command, self.told = session, command, told
        self.status: int | None = None
        self.error: Exception | None = None
        self.rest = b""
        reading, self.input = os.pipe()
        self.source = os.fdopen(reading, "rb")

    def write(self, data: bytes, /) -> None:
        """Take output."""
        *lines, self.rest = (self.rest + data).split(b"\n")
        for line in lines:
            self.told(line.decode(errors="replace"))

    def run(self) -> None:
        """Run the program to its end."""
        assert self.session.connection is not None
        try:
            self.status = ssh.run(self.session.connection, self.command, out=self, err=self, source=self.source)
        except (QuollError, OSError, EOFError) as error:
            self.error = error

    def close_input(self) -> None:
        """Ask it to end."""
        with suppress(OSError):
            os.close(self.input)
