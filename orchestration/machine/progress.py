# SPDX-License-Identifier: BSD-2-Clause
"""Progress output, on standard error: standard output is the guest's.

The library that draws the spinner is loaded only where there is a terminal for it: that takes 0.05 s.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console
    from rich.status import Status


class Progress:
    """Lines of finished steps, and on a terminal a spinner with the step that is going on.

    What cannot be written, such as to a terminal that has hung up, is left out: the end of a machine must not fail for
    it.
    """

    def __init__(self, quiet: bool = False) -> None:
        """Write to standard error, or nowhere."""
        self.quiet = quiet
        self.console: Console | None = None
        self.status: Status | None = None
        if not quiet and sys.stderr is not None and sys.stderr.isatty():
            from rich.console import Console

            self.console = Console(stderr=True, highlight=False, soft_wrap=True)

    def say(self, text: str) -> None:
        """Print one line, which begins at the left also while a shell has made the terminal raw."""
        self.line(text, "\r\n" if self.console is not None else "\n")

    def line(self, text: str, end: str = "\n") -> None:
        """Print a line, above the spinner."""
        if self.quiet:
            return
        if self.console is None:
            self.show(lambda: print(text, end=end, file=sys.stderr, flush=True))
        else:
            console = self.console
            self.show(lambda: console.print(text, markup=False, end=end))

    @staticmethod
    def show(write: Callable[[], None]) -> None:
        """Call write; ignore an error of the terminal."""
        with suppress(OSError):
            write()

    def doing(self, text: str) -> None:
        """Show what is going on, where there is a terminal for it."""
        if self.console is None or not self.console.is_terminal:
            return
        if self.status is None:
            self.status = self.console.status(text)
            self.show(self.status.start)
        else:
            self.status.update(text)

    def stop(self) -> None:
        """Remove the spinner."""
        if self.status is not None:
            status, self.status = self.status, None
            self.show(status.stop)

    def done(self, text: str, seconds: float) -> None:
        """Print a finished step with its time."""
        self.line(f"  {text:<12} {seconds:7.1f} s")

    @contextmanager
    def step(self, text: str) -> Iterator[None]:
        """Show a step while it runs, and its time after it."""
        began = time.monotonic()
        self.doing(text)
        try:
            yield
        finally:
            self.stop()
        self.done(text, time.monotonic() - began)
