# SPDX-License-Identifier: BSD-2-Clause
"""Reads what quoll-trace.elf has counted and traced, from the memory of a running machine.

The kernel's object `trace` (kernel/src/debug/trace.c) describes itself: sizes and names of the events are in it.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from orchestration.base.errors import InfrastructureError
from orchestration.base.ownership import PREFIX, OwnFolder, temporary

PLACE = re.compile(r"^l4: trace at ([0-9a-f]+), (\d+) bytes$", re.MULTILINE)
MAGIC = 0x45434152544C4C51
VERSION = 1
HEADER = struct.Struct("<QIIIIQQ")
NAME_SIZE = 24
ENTRY = struct.Struct("<QQQQ")
KIND_SHIFT = 56


class NoTrace(InfrastructureError):
    """The kernel is one that counts nothing."""


class Memory(Protocol):
    """What can save a machine's physical memory."""

    def save(self, address: int, size: int, file: Path) -> None:
        """Write memory to a file, all of it of one moment: the machine stands meanwhile."""


@dataclass(frozen=True)
class Event:
    """One entry of the ring. time in counter ticks; thread is the low 56 bits of its address."""

    time: int
    kind: str
    thread: int
    a: int
    b: int


@dataclass(frozen=True)
class Trace:
    """The counters and events of a kernel at one moment.

    The kernel counts an event before it writes it: the sum of counts is written, or one more.
    """

    counter_hz: int
    written: int
    """Number of events since the start; events holds the last of them."""
    counts: dict[str, int]
    endpoints: dict[int, int]
    """Messages by the Endpoint's address."""
    events: tuple[Event, ...]


def place(log: Path) -> tuple[int, int]:
    """Return physical address and size of the trace as L4's log tells; raise NoTrace if it does not."""
    found = PLACE.search(log.read_text()) if log.exists() else None
    if found is None:
        raise NoTrace("the kernel has no trace", "boot it with --trace")
    return int(found[1], 16), int(found[2])


def parse(data: bytes) -> Trace:
    """Decode the trace's bytes; raise InfrastructureError when they are no trace."""
    if len(data) < HEADER.size:
        raise InfrastructureError("the kernel's trace is cut short")
    magic, version, kinds, endpoints, ring, hz, written = HEADER.unpack_from(data)
    at_counts = HEADER.size + kinds * NAME_SIZE
    at_endpoints = at_counts + kinds * 8
    at_ring = at_endpoints + endpoints * 16
    if magic != MAGIC or version != VERSION or len(data) < at_ring + ring * ENTRY.size or not ring:
        raise InfrastructureError("the kernel's trace is not at the address that the log names",
                                  "the log is of another machine")
    names = [data[HEADER.size + k * NAME_SIZE:][:NAME_SIZE].split(b"\0")[0].decode() for k in range(kinds)]
    counts = dict(zip(names, struct.unpack_from(f"<{kinds}Q", data, at_counts), strict=True))
    pairs = struct.iter_unpack("<QQ", data[at_endpoints:at_ring])
    events = []
    for n in range(max(0, written - ring), written):
        time, kind_thread, a, b = ENTRY.unpack_from(data, at_ring + n % ring * ENTRY.size)
        kind = kind_thread >> KIND_SHIFT
        events.append(Event(time, names[kind] if kind < kinds else f"?{kind}", kind_thread & (1 << KIND_SHIFT) - 1,
                            a, b))
    return Trace(hz, written, counts, {address: n for address, n in pairs if address}, tuple(events))


def read(memory: Memory, log: Path) -> Trace:
    """Read the trace of a machine that runs or is stopped; log is its l4.log."""
    address, size = place(log)
    with OwnFolder(temporary(), PREFIX) as folder:
        path = folder / "trace"
        memory.save(address, size, path)
        return parse(path.read_bytes())


def text(trace: Trace, names: Mapping[int, str], last: int = 64) -> str:
    """Return the last events as lines, the time before the newest in microseconds. names: of objects by address."""
    shown = trace.events[-last:] if last else ()
    if not shown:
        return ""
    ticks = max(trace.counter_hz, 1) / 1e6
    threads = {address & (1 << KIND_SHIFT) - 1: name for address, name in names.items()}
    return "\n".join(f"{(event.time - shown[-1].time) / ticks:12.1f} us  {event.kind:<14} "
                     f"{names.get(event.a, f'{event.a:#x}')} {event.b:#x}  "
                     f"thread {threads.get(event.thread, f'{event.thread:x}')}" for event in shown)


def endpoint_lines(trace: Trace, names: Mapping[int, str]) -> list[str]:
    """Return the messages of each Endpoint, the busiest first."""
    return [f"{count:>12}  {names.get(address, f'endpoint at {address:#x}')}"
            for address, count in sorted(trace.endpoints.items(), key=lambda item: -item[1])]


def counter_lines(trace: Trace) -> list[str]:
    """Return what was counted since the machine started, the most frequent first."""
    return [f"{count:>12}  {name}" for name, count in sorted(trace.counts.items(), key=lambda item: -item[1]) if count]
