# SPDX-License-Identifier: BSD-2-Clause
"""Reads the DWARF of an ELF file: offsets of structures' fields, enumerations, types of variables."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from elftools.elf.elffile import ELFFile
from elftools.elf.sections import SymbolTableSection


@dataclass
class DebugInfo:
    """Of one program: offsets of structures' fields, values of enumerations, places, sizes and types of variables."""

    structs: dict[str, dict[str, int]] = field(default_factory=dict)
    enums: dict[str, dict[int, str]] = field(default_factory=dict)
    symbols: dict[str, int] = field(default_factory=dict)
    sizes: dict[str, int] = field(default_factory=dict)
    variables: dict[str, dict[str, int]] = field(default_factory=dict)


def text(die: Any, name: str) -> str:
    """Return an attribute that is a string."""
    return bytes(die.attributes[name].value).decode() if name in die.attributes else ""


def members(die: Any, base: int = 0, prefix: str = "") -> dict[str, int]:
    """Return a structure's fields, those of structures inside it as outer.inner, and of nameless ones as their own."""
    found: dict[str, int] = {}
    for child in die.iter_children():
        if child.tag != "DW_TAG_member":
            continue
        name = text(child, "DW_AT_name")
        place = child.attributes.get("DW_AT_data_member_location")
        offset = base + (int(place.value) if place is not None and isinstance(place.value, int) else 0)
        if name:
            found[prefix + name] = offset
        inner = child.get_DIE_from_attribute("DW_AT_type") if "DW_AT_type" in child.attributes else None
        while inner is not None and inner.tag == "DW_TAG_typedef" and "DW_AT_type" in inner.attributes:
            inner = inner.get_DIE_from_attribute("DW_AT_type")
        if inner is not None and inner.tag in ("DW_TAG_structure_type", "DW_TAG_union_type"):
            found |= members(inner, offset, f"{prefix}{name}." if name else prefix)
    return found


def read(path: Path) -> DebugInfo:
    """Read a program. Units without DWARF are left out."""
    info = DebugInfo()
    with path.open("rb") as stream:
        elf = ELFFile(stream)
        table = elf.get_section_by_name(".symtab")
        if isinstance(table, SymbolTableSection):
            # What is static may have another name after link-time optimisation.
            for symbol in table.iter_symbols():
                if symbol["st_value"]:
                    name = symbol.name.split(".lto_priv")[0]
                    info.symbols[name], info.sizes[name] = symbol["st_value"], symbol["st_size"]
        if not elf.has_dwarf_info():
            return info
        for unit in elf.get_dwarf_info().iter_CUs():
            for die in unit.get_top_DIE().iter_children():
                name = text(die, "DW_AT_name")
                if not name or "DW_AT_declaration" in die.attributes:
                    continue
                if die.tag == "DW_TAG_structure_type" and name not in info.structs:
                    info.structs[name] = members(die)
                elif die.tag == "DW_TAG_enumeration_type" and name not in info.enums:
                    info.enums[name] = {int(child.attributes["DW_AT_const_value"].value): text(child, "DW_AT_name")
                                        for child in die.iter_children() if child.tag == "DW_TAG_enumerator"}
                elif die.tag == "DW_TAG_variable" and "DW_AT_type" in die.attributes and name not in info.variables:
                    kind = die.get_DIE_from_attribute("DW_AT_type")
                    if kind.tag == "DW_TAG_structure_type":
                        info.variables[name] = members(kind)
    return info
