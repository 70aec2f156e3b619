# SPDX-License-Identifier: BSD-2-Clause
"""Debian's own kernel on the bare machine: what its user has without Quoll, and nothing that has to be built.

Its options are Debian's, so it is no peer for single operations; whole programs can be set beside it. Its disk driver
is a module, which a small root file system in memory loads first.
"""

from __future__ import annotations

import io
import lzma
import re
import tarfile
from pathlib import Path

from orchestration.base.arch import Arch
from orchestration.base.cache import Cache, key_of, noted_hash, recipe
from orchestration.base.errors import MissingError, UsageError
from orchestration.base.roots import DEBIAN
from orchestration.base.rundir import RunDirectory
from orchestration.bench.sides import Side, counted
from orchestration.bench.terms import DISTRIBUTION, Clock
from orchestration.build import initramfs, rootfs, userland
from orchestration.machine import boot
from orchestration.machine.description import DEFAULT_MEMORY
from orchestration.machine.progress import Progress
from orchestration.machine.qemu import MIB
from orchestration.machine.session import Session

PACKAGES = {"x86_64": "linux-image-cloud-amd64"}
KERNEL, CONFIG, MODULES, DRIVER = "vmlinuz", "config", "modules.tar", "virtio_blk.ko"
# The first program: it has the disk's driver loaded and goes on with what is on the disk.
INIT = b"""#!/bin/sh
mount -t devtmpfs dev /dev
mount -t proc proc /proc
insmod /virtio_blk.ko
until [ -b /dev/vda ]; do sleep 0.1; done
mount -t ext4 -o rw /dev/vda /mnt
mount --move /dev /mnt/dev
umount /proc
exec busybox switch_root /mnt /sbin/init
"""
# As ours and native Linux of our own options are.
BOOTARGS = "mitigations=off"


def unpacked(arch: Arch, cache: Cache) -> Path:
    """Return a folder with kernel, config, modules.tar and the disk's driver of Debian's package."""
    archive = rootfs.unpacked(arch.debian, cache, [PACKAGES[arch.name]], f"distribution-{arch.name}.log")

    def make(entry: Path) -> None:
        with tarfile.open(archive) as packed, tarfile.open(entry / MODULES, "w") as modules:
            for member in packed:
                stream = packed.extractfile(member) if member.isreg() else None
                found = re.search(r"(?:^|/)(?:boot/(vmlinuz|config)-|(lib/modules/.*))", member.name)
                if stream is None or found is None:
                    continue
                content = stream.read()
                if found[1]:
                    (entry / found[1]).write_bytes(content)
                    continue
                if member.name.endswith(f"/{DRIVER}.xz"):
                    (entry / DRIVER).write_bytes(lzma.decompress(content))
                one = tarfile.TarInfo(found[2])
                one.size, one.mode = len(content), 0o644
                modules.addfile(one, io.BytesIO(content))
        if not all((entry / name).exists() for name in (KERNEL, CONFIG, DRIVER)):
            raise MissingError(f"{PACKAGES[arch.name]} lacks one of {KERNEL}, {CONFIG}, {DRIVER}",
                               "Debian has changed its package")

    return cache.get("distribution", key_of(noted_hash(archive), recipe(Path(__file__))), make)


def check(arch: Arch, root: str) -> None:
    """Raise UsageError where Debian's own kernel is no peer."""
    if root != DEBIAN:
        raise UsageError("Debian's own kernel is for workloads on Debian", f"add --rootfs {DEBIAN}")
    if arch.name not in PACKAGES:
        raise UsageError(f"Debian's own kernel is measured on {', '.join(PACKAGES)} only, not on {arch.name}",
                         f"leave --against {DISTRIBUTION} away")


def side(arch: Arch, cache: Cache, progress: Progress, root: str) -> Side:
    """Fetch Debian's kernel and return its side."""
    check(arch, root)
    with progress.step("fetch Debian's Linux"):
        made = unpacked(arch, cache)
        initrd = initramfs.archive(arch, cache, rootfs.Spec(),
                                   {"init": INIT, DRIVER: (made / DRIVER).read_bytes()}, {})

    def session(disk: Path, clock: Clock, run: RunDirectory) -> Session:
        extra = (*counted(arch, clock), "-initrd", str(initrd))
        return boot.prepare_native(arch, made / KERNEL, disk, progress, run, extra,
                                   f"mem={DEFAULT_MEMORY // MIB}M {BOOTARGS}", userland.DEBIAN)

    def in_memory(archive: Path, run: RunDirectory) -> Session:
        raise UsageError(f"nothing of Debian is counted in memory: {archive} in {run.path}")

    return Side(DISTRIBUTION, session, in_memory, made / CONFIG, made / MODULES)
