# SPDX-License-Identifier: BSD-2-Clause
"""The exceptions of the orchestration: each class owns its exit code and carries a hint.

The codes stay clear of what programs in the guest usually return; a command's own status is passed through.
"""

from __future__ import annotations

import signal
from typing import ClassVar


def printable(text: str) -> str:
    """Return a guest's text with control characters replaced: a terminal would act on them or answer them.

    Bytes of a path that are no UTF-8 (surrogates) stay: standard error escapes them.
    """
    return "".join(one if one.isprintable() or one == "\t" or "\udc80" <= one <= "\udcff"
                   else "\N{REPLACEMENT CHARACTER}" for one in text)


class QuollError(Exception):
    """A failure that is explained to the user instead of shown as a traceback."""

    exit_code: ClassVar[int] = 120
    outcome: ClassVar[str] = "error"

    def __init__(self, message: str, hint: str = "", details: tuple[str, ...] = ()) -> None:
        """Take the message (one line), the hint (what to do, one line), and details (lines of a log)."""
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.details = details

    def lines(self) -> list[str]:
        """Return what to print: details, then the message, then the hint. Each may quote a guest."""
        said = [f"orchestrate: {self.message}", *([f"  hint: {self.hint}"] if self.hint else [])]
        return [*(f"  | {printable(line)}" for line in self.details),
                *(printable(line) for text in said for line in text.split("\n"))]


class UsageError(QuollError):
    """The command line is wrong: an unknown word, or options that exclude each other."""

    exit_code = 2
    outcome = "usage"


class MissingError(QuollError):
    """The machine lacks a program or a package."""

    exit_code = 3
    outcome = "missing"


class InfrastructureError(QuollError):
    """QEMU, the disk, the network or SSH failed; the system under test is not to blame."""

    exit_code = 120
    outcome = "infrastructure"


class BuildError(QuollError):
    """A part of Quoll does not build."""

    exit_code = 121
    outcome = "build"


class PanicError(QuollError):
    """The kernel, the root pager or the guest panicked."""

    exit_code = 122
    outcome = "panic"


class HangError(QuollError):
    """A stage did not end within its limit."""

    exit_code = 123
    outcome = "hang"


class ReportError(QuollError):
    """A check that was compiled into Linux found a bug of it; the system went on."""

    exit_code = 115
    outcome = "report"


class WorkloadError(QuollError):
    """A workload failed; the system went on."""

    exit_code = 118
    outcome = "workload"


class RegressionError(QuollError):
    """An instruction count is above its gate."""

    exit_code = 119
    outcome = "regression"


# Signals that end a command through every clean-up, what is said then, and the exit code.
INTERRUPTS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
INTERRUPTED = "orchestrate: interrupted"
EXIT_INTERRUPTED = 130
