# SPDX-License-Identifier: BSD-2-Clause
"""Packs the boot image: the root pager, the servers, Linux, its device tree and perhaps its files in one file.

Layout (struct image_header and image_segment of the ABI): header, segment table, then each segment's bytes
at a page boundary. Linux's segments keep their virtual addresses, which are GUEST_RAM_VADDR + guest-physical. The
archive of its root file system, where there is one, has its guest-physical address.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from orchestration.base.arch import GUEST_MODES, Arch, GuestMode
from orchestration.base.errors import BuildError
from orchestration.build import system

if TYPE_CHECKING:
    from quoll_abi import Abi

HEADER = struct.Struct("<QQQIIQ24x")
SEGMENT = struct.Struct("<16sQQQQQII")
PF_X, PF_W, PF_R = 1, 2, 4
# Names of segments that servers/root/guest.c knows.
LINUX, INITRD = "linux", "initrd"


@dataclass(frozen=True)
class Segment:
    """One part of a program, or a blob; addresses and sizes in bytes."""

    program: str
    vaddr: int
    data: bytes
    mem_size: int
    entry: int
    rights: int
    kind: int


def program_segments(arch: Arch, abi: Abi, name: str, path: Path) -> list[Segment]:
    """Return the loadable segments of an ELF program, page-aligned at both ends of their address."""
    # Takes a tenth of a second, and a start from a snapshot packs nothing.
    from elftools.common.exceptions import ELFError
    from elftools.elf.elffile import ELFFile

    try:
        with path.open("rb") as stream:
            elf = ELFFile(stream)
            if elf["e_machine"] != arch.elf_machine:
                raise BuildError(f"{name} is a program for {elf['e_machine']}, not for {arch.name}")
            entry = elf["e_entry"]
            loaded = [(part["p_vaddr"], part.data(), part["p_memsz"], part["p_flags"])
                      for part in elf.iter_segments() if part["p_type"] == "PT_LOAD" and part["p_memsz"]]
    except ELFError as error:
        raise BuildError(f"{path} is not an ELF program: {error}") from error
    segments = []
    for vaddr, data, mem_size, flags in loaded:
        lead = vaddr % abi.PAGE_SIZE
        rights = ((abi.RIGHT_READ if flags & PF_R else 0) | (abi.RIGHT_WRITE if flags & PF_W else 0)
                  | (abi.RIGHT_EXEC if flags & PF_X else 0))
        segments.append(Segment(name, vaddr - lead, bytes(lead) + data, mem_size + lead, entry, rights,
                                abi.SEGMENT_PROGRAM))
    if not segments:
        raise BuildError(f"{name} has no loadable segment")
    return segments


def initrd_range(abi: Abi, guest_ram: int, size: int) -> range:
    """Return where in guest-physical memory an archive of so many bytes lies: at the end, from a page's start on."""
    page: int = abi.PAGE_SIZE
    start = (guest_ram - size) // page * page
    return range(start, start + size)


def image_base(abi: Abi, vaddr: int) -> int:
    """Return where a guest kernel that is linked at an address has guest-physical address 0."""
    base: int = abi.LINUX_IMAGE_VADDR if vaddr >= abi.LINUX_IMAGE_VADDR else abi.GUEST_RAM_VADDR
    return base


def check_initrd(abi: Abi, segments: Sequence[Segment], where: range) -> None:
    """Raise BuildError when an archive would lie on Linux, or on what is below it."""
    end = max((segment.vaddr - image_base(abi, segment.vaddr) + segment.mem_size for segment in segments
               if segment.program == LINUX), default=abi.GUEST_KERNEL_GPA)
    if where.start < end:
        raise BuildError(f"a root file system of {len(where) >> 20} MiB does not fit into the guest's memory beside "
                         "Linux", "fewer packages, or more memory (orchestration/machine/description.py)")


def pack(arch: Arch, abi: Abi, programs: Mapping[str, Path], blobs: Mapping[str, bytes], guest_ram: int,
         servers: Sequence[system.Server] = system.SERVERS, guest_mode: GuestMode | None = None,
         vcpus: int = 1, places: Mapping[str, int] = MappingProxyType({})) -> bytes:
    """Return the boot image of programs (by name) and blobs; guest_ram is in bytes.

    guest_mode: the one that the guest's kernel is to run in, None for any that the machine has. vcpus: how many the
    guest has. places: the CPU of one by its name, where that is not its number (system.vcpu_places).

    The blob INITRD has its place in the guest's memory; raise BuildError when it does not fit. With Linux goes the
    description of the system, unless blobs have one.
    """
    check_layouts(abi)
    if LINUX in programs:
        blobs = {system.BLOB: system.table(abi, servers, vcpus, system.vcpu_places(places))} | dict(blobs)
    segments = [segment for name, path in programs.items() for segment in program_segments(arch, abi, name, path)]
    for name, data in blobs.items():
        vaddr = 0
        if name == INITRD:
            where = initrd_range(abi, guest_ram, len(data))
            check_initrd(abi, segments, where)
            vaddr = where.start
        segments.append(Segment(name, vaddr, data, len(data), 0, abi.RIGHT_READ, abi.SEGMENT_BLOB))
    page = abi.PAGE_SIZE
    offset = -(-(HEADER.size + SEGMENT.size * len(segments)) // page) * page
    table, body = bytearray(), bytearray()
    for segment in segments:
        table += SEGMENT.pack(segment.program.encode(), segment.vaddr, offset + len(body), len(segment.data),
                              segment.mem_size, segment.entry, segment.rights, segment.kind)
        body += segment.data + bytes(-len(segment.data) % page)
    head = HEADER.pack(abi.IMAGE_MAGIC, abi.ABI_HASH, offset + len(body), len(segments),
                       guest_modes(arch, guest_mode), guest_ram)
    return (head + table).ljust(offset, b"\0") + body


def guest_modes(arch: Arch, wanted: GuestMode | None) -> int:
    """Return the bit mask of the modes that a guest's kernel may run in: the one that is wanted, or all of the CPU."""
    if wanted is not None and wanted not in arch.guest_modes:
        raise BuildError(f"{arch.name} has no guest mode {wanted}", f"it has {', '.join(arch.guest_modes)}")
    return sum(1 << number for number, name in enumerate(GUEST_MODES)
               if name in arch.guest_modes and wanted in (None, name))


def servers_of(abi: Abi, packed: Path) -> tuple[system.Server, ...]:
    """Return the servers of the system in a boot image that pack() made; those of the smallest if it tells of none."""
    if not packed.exists():
        return system.SERVERS
    with packed.open("rb") as stream:
        count = HEADER.unpack(stream.read(HEADER.size))[3]
        for entry in list(SEGMENT.iter_unpack(stream.read(SEGMENT.size * count))):
            if entry[0].rstrip(b"\0").decode() == system.BLOB:
                stream.seek(entry[2])
                return system.read_table(abi, stream.read(entry[3]))
    return system.SERVERS


def check_layouts(abi: Abi) -> None:
    """Raise BuildError when the ABI's structures are no longer what this module packs."""
    sizes = {"image_header": HEADER.size, "image_segment": SEGMENT.size}
    for name, size in sizes.items():
        if abi.STRUCTS[name][0] != size:
            raise BuildError(f"struct {name} has changed in the ABI", "mend orchestration/build/image.py")
