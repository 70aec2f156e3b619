# SPDX-License-Identifier: BSD-2-Clause
"""QEMU's serial line, as two named pipes.

A pipe takes a MiB of single bytes; a socket counts hundreds of bytes for each and is full after some 300 of them. While
the line is full QEMU's UART is not ready, and the guest waits: how much it does must not depend on how soon we read.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress
from pathlib import Path

NAME = "serial"
# Bytes; an unprivileged process may have that much.
ROOM = 1 << 20


class SerialLine:
    """Our ends of the pipes NAME.out and NAME.in in a folder, whose other ends are QEMU's chardev pipe."""

    def __init__(self, folder: Path) -> None:
        """Make the pipes; QEMU can open them then."""
        for way in ("in", "out"):
            os.mkfifo(folder / f"{NAME}.{way}", 0o600)
        self.target = folder / f"{NAME}.in"
        # Without blocking: QEMU has not opened its end yet.
        self.source = open(os.open(folder / f"{NAME}.out", os.O_RDONLY | os.O_NONBLOCK), "rb", buffering=0)  # noqa: SIM115
        with suppress(OSError):
            fcntl.fcntl(self.source, fcntl.F_SETPIPE_SZ, ROOM)
        self.sink: int | None = None

    def connect(self) -> None:
        """Wait until QEMU has opened its ends; raise OSError when it has ended."""
        self.sink = os.open(self.target, os.O_WRONLY | os.O_NONBLOCK)
        os.set_blocking(self.sink, True)
        os.set_blocking(self.source.fileno(), True)

    def receive(self) -> bytes:
        """Wait for bytes and return them; empty at the end of the stream."""
        try:
            return self.source.read(65536) or b""
        except (OSError, ValueError):
            # Closed on our side.
            return b""

    def send(self, data: bytes) -> None:
        """Send bytes to the machine."""
        while data and self.sink is not None:
            data = data[os.write(self.sink, data):]

    def close(self) -> None:
        """Close both ends."""
        self.source.close()
        if self.sink is not None:
            sink, self.sink = self.sink, None
            os.close(sink)
