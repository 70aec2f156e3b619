# SPDX-License-Identifier: BSD-2-Clause
"""The limits of a run of kernel tests, with a machine that says nothing."""

from __future__ import annotations

import queue
from pathlib import Path
from typing import Any

import pytest

from orchestration.base.arch import ARCHES
from orchestration.base.errors import HangError
from orchestration.base.rundir import RunDirectory
from orchestration.build import image, quoll
from orchestration.machine import kernel_tests
from orchestration.machine.qemu import Message


class SilentMachine:
    def __init__(self, *_: Any) -> None:
        self.messages: queue.Queue[Message] = queue.Queue()
        self.closed = False

    def start(self) -> None:
        pass

    def close(self) -> None:
        self.closed = True

    def last_lines(self) -> tuple[str, ...]:
        return ("ok 1 first",)


@pytest.mark.parametrize(("limit", "silence", "said"), [(0.05, 900, "ktest did not end in 0 s"),
                                                        (900, 0.05, "ktest says nothing for 0 s")])
def test_the_limit_that_ended_a_run_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: float,
                                             silence: float, said: str) -> None:
    machine = SilentMachine()
    monkeypatch.setattr(kernel_tests, "Machine", lambda *_: machine)
    monkeypatch.setattr(kernel_tests, "RunDirectory", lambda name: RunDirectory(name, tmp_path))
    monkeypatch.setattr(quoll, "abi", lambda _: None)
    monkeypatch.setattr(image, "pack", lambda *_, **__: b"")
    monkeypatch.setattr(kernel_tests, "time_scale", lambda: 1.0)
    monkeypatch.setattr(kernel_tests, "SILENCE_LIMIT", silence)
    with pytest.raises(HangError) as error:
        kernel_tests.run(ARCHES["x86_64"], tmp_path, limit=limit)
    assert error.value.message == said
    assert error.value.details == ("ok 1 first",)
    assert machine.closed
