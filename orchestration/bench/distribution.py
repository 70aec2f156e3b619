# SPDX-License-Identifier: BSD-2-Clause
"""Debian's own kernel on the bare machine as a peer: what its user has without Quoll.

Its options are Debian's, so it is no peer for single operations; whole programs can be set beside it.
"""

from __future__ import annotations

from pathlib import Path

from orchestration.base.arch import Arch
from orchestration.base.cache import Cache
from orchestration.base.errors import UsageError
from orchestration.base.roots import DEBIAN
from orchestration.base.rundir import RunDirectory
from orchestration.bench.sides import Side, counted
from orchestration.bench.terms import DISTRIBUTION, Clock
from orchestration.build import distribution, userland
from orchestration.machine import boot
from orchestration.machine.description import DEFAULT_MEMORY
from orchestration.machine.progress import Progress
from orchestration.machine.qemu import MIB
from orchestration.machine.session import Session

# Neither our guest nor native Linux of our own options has mitigations.
BOOTARGS = "mitigations=off"


def check(root: str) -> None:
    """Raise UsageError where Debian's own kernel is no peer."""
    if root != DEBIAN:
        raise UsageError("Debian's own kernel is for workloads on Debian", f"add --rootfs {DEBIAN}")


def side(arch: Arch, cache: Cache, progress: Progress, root: str) -> Side:
    """Fetch Debian's kernel and return its side."""
    check(root)
    with progress.step("fetch Debian's Linux"):
        made = distribution.unpacked(arch, cache)
        initrd = distribution.first_files(arch, cache, made)

    def session(disk: Path, clock: Clock, run: RunDirectory) -> Session:
        extra = (*counted(arch, clock), "-initrd", str(initrd))
        return boot.prepare_native(arch, made / distribution.KERNEL, disk, progress, run, extra,
                                   f"mem={DEFAULT_MEMORY // MIB}M {BOOTARGS}", userland.DEBIAN)

    def in_memory(archive: Path, run: RunDirectory) -> Session:
        raise UsageError(f"nothing of Debian is counted in memory: {archive} in {run.path}")

    return Side(DISTRIBUTION, session, in_memory, made / distribution.CONFIG, made / distribution.MODULES)
