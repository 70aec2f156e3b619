# SPDX-License-Identifier: BSD-2-Clause
"""Names for the addresses in a panic: the functions of an ELF program."""

from __future__ import annotations

import bisect
import re
from collections.abc import Iterator
from pathlib import Path
from struct import Struct

from elftools.elf.elffile import ELFFile
from elftools.elf.sections import SymbolTableSection

# An entry of a symbol table (ELF-64, little-endian): st_name, st_info, st_other, st_shndx, st_value, st_size.
ENTRY = Struct("<IBBHQQ")
# In st_info's lower four bits: what has no type, such as a label of assembly, and functions.
NOTYPE, FUNC = 0, 2
# SHF_ALLOC of a section: it is in memory when the program runs.
ALLOCATED = 2
ADDRESS = re.compile(r"\b(?:0x)?([0-9a-f]{16})\b")


def functions(path: Path) -> Iterator[tuple[int, int, str]]:
    """Return address, size and name of each function of an ELF file; $x and $d, which are ARM's marks, are none.

    The table is read at once: as the library's objects Linux' symbols take seconds.
    """
    with path.open("rb") as stream:
        elf = ELFFile(stream)
        table = elf.get_section_by_name(".symtab")
        if not isinstance(table, SymbolTableSection):
            return
        entries, names = table.data(), elf.get_section(table["sh_link"]).data()
        # The value of a symbol in another section, such as one of debugging information, is no address.
        loaded = {number for number, section in enumerate(elf.iter_sections()) if section["sh_flags"] & ALLOCATED}
    for name, info, _, section, value, size in ENTRY.iter_unpack(entries):
        if info & 15 in (NOTYPE, FUNC) and value and section in loaded:
            text = names[name:names.index(0, name)].decode(errors="replace")
            if not text.startswith("$"):
                yield value, size, text


class Symbols:
    """Functions of one program, by address."""

    def __init__(self, path: Path) -> None:
        """Read the symbol table of an ELF file; a file without one gives no names."""
        self.symbols = sorted(functions(path))
        self.starts = [start for start, _, _ in self.symbols]

    def name(self, address: int) -> str:
        """Return function+offset, or an empty string when no function holds the address."""
        position = bisect.bisect_right(self.starts, address) - 1
        if position < 0:
            return ""
        start, size, name = self.symbols[position]
        inside = address - start < (size or 4096)
        return f"{name}+{address - start:#x}" if inside else ""

    def annotate(self, line: str) -> str:
        """Return the line with the names of the addresses in it appended."""
        names = [name for match in ADDRESS.finditer(line) if (name := self.name(int(match.group(1), 16)))]
        return f"{line}  <{', '.join(names)}>" if names else line
