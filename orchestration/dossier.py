# SPDX-License-Identifier: BSD-2-Clause
"""What a machine that hangs was doing: registers, where it spends its time, stacks, threads and what they wait for.

All of it is read from outside, by the emulator's debugger stub and the ELF files; the machine runs on afterwards.
Kernel memory is read where the kernel last entered, since a CPU in user mode does not see it on every architecture.
"""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

from orchestration import debuginfo, trace
from orchestration.errors import InfrastructureError
from orchestration.faults.inject import CODES
from orchestration.gdbstub import Stub
from orchestration.qemu import Machine
from orchestration.symbols import Symbols
from orchestration.tools import tail

SAMPLES, SAMPLE_SECONDS = 24, 0.04
STACK_WORDS = 96
SERVERS = ("root", "console", "block", "net")


@dataclass
class Dossier:
    """Collects sections of text; each is made alone, so one that fails leaves the others."""

    machine: Machine
    kernel: Path | None
    linux: Path | None
    abi: SimpleNamespace
    parts: list[str] = field(default_factory=list)
    summary: list[str] = field(default_factory=list)

    def section(self, title: str, lines: list[str]) -> None:
        """Add a part."""
        self.parts += [f"== {title}", *(lines or ["(nothing)"]), ""]

    def collect(self) -> str:
        """Return everything as text."""
        if self.machine.monitor is not None:
            try:
                self.section("registers", self.machine.monitor.human("info registers").strip().splitlines())
            except InfrastructureError as error:
                self.section("registers", [error.message])
        try:
            with Stub(self.machine) as stub:
                self.debug(stub)
        except (InfrastructureError, OSError) as error:
            self.section("debugger", [str(error)])
        self.traced()
        for title, name in (("log of L4 and its servers", "l4.log"), ("guest's console", "console.log")):
            self.section(title, list(tail(self.machine.run.file(name), 40)))
        for server in SERVERS:
            lines = [line for line in tail(self.machine.run.file("l4.log"), 4000) if line.startswith(f"{server}:")
                     or f" {server} " in line]
            self.section(f"last words of and about {server}", lines[-6:])
        self.section("emulator", list(tail(self.machine.run.file("qemu.log"), 8)))
        return "\n".join(self.parts)

    def traced(self) -> None:
        """Add the last events, where the kernel keeps them."""
        if self.machine.monitor is None:
            return
        with suppress(InfrastructureError, OSError):
            found = trace.read(self.machine.monitor, self.machine.run.file("l4.log"))
            self.section("last events of L4", trace.text(found).splitlines())

    def names(self) -> dict[str, Symbols]:
        """Return the symbols of every program that is there."""
        found = {}
        if self.kernel is not None and self.kernel.exists():
            found["L4"] = Symbols(self.kernel)
            for server in SERVERS:
                if (path := self.kernel.with_name(server)).exists():
                    found[server] = Symbols(path)
        if self.linux is not None and self.linux.exists():
            found["Linux"] = Symbols(self.linux)
        return found

    def space(self, stub: Stub) -> str:
        """Return the server whose address space is active, or an empty string."""
        info = self.abi.STRUCTS["server_info"]
        page = stub.read(self.abi.SERVER_INFO_VADDR, info[0])
        if page is None:
            return ""
        first = int.from_bytes(page[:8], "little")
        if first == self.abi.BOOT_MAGIC:
            return "root"
        if first != self.abi.ABI_HASH:
            return ""
        at = info[1]["device_page"][0]
        number = (int.from_bytes(page[at:at + 8], "little") - self.abi.GUEST_DEVICE_GPA) // self.abi.PAGE_SIZE
        return next((name for name in SERVERS[1:] if getattr(self.abi, f"DEVICE_{name.upper()}") == number), "")

    def where(self, stub: Stub, names: dict[str, Symbols], pc: int) -> tuple[str, str]:
        """Return the program that a PC belongs to, and its function+offset."""
        if "L4" in names and pc >= 1 << 63 and (name := names["L4"].name(pc)):
            return "L4", name
        server = self.space(stub)
        if server in names and (name := names[server].name(pc)):
            return server, name
        if "Linux" in names and pc < 1 << 63 and (name := names["Linux"].name(pc)):
            return "Linux", name
        return "guest program" if pc < 1 << 63 else "?", f"{pc:#x}"

    def debug(self, stub: Stub) -> None:
        """Add all that needs the debugger."""
        code = CODES[self.machine.arch.name]
        names = self.names()
        seen: Counter[str] = Counter()
        stacks: dict[str, list[str]] = {}
        for turn in range(SAMPLES):
            pc = stub.register(code.pc)
            program, place = self.where(stub, names, pc)
            seen[f"{program}: {place.split('+')[0]}"] += 1
            if program in names and program not in stacks:
                stacks[program] = [f"pc  {pc:016x}  <{place}>", *self.stack(stub, names[program], code.sp)]
            if turn == 0:
                self.summary.append(f"{program}: {place}")
            if stub.resume(SAMPLE_SECONDS):
                break
        self.section(f"where it is, {SAMPLES} samples in {SAMPLES * SAMPLE_SECONDS:.1f} s",
                     [f"{count:4}  {what}" for what, count in seen.most_common()])
        self.summary += [f"{count} of {SAMPLES} samples in {what}" for what, count in seen.most_common(3)]
        for program, lines in sorted(stacks.items()):
            self.section(f"stack of {program}", lines)
        if self.kernel is not None and self.kernel.exists():
            self.section("threads of L4", self.threads(stub, names))

    @staticmethod
    def stack(stub: Stub, names: Symbols, register: str) -> list[str]:
        """Return the words on the stack that point into the program's functions."""
        sp = stub.register(register)
        lines = [f"sp  {sp:016x}"]
        for index in range(STACK_WORDS):
            word = stub.read(sp + 8 * index, 8)
            if word is None:
                break
            value = int.from_bytes(word, "little")
            if name := names.name(value):
                lines.append(f"    {value:016x}  <{name}>")
        return lines

    def threads(self, stub: Stub, names: dict[str, Symbols]) -> list[str]:
        """Return a line for every thread: whose, state, priority, what it waits for, where it is in user mode."""
        assert self.kernel is not None
        info = debuginfo.read(self.kernel)
        thread, slot = info.structs.get("thread"), info.structs.get("slot")
        if not thread or not slot or "boot_cpu" not in info.symbols or "root_cnode" not in info.symbols:
            return ["the kernel has no debug information"]
        states = info.enums.get("thread_state", {})
        cpu = info.variables.get("boot_cpu", {})
        current_at = info.symbols["boot_cpu"] + cpu.get("current", cpu.get("cpu.current", 0))
        if stub.read(current_at, 8) is None and "trap_exit" in info.symbols:
            with stub.breakpoint(info.symbols["trap_exit"]):
                stub.resume(2.0)

        def word(address: int, size: int = 8) -> int:
            data = stub.read(address, size)
            if data is None:
                raise InfrastructureError(f"kernel memory at {address:#x} cannot be read")
            return int.from_bytes(data, "little")

        current = word(current_at)
        found: dict[int, list[int]] = {}
        endpoints: dict[int, str] = {}
        # The root pager has a capability of everything that matters here.
        cnode, size = word(info.symbols["root_cnode"]), 1 << self.abi.CNODE_SLOT_BITS
        slots = word(cnode + info.structs["cnode"]["slots_mask"]) + 1
        for at in range(cnode, cnode + size * slots, 16 * size):
            data = stub.read(at, 16 * size) or b""
            # The first slot is the CNode's own header.
            for start in range(size if at == cnode else 0, len(data), size):
                kind = data[start + slot["type"]]
                if kind in (self.abi.TYPE_THREAD, self.abi.TYPE_ENDPOINT, self.abi.TYPE_NOTIFICATION):
                    place = start + slot["object"]
                    found.setdefault(kind, []).append(int.from_bytes(data[place:place + 8], "little"))
        for number, address in enumerate(dict.fromkeys(found.get(self.abi.TYPE_ENDPOINT, []))):
            endpoints[address] = f"endpoint {number}"
        for number, address in enumerate(dict.fromkeys(found.get(self.abi.TYPE_NOTIFICATION, []))):
            endpoints[address] = f"notification {number}"
        frame = self.abi.STRUCTS["frame"][1]
        ip = next(name for name in ("ip", "pc") if name in frame)
        frame_at = thread["arch"] + next((offset - thread["arch"] for name, offset in thread.items()
                                          if name == "arch.frame"), 0)
        lines = []
        for address in dict.fromkeys(found.get(self.abi.TYPE_THREAD, [])):
            state = states.get(word(address + thread["state"], 1), "?").removeprefix("THREAD_").lower()
            waits = ""
            if state in ("send", "recv"):
                waits = f" on {endpoints.get(word(address + thread['endpoint']), '?')}"
            elif state == "wait":
                waits = f" on {endpoints.get(word(address + thread['waiting']), '?')}"
            badge = word(address + thread["fault_slot"] + slot["badge"])
            pc = word(address + frame_at + frame[ip][0])
            owner = "guest" if word(address + thread["vcpu"]) else self.owner(badge, pc, names)
            symbols = names.get("Linux" if owner == "guest" else owner)
            spot = symbols.name(pc) if symbols is not None else ""
            lines.append(f"{owner:<8} {address:x}  {state}{waits}, priority {word(address + thread['priority'], 4)}, "
                         f"{'queued, ' if word(address + thread['queued'], 1) else ''}"
                         f"pc {pc:x}{f' <{spot}>' if spot else ''}{'  (runs)' if address == current else ''}")
        return lines or ["none found"]

    def owner(self, badge: int, pc: int, names: dict[str, Symbols]) -> str:
        """Return whose thread it is: the root pager's has nobody who hears its faults, a server's its device number."""
        if not badge:
            return "root"
        number = badge & 0xFF
        return next((name for name in SERVERS[1:] if getattr(self.abi, f"DEVICE_{name.upper()}") == number), "?")
