# SPDX-License-Identifier: BSD-2-Clause
"""Reads abi.yaml: checks it, lays out structures, computes the hashes."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import yaml
from abi_types import Abi, AbiError, Enum, Field, Group, Number, Operation, Part, Registers, Struct, Word

SOURCE = Path(__file__).with_name("abi.yaml")
SCALARS = {"u8": 1, "u16": 2, "u32": 4, "u64": 8}
# The part that only user programs share; ABI_HASH does not cover it.
SERVERS = "servers"
CORE = "core"
# Unit of a word that travels in the UTCB instead of a register.
FRAME = "frame"


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
    return Struct(raw["name"], raw["part"], raw["size"], raw["doc"], tuple(fields))


def build_structs(raw: dict[str, Any], frame: dict[str, Any]) -> tuple[Struct, ...]:
    """Lay out all structures: the register frame first, the vCPU page, which holds one, last."""
    known: dict[str, Struct] = {}
    first = {"name": "frame", "part": CORE, "size": 8 * len(frame["fields"]), "doc": frame["doc"],
             "fields": [[name, "u64", "register"] for name in frame["fields"]]}
    for entry in [first, *raw["structs"], raw["vcpu_page"]]:
        struct = build_struct(entry, known)
        known[struct.name] = struct
    return tuple(known.values())


def build_operations(raw: dict[str, Any]) -> tuple[Operation, ...]:
    """Read the invocations; raise AbiError when a word is not described."""
    words = {name: Word(name, unit, str(doc)) for name, unit, doc in raw["words"]}

    def described(place: str, names: list[str]) -> tuple[Word, ...]:
        for name in names:
            if name not in words:
                raise AbiError(f"{place}: {name} is not in words")
        return tuple(words[name] for name in names)

    return tuple(Operation(kind, name, int(number), described(f"{kind}_{name}", arguments),
                           described(f"{kind}_{name}", results), tuple(errors), str(doc))
                 for kind, operations in raw["invocations"].items()
                 for name, number, arguments, results, errors, doc in operations)


def build_registers(raw: dict[str, Any]) -> Registers:
    """Read an architecture's registers and the frame fields that have a role."""
    roles: dict[str, Any] = dict(raw["registers"])
    roles |= {role: raw["frame"][role] for role in ("ip", "sp", "arguments")}
    for role in ("words", "clobbered", "arguments"):
        roles[role] = tuple(roles[role])
    return Registers(**roles)


def load(arch: str, source: Path = SOURCE) -> Abi:
    """Read the source for one architecture."""
    return build(arch, yaml.safe_load(source.read_text()))


def load_all(source: Path = SOURCE) -> list[Abi]:
    """Read the source for every architecture."""
    raw = yaml.safe_load(source.read_text())
    return [build(arch, raw) for arch in raw["arch"]]


def build(arch: str, raw: dict[str, Any]) -> Abi:
    """Return what one architecture sees of the source."""
    if arch not in raw["arch"]:
        raise AbiError(f"no architecture {arch}; known: {', '.join(raw['arch'])}")
    cpu = raw["arch"][arch]
    own = {"group": arch, "part": CORE, "doc": "Constants of this architecture.", "values": cpu["constants"]}

    def numbers(values: list[list[Any]]) -> tuple[Number, ...]:
        return tuple(Number(name, int(value), str(doc)) for name, value, doc in values)

    abi = Abi(
        arch, raw["version"], tuple(Part(*entry) for entry in raw["parts"]),
        tuple(Group(g["group"], g["part"], g["doc"], numbers(g["values"])) for g in [*raw["constants"], own]),
        tuple(Enum(e["name"], e["prefix"], e["part"], e["doc"], numbers(e["values"])) for e in raw["enums"]),
        build_structs(raw, cpu["frame"]), build_operations(raw), build_registers(cpu))
    check(abi)
    abi.hash = meaning(abi, *(part.name for part in abi.parts if part.name != SERVERS))
    abi.servers_hash = meaning(abi, *(part.name for part in abi.parts))
    return abi


def check(abi: Abi) -> None:
    """Raise AbiError when a name has two values, a part is unknown or a register has no place in the frame."""
    seen: dict[str, int] = {}
    for number in abi.numbers():
        if seen.setdefault(number.name, number.value) != number.value:
            raise AbiError(f"{number.name} has two values")
    parts = {part.name for part in abi.parts}
    used = {g.part for g in abi.groups} | {e.part for e in abi.enums} | {s.part for s in abi.structs}
    if used - parts:
        raise AbiError(f"unknown part {', '.join(sorted(used - parts))}")
    r = abi.registers
    for register in (*r.inputs, *r.outputs, r.ip, r.sp, *r.arguments):
        abi.frame_field(register)


def meaning(abi: Abi, *parts: str) -> int:
    """Return the hash of what programs must agree on in some parts: not of the text that describes it."""
    numbers = sorted((number.name, number.value) for number in abi.numbers(*parts))
    structs = [(s.name, s.size, [(f.name, f.type, f.count, f.offset) for f in s.fields])
               for s in abi.structs if s.part in parts]
    operations = [(o.kind, o.name, [(w.name, w.unit) for w in o.arguments], [(w.name, w.unit) for w in o.results])
                  for o in abi.operations]
    text = repr((abi.arch, abi.version, numbers, structs, operations, abi.registers))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little") >> 1
