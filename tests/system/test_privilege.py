# SPDX-License-Identifier: BSD-2-Clause
"""The guest's kernel has the privilege of its guest mode: samples of the registers of a busy guest.

Beside its programs it runs at their privilege, the CPU's user mode. Above them, on x86_64, it runs at CPL 1.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable

import pytest
from elftools.elf.elffile import ELFFile

from orchestration.base.arch import Arch
from orchestration.machine import boot
from quoll import Guest

# The instruction pointer in the monitor's text, for each CPU.
INSTRUCTION_POINTER = re.compile(r"\b(?:RIP|PC|pc)[ =]+([0-9a-f]{16})")
ENOUGH = 60
# Seconds in which the guest runs between two samples, so that they differ, and for all of them.
BETWEEN, LONGEST = 0.01, 20.0


def kernel_text(made: boot.Artefacts) -> tuple[int, int]:
    """Return the guest kernel's executable addresses, [start, end)."""
    with (made.linux / "vmlinux").open("rb") as stream:
        parts = [(part["p_vaddr"], part["p_vaddr"] + part["p_memsz"]) for part in ELFFile(stream).iter_segments()
                 if part["p_type"] == "PT_LOAD" and part["p_flags"] & 1]
    return min(start for start, _ in parts), max(end for _, end in parts)


def user_page(mappings: str, address: int) -> bool:
    """Return whether address lies in a page of user mode. riscv64's supervisor can never execute such a page
    (privileged architecture, 4.3.1), and the monitor tells no privilege there.
    """
    for line in mappings.splitlines():
        match = re.match(r"([0-9a-f]{16}) [0-9a-f]{16} ([0-9a-f]{16}) (\S+)", line)
        if match and int(match[1], 16) <= address < int(match[1], 16) + int(match[2], 16):
            return "x" in match[3] and "u" in match[3]
    return False


# Whether the CPU has the privilege of a mode, from the monitor's registers, or by asking about the instruction's page.
PRIVILEGE: dict[tuple[str, str], Callable[[str, int, Callable[[str], str]], bool]] = {
    ("x86_64", "beside"): lambda registers, address, ask: "CPL=3" in registers,
    ("x86_64", "above"): lambda registers, address, ask: "CPL=1" in registers,
    ("riscv64", "beside"): lambda registers, address, ask: user_page(ask("info mem"), address),
    ("aarch64", "beside"): lambda registers, address, ask: "EL0t" in registers,
}


def check_privilege(guest: Guest, made: boot.Artefacts, arch: Arch, mode: str) -> None:
    """Look at the privilege of the guest's kernel while it is busy."""
    monitor = guest.session.machine.monitor
    assert monitor is not None
    start, end = kernel_text(made)
    guest.run("dd if=/dev/zero of=/dev/null bs=64 2> /dev/null & echo $! > /run/busy")
    deadline = time.monotonic() + LONGEST
    inside: list[bool] = []
    samples = 0
    try:
        while len(inside) < ENOUGH and time.monotonic() < deadline:
            samples += 1
            monitor.execute("stop")
            registers = monitor.human("info registers")
            found = INSTRUCTION_POINTER.search(registers)
            assert found is not None
            address = int(found[1], 16)
            if start <= address < end:
                inside.append(PRIVILEGE[arch.name, mode](registers, address, monitor.human))
            monitor.execute("cont")
            time.sleep(BETWEEN)
    finally:
        # Other tests share the guest.
        monitor.execute("cont")
        guest.run("kill $(cat /run/busy)")
    assert len(inside) >= 10, f"only {len(inside)} of {samples} samples hit the guest kernel"
    assert all(inside)


@pytest.mark.guest(guest_mode="beside")
def test_beside_its_programs_the_guest_kernel_runs_in_user_mode(guest: Guest, made: boot.Artefacts, arch: Arch) -> None:
    check_privilege(guest, made, arch, "beside")


@pytest.mark.guest(guest_mode="above", arch="x86_64")
def test_above_its_programs_the_guest_kernel_runs_at_cpl_1(guest: Guest, made: boot.Artefacts, arch: Arch) -> None:
    check_privilege(guest, made, arch, "above")
