# SPDX-License-Identifier: BSD-2-Clause
"""All that the orchestration knows about a CPU architecture: one frozen dataclass each."""

from __future__ import annotations

from dataclasses import dataclass

from orchestration.errors import UsageError


@dataclass(frozen=True)
class Arch:
    """One machine that Quoll boots on."""

    name: str
    """As on the command line, in kernel/arch and in abi.yaml."""
    debian: str
    """Debian's name of the architecture, for the root file system."""
    qemu: str
    """The emulator's program."""
    machine: tuple[str, ...]
    """The emulator's machine and CPU."""
    counted_cpu: str
    """The CPU under -icount, where a string instruction counts once for each step: none that go byte by byte."""
    pci_suffix: str
    """What follows virtio-blk- and virtio-net- in a device's name."""
    linux_arch: str
    """ARCH of a native Linux of the same source, for comparisons."""
    linux_image: str
    """Native Linux's boot file in its build folder."""
    native_console: str
    """Native Linux's console device."""
    compiler: str
    """C compiler for programs that run in the guest."""
    elf_machine: str
    """pyelftools' name of the machine, checked before a program is packed."""


ARCHES = {
    arch.name: arch
    for arch in (
        Arch(name="x86_64", debian="amd64", qemu="qemu-system-x86_64", machine=("-M", "q35"),
             counted_cpu="max,erms=off,fsrm=off", pci_suffix="pci", linux_arch="x86_64",
             linux_image="arch/x86/boot/bzImage", native_console="ttyS0", compiler="gcc", elf_machine="EM_X86_64"),
    )
}


def find(name: str) -> Arch:
    """Return the architecture called name, or raise UsageError that lists the valid ones."""
    if name not in ARCHES:
        raise UsageError(f"unknown architecture '{name}'; valid: {', '.join(ARCHES)}")
    return ARCHES[name]
