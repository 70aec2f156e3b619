# SPDX-License-Identifier: BSD-2-Clause
"""One fault in one driver: waits until the driver runs a function of its own, then makes it go wrong right there.

The programs are the product's; the fault comes from outside, by the debugger's stub of the emulator. Which address
space runs is told by the server_info page that the root pager maps into every server and into nothing else.

    kill   an illegal instruction, or the next jump goes to where nothing is
    hang   a jump to itself
    wild   stores of random values into what the driver may write, made by the driver's own instructions (so what it
           may not write faults)
    register  a random value in one of the CPU's registers: whatever the driver does with it
"""

from __future__ import annotations

import random
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from elftools.elf.elffile import ELFFile
from elftools.elf.sections import SymbolTableSection

from orchestration.base.arch import Arch
from orchestration.base.errors import InfrastructureError
from orchestration.build import system
from orchestration.faults.plan import Plan
from orchestration.inspect.gdbstub import Stub
from orchestration.inspect.machine_code import CODES

if TYPE_CHECKING:
    from quoll_abi import Abi

# Functions on every driver's way of a request, where a fault may begin; the steps after it reach their callers.
ENTRIES = ("backend_poll", "backend_peek", "backend_advance", "backend_push", "backend_interrupt",
           "backend_kicks", "virtqueue_add", "virtqueue_kick", "virtqueue_get", "kept_queue_add", "kept_queue_kick",
           "kept_queue_get", "emit", "put", "get")
STORES_MAX = 12
# A jump is told by how far it goes: no instruction is longer.
INSTRUCTION_MAX = 15
# Steps in which the driver comes back from a system call; then it waits, and another arrival is awaited.
AWAY_MAX = 1500
ARRIVAL_LIMIT = 8.0
# Steps in a row that are reported without having been done: one is rare.
STEPS_LOST_MAX = 20
NOWHERE = 0x6F0000000000


class Program:
    """What of a driver's ELF file matters: where its code is, its entries, what it may write."""

    def __init__(self, path: Path) -> None:
        """Read the ELF file."""
        with path.open("rb") as stream:
            elf = ELFFile(stream)
            table = elf.get_section_by_name(".symtab")
            if not isinstance(table, SymbolTableSection):
                raise InfrastructureError(f"{path.name} has no symbols")
            self.functions = sorted((symbol["st_value"], symbol.name) for symbol in table.iter_symbols()
                                    if symbol["st_info"]["type"] == "STT_FUNC")
            loaded = [part for part in elf.iter_segments() if part["p_type"] == "PT_LOAD"]
            self.code = next((part["p_vaddr"], part["p_vaddr"] + part["p_memsz"])
                             for part in loaded if part["p_flags"] & 1)
            self.data = [(part["p_vaddr"], part["p_vaddr"] + part["p_memsz"]) for part in loaded
                         if part["p_flags"] & 2]
        self.entries = [address for address, name in self.functions if name in ENTRIES]
        if not self.entries:
            raise InfrastructureError(f"{path.name} has none of the functions where faults begin")

    def place(self, address: int) -> str:
        """Return function+offset."""
        below = [entry for entry in self.functions if entry[0] <= address]
        return f"{below[-1][1]}+{address - below[-1][0]:#x}" if below else f"{address:#x}"


class Injector:
    """Makes faults in one driver of one machine. Between faults the machine runs without a debugger."""

    def __init__(self, arch: Arch, abi: Abi, driver: str, path: Path) -> None:
        """Read the driver's program."""
        self.abi, self.driver = abi, driver
        self.code = CODES[arch.name]
        self.program = Program(path)

    def here(self, stub: Stub) -> bytes | None:
        """Return the server_info page if the driver is what runs, else None."""
        page = stub.read(self.abi.SERVER_INFO_VADDR, self.abi.STRUCTS["server_info"][0])
        return page if system.running(self.abi, page) == self.driver else None

    def at_home(self, stub: Stub) -> bool:
        """Say whether the next instruction is the driver's own."""
        return self.program.code[0] <= stub.register(self.code.pc) < self.program.code[1]

    def execute(self, stub: Stub) -> None:
        """Run the next instruction, which does not jump to itself.

        QEMU reports a step as done, too, when something kicked the CPU after it had looked for work and before the
        instruction (accel/tcg/cpu-exec.c, cpu_tb_exec()). Then pc is what it was.
        """
        before = stub.register(self.code.pc)
        for _ in range(STEPS_LOST_MAX):
            stub.step()
            if stub.register(self.code.pc) != before:
                return
        raise InfrastructureError(f"QEMU's debugger stub does not step past {before:#x}")

    def arrive(self, stub: Stub, entry: int, hits: int) -> bytes | None:
        """Run until the driver has come to entry hits times; None when it does not come."""
        deadline = time.monotonic() + ARRIVAL_LIMIT
        # Other drivers stop here as well: their programs have the same addresses.
        while (left := deadline - time.monotonic()) > 0:
            with stub.breakpoint(entry):
                if not stub.resume(left):
                    return None
                page = self.here(stub)
            if page is not None:
                hits -= 1
                if not hits:
                    return page
                deadline = time.monotonic() + ARRIVAL_LIMIT
            self.execute(stub)
        return None

    def walk(self, stub: Stub, steps: int) -> bool:
        """Go on by steps of the driver's own instructions; False if it went to wait meanwhile."""
        away = 0
        while steps and away < AWAY_MAX:
            stub.step()
            if self.at_home(stub):
                steps -= 1
                away = 0
            else:
                away += 1
        return self.at_home(stub) and self.here(stub) is not None

    def walk_to_jump(self, stub: Stub) -> bool:
        """Go on until the driver has just jumped; False if it went to wait before."""
        last = stub.register(self.code.pc)
        for _ in range(AWAY_MAX):
            stub.step()
            if not self.at_home(stub):
                continue
            here = stub.register(self.code.pc)
            if not last < here <= last + INSTRUCTION_MAX and self.here(stub) is not None:
                return True
            last = here
        return False

    def inject(self, stub: Stub, plan: Plan) -> dict[str, Any]:
        """Carry out a plan; return what was done, and for how long the debugger had the machine.

        The machine is stopped, with the fault in it. Its clock went on between the stops, its servers hardly.
        """
        began = time.monotonic()
        entries = self.program.entries
        first = int(plan.entry * len(entries))
        for turn in range(len(entries)):
            entry = entries[(first + turn) % len(entries)]
            page = self.arrive(stub, entry, plan.hits if turn == 0 else 1)
            if page is None:
                continue
            if not self.walk(stub, plan.steps):
                page = self.arrive(stub, entry, 1)
                if page is None:
                    continue
            if plan.kind == "kill" and plan.choice % 2 and not self.walk_to_jump(stub):
                continue
            where = stub.register(self.code.pc)
            make = {"kill": self.kill, "hang": self.hang, "wild": self.wild, "register": self.register}[plan.kind]
            done = make(stub, plan, page)
            return {**asdict(plan), "where": self.program.place(where),
                    "seconds": round(time.monotonic() - began, 3), **done}
        raise InfrastructureError(f"{self.driver} comes to none of its functions: it has nothing to do")

    def kill(self, stub: Stub, plan: Plan, page: bytes) -> dict[str, Any]:
        """Make the driver fault at its next instruction."""
        if plan.choice % 2:
            stub.set_register(self.code.pc, NOWHERE)
            return {"how": "jump to nowhere"}
        stub.write(stub.register(self.code.pc), self.code.illegal)
        return {"how": "illegal instruction"}

    def hang(self, stub: Stub, plan: Plan, page: bytes) -> dict[str, Any]:
        """Make the driver's next instruction jump to itself."""
        stub.write(stub.register(self.code.pc), self.code.forever)
        return {"how": "jump to itself"}

    def regions(self, stub: Stub, page: bytes) -> dict[str, tuple[int, int]]:
        """Return what the driver may write, guest memory aside."""
        abi = self.abi
        memory, = system.resources(abi, page, abi.RESOURCE_DMA_MEMORY)
        mapped = [one for one in system.resources(abi, page, abi.RESOURCE_REGISTERS) if one["vaddr"]]
        sp = stub.register(self.code.sp)
        found = {"stack": (max(sp - 256, abi.SERVER_STACK_TOP - abi.SERVER_STACK_SIZE), abi.SERVER_STACK_TOP),
                 "DMA memory": (abi.SERVER_DMA_VADDR, abi.SERVER_DMA_VADDR + memory["size"])}
        if self.program.data:
            found["data"] = self.program.data[0]
        if mapped:
            end = max(one["vaddr"] + one["size"] for one in mapped)
            found["device registers"] = (abi.SERVER_REGS_VADDR, -(-end // abi.PAGE_SIZE) * abi.PAGE_SIZE)
        return found

    def register(self, stub: Stub, plan: Plan, page: bytes) -> dict[str, Any]:
        """Change one of the driver's registers."""
        source = random.Random(plan.choice)
        name, value = source.choice(self.code.registers), source.getrandbits(64)
        stub.set_register(name, value)
        return {"how": f"register {name} = {value:#x}"}

    def wild(self, stub: Stub, plan: Plan, page: bytes) -> dict[str, Any]:
        """Have the driver store random values."""
        source = random.Random(plan.choice)
        regions = self.regions(stub, page)
        target = source.choice(sorted(regions))
        low, high = regions[target]
        used = self.used(stub, target, low, high)
        stores = []
        for _ in range(source.randint(1, STORES_MAX)):
            size = source.choice(sorted(self.code.stores))
            anywhere, inside, value = source.randrange(low, high - 8), source.random(), source.getrandbits(8 * size)
            # Half of them where memory is in use: a store into empty memory has no effect.
            address = (used[int(inside * len(used))] + anywhere % 8 if used and source.random() < 0.5 else anywhere)
            address &= -size
            # A page that was never touched is not mapped yet: the pager would serve the fault of its first store.
            if target == "device registers" or stub.read(address, size) is not None:
                stores.append((address, size, value))
        for address, size, value in stores:
            if not self.store(stub, address, size, value):
                break
        return {"how": f"{len(stores)} stores into {target}",
                "stores": [f"{size} bytes {value:#x} at {address:#x}" for address, size, value in stores]}

    def used(self, stub: Stub, target: str, low: int, high: int) -> list[int]:
        """Return the words of a region that hold something; of registers, the first of each page."""
        step = self.abi.PAGE_SIZE
        if target == "device registers":
            return [address for page in range(low, high, step) for address in range(page, page + 64, 8)]
        found = []
        for page in range(low & -step, high, step):
            first, last = max(page, low), min(page + step, high) & -8
            data = stub.read(first & -8, last - (first & -8))
            found += [(first & -8) + at for at in range(0, len(data or b""), 8) if data and any(data[at:at + 8])]
        return found

    def store(self, stub: Stub, address: int, size: int, value: int) -> bool:
        """Let the driver run one store; return False when it faulted and the driver waits for its pager."""
        code = self.code
        pc = stub.register(code.pc)
        kept = stub.read(pc, len(code.stores[size]))
        assert kept is not None
        saved = {name: stub.register(name) for name in (code.address, code.value)}
        stub.write(pc, code.stores[size])
        stub.set_register(code.address, address)
        stub.set_register(code.value, value)
        self.execute(stub)
        after = stub.register(code.pc)
        if after != pc + len(code.stores[size]):
            return False
        stub.write(pc, kept)
        stub.set_register(code.pc, pc)
        for name, old in saved.items():
            stub.set_register(name, old)
        return True
