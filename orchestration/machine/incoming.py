# SPDX-License-Identifier: BSD-2-Clause
"""A machine's state: stored by QEMU's migration into a file, loaded from it, and the message to the one that resumes.

The machine's memory is no part of the state: it is a file of its own, shared with the machine that is stored, and
mapped privately by each machine that starts from it, so that none changes what another sees.

The message goes into a page of the guest program rootfs/resume, while the machine stands: nobody else is there who
could read it or write one of his own.
"""

from __future__ import annotations

import errno
import os
import shlex
import struct
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestration.base.arch import Arch
from orchestration.base.errors import HangError, InfrastructureError
from orchestration.base.limits import time_scale
from orchestration.inspect.gdbstub import Stub
from orchestration.machine.qemu import LARGE, Machine

if TYPE_CHECKING:
    from orchestration.machine.monitor import Monitor

SHARED_MEMORY = {"capability": "x-ignore-shared", "state": True}
# Seconds; tenths of one are usual.
TRANSFER_LIMIT = 60.0
POLL = 0.005
CHUNK = 1 << 20
PAGE_SIZE = 4096
MAGIC_SIZE, SEED_SIZE = 32, 64
# struct message of rootfs/resume/resume.c: magic, phase, then what a message has.
PHASE = struct.Struct("<I")
BODY = struct.Struct(f"<3Iqq{SEED_SIZE}s")
BODY_AT = MAGIC_SIZE + PHASE.size
SPINS, GIVEN = 2, 3
PARTS_MAX = PAGE_SIZE - BODY_AT - BODY.size
# Numbers of riscv64's control and status registers (privileged architecture, 2.2).
CSR_STIMECMP, CSR_SATP = 0x14d, 0x180
# Where a PC of QEMU's has the memory that does not fit below its devices.
PC_HIGH = 1 << 32


def wait(monitor: Monitor, what: str) -> None:
    """Wait until QEMU has stored or loaded a state; raise InfrastructureError when it fails."""
    deadline = time.monotonic() + TRANSFER_LIMIT * time_scale()
    while True:
        found: dict[str, Any] = monitor.execute("query-migrate")
        if found.get("status") == "completed":
            return
        if found.get("status") in ("failed", "cancelled"):
            raise InfrastructureError(f"QEMU cannot {what}: {found.get('error-desc', 'it does not say why')}")
        if time.monotonic() > deadline:
            raise InfrastructureError(f"QEMU did not {what} in {TRANSFER_LIMIT * time_scale():.0f} s")
        time.sleep(POLL)


def save(monitor: Monitor, path: Path) -> None:
    """Stop a machine and store its state, without its memory."""
    monitor.execute("stop")
    monitor.execute("migrate-set-capabilities", capabilities=[SHARED_MEMORY])
    monitor.execute("migrate", uri=f"exec:cat > {shlex.quote(str(path))}")
    wait(monitor, "store the machine's state")


def load(monitor: Monitor, path: Path) -> None:
    """Load a state into a machine that waits for one; it stands afterwards."""
    monitor.execute("migrate-set-capabilities", capabilities=[SHARED_MEMORY])
    monitor.execute("migrate-incoming", uri=f"exec:cat {shlex.quote(str(path))}")
    wait(monitor, "load the machine's state")


def written(descriptor: int) -> Iterator[tuple[int, bytes]]:
    """Return the parts of a file that are no holes, with their offsets, which are multiples of a page."""
    at, end = 0, os.fstat(descriptor).st_size
    while at < end:
        try:
            at = os.lseek(descriptor, at, os.SEEK_DATA) // PAGE_SIZE * PAGE_SIZE
        except OSError as error:
            if error.errno == errno.ENXIO:
                return
            raise
        yield at, os.pread(descriptor, CHUNK, at)
        at += CHUNK


def find_page(ram: Path, magic: bytes) -> int:
    """Return the offset of the only page that begins with magic in a machine's memory; raise InfrastructureError."""
    found = []
    with ram.open("rb") as stream:
        for start, data in written(stream.fileno()):
            at = data.find(magic)
            while at >= 0:
                if at % PAGE_SIZE == 0:
                    found.append(start + at)
                at = data.find(magic, at + 1)
    if len(found) != 1:
        raise InfrastructureError(f"the guest's page is {len(found)} times in the machine's memory")
    return found[0]


def wait_until_it_spins(ram: Path, page: int, limit: float) -> None:
    """Wait until the guest's program says in its page that nothing else runs."""
    deadline = time.monotonic() + limit
    with ram.open("rb") as stream:
        while PHASE.unpack(os.pread(stream.fileno(), PHASE.size, page + MAGIC_SIZE))[0] != SPINS:
            if time.monotonic() > deadline:
                raise HangError(f"the guest did not come to rest in {limit:.0f} s")
            time.sleep(POLL)


def address_of(arch: Arch, memory: int, offset: int) -> int:
    """Return the physical address of an offset in a machine's memory of so many bytes."""
    if arch.large_low is None or memory <= LARGE or offset < arch.large_low:
        return arch.ram_start + offset
    return PC_HIGH + offset - arch.large_low


@dataclass(frozen=True)
class Identity:
    """What makes a guest that resumes one of its own: its name (empty: as it was), its key, the key that may log in."""

    host_name: bytes
    host_key: bytes
    client_line: bytes
    """A line of authorized_keys, with its end."""


def message(seed: bytes, nanoseconds: int, identity: Identity) -> bytes:
    """Return what follows the phase in the guest's page; nanoseconds since 1970."""
    parts = (identity.host_name, identity.host_key, identity.client_line)
    if sum(map(len, parts)) > PARTS_MAX:
        raise InfrastructureError(f"the keys for a machine that resumes have more than {PARTS_MAX} bytes")
    return BODY.pack(*map(len, parts), *divmod(nanoseconds, 10**9), seed) + b"".join(parts)


def start_timer(stub: Stub) -> None:
    """Let the timer of a machine that was loaded run.

    QEMU stores riscv64's stimecmp, but starts its timer only when that register is written. The debugger's description
    leaves this register out, because it is made before the timer; its number follows from those of the others.
    QEMU's CPUs have it (Sstc) from 7.2 on; a CPU without is refused, since its timer, the firmware's, would stand.
    """
    if "satp" in stub.registers:
        number, size = stub.registers["satp"]
        stub.registers["stimecmp"] = (number - CSR_SATP + CSR_STIMECMP, size)
        stub.set_register("stimecmp", stub.register("stimecmp"))


def deliver(machine: Machine, page: int, magic: bytes, seed: bytes, identity: Identity) -> None:
    """Write the message into the guest's page of a machine that stands, and let the machine run.

    The monitor starts it first: QEMU 10 takes its disks over then, not when a debugger lets a machine run. The guest's
    program spins until it has the message.
    """
    assert machine.monitor is not None
    machine.monitor.execute("cont")
    address = address_of(machine.arch, machine.config.memory, page)
    with Stub(machine) as stub:
        if stub.read_physical(address, BODY_AT) != magic + PHASE.pack(SPINS):
            raise InfrastructureError(f"the memory of the machine that resumes has no page of ours at {address:#x}")
        start_timer(stub)
        stub.write_physical(address + MAGIC_SIZE, PHASE.pack(GIVEN))
        # The time last: from here on nothing is between it and the machine's start.
        stub.write_physical(address + BODY_AT, message(seed, time.time_ns(), identity))
    machine.debugged = False
