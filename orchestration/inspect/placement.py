# SPDX-License-Identifier: BSD-2-Clause
"""Where the servers and vCPUs of a machine run: shown, and changed while it runs.

The root pager reads the CPUs again each second from its description of the system, which is in the machine's memory.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from orchestration.base.errors import InfrastructureError, UsageError
from orchestration.base.rundir import RunDirectory
from orchestration.build import system
from orchestration.inspect.gdbstub import Stub, Target
from orchestration.inspect.kernel_objects import Reader

if TYPE_CHECKING:
    from quoll_abi import Abi

AT = re.compile(r"^root: ([0-9]+) CPUs, described at ([0-9a-f]+)$", re.MULTILINE)


def where(run: RunDirectory) -> tuple[int, int]:
    """Return how many CPUs a machine has, and the physical address of its description."""
    config, log = run.file("config.json"), run.file("l4.log")
    # With several CPUs the root pager says it before it starts a driver; with one, the line would be a driver's.
    several = config.exists() and json.loads(config.read_text())["cpus"] > 1
    found = AT.search(log.read_text(errors="replace")) if several and log.exists() else None
    if found is None:
        raise UsageError("this machine has one CPU, or has not come so far", "boot it with --cpus N")
    return int(found[1]), int(found[2], 16)


def read(stub: Stub, abi: Abi, at: int) -> dict[str, tuple[int, int, int]]:
    """Return by the name of each server and vCPU its CPU, and the physical address and size of that number."""
    def bytes_at(address: int, count: int) -> bytes:
        data = stub.read_physical(address, count)
        if data is None:
            raise InfrastructureError(f"the machine has no memory at {address:#x}, where its description should be")
        return data

    head = bytes_at(at, system.HEADER.size)
    servers, vcpus, cpus = system.HEADER.unpack(head)
    entries = at + system.HEADER.size
    data = head + bytes_at(entries, servers * system.ENTRY.size)
    field, size, *_ = abi.STRUCTS["system_server"][1]["cpu"]
    first = abi.STRUCTS["system_header"][1]["vcpu_cpu"][0]
    found = {server.name: (server.cpu, entries + number * system.ENTRY.size + field, size)
             for number, server in enumerate(system.read_table(abi, data))}
    return found | {f"{system.VCPU}{number}": (cpus[number], at + first + number, 1) for number in range(vcpus)}


@dataclass(frozen=True)
class Interrupt:
    """One that is bound. cpu: where it goes; taken: how many came; taken_cpu: where the last one did."""

    cpu: int
    taken: int
    taken_cpu: int


def interrupts(stub: Stub, kernel: Path, abi: Abi) -> dict[int, Interrupt]:
    """Return the interrupts that L4 signals to somebody, by their numbers."""
    reader = Reader(stub, kernel, abi)
    reader.enter()
    field, number = reader.info.structs["irq"], reader.info.structs["cpu"]["number"]
    size, first = field["bound"] + (1 << abi.CNODE_SLOT_BITS), reader.info.symbols["irqs"]
    data = b"".join(reader.memory(first + start, 16 * size)
                    for start in range(0, reader.info.sizes["irqs"], 16 * size))

    def word(at: int, name: str, length: int) -> int:
        return int.from_bytes(data[at + field[name]:at + field[name] + length], "little")

    bound = [irq for irq in range(len(data) // size) if word(irq * size, "bound.type", 1)]
    return {irq: Interrupt(reader.word(word(irq * size, "source.cpu", 8) + number, 4), word(irq * size, "taken", 8),
                           word(irq * size, "taken_cpu", 4)) for irq in bound}


def show(machine: Target, run: RunDirectory, abi: Abi) -> dict[str, int]:
    """Return the CPU of each server and vCPU; the machine stands still meanwhile."""
    cpus, at = where(run)
    with Stub(machine) as stub:
        return {name: cpu % cpus for name, (cpu, _, _) in read(stub, abi, at).items()}


def move(machine: Target, run: RunDirectory, abi: Abi, places: Mapping[str, int]) -> None:
    """Have servers and vCPUs run elsewhere, from the root pager's next second on."""
    cpus, at = where(run)
    with Stub(machine) as stub:
        known = read(stub, abi, at)
        for name, cpu in places.items():
            if name not in known:
                raise UsageError(f"the machine has no {name}", f"it has {', '.join(known)}")
            if not 0 <= cpu < cpus:
                raise UsageError(f"{name}={cpu}: the machine has CPUs 0 to {cpus - 1}")
        for name, cpu in places.items():
            _, place, size = known[name]
            stub.write_physical(place, cpu.to_bytes(size, "little"))
