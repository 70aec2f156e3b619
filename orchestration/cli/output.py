# SPDX-License-Identifier: BSD-2-Clause
"""Standard output of the command line: a failed write is told from the failure of a file."""

from __future__ import annotations

import errno
import io
import os
import signal
import sys
from typing import Any

from orchestration.base.errors import QuollError


class OutputError(QuollError):
    """Standard output does not take what is written there."""


class ReaderGoneError(OutputError):
    """The reader of our standard output has ended: nothing is printed, and the exit code is that of SIGPIPE."""

    exit_code = 128 + signal.SIGPIPE

    def lines(self) -> list[str]:
        """Return nothing."""
        return []


class StandardOutput(io.FileIO):
    """Descriptor 1; a failed write raises OutputError, not OSError."""

    def write(self, data: Any) -> int:
        """Write; on failure raise OutputError and discard all later output."""
        try:
            return super().write(data) or 0
        except OSError as error:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, 1)
            os.close(nowhere)
            if error.errno == errno.EPIPE:
                raise ReaderGoneError("") from error
            raise OutputError(f"cannot write to standard output: {error.strerror}") from error


def own_output() -> None:
    """Replace sys.stdout by one that raises OutputError; bytes that are no UTF-8 pass unchanged."""
    raw = StandardOutput(1, "w", closefd=False)
    sys.stdout = io.TextIOWrapper(io.BufferedWriter(raw), encoding="utf-8", errors="surrogateescape",
                                  line_buffering=raw.isatty())
