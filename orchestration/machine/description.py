# SPDX-License-Identifier: BSD-2-Clause
"""The machine that the user wants: one model, filled from layers.

Built-in defaults < quoll.toml of the user's configuration folder < ./quoll.toml < command line. A list of a higher
layer replaces the list of a lower one. A path in a file is relative to the folder of that file.

To add an option: a field here, its row in OPTIONS of orchestration/cli/options.py, its row in docs/usage.md. Who uses
the value checks what depends on the host, such as whether a port is free.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import pydantic

from orchestration.base import arch as arches
from orchestration.base.arch import Arch, Check, GuestMode
from orchestration.base.errors import UsageError
from orchestration.base.roots import ROOTS, TINY
from orchestration.machine import shares as sharing

# Bytes. The largest is what the root pager can give in one piece on each machine (GUEST_REGIONS of the ABI).
MEMORY_MIN, MEMORY_MAX, MEMORY_STEP = 128 << 20, 8 << 30, 2 << 20
# Of the machine, and vCPUs of the guest (GUEST_VCPUS of the ABI).
CPUS_MAX = 8
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
    if not isinstance(value, str | Path) or str(value) in ("", "."):
        raise ValueError(f"'{value}' is no path")
    return Path((info.context or {}).get("folder", "."), Path(value).expanduser())


@dataclass(frozen=True)
class Disk:
    """A file of the user's, or a block device, that is a further disk of the machine."""

    file: Path
    read_only: bool = False

    def __str__(self) -> str:
        """Return it as an option has it; with ,rw where the file's own name ends as an option may."""
        plain = f"{self.file}"
        return f"{plain},ro" if self.read_only else f"{plain},rw" if plain.endswith((",ro", ",rw")) else plain

    def busy(self, who: str) -> UsageError:
        """Return the error of a disk that somebody else has opened."""
        return UsageError(f"disk {self.file} is in use by {who}", "see which machines run: ./orchestrate ps")

    @classmethod
    def from_text(cls, text: str) -> Disk:
        """Return the disk that FILE, FILE,ro or FILE,rw means."""
        file, comma, mode = text.rpartition(",")
        return cls(Path(file), mode == "ro") if comma and mode in ("ro", "rw") else cls(Path(text))


def disk(value: Any, info: pydantic.ValidationInfo) -> Disk:
    """Return the disk of an option."""
    if isinstance(value, Disk):
        return value
    found = Disk.from_text(value if isinstance(value, str) else "")
    return Disk(place(found.file, info), found.read_only)


@dataclass(frozen=True)
class Port:
    """A port of the host that leads to one of the guest, both of TCP."""

    host: int
    guest: int

    def __str__(self) -> str:
        """Return it as an option has it."""
        return f"{self.host}:{self.guest}"

    def taken(self) -> UsageError:
        """Return the error of a port that somebody else has."""
        return UsageError(f"port {self.host} of this host is taken", f"see who has it: ss -ltnp 'sport = :{self.host}'")

    @classmethod
    def from_text(cls, text: str) -> Port:
        """Return the ports that HOST:GUEST means."""
        found = re.fullmatch(r"([0-9]{1,5}):([0-9]{1,5})", text)
        if found is None or not all(0 < int(number) < 1 << 16 for number in found.groups()):
            raise ValueError(f"'{text}' is no HOST:GUEST, two ports between 1 and 65535")
        return cls(int(found[1]), int(found[2]))


def port(value: Any) -> Port:
    """Return the ports of an option."""
    return value if isinstance(value, Port) else Port.from_text(str(value))


def ports(values: tuple[Port, ...]) -> tuple[Port, ...]:
    """Return a list in which no port of the host is twice."""
    once(tuple(one.host for one in values))
    return values


@dataclass(frozen=True)
class Place:
    """The CPU of a server or of a vCPU."""

    name: str
    cpu: int

    def __str__(self) -> str:
        """Return it as an option has it."""
        return f"{self.name}={self.cpu}"

    @classmethod
    def from_text(cls, text: str) -> Place:
        """Return what NAME=CPU means."""
        found = re.fullmatch(r"([a-z0-9]+)=([0-9]{1,3})", text)
        if found is None:
            raise ValueError(f"'{text}' is no NAME=CPU, such as block=1 or vcpu0=2")
        return cls(found[1], int(found[2]))


def place_of(value: Any) -> Place:
    """Return the place of an option."""
    return value if isinstance(value, Place) else Place.from_text(str(value))


def places(values: tuple[Place, ...]) -> tuple[Place, ...]:
    """Return a list in which nobody has two places."""
    once(tuple(one.name for one in values))
    return values


def memory(value: Any, info: pydantic.ValidationInfo) -> int:
    """Return the bytes of a memory that a guest can have."""
    found = size(value, info)
    if not MEMORY_MIN <= found <= MEMORY_MAX or found % MEMORY_STEP:
        raise ValueError(f"'{value}' is no memory that a guest can have: from {show_size(MEMORY_MIN)} to "
                         f"{show_size(MEMORY_MAX)}, a multiple of {show_size(MEMORY_STEP)}")
    return found


def cpus(value: Any) -> int:
    """Return a number of CPUs that a guest can have: text of the command line, or a number."""
    found = int(value) if isinstance(value, str) and re.fullmatch("[0-9]{1,9}", value) else value
    if type(found) is not int or not 1 <= found <= CPUS_MAX:
        raise ValueError(f"'{value}' is no number of CPUs that a guest can have: from 1 to {CPUS_MAX}")
    return found


def once(values: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return the items of a list in which none is twice."""
    for number, one in enumerate(values):
        if one in values[:number]:
            raise ValueError(f"'{one}' is given twice")
    return values


def share(value: Any, info: pydantic.ValidationInfo) -> sharing.Share:
    """Return the folder of an option."""
    if isinstance(value, sharing.Share):
        return value
    folder = Path((info.context or {}).get("folder", "."))
    return sharing.Share.from_text(value if isinstance(value, str) else "", folder)


NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}")


def name(value: Any) -> str:
    """Return a name that can be that of a file, and part of MACHINE:PATH."""
    if not isinstance(value, str) or not NAME.fullmatch(value):
        raise ValueError(f"'{value}' is no name, which has at most 63 letters, digits, '_', '.' and '-', and begins "
                         "with a letter or digit")
    return value


def root(value: Any, info: pydantic.ValidationInfo) -> str:
    """Return a root file system's name as it is, and the path of one as place() does."""
    return value if value in ROOTS else str(place(value, info))


Size = Annotated[int, pydantic.PlainValidator(size), pydantic.PlainSerializer(show_size)]
Memory = Annotated[int, pydantic.PlainValidator(memory), pydantic.PlainSerializer(show_size)]
Cpus = Annotated[int, pydantic.PlainValidator(cpus)]
Name = Annotated[str, pydantic.PlainValidator(name)]
Disks = Annotated[tuple[Annotated[Disk, pydantic.PlainValidator(disk), pydantic.PlainSerializer(str)], ...],
                  pydantic.AfterValidator(once)]
Ports = Annotated[tuple[Annotated[Port, pydantic.PlainValidator(port), pydantic.PlainSerializer(str)], ...],
                  pydantic.AfterValidator(ports)]
Shares = Annotated[tuple[Annotated[sharing.Share, pydantic.PlainValidator(share), pydantic.PlainSerializer(str)], ...],
                   pydantic.AfterValidator(sharing.apart)]
Places = Annotated[tuple[Annotated[Place, pydantic.PlainValidator(place_of), pydantic.PlainSerializer(str)], ...],
                   pydantic.AfterValidator(places)]
File = Annotated[Path, pydantic.BeforeValidator(place), pydantic.PlainSerializer(str)]


class Guest(pydantic.BaseModel):
    """What one guest is and has."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)

    append: str = ""
    """More boot arguments for Linux."""
    rootfs: Annotated[str, pydantic.BeforeValidator(root)] = TINY
    """tiny, debian, or the path of a root file system."""
    include: tuple[str, ...] = ()
    """Debian packages beside those of the root file system."""
    memory: Memory = 512 << 20
    """Bytes of the guest's memory."""
    cpus: Cpus = 1
    """CPUs of the machine, and of the guest, whose Linux is built for several if it has them."""
    places: Places = ()
    """CPUs of servers and vCPUs, as NAME=CPU."""
    disk_size: Size | None = None
    """Bytes of the file system of the run's disk; None: as the image has it."""
    disks: Disks = ()
    """More disks, as FILE or FILE,ro."""
    ports: Ports = ()
    """Ports of TCP, as HOST:GUEST."""
    shares: Shares = ()
    """Folders of the host, as HOSTDIR[:GUESTDIR][:ro|:rw]."""
    persist: Name | None = None
    """Name of a disk that survives the run."""
    name: Name | None = None
    """Name of the machine; None: its architecture and a number."""
    kernel_config: tuple[File, ...] = ()
    """Fragments of Linux' configuration."""
    patches: tuple[File, ...] = ()
    """Patches of Linux after the series."""
    debug: tuple[Check, ...] = ()
    """Checks that are compiled into Linux."""

    @property
    def host_name(self) -> str:
        """Return the machine's name as that of a host: labels of letters, digits and hyphens; nothing without one."""
        labels = ("-".join(filter(None, re.split("[_-]+", label))) for label in (self.name or "").split("."))
        return ".".join(filter(None, labels))


class Description(Guest):
    """A machine with one guest."""

    arch: str
    guest_mode: GuestMode | None = None
    """Privilege of the guest's kernel (docs/guest-interface.md); None: above where that holds it back."""
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


DEFAULT_MEMORY: int = Guest.model_fields["memory"].default


def valid_keys() -> list[str]:
    """Return the keys of quoll.toml."""
    return list(Description.model_fields)
