# SPDX-License-Identifier: BSD-2-Clause
"""A run whose files cannot be written any more ends at once, with a message."""

from __future__ import annotations

import json
import queue
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from orchestration.base.arch import ARCHES
from orchestration.base.errors import InfrastructureError
from orchestration.base.rundir import Logs, RunDirectory
from orchestration.machine.progress import Progress
from orchestration.machine.qemu import Config, Machine, Message
from orchestration.machine.session import Session
from orchestration.machine.stages import BOOT_STAGES, Tracker


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(ARCHES["x86_64"], Config(kernel=tmp_path / "kernel"), RunDirectory("full", tmp_path))


@pytest.fixture
def session(machine: Machine) -> Session:
    return Session(machine, Tracker(BOOT_STAGES, 1.0), Progress(quiet=True))


def io_error(action: str) -> dict[str, Any]:
    return {"event": "BLOCK_IO_ERROR", "data": {"action": action, "nospace": True, "reason": "No space left on device"}}


def test_the_guests_disk_is_full(machine: Machine, session: Session) -> None:
    """QEMU stops the machine then, which would look like a hang."""
    machine.take_event(io_error("report"))
    session.check()
    machine.take_event(io_error("stop"))
    with pytest.raises(InfrastructureError, match="No space left on device"):
        session.check()


def test_a_log_that_cannot_be_written_is_told_once(machine: Machine, session: Session) -> None:
    machine.run.file("console.raw").symlink_to("/dev/full")
    with Logs(machine.run, ("console.raw", "l4.log"), machine.tell) as logs:
        logs.append("l4.log", b"before\n")
        logs.append("console.raw", b"x")
        logs.append("console.raw", b"x")
        logs.append("l4.log", b"after\n")
    assert machine.messages.qsize() == 1
    assert machine.run.file("l4.log").read_bytes() == b"before\n"
    with pytest.raises(InfrastructureError, match="logs cannot be written: No space left on device"):
        session.check()


def test_the_serial_line_is_read_on(machine: Machine) -> None:
    """Bytes that nobody reads would stop the machine."""
    data = [b"one\n", b"two\n", b""]
    machine.serial = SimpleNamespace(receive=lambda: data.pop(0))  # type: ignore[assignment]
    machine.process = SimpleNamespace(wait=lambda: 0)  # type: ignore[assignment]
    machine.run.file("console.raw").symlink_to("/dev/full")
    machine.read_serial()
    seen: list[Message] = []
    while True:
        try:
            seen.append(machine.messages.get_nowait())
        except queue.Empty:
            break
    assert [one.line.text for one in seen if one.line is not None] == ["one", "two"]
    assert sum(one.error is not None for one in seen) == 1
    assert seen[-1].ended


def test_events_that_cannot_be_noted_still_arrive(machine: Machine, session: Session) -> None:
    machine.run.file("events.jsonl").symlink_to("/dev/full")
    machine.take_event({"event": "RTC_CHANGE"})
    assert machine.messages.get_nowait().event == {"event": "RTC_CHANGE"}
    with pytest.raises(InfrastructureError, match="logs cannot be written"):
        session.check()


def test_the_result_that_cannot_be_written_hides_no_error(machine: Machine, session: Session) -> None:
    machine.run.file("result.json").symlink_to("/dev/full")
    session.finish(InfrastructureError("the disk is full"))
    with pytest.raises(OSError, match="No space left"):
        session.finish(None)
    machine.run.file("result.json").unlink()
    session.finish(None)
    assert json.loads(machine.run.file("result.json").read_text())["outcome"] == "done"
