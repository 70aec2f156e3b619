#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Generate the C header, the Python constants and the reference page from abi.yaml.

Usage: generate.py --arch ARCH (--header | --python | --page) [--output FILE]

Every structure is checked: fields must be naturally aligned and fit the declared size; what is left of
it becomes a trailing pad. Exits with 2 and one line on a malformed source.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

SOURCE = Path(__file__).with_name("abi.yaml")
SCALARS = {"u8": 1, "u16": 2, "u32": 4, "u64": 8}
C_TYPES = {"u8": "unsigned char", "u16": "unsigned short", "u32": "unsigned int", "u64": "unsigned long"}


class AbiError(Exception):
    """The source contradicts itself; the text names the place."""


@dataclass(frozen=True)
class Field:
    """One field: offset and size in bytes; count is 0 for a scalar, else the array's length."""

    name: str
    type: str
    count: int
    doc: str
    offset: int
    size: int


@dataclass(frozen=True)
class Struct:
    """A structure with a fixed size in bytes."""

    name: str
    size: int
    doc: str
    fields: tuple[Field, ...]


@dataclass
class Abi:
    """Everything that one architecture sees."""

    arch: str
    version: int
    hash: int
    constants: list[tuple[str, str, list[tuple[str, int, str]]]] = field(default_factory=list)
    enums: list[dict[str, Any]] = field(default_factory=list)
    structs: list[Struct] = field(default_factory=list)
    invocations: dict[str, list[list[Any]]] = field(default_factory=dict)
    registers: dict[str, Any] = field(default_factory=dict)

    def scalars(self) -> Iterator[tuple[str, int, str]]:
        """Yield (name, value, doc) of every number, without the L4_ prefix."""
        for _, _, values in self.constants:
            yield from values
        for enum in self.enums:
            for name, value, doc in enum["values"]:
                yield f"{enum['prefix']}_{name}", int(value), doc
        for kind, operations in self.invocations.items():
            for operation in operations:
                yield f"{kind}_{operation[0]}", int(operation[1]), operation[5]


def build_struct(raw: dict[str, Any], known: dict[str, Struct]) -> Struct:
    """Lay out one structure; raise AbiError when a field is unknown, misaligned or does not fit."""
    offset, fields = 0, []
    for entry in raw["fields"]:
        name, kind, *rest = entry
        count, doc = (rest[0], rest[1]) if len(rest) == 2 else (0, rest[0])
        if kind in SCALARS:
            unit = align = SCALARS[kind]
        elif kind in known:
            unit, align = known[kind].size, 8
        else:
            raise AbiError(f"{raw['name']}.{name}: unknown type {kind}")
        if offset % align:
            raise AbiError(f"{raw['name']}.{name}: offset {offset} is not aligned to {align}")
        size = unit * (count or 1)
        fields.append(Field(name, kind, count, str(doc), offset, size))
        offset += size
    if offset > raw["size"]:
        raise AbiError(f"{raw['name']}: fields need {offset} bytes, size is {raw['size']}")
    if offset < raw["size"]:
        left = raw["size"] - offset
        fields.append(Field("pad", "u8", left, "zero", offset, left))
    return Struct(raw["name"], raw["size"], raw["doc"], tuple(fields))


def load(arch: str, source: Path = SOURCE) -> Abi:
    """Read the source for one architecture."""
    text = source.read_text()
    raw = yaml.safe_load(text)
    if arch not in raw["arch"]:
        raise AbiError(f"no architecture {arch}; known: {', '.join(raw['arch'])}")
    cpu = raw["arch"][arch]
    abi = Abi(arch, raw["version"], 0)
    for group in [*raw["constants"], {"group": arch, "doc": "This CPU.", "values": cpu["constants"]}]:
        abi.constants.append((group["group"], group["doc"], [(n, int(v), str(d)) for n, v, d in group["values"]]))
    abi.enums = raw["enums"]
    abi.invocations = raw["invocations"]
    abi.registers = cpu["registers"]
    frame = cpu["frame"]
    known: dict[str, Struct] = {}
    frame_raw = {
        "name": "frame", "size": 8 * len(frame["fields"]), "doc": frame["doc"],
        "fields": [[name, "u64", "register"] for name in frame["fields"]],
    }
    for entry in [frame_raw, *raw["structs"], raw["vcpu_page"]]:
        struct = build_struct(entry, known)
        known[struct.name] = struct
        abi.structs.append(struct)
    seen: dict[str, int] = {}
    for name, value, _ in abi.scalars():
        if seen.setdefault(name, value) != value:
            raise AbiError(f"{name} has two values")
    abi.hash = meaning(abi)
    return abi


def meaning(abi: Abi) -> int:
    """Hash of what programs must agree on: not of the words that describe it."""
    structs = [(s.name, s.size, [(f.name, f.type, f.count, f.offset) for f in s.fields]) for s in abi.structs]
    parts = (abi.arch, abi.version, sorted((n, v) for n, v, _ in abi.scalars()), structs, abi.registers)
    return int.from_bytes(hashlib.sha256(repr(parts).encode()).digest()[:8], "little") >> 1


def header(abi: Abi) -> str:
    """C header: #defines for C and assembler, structures with static assertions for C.

    It has no descriptions, those are in the page: what includes it is built again only when it means something else.
    """
    out = ["/* SPDX-License-Identifier: BSD-2-Clause */",
           f"/* Quoll ABI for {abi.arch}, generated from kernel/abi/abi.yaml (--page describes it): do not edit. */",
           "#ifndef L4_ABI_H", "#define L4_ABI_H", "",
           "#ifdef __ASSEMBLER__", "#define L4_U(x) x", "#else", "#define L4_U(x) x##UL", "#endif", "",
           f"#define L4_ABI_HASH L4_U({abi.hash:#x})", f"#define L4_ABI_VERSION {abi.version}"]
    for name, value, _ in abi.scalars():
        number = f"L4_U({value:#x})" if value > 0x7FFFFFFF else str(value)
        out.append(f"#define L4_{name} {number}")
    for struct in abi.structs:
        upper = struct.name.upper()
        out.append("")
        out.append(f"#define L4_{upper}_SIZE {struct.size}")
        out += [f"#define L4_{upper}_OFF_{f.name} {f.offset}" for f in struct.fields]
    out += ["", "#ifndef __ASSEMBLER__"]
    for struct in abi.structs:
        out += ["", f"struct l4_{struct.name} {{"]
        for f in struct.fields:
            ctype = C_TYPES.get(f.type, f"struct l4_{f.type}")
            array = f"[{f.count}]" if f.count else ""
            out.append(f"\t{ctype} {f.name}{array};")
        out.append("};")
        out.append(f'_Static_assert(sizeof(struct l4_{struct.name}) == {struct.size}, "{struct.name}");')
        out += [f"_Static_assert(__builtin_offsetof(struct l4_{struct.name}, {f.name}) == {f.offset}, "
                f'"{struct.name}.{f.name}");' for f in struct.fields]
    out += ["", "#endif", "#endif", ""]
    return "\n".join(out)


def python(abi: Abi) -> str:
    """Python module of constants, and of structures as (name, offset, size) tuples."""
    out = ["# SPDX-License-Identifier: BSD-2-Clause",
           f'"""Quoll ABI for {abi.arch}, generated from kernel/abi/abi.yaml: do not edit."""', "",
           f"ARCH = {abi.arch!r}", f"ABI_HASH = {abi.hash:#x}", f"ABI_VERSION = {abi.version}"]
    out += [f"{name} = {value:#x}" for name, value, _ in abi.scalars()]
    out.append("STRUCTS = {")
    for struct in abi.structs:
        fields = ", ".join(f"{f.name!r}: ({f.offset}, {f.size})" for f in struct.fields)
        out.append(f"    {struct.name!r}: ({struct.size}, {{{fields}}}),")
    out += ["}", ""]
    return "\n".join(out)


def page(abi: Abi) -> str:
    """Markdown reference."""
    out = [f"# Quoll ABI, {abi.arch}", "", "Generated from `kernel/abi/abi.yaml` by `kernel/abi/generate.py`.", "",
           "## Registers of a system call", "", "| role | register |", "|---|---|"]
    for role, regs in abi.registers.items():
        out.append(f"| {role} | {', '.join(regs) if isinstance(regs, list) else regs} |")
    for title, doc, values in abi.constants:
        out += ["", f"## {title}", "", doc, "", "| constant | value | meaning |", "|---|---|---|"]
        out += [f"| `L4_{n}` | `{v:#x}` | {d} |" for n, v, d in values]
    for enum in abi.enums:
        out += ["", f"## {enum['name'].capitalize()}", "", enum["doc"], "", "| name | value | meaning |",
                "|---|---|---|"]
        out += [f"| `L4_{enum['prefix']}_{n}` | {v} | {d} |" for n, v, d in enum["values"]]
    out += ["", "## Invocations", ""]
    for kind, operations in abi.invocations.items():
        out += [f"### {kind}", "", "| operation | number | arguments | results | errors | meaning |",
                "|---|---|---|---|---|---|"]
        for name, number, arguments, results, errors, doc in operations:
            cells = (", ".join(map(str, part)) for part in (arguments, results, errors))
            out.append(f"| `L4_{kind}_{name}` | {number} | {' | '.join(cells)} | {doc} |")
        out.append("")
    out += ["## Structures", ""]
    for struct in abi.structs:
        out += [f"### struct l4_{struct.name}", "", f"{struct.size} bytes. {struct.doc}", "",
                "| offset | field | type | meaning |", "|---|---|---|---|"]
        out += [f"| {f.offset} | `{f.name}` | {f.type}{f'[{f.count}]' if f.count else ''} | {f.doc} |"
                for f in struct.fields]
        out.append("")
    return "\n".join(out)


def main() -> int:
    """Command line entry."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--arch", required=True)
    parser.add_argument("--output", type=Path)
    form = parser.add_mutually_exclusive_group(required=True)
    for name in ("header", "python", "page"):
        form.add_argument(f"--{name}", action="store_const", dest="form", const=name)
    args = parser.parse_args()
    try:
        text = {"header": header, "python": python, "page": page}[args.form](load(args.arch))
    except (AbiError, KeyError, ValueError, TypeError, AttributeError, IndexError, yaml.YAMLError) as error:
        print(f"{SOURCE.name}: {error}", file=sys.stderr)
        return 2
    if args.output:
        args.output.write_text(text)
    else:
        sys.stdout.write(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
