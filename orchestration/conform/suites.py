# SPDX-License-Identifier: BSD-2-Clause
"""The list of suites, and the two machines that run one."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from dataclasses import replace

from orchestration.base.arch import Arch
from orchestration.base.cache import Cache
from orchestration.base.errors import UsageError
from orchestration.base.rundir import RunDirectory
from orchestration.base.tools import program
from orchestration.build import flavours, linux, rootfs
from orchestration.conform import python, selftests
from orchestration.conform.suite import Suite
from orchestration.machine import boot
from orchestration.machine.description import Description
from orchestration.machine.progress import Progress
from orchestration.machine.qemu import MIB
from orchestration.machine.session import Session

SUITES = {one.name: one for one in (selftests.SUITE, python.SUITE)}


def find(name: str) -> Suite:
    """Return the suite of a name; raise UsageError that lists the valid ones."""
    if name not in SUITES:
        raise UsageError(f"unknown suite '{name}'; valid: {', '.join(SUITES)}")
    return SUITES[name]


def machines(arch: Arch, cache: Cache, progress: Progress, suite: Suite
             ) -> tuple[Callable[[], Session], Callable[[], Session]]:
    """Build both sides; return what makes a session of the guest, and what makes one of native Linux.

    The root file system has the same files on both, and the memory the same size.
    """
    description = Description(arch=arch.name)
    made = boot.artefacts(description, cache, progress)
    spec = rootfs.Spec(extra=suite.packages)
    with progress.step("native Linux"):
        flavour = flavours.native(arch)
        native = linux.linux(arch, cache, flavour)
    with progress.step("root disks"):
        made = replace(made, disk=rootfs.base_image(arch, cache, spec, made.linux / "modules.tar"))
        bare = rootfs.base_image(arch, cache, spec, None)
    quiet = Progress(quiet=True)
    image = native / flavour.image.rpartition("/")[2]

    def guest() -> Session:
        return boot.prepare(description, made, quiet, RunDirectory(f"conform-{arch.name}"))

    def other() -> Session:
        return boot.prepare_native(arch, image, bare, quiet, RunDirectory(f"conform-native-{arch.name}"),
                                   bootargs=f"mem={description.memory // MIB}M")

    return guest, other


def versions(arch: Arch, cache: Cache) -> str:
    """Return which Linux and QEMU were compared."""
    emulator = subprocess.run([program(arch.qemu), "--version"], capture_output=True, text=True, check=True)
    base = (flavours.PATCHES / "BASE").read_text().split()
    return f"Linux {base[-1] if base else '6.12'}, {emulator.stdout.splitlines()[0].split('(')[0].strip()}"
