# SPDX-License-Identifier: BSD-2-Clause
"""Registers and instructions by architecture, as QEMU's debugger stub names and writes them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Code:
    """An architecture's registers, as QEMU's stub calls them, and instructions of which a fault is made."""

    gdb: str
    """The name for gdb's `set architecture`."""
    pc: str
    sp: str
    illegal: bytes
    forever: bytes
    address: str
    value: str
    stores: dict[int, bytes]
    """By number of bytes: store the value register where the address register points."""
    registers: tuple[str, ...]


CODES = {
    "x86_64": Code(gdb="i386:x86-64", pc="rip", sp="rsp", illegal=b"\x0f\x0b", forever=b"\xeb\xfe",
                   address="rdi", value="rax",
                   stores={1: b"\x88\x07", 4: b"\x89\x07", 8: b"\x48\x89\x07"},
                   registers=("rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rbp", "rsp",
                              *(f"r{n}" for n in range(8, 16)))),
    # sb, sw, sd a0, 0(a1); the illegal one is all zeros; j .
    "riscv64": Code(gdb="riscv:rv64", pc="pc", sp="sp", illegal=bytes(4), forever=b"\x6f\x00\x00\x00",
                    address="a1", value="a0",
                    stores={1: b"\x23\x80\xa5\x00", 4: b"\x23\xa0\xa5\x00", 8: b"\x23\xb0\xa5\x00"},
                    registers=("ra", "sp", "t0", "t1", "t2", "fp", "s1", *(f"a{n}" for n in range(8)),
                               *(f"s{n}" for n in range(2, 12)), "t3", "t4", "t5", "t6")),
    # strb w0, [x1]; str w0, [x1]; str x0, [x1]; udf #0; b .
    "aarch64": Code(gdb="aarch64", pc="pc", sp="sp", illegal=bytes(4), forever=b"\x00\x00\x00\x14",
                    address="x1", value="x0",
                    stores={1: b"\x20\x00\x00\x39", 4: b"\x20\x00\x00\xb9", 8: b"\x20\x00\x00\xf9"},
                    registers=(*(f"x{n}" for n in range(31)), "sp")),
}
