# SPDX-License-Identifier: BSD-2-Clause
"""The guest's device tree: written as source, compiled here. Nodes: docs/guest-interface.md, "Devices"."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING

from orchestration.build import system

with warnings.catch_warnings():
    # Python 3.12 and newer warn of an escape in its source when they compile it.
    warnings.simplefilter("ignore", SyntaxWarning)
    import fdt

if TYPE_CHECKING:
    from quoll_abi import Abi

EVENTS_PHANDLE = 1
DTB_SIZE = 0x10000
NO_INITRD = range(0)


def cells(value: int) -> str:
    """Return a 64-bit number as two cells."""
    return f"{value >> 32:#x} {value & 0xFFFFFFFF:#x}"


def source(abi: Abi, bootargs: str, guest_ram: int, seed: bytes, initrd: range = NO_INITRD,
           servers: Sequence[system.Server] = system.SERVERS, vcpus: int = 1) -> str:
    """Return the tree's source. guest_ram is in bytes; seed feeds the guest's random numbers; vcpus: how many it has.

    bootargs may hold any bytes, quotes among them, as a command line does.

    initrd is where in guest-physical memory the archive of the root file system lies, empty for a guest that has none.
    """
    devices = "\n".join(
        f"""\tvirtio@{abi.GUEST_DEVICE_GPA + number * abi.PAGE_SIZE:x} {{
\t\tcompatible = "quoll,virtio-l4";
\t\treg = <{cells(abi.GUEST_DEVICE_GPA + number * abi.PAGE_SIZE)} {cells(abi.PAGE_SIZE)}>;
\t\tinterrupt-parent = <{EVENTS_PHANDLE}>;
\t\tinterrupts = <{1 + number}>;
\t\tquoll,kick-slot = <{abi.GUEST_SLOT_KICK + number}>;
\t}};""" for number in system.fronts(servers))
    cpus = "\n".join(f"""\t\tcpu@{number} {{
\t\t\tdevice_type = "cpu";
\t\t\treg = <{number}>;
\t\t}};""" for number in range(vcpus))
    reserved, chosen = "", ""
    if initrd:
        # Linux leaves alone what it is told to load from only where its architecture sees to that; a reservation it
        # keeps everywhere.
        reserved = f"/memreserve/ {initrd.start:#x} {-(-len(initrd) // abi.PAGE_SIZE) * abi.PAGE_SIZE:#x};\n"
        chosen = f"\t\tlinux,initrd-start = <{cells(initrd.start)}>;\n\t\tlinux,initrd-end = <{cells(initrd.stop)}>;\n"
    return f"""/dts-v1/;
{reserved}/ {{
\t#address-cells = <2>;
\t#size-cells = <2>;
\tcompatible = "quoll,guest";
\tmodel = "Quoll";
\tchosen {{
\t\tbootargs = [{(os.fsencode(bootargs) + bytes(1)).hex(" ")}];
\t\trng-seed = [{seed.hex(" ")}];
{chosen}\t}};
\tcpus {{
\t\t#address-cells = <1>;
\t\t#size-cells = <0>;
{cpus}
\t}};
\tmemory@0 {{
\t\tdevice_type = "memory";
\t\treg = <{cells(0)} {cells(guest_ram)}>;
\t}};
\treserved-memory {{
\t\t#address-cells = <2>;
\t\t#size-cells = <2>;
\t\tranges;
\t\tdtb@{abi.GUEST_DTB_GPA:x} {{
\t\t\treg = <{cells(abi.GUEST_DTB_GPA)} {cells(DTB_SIZE)}>;
\t\t}};
\t\tdevices@{abi.GUEST_DEVICE_GPA:x} {{
\t\t\treg = <{cells(abi.GUEST_DEVICE_GPA)} {cells((max(system.fronts(servers)) + 1) * abi.PAGE_SIZE)}>;
\t\t}};
\t}};
\tl4 {{
\t\tcompatible = "quoll,l4-events";
\t\tinterrupt-controller;
\t\t#interrupt-cells = <1>;
\t\tphandle = <{EVENTS_PHANDLE}>;
\t}};
{devices}
}};
"""


def compile_tree(abi: Abi, bootargs: str, guest_ram: int, seed: bytes, initrd: range = NO_INITRD,
                 servers: Sequence[system.Server] = system.SERVERS, vcpus: int = 1) -> bytes:
    """Return the flattened device tree."""
    blob: bytes = fdt.parse_dts(source(abi, bootargs, guest_ram, seed, initrd, servers, vcpus)).to_dtb(version=17)
    if len(blob) > DTB_SIZE:
        raise ValueError(f"the device tree has {len(blob)} bytes, more than {DTB_SIZE}")
    return blob
