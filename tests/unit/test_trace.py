# SPDX-License-Identifier: BSD-2-Clause
"""The kernel's trace as Python reads it."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import pytest

from orchestration.base.errors import InfrastructureError
from orchestration.inspect import trace
from orchestration.machine.monitor import Monitor

NAMES = ("syscall", "fill")


def area(written: int, ring: int = 4, entries: int | None = None) -> bytes:
    data = trace.HEADER.pack(trace.MAGIC, trace.VERSION, len(NAMES), 2, ring, 1_000_000, written)
    data += b"".join(name.encode().ljust(trace.NAME_SIZE, b"\0") for name in NAMES)
    data += struct.pack("<2Q", 7, 8) + struct.pack("<4Q", 0xFFF0, 3, 0, 0)
    places: list[tuple[int, int, int, int]] = [(0, 0, 0, 0)] * ring
    for n in range(written):
        places[n % ring] = (100 + n, (n % 2) << trace.KIND_SHIFT | 0xABC, n, n * 2)
    return data + b"".join(trace.ENTRY.pack(*place) for place in places[:entries])


def test_a_short_ring_is_read_in_order() -> None:
    found = trace.parse(area(3))
    assert [(event.time, event.kind, event.a) for event in found.events] == [
        (100, "syscall", 0), (101, "fill", 1), (102, "syscall", 2)]
    assert found.counts == {"syscall": 7, "fill": 8}
    assert found.endpoints == {0xFFF0: 3}
    assert found.events[0].thread == 0xABC


def test_a_ring_that_went_round_holds_the_last() -> None:
    found = trace.parse(area(11))
    assert [event.a for event in found.events] == [7, 8, 9, 10]
    assert found.written == 11
    lines = trace.text(found, {}, 2).splitlines()
    assert len(lines) == 2
    assert "-1.0 us" in lines[0]
    assert trace.text(found, {}, 0) == ""


def test_objects_go_by_their_names() -> None:
    found = trace.parse(area(3))
    names = {1: "endpoint 0 (root's)", 0xABC | 0xFF << trace.KIND_SHIFT: "net"}
    assert "fill           endpoint 0 (root's) 0x2  thread net" in trace.text(found, names)
    assert trace.endpoint_lines(found, {0xFFF0: "endpoint 7"}) == [f"{3:>12}  endpoint 7"]
    assert trace.endpoint_lines(found, {}) == [f"{3:>12}  endpoint at 0xfff0"]
    assert trace.counter_lines(found) == [f"{8:>12}  fill", f"{7:>12}  syscall"]


def test_a_kernel_without_trace_says_how_to_have_one(tmp_path: Path) -> None:
    log = tmp_path / "l4.log"
    for text in (None, "l4: Quoll\n"):
        if text:
            log.write_text(text)
        with pytest.raises(InfrastructureError) as caught:
            trace.place(log)
        assert "--trace" in caught.value.hint
    log.write_text("l4: Quoll\nl4: trace at 1f000, 4096 bytes\n")
    assert trace.place(log) == (0x1F000, 4096)


@pytest.mark.parametrize("data", [b"", area(1)[:-1], b"\0" * 4096, area(1, ring=4, entries=2)])
def test_other_memory_is_refused(data: bytes) -> None:
    with pytest.raises(InfrastructureError):
        trace.parse(data)


class FakeMonitor(Monitor):
    """A monitor that saves memory, of a machine in a given state; says what it was asked for."""

    def __init__(self, *states: str) -> None:
        self.states = list(states)
        self.asked: list[str] = []

    def execute(self, command: str, **arguments: Any) -> Any:
        """Do as QEMU's monitor does."""
        if command == "query-status":
            return {"status": self.states.pop(0)}
        self.asked.append(command)
        if command == "pmemsave":
            Path(str(arguments["filename"])).write_bytes(area(3))
        return {}


@pytest.mark.parametrize(("states", "asked"), [
    (("running", "paused"), ["stop", "pmemsave", "cont"]),
    (("paused",), ["pmemsave"]),
    (("running", "shutdown"), ["stop", "pmemsave"]),
])
def test_a_machine_stands_while_its_trace_is_read(tmp_path: Path, states: tuple[str, ...], asked: list[str]) -> None:
    log = tmp_path / "l4.log"
    log.write_text("l4: trace at 1f000, 4096 bytes\n")
    monitor = FakeMonitor(*states)
    assert trace.read(monitor, log).written == 3
    assert monitor.asked == asked
    assert monitor.states == []
