# SPDX-License-Identifier: BSD-2-Clause
"""What machine QEMU is to be, as a run keeps it (config.json)."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from orchestration.machine.console import Channel
from orchestration.machine.description import DEFAULT_MEMORY, Disk, Port
from orchestration.machine.shares import Share

MIB = 1 << 20
# Bytes of memory that the machine has beside the guest's: firmware may put the boot image into the middle (QEMU 10 on
# riscv64), and the guest's memory must be one piece beside it.
BESIDE_GUEST = 1 << 30
# Bytes, above which a PC has its memory in two pieces of which neither is the guest's.
LARGE = 2 << 30


@dataclass(frozen=True)
class Config:
    """What machine to start. Sizes in bytes."""

    kernel: Path
    initrd: Path | None = None
    append: str = ""
    disk: Path | None = None
    disks: tuple[Disk, ...] = ()
    ports: tuple[Port, ...] = ()
    shares: tuple[Share, ...] = ()
    network: bool = True
    memory: int = DEFAULT_MEMORY + BESIDE_GUEST
    cpus: int = 1
    accel: str = "tcg"
    extra: tuple[str, ...] = ()
    # A file that holds the machine's memory; a state that it starts from, which then changes nothing in that file.
    ram: Path | None = None
    incoming: Path | None = None
    first_channel: Channel = Channel.LOG

    def as_json(self) -> dict[str, Any]:
        """Return the fields as JSON has them: paths as text, the channel as its letter."""
        values = {**asdict(self), "first_channel": self.first_channel.value, "extra": list(self.extra)}
        values |= {name: [str(one) for one in getattr(self, name)] for name in ("disks", "ports", "shares")}
        return {name: str(value) if isinstance(value, Path) else value for name, value in values.items()}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Config:
        """Return what as_json() made; raise ValueError, TypeError or KeyError for anything else."""
        paths = {name: Path(values[name]) if values.get(name) is not None else None
                 for name in ("initrd", "disk", "ram", "incoming")}
        return cls(**{**values, **paths, "kernel": Path(values["kernel"]), "extra": tuple(values["extra"]),
                      "disks": tuple(Disk.from_text(text) for text in values.get("disks", ())),
                      "ports": tuple(Port.from_text(text) for text in values.get("ports", ())),
                      "shares": tuple(Share.from_text(text) for text in values.get("shares", ())),
                      "first_channel": Channel(values["first_channel"])})
