# SPDX-License-Identifier: BSD-2-Clause
"""What a machine's messages tell while it runs."""

from __future__ import annotations

import queue
from types import SimpleNamespace
from typing import cast

import pytest

from orchestration.machine.console import Channel, Line
from orchestration.machine.follower import Follower
from orchestration.machine.progress import Progress
from orchestration.machine.qemu import Machine, Message
from orchestration.machine.stages import Tracker

LINES = 100


class Chatty(queue.Queue[Message]):
    """A guest that prints another line for each that is handled."""

    taken = 0

    def get(self, block: bool = True, timeout: float | None = None) -> Message:
        self.taken += 1
        if self.taken > 2 * LINES:
            pytest.fail("goes on with lines that came meanwhile")
        self.put(line())
        return super().get(block, timeout)


def line() -> Message:
    return Message(line=Line(Channel.GUEST, "text"))


def test_a_guest_that_prints_without_end_keeps_nobody_in_a_check() -> None:
    messages = Chatty()
    for _ in range(LINES):
        messages.put(line())
    machine = cast("Machine", SimpleNamespace(messages=messages))
    follower = Follower(machine, Tracker(), Progress(quiet=True))
    assert not follower.check()
    assert messages.taken == LINES
