# SPDX-License-Identifier: BSD-2-Clause
"""Signals that end a command: SIGINT, SIGTERM and SIGHUP run every clean-up first."""

from __future__ import annotations

import os
import signal
import threading
import time
from types import FrameType

from orchestration.base.errors import INTERRUPTS
from orchestration.base.ownership import HELD, leave

# Seconds until a signal that came during an import is sent again, and in which a second signal is taken for the first.
IMPORT_PAUSE, TWICE = 0.05, 0.5


def importing(frame: FrameType | None) -> bool:
    """Say whether a module is being imported."""
    while frame is not None and not frame.f_code.co_filename.startswith("<frozen importlib"):
        frame = frame.f_back
    return frame is not None


class Interrupter:
    """Makes SIGINT, SIGTERM and SIGHUP end a command through every clean-up."""

    def __init__(self) -> None:
        """Begin with none."""
        self.last = float("-inf")

    def __call__(self, number: int, frame: FrameType | None) -> None:
        """Raise KeyboardInterrupt, but not inside an import, and once for two signals in a row (timeout sends two)."""
        if importing(frame):
            # Python may print an exception that is raised in an import and go on.
            if not HELD:
                leave(number, frame)
            again = threading.Timer(IMPORT_PAUSE, os.kill, (os.getpid(), number))
            again.daemon = True
            again.start()
        elif time.monotonic() - self.last > TWICE:
            self.last = time.monotonic()
            raise KeyboardInterrupt


def heed_signals() -> None:
    """Install the handler, except for signals that our parent process made us ignore."""
    handler = Interrupter()
    for number in INTERRUPTS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, handler)
