# SPDX-License-Identifier: BSD-2-Clause
"""Work that blocks, in a thread, while the main thread looks after other things."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from queue import SimpleQueue
from typing import TypeVar

from orchestration.base.errors import HangError

T = TypeVar("T")
# Seconds between two looks.
POLL = 0.1


def awaited(work: Callable[[], T], check: Callable[[], object], limit: float = float("inf"), late: str = "") -> T:
    """Return what work returns, or raise what it raises, as soon as it has ended; until then call check now and then.

    What check raises ends the wait, and the thread is left behind; so does the limit, in seconds: HangError says late.
    """
    results: SimpleQueue[T | Exception] = SimpleQueue()

    def run() -> None:
        try:
            results.put(work())
        except Exception as error:
            results.put(error)

    thread = threading.Thread(target=run, daemon=True, name="work")
    thread.start()
    deadline = time.monotonic() + limit
    while thread.is_alive():
        thread.join(POLL)
        check()
        if time.monotonic() > deadline:
            raise HangError(late)
    result = results.get()
    if isinstance(result, Exception):
        raise result
    return result
