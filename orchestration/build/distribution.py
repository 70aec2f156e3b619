# SPDX-License-Identifier: BSD-2-Clause
"""Debian's own kernel: taken out of its package, so nothing has to be built.

Its drivers of disk and network are modules, which a small root file system in memory loads first.
"""

from __future__ import annotations

import io
import lzma
import re
import tarfile
from pathlib import Path

from orchestration.base.arch import Arch
from orchestration.base.cache import Cache, key_of, noted_hash, recipe
from orchestration.base.errors import MissingError
from orchestration.build import initramfs, rootfs

PACKAGES = {"x86_64": "linux-image-cloud-amd64", "riscv64": "linux-image-riscv64", "aarch64": "linux-image-cloud-arm64"}
KERNEL, CONFIG, MODULES = "vmlinuz", "config", "modules.tar"
# What a disk with ext4 and a network ask for, in the order in which they need each other. Some kernels have some of it
# built in.
DRIVERS = ("crc16.ko", "crc32c_generic.ko", "mbcache.ko", "jbd2.ko", "ext4.ko", "virtio_blk.ko", "failover.ko",
           "net_failover.ko", "virtio_net.ko")
# A file of the package that lists what is built in.
BUILT_IN = "modules.builtin"
# The first program: it has the drivers loaded and goes on with the init= of the disk.
INIT = f"""#!/bin/sh
mount -t devtmpfs dev /dev
mount -t proc proc /proc
for driver in {' '.join(DRIVERS)}; do [ ! -f /$driver ] || insmod /$driver; done
until [ -b /dev/vda ]; do sleep 0.1; done
mount -t ext4 -o rw /dev/vda /mnt
mount --move /dev /mnt/dev
init=/sbin/init
for word in $(cat /proc/cmdline); do
    case $word in init=*) init=${{word#init=}};; esac
done
umount /proc
exec busybox switch_root /mnt $init
""".encode()


def unpacked(arch: Arch, cache: Cache) -> Path:
    """Return a folder with kernel, config, modules.tar and the drivers of Debian's package.

    The config is among the modules as well, where programs look for it: this kernel does not tell it in /proc.
    """
    archive = rootfs.unpacked(arch.debian, cache, [PACKAGES[arch.name]], f"distribution-{arch.name}.log")

    def make(entry: Path) -> None:
        built_in: set[str] = set()
        with tarfile.open(archive) as packed, tarfile.open(entry / MODULES, "w") as modules:
            for member in packed:
                stream = packed.extractfile(member) if member.isreg() else None
                found = re.search(r"(?:^|/)(?:boot/(vmlinu[xz]|config)-(.*)|(lib/modules/.*))", member.name)
                if stream is None or found is None:
                    continue
                content = stream.read()
                if found[1]:
                    (entry / (CONFIG if found[1] == CONFIG else KERNEL)).write_bytes(content)
                name = member.name.rpartition("/")[2].removesuffix(".xz")
                if name in DRIVERS:
                    (entry / name).write_bytes(lzma.decompress(content))
                elif name == BUILT_IN:
                    built_in = {line.rpartition("/")[2] for line in content.decode().splitlines()}
                place = found[3] or (f"lib/modules/{found[2]}/config" if found[1] == CONFIG else "")
                if place:
                    one = tarfile.TarInfo(place)
                    one.size, one.mode = len(content), 0o644
                    modules.addfile(one, io.BytesIO(content))
        missing = [name for name in (KERNEL, CONFIG, *DRIVERS) if not (entry / name).exists() and name not in built_in]
        if missing:
            raise MissingError(f"{PACKAGES[arch.name]} has no {', '.join(missing)}", "Debian has changed its package")

    return cache.get("distribution", key_of(noted_hash(archive), recipe(Path(__file__))), make)


def first_files(arch: Arch, cache: Cache, made: Path) -> Path:
    """Return the root file system in memory that goes on to the disk."""
    drivers = {name: (made / name).read_bytes() for name in DRIVERS if (made / name).exists()}
    return initramfs.archive(arch, cache, rootfs.Spec(), {"init": INIT, **drivers}, {})


def release(made: Path) -> str:
    """Return what the kernel calls itself, such as 6.12.57+deb13-cloud-amd64."""
    with tarfile.open(made / MODULES) as modules:
        first = modules.next()
    return first.name.split("/")[2] if first else ""
