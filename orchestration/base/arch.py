# SPDX-License-Identifier: BSD-2-Clause
"""The CPU architectures: one frozen dataclass for each.

Standard library only: doctor asks for packages by it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from orchestration.base.errors import UsageError

GuestMode = Literal["beside", "above"]
"""Privileges that a guest kernel can have on some CPU, in the order of their numbers in the ABI."""
GUEST_MODES: tuple[GuestMode, ...] = get_args(GuestMode)
Check = Literal["kasan", "kcsan", "lockdep", "ubsan"]
"""Checks that can be compiled into the guest's Linux: l4linux-patches/configs/debug-*.config."""
CHECKS: tuple[Check, ...] = get_args(Check)


@dataclass(frozen=True)
class Arch:
    """One machine that Quoll boots on."""

    name: str
    """As on the command line, in kernel/arch, in abi.yaml and in orchestration/build/cross."""
    debian: str
    """Debian's name of the architecture, for the root file system and the packages of the cross compiler."""
    qemu: str
    """The emulator's program."""
    packages: tuple[str, ...]
    """Debian's packages of the emulator and its firmware; doctor.py knows the names of older releases."""
    machine: str
    """The emulator's machine."""
    large_memory: str
    """Added to the machine when it has more than 2 GiB, so that all but the first GiB is one piece."""
    pci_devices: int
    """Most devices on PCI, each of which needs an interrupt of its own: four lines where there are no messages."""
    cpu: str
    """The emulated CPU."""
    counted_cpu: str
    """The CPU under -icount. On x86 a string instruction counts once for each step: none that go byte by byte."""
    kernel: str
    """What the emulator loads of L4: the ELF file, or the raw image where only that is given an -initrd."""
    linux_arch: str
    """ARCH of a native Linux of the same source, for comparisons."""
    linux_image: str
    """Native Linux's boot file in its build folder."""
    native_console: str
    """Native Linux's console device."""
    ram_start: int
    """Physical address of the emulated machine's memory."""
    elf_machine: str
    """pyelftools' name of the machine, checked before a program is packed."""
    busy_bootargs: str = ""
    """Added to native Linux's boot arguments where the host may be busy. On x86 Linux counts timer ticks in a few
    loops, and panics when the emulator had no time to make one."""
    large_low: int | None = None
    """Bytes of a large machine's memory that lie there, where the rest lies at 4 GiB."""
    checks: tuple[Check, ...] = ()
    """Those that Linux has run with on this CPU."""
    keeps_turn: bool = False
    """Whether under -icount a CPU keeps its turn while it waits in a loop: RISC-V's PAUSE does not end it."""
    guest_modes: tuple[GuestMode, ...] = GUEST_MODES[:1]
    """Privileges that a guest kernel may have (docs/guest-interface.md)."""

    @property
    def prefix(self) -> str:
        """Return what stands before the names of the compiler and its tools (CROSS_COMPILE)."""
        return f"{self.name}-linux-gnu-"

    @property
    def compiler(self) -> str:
        """Return the C compiler of kernel, servers, Linux, and programs that run in the guest."""
        return f"{self.prefix}gcc"


ARCHES = {
    arch.name: arch
    for arch in (
        Arch(name="x86_64", debian="amd64", qemu="qemu-system-x86_64", packages=("qemu-system-x86",), machine="q35",
             large_memory=",max-ram-below-4g=1G", pci_devices=15, cpu="max", counted_cpu="max,erms=off,fsrm=off",
             kernel="quoll.elf", linux_arch="x86_64",
             linux_image="arch/x86/boot/bzImage", native_console="ttyS0", ram_start=0, large_low=1 << 30,
             busy_bootargs="no_timer_check",
             elf_machine="EM_X86_64", checks=CHECKS, guest_modes=GUEST_MODES),
        Arch(name="riscv64", debian="riscv64", qemu="qemu-system-riscv64", packages=("qemu-system-riscv", "opensbi"),
             machine="virt", large_memory="", pci_devices=4, cpu="rv64", counted_cpu="rv64",
             kernel="quoll.elf", linux_arch="riscv", linux_image="arch/riscv/boot/Image", native_console="ttyS0",
             ram_start=0x80000000,
             elf_machine="EM_RISCV", keeps_turn=True),
        Arch(name="aarch64", debian="arm64", qemu="qemu-system-aarch64", packages=("qemu-system-arm",),
             machine="virt,gic-version=3", large_memory="", pci_devices=4, cpu="cortex-a76",
             counted_cpu="cortex-a76", kernel="quoll.img",
             linux_arch="arm64", linux_image="arch/arm64/boot/Image", native_console="ttyAMA0",
             ram_start=0x40000000, elf_machine="EM_AARCH64"),
    )
}


def find(name: str) -> Arch:
    """Return the architecture called name, or raise UsageError that lists the valid ones."""
    if name not in ARCHES:
        raise UsageError(f"unknown architecture '{name}'; valid: {', '.join(ARCHES)}")
    return ARCHES[name]
