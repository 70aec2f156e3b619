# SPDX-License-Identifier: BSD-2-Clause
"""Where the output of a guest's program goes: memory, or our own standard streams."""

from __future__ import annotations

import os
import select
from dataclasses import dataclass, field
from typing import Protocol

from orchestration.base.errors import InfrastructureError

# Seconds to wait at a time for a standard stream that does not block and is full.
PAUSE = 0.1


class OutputClosed(Exception):
    """The reader of our output has closed it."""


class Sink(Protocol):
    """A destination of output."""

    def write(self, data: bytes, /) -> object:
        """Take bytes."""


@dataclass
class Buffer:
    """A sink that keeps all bytes."""

    kept: bytearray = field(default_factory=bytearray)

    @property
    def data(self) -> bytes:
        """Return a copy of them."""
        return bytes(self.kept)

    def write(self, data: bytes, /) -> None:
        """Take bytes."""
        self.kept += data


@dataclass(frozen=True)
class Stream:
    """One of our standard streams, written to at once."""

    descriptor: int
    name: str

    def write(self, data: bytes, /) -> None:
        """Write all of it."""
        while data:
            try:
                data = data[os.write(self.descriptor, data):]
            except BlockingIOError:
                # Another process with the same stream may have made it non-blocking.
                select.select([], [self.descriptor], [], PAUSE)
            except BrokenPipeError as error:
                raise OutputClosed from error
            except OSError as error:
                raise InfrastructureError(f"cannot write standard {self.name}: {error.strerror}") from error


def standard_output() -> tuple[Sink, Sink]:
    """Return this process' standard output and error."""
    return Stream(1, "output"), Stream(2, "error")
