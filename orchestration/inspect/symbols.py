# SPDX-License-Identifier: BSD-2-Clause
"""Names for the addresses in a panic: the functions of an ELF program."""

from __future__ import annotations

import bisect
import re
from pathlib import Path

from elftools.elf.elffile import ELFFile
from elftools.elf.sections import SymbolTableSection

ADDRESS = re.compile(r"\b(?:0x)?([0-9a-f]{16})\b")


class Symbols:
    """Functions of one program, by address."""

    def __init__(self, path: Path) -> None:
        """Read the symbol table of an ELF file; a file without one gives no names. $x and $d are ARM's marks."""
        found: list[tuple[int, int, str]] = []
        with path.open("rb") as stream:
            table = ELFFile(stream).get_section_by_name(".symtab")
            if isinstance(table, SymbolTableSection):
                found = [(symbol["st_value"], symbol["st_size"], symbol.name) for symbol in table.iter_symbols()
                         if symbol["st_info"]["type"] in ("STT_FUNC", "STT_NOTYPE") and symbol["st_value"]
                         and symbol["st_shndx"] != "SHN_ABS" and not symbol.name.startswith("$")]
        self.symbols = sorted(found)
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
