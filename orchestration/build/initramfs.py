# SPDX-License-Identifier: BSD-2-Clause
"""Makes a root file system that Linux unpacks into memory: the guest's disk as a cpio archive, and given files.

The archive is a cache entry, the same bytes for the same content. Linux runs its /init and waits for no device.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path

from orchestration.base import tools
from orchestration.base.arch import Arch
from orchestration.base.cache import Cache, files_below, hash_file, key_of, noted_hash, recipe
from orchestration.base.tree import ROOT
from orchestration.build import rootfs

ARCHIVE = "root.cpio"
PACK_LIMIT = 300
# Owners and order do not depend on this machine, and neither do device and inode numbers.
PACK = "find . -mindepth 1 -print0 | LC_ALL=C sort -z | cpio --null --create --format=newc --reproducible --owner=+0:+0"


def archive(arch: Arch, cache: Cache, spec: rootfs.Spec, files: Mapping[str, bytes],
            unpacked: Mapping[str, Path]) -> Path:
    """Return the archive of a kind of root file system, without modules of Linux.

    files are programs, by their path; unpacked are tar files, by the folder that they are unpacked in.
    """
    base = rootfs.packages(arch, cache, spec)
    key = key_of(noted_hash(base), spec.name, PACK, recipe(Path(__file__), Path(rootfs.__file__)),
                 *(f"{name} {content.hex()}" for name, content in sorted(files.items())),
                 *(f"{name} {hash_file(path)}" for name, path in sorted(unpacked.items())),
                 files=files_below(rootfs.FOLDER / spec.name), base=ROOT)

    def make(entry: Path) -> None:
        with rootfs.filled(cache, spec, base, None, f"initramfs-{arch.name}.log") as (tree, log):
            for folder, path in unpacked.items():
                (tree / folder).mkdir(parents=True)
                tools.run(["tar", "--force-local", "-C", str(tree / folder), "--no-same-owner", "-xf", str(path)], log,
                          f"unpacking {path.name}", PACK_LIMIT)
            for file, content in files.items():
                (tree / file).parent.mkdir(parents=True, exist_ok=True)
                (tree / file).write_bytes(content)
                (tree / file).chmod(0o755)
            rootfs.forget_times(tree)
            tools.run(["sh", "-c", f"{PACK} > {shlex.quote(str(entry / ARCHIVE))}"], log,
                      "packing the root file system", PACK_LIMIT, cwd=tree)

    return cache.get("initramfs", key, make) / ARCHIVE
