# SPDX-License-Identifier: BSD-2-Clause
"""The ABI as one architecture sees it: reads abi.yaml, checks it, lays out structures, computes the hashes."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

SOURCE = Path(__file__).with_name("abi.yaml")
SCALARS = {"u8": 1, "u16": 2, "u32": 4, "u64": 8}
# The part that only user programs share; ABI_HASH does not cover it.
SERVERS = "servers"
CORE = "core"
# Unit of a word that travels in the UTCB instead of a register.
FRAME = "frame"


class AbiError(Exception):
    """The source contradicts itself; the text names the place."""


@dataclass(frozen=True)
class Part:
    """A group of declarations with a C header of its own."""

    name: str
    header: str
    doc: str


@dataclass(frozen=True)
class Number:
    """A constant, without the L4_ prefix."""

    name: str
    value: int
    doc: str


@dataclass(frozen=True)
class Group:
    """Constants that the reference shows together."""

    title: str
    part: str
    doc: str
    values: tuple[Number, ...]


@dataclass(frozen=True)
class Enum:
    """Numbers that exclude each other; values have names without the prefix."""

    name: str
    prefix: str
    part: str
    doc: str
    values: tuple[Number, ...]


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
    part: str
    size: int
    doc: str
    fields: tuple[Field, ...]


@dataclass(frozen=True)
class Word:
    """An argument or a result of an invocation."""

    name: str
    unit: str
    doc: str


@dataclass(frozen=True)
class Operation:
    """An invocation of a kernel object; kind is the object's type."""

    kind: str
    name: str
    number: int
    arguments: tuple[Word, ...]
    results: tuple[Word, ...]
    errors: tuple[str, ...]
    doc: str


@dataclass(frozen=True)
class Registers:
    """Registers of a system call, by role, as the assembler names them; ip, sp, arguments are fields of the frame."""

    instruction: str
    number: str
    error: str
    cap: str
    badge: str
    tag: str
    words: tuple[str, ...]
    reply: str
    clobbered: tuple[str, ...]
    ip: str
    sp: str
    arguments: tuple[str, ...]

    @property
    def inputs(self) -> tuple[str, ...]:
        """What the caller sets."""
        return (self.number, self.cap, self.tag, *self.words, self.reply)

    @property
    def outputs(self) -> tuple[str, ...]:
        """What L4 sets; every other register that is not clobbered keeps its value."""
        return (self.error, self.badge, self.tag, *self.words)


@dataclass
class Abi:
    """Everything that one architecture sees."""

    arch: str
    version: int
    parts: tuple[Part, ...]
    groups: tuple[Group, ...]
    enums: tuple[Enum, ...]
    structs: tuple[Struct, ...]
    operations: tuple[Operation, ...]
    registers: Registers
    hash: int = field(default=0)
    servers_hash: int = field(default=0)

    def numbers(self, *parts: str) -> Iterator[Number]:
        """Yield every constant of some parts, of all parts if none is named."""
        for group in self.groups:
            if not parts or group.part in parts:
                yield from group.values
        for enum in self.enums:
            if not parts or enum.part in parts:
                for number in enum.values:
                    yield Number(f"{enum.prefix}_{number.name}", number.value, number.doc)
        if not parts or "objects" in parts:
            for operation in self.operations:
                yield Number(f"{operation.kind}_{operation.name}", operation.number, operation.doc)

    def words(self) -> list[Word]:
        """Return every argument and result once, by name."""
        found = {word.name: word for o in self.operations for word in (*o.arguments, *o.results)}
        return [found[name] for name in sorted(found)]

    def type_number(self, kind: str) -> int:
        """Return the number of an object type."""
        return next(n.value for enum in self.enums if enum.prefix == "TYPE" for n in enum.values if n.name == kind)

    def frame_field(self, register: str) -> str:
        """Return the field of struct l4_frame that holds a register; x86 spells rax there as ax."""
        names = {f.name for f in self.structs[0].fields}
        for name in (register, register.removeprefix("r")):
            if name in names:
                return name
        raise AbiError(f"register {register} is not in the frame")


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
    raw = yaml.safe_load(source.read_text())
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
