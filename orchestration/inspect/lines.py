# SPDX-License-Identifier: BSD-2-Clause
"""Which lines of the kernel's source were executed: the addresses that QEMU translated, and DWARF's line table.

QEMU logs each block of guest code when it translates it (-d in_asm), which is when it is executed first. So the kernel
needs no code for it, and what is counted is the program as it is built. A block ends at each branch; of one that a
fault leaves in its middle, the rest counts as well.
"""

from __future__ import annotations

import bisect
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from elftools.elf.elffile import ELFFile

from orchestration.base.errors import InfrastructureError, UsageError
from orchestration.base.tree import ROOT

INSTRUCTION = re.compile(r"^0x([0-9a-f]+):", re.MULTILINE)


@dataclass(frozen=True)
class Code:
    """The text of a program: where it is linked, and where it is loaded, and runs until there are page tables."""

    start: int
    end: int
    load: int
    rows: list[tuple[int, int, str, int]]
    """Start and end address, file (relative to the repository) and line of each piece of a line."""

    def options(self, log: Path) -> tuple[str, ...]:
        """Return QEMU's options that log what it translates of this program."""
        size = self.end - self.start
        return ("-d", "in_asm", "-D", str(log).replace(",", ",,"),
                "-dfilter", f"{self.start:#x}+{size:#x},{self.load:#x}+{size:#x}")

    def executed(self, log: Path) -> set[int]:
        """Return the link addresses of the instructions in a log."""
        shift = self.start - self.load
        size = self.end - self.start
        found = (int(match[1], 16) for match in INSTRUCTION.finditer(log.read_text(errors="replace")))
        return {address + shift if self.load <= address < self.load + size else address for address in found}


def relative(name: str) -> str:
    """Return a source file's name as it is called in the repository."""
    path = os.path.normpath(name)
    return os.path.relpath(path, ROOT) if path.startswith(f"{ROOT}/") else path


def rows(unit: Any, info: Any) -> Iterable[tuple[int, int, str, int]]:
    """Yield the pieces of one compilation unit's lines (DWARF 5, 6.2)."""
    program = info.line_program_for_CU(unit)
    if program is None:
        return
    top = unit.get_top_DIE()
    base = os.fsdecode(top.attributes["DW_AT_comp_dir"].value)
    files, folders = program["file_entry"], program["include_directory"]
    first = 0 if program["version"] >= 5 else 1
    names = [relative(os.path.join(base, os.fsdecode(folders[one.dir_index]) if first == 0 else "",
                                   os.fsdecode(one.name))) for one in files]
    before = None
    for entry in program.get_entries():
        state = entry.state
        if state is None:
            continue
        if before is not None and before.line:
            # One that begins where the next does is a statement whose code is all a called function's, put in line.
            yield before.address, max(state.address, before.address + 1), names[before.file - first], before.line
        before = None if state.end_sequence else state


def read(path: Path) -> Code:
    """Read a program with DWARF."""
    with path.open("rb") as stream:
        elf = ELFFile(stream)
        text = elf.get_section_by_name(".text")
        if text is None or not elf.has_dwarf_info(strict=True):
            raise InfrastructureError(f"{path} has no text, or no debugging information")
        start, end = text["sh_addr"], text["sh_addr"] + text["sh_size"]
        load = next(segment["p_paddr"] + start - segment["p_vaddr"] for segment in elf.iter_segments()
                    if segment["p_vaddr"] <= start < segment["p_vaddr"] + segment["p_memsz"])
        info = elf.get_dwarf_info()
        # The linker sets dropped functions to address 0.
        found = [row for unit in info.iter_CUs() for row in rows(unit, info) if start <= row[0] < end]
    return Code(start, end, load, found)


@dataclass(frozen=True)
class Excuse:
    """Lines that no test can reach, and why: those of a file that contain one of the texts; all when there is none."""

    file: str
    reason: str
    lines: tuple[str, ...] = ()


def excuses(path: Path) -> list[Excuse]:
    """Read the list of what cannot be reached."""
    try:
        return [Excuse(one["file"], one["reason"], tuple(one.get("lines", ()))) for one in yaml.safe_load(
            path.read_text())]
    except (yaml.YAMLError, KeyError, TypeError, AttributeError) as error:
        raise UsageError(f"{path} is no list of file, reason and lines: {' '.join(str(error).split())}") from error


@dataclass
class Coverage:
    """For each file, whether each of its lines was executed."""

    files: dict[str, dict[int, bool]] = field(default_factory=dict)

    def lines(self) -> int:
        """Return how many lines have code."""
        return sum(map(len, self.files.values()))

    def executed(self) -> int:
        """Return how many of them were executed."""
        return sum(sum(lines.values()) for lines in self.files.values())

    def percent(self) -> float:
        """Return the share of lines that were executed."""
        return 100 * self.executed() / max(1, self.lines())

    def missed(self) -> dict[str, list[int]]:
        """Return the lines that were not executed."""
        return {name: missed for name, lines in sorted(self.files.items())
                if (missed := sorted(number for number, hit in lines.items() if not hit))}


def measure(code: Code, logs: Iterable[Path]) -> Coverage:
    """Return what the runs that wrote these logs executed together."""
    addresses = sorted(set().union(*(code.executed(log) for log in logs)))
    found = Coverage()
    for start, end, name, line in code.rows:
        at = bisect.bisect_left(addresses, start)
        hit = at < len(addresses) and addresses[at] < end
        lines = found.files.setdefault(name, {})
        lines[line] = lines.get(line, False) or hit
    return found


def ranges(numbers: list[int]) -> str:
    """Return numbers as 1, 4-7."""
    found: list[list[int]] = []
    for number in numbers:
        if found and number == found[-1][-1] + 1:
            found[-1].append(number)
        else:
            found.append([number])
    return ", ".join(str(one[0]) if len(one) == 1 else f"{one[0]}-{one[-1]}" for one in found)


def report(found: Coverage, listed: list[Excuse], root: Path = ROOT) -> list[str]:
    """Return a table of files, the source of each line that was not executed, and why those of the list were not."""
    width = max(map(len, found.files), default=0)
    text = [f"{'file':{width}}  executed  lines      %"]
    for name, lines in sorted(found.files.items()):
        hit = sum(lines.values())
        text.append(f"{name:{width}}  {hit:8}  {len(lines):5}  {100 * hit / len(lines):5.1f}")
    text.append(f"{'all':{width}}  {found.executed():8}  {found.lines():5}  {found.percent():5.1f}")
    used: set[Excuse] = set()
    unexplained, explained = [], []
    for name, missed in found.missed().items():
        source = (root / name).read_text().splitlines()
        for number in missed:
            line = source[number - 1].strip()
            excuse = next((one for one in listed if one.file == name
                           and (not one.lines or any(words in line for words in one.lines))), None)
            if excuse is None:
                unexplained.append(f"  {name}:{number}: {line}")
            else:
                used.add(excuse)
                explained.append((excuse, number))
    if unexplained:
        text += ["", f"{len(unexplained)} lines were not executed:", *unexplained]
    if explained:
        text += ["", f"{len(explained)} lines cannot be executed here:"]
        for one in sorted(used, key=lambda one: (one.file, one.reason)):
            numbers = [number for excuse, number in explained if excuse is one]
            text.append(f"  {one.file}:{ranges(numbers)}: {one.reason}")
    stale = [one for one in listed if one not in used and one.file in found.files]
    text += [f"the list has no more use for: {one.file}: {', '.join(one.lines) or 'all'}" for one in stale]
    return text
