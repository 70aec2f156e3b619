# SPDX-License-Identifier: BSD-2-Clause
"""A machine that another orchestrator keeps, looked into from outside: its dossier, its trace.

The monitor is that orchestrator's; the debugger's stub runs monitor commands as well, and a machine that hangs answers
it too. The machine stands still while it is looked at.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from orchestration.base import arch as arches
from orchestration.base.arch import Arch
from orchestration.base.errors import InfrastructureError, UsageError
from orchestration.base.rundir import RunDirectory
from orchestration.build import image, quoll
from orchestration.inspect import dossier, kernel_objects, placement, trace
from orchestration.inspect.gdbstub import Stub
from orchestration.machine.description import Place
from orchestration.machine.registry import Entry


@dataclass
class Remote:
    """What Dossier and Stub need of such a machine; it is its own monitor."""

    arch: Arch
    run: RunDirectory
    sockets: Path
    debugged: bool = field(default=False)

    @property
    def monitor(self) -> Remote:
        """Return itself."""
        return self

    def human(self, command: str) -> str:
        """Run a command of the human monitor and return its text."""
        with Stub(self) as stub:
            return stub.monitor(command)

    def save(self, address: int, size: int, file: Path) -> None:
        """Write physical memory to a file. The stub stops the machine before each command, and lets it go on after."""
        name = str(file).replace("\\", r"\\").replace('"', r'\"')
        said = self.human(f'pmemsave {address} {size} "{name}"').strip()
        if said:
            raise InfrastructureError(f"QEMU's monitor refused pmemsave: {said}")


def remote(entry: Entry) -> Remote:
    """Return a registered machine; raise UsageError for one that does not run L4."""
    if not entry.kernel:
        raise UsageError(f"{entry.name} does not run L4: it is Linux on the bare machine")
    return Remote(arches.find(entry.arch), RunDirectory.existing(Path(entry.run)), Path(entry.sockets))


def write_dossier(entry: Entry) -> Path:
    """Write dossier.txt into the folder of the machine's run and return its path; the machine runs on.

    hang.txt is its own orchestrator's, which may be writing it at this moment.
    """
    machine = remote(entry)
    machine.human("info status")
    found = dossier.Dossier(machine, Path(entry.kernel), Path(entry.linux), quoll.abi(machine.arch))
    path = machine.run.file("dossier.txt")
    text = found.collect() + "\n"
    try:
        path.write_text(text)
    except OSError as error:
        raise InfrastructureError(f"cannot write {path}: {error.strerror}") from error
    return path


def place(entry: Entry, places: Sequence[str]) -> list[str]:
    """Move servers and vCPUs to other CPUs, as NAME=CPU says; without any, return where they run."""
    machine = remote(entry)
    abi = quoll.abi(machine.arch)
    if not places:
        return [f"{name}={cpu}" for name, cpu in placement.show(machine, machine.run, abi).items()]
    try:
        wanted = [Place.from_text(text) for text in places]
    except ValueError as error:
        raise UsageError(str(error)) from error
    placement.move(machine, machine.run, abi, {one.name: one.cpu for one in wanted})
    return []


def show_trace(entry: Entry, last: int) -> list[str]:
    """Return counters, messages by Endpoint and the last events of a machine with the kernel that counts."""
    machine = remote(entry)
    found = trace.read(machine, machine.run.file("l4.log"))
    abi = quoll.abi(machine.arch)
    servers = image.servers_of(abi, machine.run.file("boot.img"))
    with Stub(machine) as stub:
        names = kernel_objects.Reader(stub, Path(entry.kernel), abi, servers).read().names
    shown = min(last, len(found.events))
    return ["== counters", *trace.counter_lines(found), "", "== messages by endpoint",
            *trace.endpoint_lines(found, names), "", f"== last {shown} of {found.written} events",
            *trace.text(found, names, last).splitlines()]
