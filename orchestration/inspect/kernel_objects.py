# SPDX-License-Identifier: BSD-2-Clause
"""The threads of L4 and what they wait on, read from a stopped machine's memory by the kernel's DWARF.

Kernel memory is read where the kernel last entered, since a CPU in user mode does not see it on every architecture; a
guest's own memory by its physical addresses, whoever runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from orchestration.base.errors import InfrastructureError
from orchestration.build import system
from orchestration.inspect import debuginfo
from orchestration.inspect.gdbstub import Stub

if TYPE_CHECKING:
    from quoll_abi import Abi

ROOT, GUEST = "root", "guest"
ENTRY_LIMIT = 2.0  # seconds in which a working kernel is entered
ENTRIES = {"x86_trap", "riscv_trap", "arm_irq"}  # an interrupt comes there; called from assembly, so never inline
SLOTS_AT_ONCE = 16
# In badges of the root pager (servers/root/messages.h): the number of the server or guest, and of the guest's vCPU.
BADGE_NUMBER, BADGE_VCPU, BADGE_VCPU_SHIFT = 0xFF, 0xF000, 12
# Of struct cpu, what tells why a CPU does not get on.
FLAGS = ("locked", "alone", "out", "leave", "sleeps", "kicked", "need_resched", "stands")


@dataclass(frozen=True)
class Thread:
    """One thread at this moment. on: the address that it waits on, 0 for none; regions: its guest's (gpa, size, pa)."""

    address: int
    owner: str
    state: str
    on: int
    priority: int
    queued: bool
    runs: bool
    in_program: bool
    """A guest's thread that runs one of its programs; pc, sp and registers are the program's then."""
    pc: int
    sp: int
    registers: dict[str, int]
    """As they were saved; those of the thread that runs are the CPU's, unless it is in the kernel."""
    regions: tuple[tuple[int, int, int], ...] = ()
    root: int = 0
    """Of a guest's thread: guest-physical address of the guest kernel's own page table."""
    vcpu: int = 0
    """Of a guest's thread: the number of its vCPU."""


@dataclass(frozen=True)
class Cpu:
    """One CPU at this moment. current: its thread's address; turns: until it gets the lock, 0 if it does not wait."""

    number: int
    current: int
    idle: bool
    flags: tuple[str, ...]
    """Of struct cpu, those that are set."""
    turns: int
    ready_top: int
    """Priority of the first thread that waits for this CPU, -1 for none."""
    slice_left: int
    """Ticks of the counter from when the current thread was charged until its slice or budget ends; 0: no end."""

    def text(self, names: dict[int, str]) -> str:
        """Return a line for a person. names: of threads by address."""
        who = "idle" if self.idle else f"runs {names.get(self.current, f'{self.current:#x}')}"
        waits = [f"waits for the lock behind {self.turns}"] if self.turns else []
        ready = [] if self.ready_top < 0 else [f"ready of priority {self.ready_top}"]
        ends = [f"{self.slice_left} ticks left"] if self.slice_left else []
        return ", ".join([f"CPU {self.number} {who}", *self.flags, *waits, *ready, *ends])


@dataclass(frozen=True)
class Objects:
    """What was found. names: of threads, Endpoints and Notifications by address."""

    threads: tuple[Thread, ...]
    names: dict[int, str]
    cpus: tuple[Cpu, ...] = ()


class Reader:
    """Reads the kernel's objects of one stopped machine."""

    def __init__(self, stub: Stub, kernel: Path, abi: Abi, servers: Sequence[system.Server] = system.SERVERS) -> None:
        """Read the kernel's DWARF; raise InfrastructureError without it. servers: those of the machine's system."""
        self.stub, self.abi, self.servers = stub, abi, servers
        self.info = debuginfo.read(kernel)
        if not {"thread", "slot", "cnode", "vspace", "region", "vcpu", "endpoint", "cpu"} <= self.info.structs.keys() \
                or not {"cpus", "root_cnode"} <= self.info.symbols.keys() or not ENTRIES & self.info.symbols.keys():
            raise InfrastructureError("the kernel has no debug information")
        self.thread = self.info.structs["thread"]
        self.states = self.info.enums.get("thread_state", {})
        self.frame_size, self.frame = abi.STRUCTS["frame"]
        self.pc = next(name for name in ("ip", "pc") if name in self.frame)

    def memory(self, address: int, size: int) -> bytes:
        """Return bytes of the kernel's memory."""
        data = self.stub.read(address, size)
        if data is None:
            raise InfrastructureError(f"kernel memory at {address:#x} cannot be read")
        return data

    def word(self, address: int, size: int = 8) -> int:
        """Return a number of the kernel's memory."""
        return int.from_bytes(self.memory(address, size), "little")

    def enter(self) -> None:
        """Have the machine go on into the kernel if its memory cannot be read here."""
        if self.stub.read(self.info.symbols["cpus"], 8) is None:
            with self.stub.breakpoint(next(self.info.symbols[name] for name in ENTRIES & self.info.symbols.keys())):
                self.stub.resume(ENTRY_LIMIT)

    def cpus(self) -> tuple[Cpu, ...]:
        """Return the CPUs; none before the kernel has set the first one up."""
        fields, symbols = self.info.structs["cpu"], self.info.symbols
        # Where there is one CPU nobody waits for the lock, and what the symbols lack is not asked for.
        count = self.word(symbols["cpu_count"], 4) if "cpu_count" in symbols else 1
        most = self.info.sizes["cpus"] // 8
        found = []
        for number in range(min(count, most)):
            cpu = self.word(symbols["cpus"] + 8 * number)
            if not cpu:
                break
            flags = tuple(name for name in FLAGS if self.word(cpu + fields[name], 4 if name == "kicked" else 1))
            waits = "out" in flags and "locked" not in flags
            place = self.info.structs["kernel_ticket"]["serving"] if count > 1 else 0
            serving = self.word(symbols["kernel_ticket"] + place, 4) if count > 1 else 0
            turns = self.word(cpu + fields["ticket"], 4) - serving if waits and count > 1 else 0
            current = self.word(cpu + fields["current"])
            top = self.word(cpu + fields["ready_top"], 4)
            timed = self.word(cpu + fields["timed"])
            ends = self.word(cpu + fields["slice_end"]) - self.word(cpu + fields["charged_at"]) if timed else 0
            found.append(Cpu(number, current, current == cpu + fields["idle"], flags,
                             turns if 0 < turns < most else 0, top if top < 1 << 31 else -1,
                             ends if ends < 1 << 63 else 0))
        return tuple(found)

    def found(self) -> dict[int, list[int]]:
        """Return the objects by type; the root pager has a capability of everything that matters here."""
        slot, size = self.info.structs["slot"], 1 << self.abi.CNODE_SLOT_BITS
        wanted = (self.abi.TYPE_THREAD, self.abi.TYPE_ENDPOINT, self.abi.TYPE_NOTIFICATION)
        out: dict[int, dict[int, None]] = {kind: {} for kind in wanted}
        cnode = self.word(self.info.symbols["root_cnode"])
        if not cnode:  # the kernel has not come so far
            return {kind: [] for kind in wanted}
        # Of memory that is spoilt no more is read than the CNode has.
        slots = min(self.word(cnode + self.info.structs["cnode"]["slots_mask"]) + 1, 1 << self.abi.ROOT_CNODE_BITS)
        for at in range(cnode, cnode + size * slots, SLOTS_AT_ONCE * size):
            data = self.stub.read(at, SLOTS_AT_ONCE * size) or b""
            # The first slot is the CNode's own header.
            for start in range(size if at == cnode else 0, len(data), size):
                if (kind := data[start + slot["type"]]) in out:
                    place = start + slot["object"]
                    out[kind][int.from_bytes(data[place:place + 8], "little")] = None
        return {kind: list(addresses) for kind, addresses in out.items()}

    def owner(self, address: int) -> str:
        """Return whose thread it is: the root pager's faults go to nobody, a server's badge has its number."""
        if self.word(address + self.thread["vcpu"]):
            return GUEST
        badge = self.badge(address)
        if not badge:
            return ROOT
        return self.servers[number].name if (number := badge & BADGE_NUMBER) < len(self.servers) else "?"

    def badge(self, address: int) -> int:
        """Return the badge with which a thread's faults are reported; it says whose they are."""
        return self.word(address + self.thread["fault_slot"] + self.info.structs["slot"]["badge"])

    def regions(self, address: int) -> tuple[tuple[int, int, int], ...]:
        """Return the regions of a thread's guest-physical memory, as (gpa, size, pa)."""
        vspace, fields = self.word(address + self.thread["vspace"]), self.info.structs["vspace"]
        region = self.info.structs["region"]
        size = max(region.values()) + 8
        return tuple((self.word(at + region["gpa"]), self.word(at + region["size"]), self.word(at + region["pa"]))
                     for at in range(vspace + fields["region"],
                                     vspace + fields["region"] + size * self.word(vspace + fields["region_count"], 4),
                                     size))

    def kernel_root(self, address: int) -> int:
        """Return the guest-physical address of the page table of a thread's guest kernel."""
        page = self.word(self.word(address + self.thread["vcpu"]) + self.info.structs["vcpu"]["page"])
        return self.word(page + self.abi.STRUCTS["vcpu_page"][1]["kernel_root"][0])

    def queues(self, endpoints: Sequence[int]) -> dict[int, int]:
        """Return the Endpoint of each place in a queue. A queue whose memory is spoilt ends where it goes wrong."""
        found: dict[int, int] = {}
        for endpoint in endpoints:
            head = at = endpoint + self.info.structs["endpoint"]["queue"]
            while (data := self.stub.read(at, 8)) is not None:
                at = int.from_bytes(data, "little")
                if at == head or at in found:
                    break
                found[at] = endpoint
        return found

    def waits_on(self, address: int, state: str, queues: dict[int, int]) -> int:
        """Return the address of what a thread waits on, 0 for nothing; queues: the Endpoint of each place in one."""
        if state == "wait":
            return self.word(address + self.thread["waiting"])
        return queues.get(address + self.thread["link"], 0) if state in ("send", "recv") else 0

    def read_thread(self, address: int, cpus: Sequence[Cpu], queues: dict[int, int]) -> Thread:
        """Return one thread."""
        owner = self.owner(address)
        state = self.states.get(self.word(address + self.thread["state"], 1), "?").removeprefix("THREAD_").lower()
        in_program = bool(self.word(address + self.thread["in_guest_user"], 1))
        frame = self.thread["arch"] + next((offset - self.thread["arch"] for name, offset in self.thread.items()
                                            if name == "arch.frame"), 0)
        at = self.word(address + self.thread["frame_end"]) - self.frame_size if in_program else address + frame
        registers = {name: self.word(at + offset, size) for name, (offset, size, *_) in self.frame.items()}
        return Thread(address, owner, state, self.waits_on(address, state, queues),
                      self.word(address + self.thread["priority"], 4),
                      bool(self.word(address + self.thread["queued"], 1)),
                      any(cpu.current == address for cpu in cpus), in_program,
                      registers[self.pc], registers["sp"], registers,
                      *((self.regions(address), self.kernel_root(address),
                         (self.badge(address) & BADGE_VCPU) >> BADGE_VCPU_SHIFT) if owner == GUEST else ()))

    def read(self) -> Objects:
        """Return everything. An Endpoint or Notification is its receiver's; faults go to the root pager's Endpoint."""
        self.enter()
        cpus = self.cpus()
        found = self.found()
        queues = self.queues(found[self.abi.TYPE_ENDPOINT])
        threads = tuple(self.read_thread(address, cpus, queues) for address in found[self.abi.TYPE_THREAD])
        owners: dict[int, str] = {}
        for thread in threads:
            slot = thread.address + self.thread["fault_slot"]
            if self.word(slot + self.info.structs["slot"]["type"], 1):
                owners[self.word(slot + self.info.structs["slot"]["object"])] = ROOT
        for thread in threads:
            if thread.state in ("recv", "wait"):
                owners[thread.on] = thread.owner
            if bound := self.word(thread.address + self.thread["bound"]):
                owners[bound] = thread.owner
        several = sum(thread.owner == GUEST for thread in threads) > 1
        names = {thread.address: f"{system.VCPU}{thread.vcpu}" if thread.owner == GUEST and several else thread.owner
                 for thread in threads}
        names |= {cpu.current: "idle" for cpu in cpus if cpu.idle}
        for kind, word in ((self.abi.TYPE_ENDPOINT, "endpoint"), (self.abi.TYPE_NOTIFICATION, "notification")):
            for number, address in enumerate(found[kind]):
                owner = owners.get(address)
                names[address] = f"{word} {number}" + (f" ({owner}'s)" if owner else "")
        return Objects(threads, names, cpus)


def guest_memory(stub: Stub, regions: tuple[tuple[int, int, int], ...], gpa: int, size: int) -> bytes | None:
    """Return guest-physical memory; None where the guest has none."""
    for start, length, pa in regions:
        if start <= gpa and gpa + size <= start + length:
            return stub.read_physical(pa + gpa - start, size)
    return None


def translate(stub: Stub, abi: Abi, thread: Thread, vaddr: int) -> int | None:
    """Return the guest-physical address of a guest kernel's own: of its linear map, or by its page table."""
    bases = [abi.GUEST_RAM_VADDR, abi.LINUX_RAM_VADDR]
    if vaddr - abi.LINUX_IMAGE_VADDR < 1 << abi.LINUX_IMAGE_MAX_BITS:
        # Behind what is mapped there lie modules.
        bases.append(abi.LINUX_IMAGE_VADDR)
    for base in bases:
        gpa = int(vaddr - base)
        if any(start <= gpa < start + size for start, size, _ in thread.regions):
            return gpa
    table, bits = thread.root, abi.PAGE_BITS
    for level in (3, 2, 1, 0):
        index = vaddr >> (bits + 9 * level) & 511
        data = guest_memory(stub, thread.regions, table + 8 * index, 8)
        entry = int.from_bytes(data, "little") if data is not None else 0
        if not entry & abi.PTE_VALID:
            return None
        size = 1 << (bits + 9 * level)
        if entry & abi.PTE_LEAF:
            return int(entry & abi.PTE_ADDR_MASK & ~(size - 1) | vaddr & (size - 1))
        table = entry & abi.PTE_ADDR_MASK
    return None


def kernel_memory(stub: Stub, abi: Abi, thread: Thread, vaddr: int, size: int) -> bytes:
    """Return a guest kernel's memory at vaddr, up to the first page that is not mapped."""
    found = b""
    while len(found) < size:
        at = vaddr + len(found)
        gpa = translate(stub, abi, thread, at)
        part = min(size - len(found), abi.PAGE_SIZE - at % abi.PAGE_SIZE)
        data = None if gpa is None else guest_memory(stub, thread.regions, gpa, part)
        if data is None:
            break
        found += data
    return found
