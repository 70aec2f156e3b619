# SPDX-License-Identifier: BSD-2-Clause
"""The machine that the user wants: one model, filled from layers.

Built-in defaults < quoll.toml of the user's configuration folder < ./quoll.toml < command line. A list of a higher
layer replaces the list of a lower one. A path in a file is relative to the folder of that file.

To add an option: a field here, its row in OPTIONS of orchestration/cli/options.py, its row in docs/usage.md. Who uses
the value checks what depends on the host, such as whether a port is free.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Literal

import pydantic

from orchestration.base import arch as arches
from orchestration.base.arch import Arch

UNITS = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}


def parse_size(value: Any) -> int:
    """Return the bytes that a size such as 512M or 1G means."""
    found = re.fullmatch(r"([0-9]+)([KMGT])(?:iB)?", value) if isinstance(value, str) else None
    if found is None:
        raise ValueError(f"'{value}' is no size; write a number and one of {', '.join(UNITS)}, such as 512M")
    return int(found[1]) * UNITS[found[2]]


def show_size(size: int) -> str:
    """Return a size in the largest unit that has no fraction."""
    unit = max((one for one in UNITS if size % UNITS[one] == 0), key=lambda one: UNITS[one])
    return f"{size // UNITS[unit]}{unit}"


def size(value: Any, info: pydantic.ValidationInfo) -> int:
    """Return the bytes of a size: text in a layer, a number in Python."""
    return value if info.context is None and type(value) is int else parse_size(value)


def place(value: Any, info: pydantic.ValidationInfo) -> Path:
    """Return a path, one that is relative as seen from the folder of the layer that names it."""
    if not isinstance(value, str | Path) or not str(value):
        raise ValueError(f"'{value}' is no path")
    return Path((info.context or {}).get("folder", "."), Path(value).expanduser())


Size = Annotated[int, pydantic.PlainValidator(size), pydantic.PlainSerializer(show_size)]
File = Annotated[Path, pydantic.BeforeValidator(place), pydantic.PlainSerializer(str)]


class Guest(pydantic.BaseModel):
    """What one guest is and has."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)

    append: str = ""
    """More boot arguments for Linux."""
    rootfs: str = "tiny"
    """tiny, debian, or the path of a root file system."""
    include: tuple[str, ...] = ()
    """Debian packages beside those of the root file system."""
    memory: Size = 512 << 20
    """Bytes of the guest's memory."""
    disk_size: Size | None = None
    """Bytes of the file system of the run's disk; None: as the image has it."""
    disks: tuple[str, ...] = ()
    """More disks."""
    ports: tuple[str, ...] = ()
    """HOST:GUEST, ports of TCP."""
    shares: tuple[str, ...] = ()
    """HOSTDIR[:GUESTDIR], folders of the host."""
    persist: str | None = None
    """Name of a disk that survives the run."""
    name: str | None = None
    """Name of the machine; None: its architecture and a number."""
    kernel_config: tuple[File, ...] = ()
    """Fragments of Linux' configuration."""
    patches: tuple[File, ...] = ()
    """Patches of Linux after the series."""
    debug: tuple[str, ...] = ()
    """Checks that are compiled into Linux."""


class Description(Guest):
    """A machine with one guest."""

    arch: str
    accel: Literal["tcg", "kvm"] = "tcg"
    """tcg: emulation; kvm: hardware virtualisation."""
    trace: bool = pydantic.Field(default=False, strict=True)
    """With the L4 that counts and traces."""
    snapshot: bool = pydantic.Field(default=False, strict=True)
    """Start from a stored state of the booted machine."""

    @pydantic.field_validator("arch")
    @classmethod
    def is_known(cls, value: str) -> str:
        """Return the name of an architecture that exists."""
        if value not in arches.ARCHES:
            raise ValueError(f"unknown architecture '{value}'; valid: {', '.join(arches.ARCHES)}")
        return value

    @property
    def target(self) -> Arch:
        """Return what the orchestration knows of the architecture."""
        return arches.find(self.arch)


# Fields that nothing implements yet. They are no keys of quoll.toml. Whoever implements one removes it here.
PLANNED = frozenset({"rootfs", "include", "memory", "disk_size", "disks", "ports", "shares", "persist", "name",
                     "debug", "snapshot"})
DEFAULT_MEMORY: int = Guest.model_fields["memory"].default


def valid_keys() -> list[str]:
    """Return the keys of quoll.toml."""
    return [name for name in Description.model_fields if name not in PLANNED]
