# SPDX-License-Identifier: BSD-2-Clause
"""The list of suites, and the two machines that run one."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

from orchestration.base.arch import Arch
from orchestration.base.cache import Cache
from orchestration.base.errors import UsageError
from orchestration.base.rundir import RunDirectory
from orchestration.base.tools import program
from orchestration.build import flavours, linux, quoll, rootfs, userland
from orchestration.conform import ltp, perl, python, selftests
from orchestration.conform.suite import DISK, Suite
from orchestration.machine import boot
from orchestration.machine.description import Description, Disk
from orchestration.machine.progress import Progress
from orchestration.machine.qemu import MIB
from orchestration.machine.session import Session

# Bytes of either machine: what the largest tests touch, and room for what they leave in memory.
MEMORY = 1 << 30


def known(ltp_folder: Path | None = None) -> dict[str, Suite]:
    """Return the suites by name. ltp_folder: where LTP is installed, if it is."""
    return {one.name: one for one in (selftests.SUITE, python.SUITE, perl.SUITE, ltp.suite(ltp_folder))}


def find(name: str, ltp_folder: Path | None = None) -> Suite:
    """Return the suite of a name; raise UsageError that lists the valid ones."""
    found = known(ltp_folder)
    if name not in found:
        raise UsageError(f"unknown suite '{name}'; valid: {', '.join(found)}")
    return found[name]


def machines(arch: Arch, cache: Cache, progress: Progress, suite: Suite, folder: Path, *,
             full: bool) -> tuple[Callable[[], Session], Callable[[], Session]]:
    """Build both sides; return what makes a session of the guest, and what makes one of native Linux.

    The root file system has the same files on both but for modules, and the memory the same size. full: with the
    kernels that have all that a suite asks for, or with the small ones, which are built in minutes.
    """
    disks = (Disk(folder / DISK, read_only=True),) if (folder / DISK).exists() else ()
    description = Description(arch=arch.name, memory=MEMORY, disks=disks)
    spec = rootfs.Spec(extra=suite.packages)
    with progress.step("L4, servers"):
        bare = quoll.bare(arch, cache)
    with progress.step("build Linux"):
        port = linux.linux(arch, cache, flavours.guest(arch, full=full))
    with progress.step("native Linux"):
        flavour = flavours.native(arch, full=full)
        native = linux.linux(arch, cache, flavour)
    with progress.step("root disks"):
        disk = rootfs.base_image(arch, cache, spec, port / "modules.tar")
        other_disk = rootfs.base_image(arch, cache, spec, native / "modules.tar" if full else None)
    made = boot.Artefacts(arch, quoll.abi(arch), bare, port, disk, userland.TINY)
    quiet = Progress(quiet=True)
    image = native / flavour.image.rpartition("/")[2]

    def guest() -> Session:
        return boot.prepare(description, made, quiet, RunDirectory(f"conform-{arch.name}"))

    def other() -> Session:
        return boot.prepare_native(arch, image, other_disk, quiet, RunDirectory(f"conform-native-{arch.name}"),
                                   bootargs=f"mem={description.memory // MIB}M {arch.busy_bootargs}", disks=disks)

    return guest, other


def versions(arch: Arch, cache: Cache) -> str:
    """Return which Linux and QEMU were compared."""
    emulator = subprocess.run([program(arch.qemu), "--version"], capture_output=True, text=True, check=True)
    base = (flavours.PATCHES / "BASE").read_text().split()
    return f"Linux {base[-1] if base else '6.12'}, {emulator.stdout.splitlines()[0].split('(')[0].strip()}"
