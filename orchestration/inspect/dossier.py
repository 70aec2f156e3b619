# SPDX-License-Identifier: BSD-2-Clause
"""What a machine that hangs was doing: registers, where it spends its time, stacks, threads and what they wait for.

All of it is read from outside, by the emulator's debugger stub and the ELF files; the machine runs on afterwards.
"""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from orchestration.base.arch import Arch
from orchestration.base.errors import InfrastructureError
from orchestration.base.rundir import RunDirectory
from orchestration.base.tools import tail
from orchestration.build import image, system
from orchestration.inspect import kernel_objects, trace
from orchestration.inspect.gdbstub import Stub, Target
from orchestration.inspect.kernel_objects import GUEST, Thread, kernel_memory
from orchestration.inspect.machine_code import CODES
from orchestration.inspect.symbols import Symbols

if TYPE_CHECKING:
    from quoll_abi import Abi

SAMPLES, SAMPLE_SECONDS = 24, 0.04
# Bytes of a stack that are read: of Linux' and of others', which are shallow. Linux' stacks have THREAD_SIZE, at a
# multiple of it, and above L4's is its struct cpu: neither is a stack, and both point to functions.
LINUX_READ, OTHER_READ = 8192, 768
THREAD_SIZE = 16384
KEPT_LOG = 2048  # bytes of the kernel's own log that are shown
# riscv64's privilege of a kernel, as the debugger's register priv has it (privileged architecture, 1.2).
SUPERVISOR = 1


def stack_bytes(program: str, sp: int) -> int:
    """Return how many bytes of a program's stack are read from sp on."""
    return min(LINUX_READ, THREAD_SIZE - sp % THREAD_SIZE) if program == "Linux" else OTHER_READ


def functions_in(data: bytes, names: Symbols) -> list[str]:
    """Return a line for each word of a stack that points into one of the program's functions."""
    words = [int.from_bytes(data[at:at + 8], "little") for at in range(0, len(data) // 8 * 8, 8)]
    return [f"    {word:016x}  <{name}>" for word in words if (name := names.name(word))]


def kept_log(reader: kernel_objects.Reader) -> list[str]:
    """Return the last lines of the kernel's ring, of which the first may be cut, or why they cannot be read."""
    abi, at = reader.abi, reader.info.symbols["log"]
    try:
        head = reader.word(at)
        size = min(head, KEPT_LOG)
        first = (head - size) % abi.LOG_TEXT_SIZE
        # The ring may begin anew in the midst of them.
        upper = min(size, abi.LOG_TEXT_SIZE - first)
        text = reader.memory(at + abi.LOG_TEXT_OFFSET + first, upper) + (
            reader.memory(at + abi.LOG_TEXT_OFFSET, size - upper) if size > upper else b"")
    except InfrastructureError as error:
        return [error.message]
    return text.decode("utf-8", "replace").splitlines()


class Monitor(trace.Memory, Protocol):
    """QEMU's monitor, directly or by the debugger's stub."""

    def human(self, command: str) -> str:
        """Run a command of the human monitor and return its text."""


class Machine(Target, Protocol):
    """A machine of this orchestrator or of another one."""

    arch: Arch
    run: RunDirectory

    @property
    def monitor(self) -> Monitor | None:
        """Return the monitor."""


@dataclass
class Dossier:
    """Collects sections of text; each is made alone, so one that fails leaves the others."""

    machine: Machine
    kernel: Path | None
    linux: Path | None
    abi: Abi
    parts: list[str] = field(default_factory=list)
    summary: list[str] = field(default_factory=list)
    named: dict[int, str] = field(default_factory=dict)
    """Threads, Endpoints and Notifications by address, once they were found."""
    off: bool = False
    """The machine has switched itself off and cannot run on."""

    def section(self, title: str, lines: list[str]) -> None:
        """Add a section."""
        self.parts += [f"== {title}", *(lines or ["(nothing)"]), ""]

    def collect(self) -> str:
        """Return everything as text."""
        # First: the debugger causes events of its own.
        found = self.events()
        if self.machine.monitor is not None:
            try:
                self.section("registers", self.machine.monitor.human("info registers -a").strip().splitlines())
                self.off = "(shutdown)" in self.machine.monitor.human("info status")
            except InfrastructureError as error:
                self.section("registers", [error.message])
        try:
            with Stub(self.machine) as stub:
                self.debug(stub)
        except (InfrastructureError, OSError) as error:
            self.section("debugger", [str(error)])
        self.traced(found)
        for title, name in (("log of L4 and its servers", "l4.log"), ("guest's console", "console.log")):
            self.section(title, list(tail(self.machine.run.file(name), 40)))
        for server in system.by_name(self.servers):
            lines = [line for line in tail(self.machine.run.file("l4.log"), 4000) if line.startswith(f"{server}:")
                     or f" {server} " in line]
            self.section(f"last words of and about {server}", lines[-6:])
        self.section("emulator", list(tail(self.machine.run.file("qemu.log"), 8)))
        return "\n".join(self.parts)

    @cached_property
    def servers(self) -> tuple[system.Server, ...]:
        """Return the servers of the machine's system."""
        return image.servers_of(self.abi, self.machine.run.file("boot.img"))

    def events(self) -> trace.Trace | None:
        """Return the kernel's trace, or None for a kernel that keeps none."""
        if self.machine.monitor is not None:
            with suppress(InfrastructureError, OSError):
                return trace.read(self.machine.monitor, self.machine.run.file("l4.log"))
        return None

    def traced(self, found: trace.Trace | None) -> None:
        """Add the last events."""
        if found is not None:
            self.section("last events of L4", trace.text(found, self.named).splitlines())
            self.section("messages by endpoint", trace.endpoint_lines(found, self.named))

    def names(self) -> dict[str, Symbols]:
        """Return the symbols of L4, the root pager, each server and Linux, of those whose ELF file exists."""
        found = {}
        if self.kernel is not None and self.kernel.exists():
            found["L4"] = Symbols(self.kernel)
            programs = system.by_name(self.servers)
            symbols = {program: Symbols(path) for program in set(programs.values())
                       if (path := self.kernel.with_name(program)).exists()}
            found |= {name: symbols[program] for name, program in programs.items() if program in symbols}
        if self.linux is not None and self.linux.exists():
            found["Linux"] = Symbols(self.linux)
        return found

    def space(self, stub: Stub) -> str:
        """Return the server whose address space is active, or an empty string."""
        page = stub.read(self.abi.SERVER_INFO_VADDR, self.abi.STRUCTS["server_info"][0])
        return system.identified(self.abi, page, self.servers)

    def where(self, stub: Stub, names: dict[str, Symbols], pc: int) -> tuple[str, str]:
        """Return the program that a PC belongs to, and its function+offset."""
        if "L4" in names and pc >= 1 << 63 and (name := names["L4"].name(pc)):
            return "L4", name
        server = self.space(stub)
        if server in names and (name := names[server].name(pc)):
            return server, name
        # On x86_64 it is in the upper half, as L4 is; elsewhere among the addresses of programs.
        if "Linux" in names and (name := names["Linux"].name(pc)):
            return "Linux", name
        return "guest program" if pc < 1 << 63 else "?", f"{pc:#x}"

    def debug(self, stub: Stub) -> None:
        """Add the sections that are read through the debugger's stub."""
        code = CODES[self.machine.arch.name]
        names = self.names()
        cpus = stub.cpus()
        seen: list[Counter[str]] = [Counter() for _ in cpus]
        stacks: dict[str, list[str]] = {}
        for turn in range(SAMPLES):
            for number, cpu in enumerate(cpus):
                if len(cpus) > 1:
                    stub.select(cpu)
                on = f"CPU {number}, " if len(cpus) > 1 else ""
                pc = stub.register(code.pc)
                program, place = self.where(stub, names, pc)
                seen[number][f"{on}{program}: {place.split('+')[0]}"] += 1
                if program in names and on + program not in stacks:
                    stacks[on + program] = [f"pc  {pc:016x}  <{place}>",
                                            *self.stack(stub, names[program], code.sp, program)]
                if turn == 0:
                    self.summary.append(f"{on}{program}: {place}")
            if self.off or stub.resume(SAMPLE_SECONDS):
                break
        self.section("where it was when it switched itself off" if self.off else
                     f"where it is, {SAMPLES} samples in {SAMPLES * SAMPLE_SECONDS:.1f} s",
                     [f"{count:4}  {what}" for places in seen for what, count in places.most_common()])
        # Of several CPUs each has a word, also where others idle in fewer places.
        self.summary += [f"{count} of {SAMPLES} samples in {what}" for places in seen
                         for what, count in places.most_common(1 if len(cpus) > 1 else 3)]
        for program, lines in sorted(stacks.items()):
            self.section(f"stack of {program}", lines)
        if self.off and "priv" in stub.registers:
            # riscv64's firmware switched the machine off, in a mode without translation. It never runs again.
            stub.set_register("priv", SUPERVISOR)
        if self.kernel is not None and self.kernel.exists():
            self.threads(stub, names, self.kernel, any(title.endswith("Linux") for title in stacks))

    def stack(self, stub: Stub, names: Symbols, register: str, program: str) -> list[str]:
        """Return the words on the stack that point into the program's functions."""
        sp = stub.register(register)
        data, size = b"", stack_bytes(program, sp)
        while len(data) < size:
            # Where nothing is mapped begins with a page.
            part = min(size - len(data), self.abi.PAGE_SIZE - (sp + len(data)) % self.abi.PAGE_SIZE)
            more = stub.read(sp + len(data), part)
            if more is None:
                break
            data += more
        return [f"sp  {sp:016x}", *functions_in(data, names)]

    def threads(self, stub: Stub, names: dict[str, Symbols], kernel: Path, met: bool) -> None:
        """Add what every thread waits for and where it is in user mode, and the stack of Linux.

        met: a sample has met Linux, and has its stack. A guest of several vCPUs has others that do not run.
        """
        try:
            reader = kernel_objects.Reader(stub, kernel, self.abi, self.servers)
            found = reader.read()
        except InfrastructureError as error:
            self.section("threads of L4", [error.message])
            return
        # What a server is to write to the serial line is not there as long as that server hangs.
        self.section("log as L4 keeps it", kept_log(reader))
        self.named = found.names
        self.section("CPUs of L4", [cpu.text(found.names) for cpu in found.cpus])
        lines = []
        for thread in found.threads:
            symbols = names.get("Linux" if thread.owner == GUEST else thread.owner)
            spot = symbols.name(thread.pc) if symbols is not None and not thread.in_program else ""
            on = f" on {found.names.get(thread.on, f'{thread.on:#x}')}" if thread.on else ""
            lines.append(f"{found.names[thread.address]:<8} {thread.address:x}  {thread.state}{on}, "
                         f"priority {thread.priority}, {'queued, ' if thread.queued else ''}"
                         f"{'in a program, ' if thread.in_program else ''}"
                         f"pc {thread.pc:x}{f' <{spot}>' if spot else ''}{'  (runs)' if thread.runs else ''}")
        self.section("threads of L4", lines or ["none found"])
        guests = sorted((thread for thread in found.threads if thread.owner == GUEST), key=lambda one: one.vcpu)
        for thread in guests:
            whose = f" on {found.names[thread.address]}" if len(guests) > 1 else ""
            self.section(f"registers of {'a program of ' if thread.in_program else ''}Linux{whose}, as L4 saved them",
                         [f"{name:<8} {value:016x}" for name, value in thread.registers.items()])
            if "Linux" in names and not thread.in_program and not (met and (len(guests) == 1 or thread.runs)):
                self.section(f"stack of Linux{whose}", self.saved_stack(stub, names["Linux"], thread))

    def saved_stack(self, stub: Stub, names: Symbols, thread: Thread) -> list[str]:
        """Return the stack of a guest kernel that does not run, from the guest's memory."""
        data = kernel_memory(stub, self.abi, thread, thread.sp, stack_bytes("Linux", thread.sp))
        if not data:
            return [f"sp  {thread.sp:016x} is not in the guest's memory"]
        return [f"pc  {thread.pc:016x}  <{names.name(thread.pc)}>", f"sp  {thread.sp:016x}",
                *functions_in(data, names)]
