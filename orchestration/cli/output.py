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
    """Whoever read our standard output has ended, which is no failure that needs words: the status is SIGPIPE's."""

    exit_code = 128 + signal.SIGPIPE

    def lines(self) -> list[str]:
        """Return nothing."""
        return []


class StandardOutput(io.FileIO):
    """Descriptor 1, whose errors are told from those of files."""

    def write(self, data: Any) -> int:
        """Write; raise OutputError when that fails, and let nothing else be written."""
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
    """Make this process' standard output one that tells its errors; bytes that are no text leave as they came."""
    raw = StandardOutput(1, "w", closefd=False)
    sys.stdout = io.TextIOWrapper(io.BufferedWriter(raw), encoding="utf-8", errors="surrogateescape",
                                  line_buffering=raw.isatty())
