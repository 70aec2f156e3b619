# SPDX-License-Identifier: BSD-2-Clause
"""What the ABI consists of, as one architecture sees it: the templates read these classes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field


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
