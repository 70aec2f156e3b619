# SPDX-License-Identifier: BSD-2-Clause
"""Description of a system: which servers run, what each drives and which device of the guest it is; its vCPUs.

The root pager reads it from the boot image, Linux finds its devices by the device tree, and the tools find a server by
its number here: nothing else names a device's number.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from quoll_abi import Abi

BLOB = "system"
"""Its name in the boot image."""
HEADER = struct.Struct("<II8s")
ENTRY = struct.Struct("<16s16sIIIII4x")
VCPU, VCPUS_MAX = "vcpu", 8
"""What a vCPU is called, before its number; how many a guest may have (GUEST_VCPUS of the ABI)."""
PROGRAM_SIZE = 16
"""Bytes of a program's name in server_info."""


@dataclass(frozen=True)
class Server:
    """A server and its edges; its number is its place among the servers of its system."""

    program: str
    """Its name in the boot image."""
    device: str
    """What it drives, as servers/platform/device.c calls it."""
    front: int
    """Number of the guest's device that it is."""
    guest: int = 0
    writes_log: bool = False
    """It gets the kernel's log and writes it out."""
    instance: int = 0
    """Which of the machine's devices of this kind it drives, in the order of the bus."""
    cpu: int = 0
    """Where it runs; on a machine with fewer CPUs, on this number modulo theirs."""

    @property
    def name(self) -> str:
        """Return how the root pager calls it: its program, and a number if it drives a further device of a kind."""
        return f"{self.program}{self.instance + 1}" if self.instance else self.program


SERVERS = (Server("console", "serial line", 0, writes_log=True), Server("block", "disk", 1),
           Server("net", "network card", 2))
"""Those of the smallest system."""
PROGRAMS = (*(server.program for server in SERVERS), "9p")
"""All that can be servers."""


def servers(disks: int = 0, shares: int = 0, places: Mapping[str, int] = MappingProxyType({})) -> tuple[Server, ...]:
    """Return the servers of a system with so many disks beside the first, and folders of the host.

    Linux finds its devices in this order. places: the CPU of a server by its name, where that is not the default.
    """
    found = list(SERVERS)
    found += [Server("block", "disk", len(found) + number, instance=1 + number) for number in range(disks)]
    found += [Server("9p", "shared folder", len(found) + number, instance=number) for number in range(shares)]
    return tuple(replace(server, cpu=places.get(server.name, server.cpu)) for server in found)


def vcpu_places(places: Mapping[str, int]) -> tuple[int, ...]:
    """Return the CPU of each vCPU that a guest may have: of vCPU n what stands for vcpuN, or else CPU n."""
    return tuple(places.get(f"{VCPU}{number}", number) for number in range(VCPUS_MAX))


def programs(of: Sequence[Server]) -> list[str]:
    """Return the programs that a system needs beside Linux, each once."""
    return ["root", *dict.fromkeys(server.program for server in of)]


def by_name(of: Sequence[Server]) -> dict[str, str]:
    """Return the program of the root pager and of each server, by the name of who runs it."""
    return {"root": "root"} | {server.name: server.program for server in of}


def fronts(of: Sequence[Server] = SERVERS) -> list[int]:
    """Return the numbers of the guest's devices."""
    return [server.front for server in of]


def table(abi: Abi, of: Sequence[Server] = SERVERS, vcpus: int = 1, vcpu_cpus: Sequence[int] = range(VCPUS_MAX)
          ) -> bytes:
    """Return the description as the root pager reads it (struct system_header and system_server of the ABI)."""
    assert abi.STRUCTS["system_header"][0] == HEADER.size
    assert abi.STRUCTS["system_server"][0] == ENTRY.size
    return HEADER.pack(len(of), vcpus, bytes(vcpu_cpus)) + b"".join(
        ENTRY.pack(server.program.encode(), server.device.encode(), server.guest, server.front,
                   abi.SYSTEM_WRITES_LOG if server.writes_log else 0, server.instance, server.cpu) for server in of)


def read_table(abi: Abi, data: bytes) -> tuple[Server, ...]:
    """Return the servers of a description that table() made."""
    return tuple(Server(program.rstrip(b"\0").decode(), device.rstrip(b"\0").decode(), front, guest,
                        bool(flags & abi.SYSTEM_WRITES_LOG), instance, cpu)
                 for program, device, guest, front, flags, instance, cpu in ENTRY.iter_unpack(data[HEADER.size:]))


def running(abi: Abi, page: bytes | None) -> str:
    """Return the program that a server_info page tells of; nothing if it is none."""
    if page is None or int.from_bytes(page[:8], "little") != abi.SERVERS_HASH:
        return ""
    at = abi.STRUCTS["server_info"][1]["program"][0]
    return page[at:at + PROGRAM_SIZE].split(b"\0")[0].decode(errors="replace")


def identified(abi: Abi, page: bytes | None, of: Sequence[Server]) -> str:
    """Return the name of whom the page at SERVER_INFO_VADDR tells: the root pager, or a server; nothing if nobody.

    Servers of one program differ in the guest's device that they are.
    """
    if page is not None and int.from_bytes(page[:8], "little") == abi.BOOT_MAGIC:
        return "root"
    program = running(abi, page)
    if not program or page is None:
        return ""
    places = [one["address"] for one in resources(abi, page, abi.RESOURCE_QUEUES)]
    return next((one.name for one in of if one.program == program
                 and abi.GUEST_DEVICE_GPA + one.front * abi.PAGE_SIZE in places), "")


def resources(abi: Abi, page: bytes, kind: int) -> list[dict[str, int]]:
    """Return the resources of a kind on a server_info page. It may be a guest's program's, made to look like one."""
    fields = abi.STRUCTS["resource"][1]
    size, start = abi.STRUCTS["resource"][0], abi.STRUCTS["server_info"][1]["resource"][0]
    at = abi.STRUCTS["server_info"][1]["resource_count"][0]
    count = min(int.from_bytes(page[at:at + 8], "little"), (len(page) - start) // size)
    found = [{name: int.from_bytes(page[start + size * i + place[0]:start + size * i + place[0] + place[1]], "little")
              for name, place in fields.items()} for i in range(count)]
    return [one for one in found if one["kind"] == kind]
