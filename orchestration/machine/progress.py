# SPDX-License-Identifier: BSD-2-Clause
"""Progress output, on standard error: standard output is the guest's."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from rich.console import Console
from rich.status import Status


class Progress:
    """Lines of finished steps, and on a terminal a spinner with the step that is going on.

    What cannot be written, such as to a terminal that has hung up, is left out: the end of a machine must not fail for
    it.
    """

    def __init__(self, quiet: bool = False) -> None:
        """Write to standard error, or nowhere."""
        self.console = Console(stderr=True, quiet=quiet, highlight=False, soft_wrap=True)
        self.status: Status | None = None

    def say(self, text: str) -> None:
        """Print one line, which begins at the left also while a shell has made the terminal raw."""
        end = "\r\n" if self.console.is_terminal else "\n"
        self.show(lambda: self.console.print(text, markup=False, end=end))

    @staticmethod
    def show(write: Callable[[], None]) -> None:
        """Call write; ignore an error of the terminal."""
        with suppress(OSError):
            write()

    def doing(self, text: str) -> None:
        """Show what is going on, where there is a terminal for it."""
        if not self.console.is_terminal:
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
        self.show(lambda: self.console.print(f"  {text:<12} {seconds:7.1f} s", markup=False))

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
