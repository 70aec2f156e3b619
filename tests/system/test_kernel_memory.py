# SPDX-License-Identifier: BSD-2-Clause
"""The L4 kernel's own mappings, read from the page tables of a running machine; and the branches of its code."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from elftools.elf.elffile import ELFFile
from elftools.elf.sections import SymbolTableSection

from orchestration.base.arch import Arch
from orchestration.build import quoll
from orchestration.inspect import debuginfo
from orchestration.machine import boot
from orchestration.machine.description import DEFAULT_MEMORY
from orchestration.machine.session import Session
from quoll import Guest
from tests.system.processes import end

PAGE = 4096
# kernel/arch/x86_64/layout.h, GATE_VADDR.
GATE_PAGE = 0xffffffffbfe01000


@dataclass(frozen=True)
class Leaf:
    """A mapping: virtual and physical address and size in bytes, and what the kernel and user mode may do."""

    vaddr: int
    pa: int
    size: int
    writable: bool
    executable: bool
    user: bool

    def meets(self, start: int, end: int) -> bool:
        return self.vaddr < end and start < self.vaddr + self.size


@dataclass(frozen=True)
class Tables:
    """Page tables of an architecture: where the kernel's begin, and how an entry is read."""

    root: str             # symbol of the table
    depth: int            # levels below the root's entries, the last included
    first: int            # of the root's entries that are the kernel's
    base: int             # virtual address of the root's entry 0
    load: int             # physical address of the image's start
    guard: str            # symbol of the page below the kernel's stack

    def decode(self, entry: int, level: int) -> tuple[int, bool, bool, bool, bool] | None:
        """Return physical address, leaf, writable, executable, user; None if the entry is not valid."""
        raise NotImplementedError


class X86(Tables):
    def decode(self, entry: int, level: int) -> tuple[int, bool, bool, bool, bool] | None:
        if not entry & 1:
            return None
        leaf = not level or bool(entry & 1 << 7)
        return entry & 0xffffffffff000, leaf, bool(entry & 2), not entry >> 63, bool(entry & 4)


class Riscv(Tables):
    def decode(self, entry: int, level: int) -> tuple[int, bool, bool, bool, bool] | None:
        if not entry & 1:
            return None
        return ((entry & 0x3ffffffffffc00) << 2, bool(entry & 0xe), bool(entry & 4), bool(entry & 8),
                bool(entry & 16))


class Arm(Tables):
    def decode(self, entry: int, level: int) -> tuple[int, bool, bool, bool, bool] | None:
        if not entry & 1:
            return None
        leaf = not level or not entry & 2
        return entry & 0xfffffffff000, leaf, not entry & 1 << 7, not entry & 1 << 53, bool(entry & 1 << 6)


TABLES: dict[str, Tables] = {
    "x86_64": X86("boot_root", 4, 256, 0xffff000000000000, 0x200000, "boot_stack_guard"),
    "riscv64": Riscv("boot_kernel_table", 3, 256, 0xffffff8000000000, 0x80200000, "riscv_cpus"),
    "aarch64": Arm("kernel_root", 4, 0, 0xffff000000000000, 0x40200000, "arm_cpus"),
}


def symbols(path: Path) -> dict[str, int]:
    with path.open("rb") as file:
        table = ELFFile(file).get_section_by_name(".symtab")
        assert isinstance(table, SymbolTableSection)
        return {symbol.name: symbol["st_value"] for symbol in table.iter_symbols()}


def leaves(session: Session, tables: Tables, root: int, tmp_path: Path) -> Iterator[Leaf]:
    """Walk the kernel's part of the tables at physical address root."""
    monitor = session.machine.monitor
    assert monitor is not None
    copy = tmp_path / "page"

    def walk(pa: int, level: int, base: int, first: int) -> Iterator[Leaf]:
        monitor.execute("pmemsave", val=pa, size=PAGE, filename=str(copy))
        page = copy.read_bytes()
        for index in range(first, 512):
            size = PAGE << 9 * level
            seen = tables.decode(int.from_bytes(page[index * 8:index * 8 + 8], "little"), level)
            if seen is None:
                continue
            to, leaf, *allowed = seen
            if leaf:
                yield Leaf(base + index * size, to, size, *allowed)
            else:
                yield from walk(to, level - 1, base + index * size, 0)

    yield from walk(root, tables.depth - 1, tables.base, tables.first)


def test_no_mapping_of_the_kernel_is_writable_and_executable(guest: Guest, made: boot.Artefacts, arch: Arch,
                                                             tmp_path: Path) -> None:
    tables = TABLES[arch.name]
    names = symbols(made.bare / quoll.KERNEL)
    start = names["kernel_start"]
    found = list(leaves(guest.session, tables, names[tables.root] - start + tables.load, tmp_path))
    assert not [leaf for leaf in found if leaf.user]
    assert not [leaf for leaf in found if leaf.writable and leaf.executable]
    text = range(start, names["kernel_const"])
    executable = [leaf for leaf in found if leaf.executable]
    assert executable
    assert all(leaf.vaddr in text and leaf.size == PAGE for leaf in executable)
    # Mappings of text and constants at any address: the direct map has them as well.
    constant = range(tables.load, tables.load + names["kernel_data"] - start)
    seen = [leaf for leaf in found if leaf.pa < constant.stop and constant.start < leaf.pa + leaf.size]
    assert len(seen) >= 2 * len(constant) // PAGE
    assert not [leaf for leaf in seen if leaf.writable]
    guard = names[tables.guard]
    assert not [leaf for leaf in found if leaf.meets(guard, guard + PAGE)]
    assert [leaf for leaf in found if leaf.meets(guard + PAGE, guard + 2 * PAGE)]



def canonical(vaddr: int) -> int:
    """Return an address of 48 bits with its sign extended to 64."""
    return vaddr | 0xffff << 48 if vaddr >> 47 else vaddr


def read_physical(session: Session, pa: int, copy: Path) -> int:
    """Return the 64-bit value at a physical address."""
    assert session.machine.monitor is not None
    session.machine.monitor.execute("pmemsave", val=pa, size=8, filename=str(copy))
    return int.from_bytes(copy.read_bytes(), "little")


@pytest.mark.guest(arch="x86_64", guest_mode="above")
def test_a_guest_of_mode_above_has_of_l4_only_the_gate(guest: Guest, made: boot.Artefacts, arch: Arch,
                                                       tmp_path: Path) -> None:
    """Walk all of the root in which Linux and a program of its run."""
    abi, names = quoll.abi(arch), symbols(made.bare / quoll.KERNEL)
    load = TABLES["x86_64"].load - names["kernel_start"]
    at = names["gate"] + debuginfo.read(made.bare / quoll.KERNEL).structs["gate"]["root_g"]
    monitor = guest.session.machine.monitor
    assert monitor is not None
    guest.run("sleep 600 >/dev/null 2>&1 & echo $! > /tmp/sleeper")
    monitor.execute("stop")
    try:
        root = read_physical(guest.session, at + load, tmp_path / "word")
        whole = replace(TABLES["x86_64"], first=0, base=0)
        found = [replace(leaf, vaddr=canonical(leaf.vaddr)) for leaf in leaves(guest.session, whole, root, tmp_path)]
    finally:
        monitor.execute("cont")
        guest.run(end("/tmp/sleeper"))
    assert not [leaf for leaf in found if leaf.user != (leaf.vaddr < 1 << 47)]
    gate = {name: range(names[name], names[f"{name}_end"]) for name in ("gate_text", "gate_ro", "gate_stacks")}
    gate["page"] = range(GATE_PAGE, GATE_PAGE + PAGE)
    rights = {"gate_text": (False, True), "gate_ro": (False, False), "gate_stacks": (True, False),
              "page": (True, False)}
    parts = {name: [leaf for leaf in found if leaf.vaddr in where] for name, where in gate.items()}
    for name, part in parts.items():
        assert part, name
        assert {(leaf.writable, leaf.executable, leaf.size) for leaf in part} == {(*rights[name], PAGE)}, name
    rest = [leaf for leaf in found if not any(leaf in part for part in parts.values())]
    # Guest-physical memory is one piece of RAM: its addresses in the linear map tell where.
    linear = [leaf for leaf in rest if 0 <= leaf.vaddr - abi.LINUX_RAM_VADDR < 1 << 39]
    starts = {leaf.pa - (leaf.vaddr - abi.LINUX_RAM_VADDR) for leaf in linear}
    assert len(starts) == 1
    ram = range(min(starts), min(starts) + DEFAULT_MEMORY)
    image = range(names["kernel_start"] + load, names["kernel_end"] + load)
    assert image.stop <= ram.start or ram.stop <= image.start
    objects = {abi.LINUX_VCPU_VADDR, abi.LINUX_UTCB_VADDR}
    strangers = [leaf for leaf in rest if not (leaf.pa in ram and leaf.pa + leaf.size - 1 in ram)]
    assert {leaf.vaddr for leaf in strangers} <= objects
    assert not [leaf for leaf in strangers if leaf.executable or leaf.pa in image]
    # What the CPU pushes into and reads is mapped once.
    shared = {leaf.pa for part in parts.values() for leaf in part}
    assert not [leaf for leaf in rest if leaf.pa in shared]

# Instructions that branch to an address in a register or in memory, but for returns. riscv64 makes a far branch to a
# constant address of AUIPC and JALR, which are not meant.
INDIRECT = {"x86_64": re.compile(r"\b(?:jmp|call)q?\s+\*"), "aarch64": re.compile(r"\bbl?r\s"),
            "riscv64": re.compile(r"\b(?:jr|jalr)\s")}
BEFORE_USER_MODE = {"long_mode", "boot", "boot_secondary"}
OBJDUMP = {"x86_64": "objdump", "aarch64": "aarch64-linux-gnu-objdump", "riscv64": "riscv64-linux-gnu-objdump"}


@pytest.mark.parametrize("kernel", [quoll.KERNEL, quoll.traced(quoll.KERNEL)])
def test_the_kernel_has_no_indirect_branch(made: boot.Artefacts, arch: Arch, kernel: str) -> None:
    """The kernel has no indirect branch whose prediction user mode could train (but at boot, before user mode)."""
    done = subprocess.run([OBJDUMP[arch.name], "-d", "-j", ".text", "--no-show-raw-insn", str(made.bare / kernel)],
                          capture_output=True, text=True, check=True, timeout=60)
    function, found, instructions = "", [], 0
    for line in done.stdout.splitlines():
        if line.endswith(">:"):
            function = line.split("<")[1].rstrip(">:")
        elif "\t" in line:
            instructions += 1
            if INDIRECT[arch.name].search(line) and function not in BEFORE_USER_MODE:
                found.append(f"{function}: {line.strip()}")
    assert instructions > 5000
    assert not found


FAST = {"ipc_fast_call", "ipc_fast_reply_recv", "ipc_fast_call_many", "ipc_fast_reply_recv_many"}
"""Functions in which a message is in its registers (kernel/src/ipc/fast.c)."""
LIVE = {"event_call"}
"""Functions that leave them as they are (entry.S)."""


def named(arch: Arch, register: str) -> str:
    """Return a pattern of the names that a register of a message has in assembler."""
    if arch.name == "aarch64":
        return f"[wx]{register[1:]}"
    if arch.name == "x86_64":
        return f"%{register}[dwb]?" if register[1:].isdigit() else f"%(?:[re]?{register[1:]}|{register[1]}[lh])"
    return register


@pytest.mark.parametrize("kernel", [quoll.KERNEL, quoll.traced(quoll.KERNEL)])
def test_a_message_stays_in_its_registers(made: boot.Artefacts, arch: Arch, kernel: str) -> None:
    """The fast paths use no register of a message, and call only functions that leave them as they are."""
    words = re.findall(r'#define L4_REG_WORD\d +"(\w+)"', quoll.abi_headers(arch)["abi_call.h"])
    assert len(words) == quoll.abi(arch).MSG_REG_WORDS
    message = re.compile("|".join(rf"(?<!\w){named(arch, word)}\b" for word in words))
    done = subprocess.run([OBJDUMP[arch.name], "-d", "-j", ".text", "--no-show-raw-insn", str(made.bare / kernel)],
                          capture_output=True, text=True, check=True, timeout=60)
    function, seen, found = "", set(), []
    for line in done.stdout.splitlines():
        if line.endswith(">:"):
            function = line.split("<")[1].rstrip(">:")
        elif "\t" in line and function in FAST:
            seen.add(function)
            text = line.split("\t", 1)[1].split("#")[0].split("//")[0]
            called = re.match(r"(?:call|bl|jal)\s.*<(\w+)", text)
            if message.search(text) or (called and called.group(1) not in LIVE | FAST):
                found.append(f"{function}: {text}")
    assert seen == FAST
    assert not found
