# SPDX-License-Identifier: BSD-2-Clause
"""Makes the guest's disk: Debian packages unpacked without running any of them, our few files, Linux's modules.

The image is a cache entry, the same bytes for the same content. A run gets a copy of it with that run's keys.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from orchestration.base import tools
from orchestration.base.arch import Arch
from orchestration.base.cache import TREE, Cache, files_below, key_of, noted_hash, recipe
from orchestration.base.errors import InfrastructureError, QuollError
from orchestration.base.ownership import PREFIX, OwnFolder, temporary
from orchestration.base.tree import ROOT

SUITE = "trixie"
# mmdebstrap's own choice is this and the suites of updates; those change daily, and a mirror may lag behind in one
# architecture of them, when the release alone is as good.
RELEASE = f"deb http://deb.debian.org/debian {SUITE} main"
FOLDER = ROOT / "rootfs"
IMAGE = "disk.ext4"
# Bytes: an image is at least this large, and has this much room beside what is unpacked into it.
IMAGE_SIZE, IMAGE_ROOM = 768 << 20, 512 << 20
IMAGE_UUID = "71756f6c-6c00-4000-8000-000000000001"
FETCH_LIMIT, PACK_LIMIT, INJECT_LIMIT = 900, 300, 60
# Files for people at a terminal; the guest has no program that reads them.
DROPPED = ("usr/share/doc", "usr/share/man", "usr/share/info", "usr/share/locale", "usr/share/lintian",
           "usr/share/initramfs-tools", "usr/share/bug", "etc/apt", "etc/dpkg", "etc/fstab", "var/cache", "var/log")
MERGED = {"bin": "usr/bin", "sbin": "usr/sbin", "lib": "usr/lib", "lib64": "usr/lib64"}
EMPTY = ("dev", "proc", "sys", "run", "tmp", "mnt", "root", "root/.ssh", "etc/dropbear", "var/tmp", "var/log")


@dataclass(frozen=True)
class Spec:
    """A kind of root file system: a folder below rootfs/, and packages beyond the ones it lists."""

    name: str = "tiny"
    extra: tuple[str, ...] = ()

    def packages(self) -> list[str]:
        """Return the Debian packages, sorted."""
        return sorted({*(FOLDER / self.name / "packages").read_text().split(), *self.extra})


def packages(arch: Arch, cache: Cache, spec: Spec) -> Path:
    """Return a tar file of the unpacked packages with all they depend on."""
    return unpacked(arch.debian, cache, spec.packages(), f"rootfs-{arch.name}.log")


def unpacked(debian: str, cache: Cache, names: list[str], name: str) -> Path:
    """Return a tar file of unpacked packages for Debian's architecture debian, with all they depend on.

    name: of the log.
    """

    def make(entry: Path) -> None:
        log = cache.root / "build" / name
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_text("")
        # Unpacking runs no program of the packages: they may be of any architecture, and fakeroot is enough.
        pretend = [] if os.geteuid() == 0 else ["fakeroot"]
        archive = entry / "packages.tar"
        argv = [*pretend, "mmdebstrap", "--mode=root", "--variant=extract", f"--architectures={debian}",
                f"--include={','.join(names)}", SUITE, str(archive)]
        what = f"fetching Debian {SUITE} packages"
        with OwnFolder(temporary(), PREFIX) as folder:
            # apt downloads as user _apt.
            folder.chmod(0o711)
            env = {"TMPDIR": str(folder)}
            try:
                tools.run(argv, log, what, FETCH_LIMIT, env=env)
            except QuollError:
                archive.unlink(missing_ok=True)
                try:
                    tools.run([*argv, RELEASE], log, what, FETCH_LIMIT, env=env)
                except QuollError as error:
                    raise InfrastructureError(
                        f"cannot fetch {', '.join(names)} for {debian} from Debian {SUITE}: {error.message}",
                        f"see whether apt reaches its mirror, and {log}", error.details) from error

    return cache.get("packages", key_of(SUITE, debian, *names), make) / "packages.tar"


def fill(tree: Path, spec: Spec, archive: Path, modules: Path | None, log: Path) -> None:
    """Make the file tree of an image in the empty folder tree."""
    for target in MERGED.values():
        (tree / target).mkdir(parents=True, exist_ok=True)
    tools.run(["tar", "--force-local", "-C", str(tree), "--exclude=./dev", "--no-same-owner", "-xf", str(archive)], log,
              "unpacking the packages", PACK_LIMIT)
    for name in DROPPED:
        path = tree / name
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    for old, target in MERGED.items():
        if not (tree / old).is_symlink():
            (tree / old).symlink_to(target)
    for name in EMPTY:
        (tree / name).mkdir(parents=True, exist_ok=True)
    (tree / "root").chmod(0o700)
    (tree / "root/.ssh").chmod(0o700)
    source = FOLDER / spec.name
    shutil.copytree(source / "etc", tree / "etc", dirs_exist_ok=True)
    applets = [tree / "usr/bin" / name for name in (source / "applets").read_text().split()]
    # Linux starts modprobe by the second name when it wants a module itself.
    for link in (*applets, tree / "usr/sbin/modprobe"):
        if not link.exists() and not link.is_symlink():
            link.symlink_to(os.path.relpath(tree / "usr/bin/busybox", link.parent))
    if modules is not None:
        tools.run(["tar", "--force-local", "-C", str(tree), "--no-same-owner", "--keep-directory-symlink", "-xf",
                   str(modules)], log, "unpacking the modules", PACK_LIMIT)
        for release in (tree / "lib/modules").glob("*"):
            tools.run(["depmod", "-b", str(tree), release.name], log, "depmod", PACK_LIMIT)


def base_image(arch: Arch, cache: Cache, spec: Spec, modules: Path | None, *, compare: bool = True) -> Path:
    """Return the ext4 image without keys; modules is a tar file, or None. compare: of Cache.get()."""
    archive = packages(arch, cache, spec)
    size = max(IMAGE_SIZE, archive.stat().st_size + IMAGE_ROOM)
    key = key_of(noted_hash(archive), noted_hash(modules) if modules else "", str(size), spec.name,
                 recipe(Path(__file__)), files=files_below(FOLDER / spec.name), base=ROOT)

    def make(entry: Path) -> None:
        with filled(cache, spec, archive, modules, f"image-{arch.name}.log") as (tree, log):
            forget_times(tree)
            pretend = [] if os.geteuid() == 0 else ["fakeroot"]
            tools.run([*pretend, "mke2fs", "-q", "-t", "ext4", "-d", str(tree), "-U", IMAGE_UUID, "-L", "quoll",
                       "-m", "0", "-E", f"hash_seed={IMAGE_UUID},lazy_itable_init=0,lazy_journal_init=0,root_owner=0:0",
                       str(entry / IMAGE), f"{size >> 10}k"], log, "making the disk image", PACK_LIMIT,
                      env={"SOURCE_DATE_EPOCH": "1", "E2FSPROGS_FAKE_TIME": "1"})

    return cache.get("rootfs", key, make, compare=compare) / IMAGE


@contextmanager
def filled(cache: Cache, spec: Spec, archive: Path, modules: Path | None, log: str) -> Iterator[tuple[Path, Path]]:
    """Make a temporary folder with a root file system's files; the value is the folder and a new log file."""
    path = cache.root / "build" / log
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("")
    with OwnFolder(cache.root, TREE) as folder:
        tree = folder / "tree"
        tree.mkdir()
        fill(tree, spec, archive, modules, path)
        yield tree, path


def forget_times(tree: Path) -> None:
    """Set the same time on all files of a folder, so that an image of it has the same bytes each time."""
    for path in [tree, *tree.rglob("*")]:
        os.utime(path, (0, 0), follow_symlinks=False)
