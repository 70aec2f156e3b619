# SPDX-License-Identifier: BSD-2-Clause
"""The disk of a guest by the name that the user gives it: tiny, debian, or a file of the user's own.

An image that we make is a cache entry; a user's image stays where it is. A run gets a copy with that run's keys.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from orchestration.base import doctor, tools
from orchestration.base.arch import Arch
from orchestration.base.cache import TREE, Cache, files_below, hash_file, key_of, noted_hash, recipe
from orchestration.base.errors import BuildError, InfrastructureError, UsageError
from orchestration.base.ownership import OwnFolder
from orchestration.base.roots import DEBIAN, TINY
from orchestration.base.tree import ROOT
from orchestration.build import debian, pack, rootfs, userland
from orchestration.build.pack import Plan
from orchestration.build.userland import Image, Login, Userland

# Bytes: an image of a tar file has at least this size, and this much room beside its content; a run's copy takes only
# what is written.
LEAST, ROOM = 2 << 30, 1 << 30
# Bytes: the files and the image of them.
SPACE_NEEDED = 3 << 30
# Ends the line of a key that a run wrote.
MARK = b" quoll"
# The beginnings of what tar unpacks.
PACKED = (b"\x1f\x8b", b"\xfd7zXZ\0", b"BZh", b"\x28\xb5\x2f\xfd", b"LZIP", b"\x5d\0\0", b"\x04\x22\x4d\x18")
TAR_AT, TAR = 257, b"ustar"
# Of Debian's archive: keys that every copy would share, lists that are old by the time somebody reads them.
REMOVED = ("etc/ssh/ssh_host_*", "etc/apt/sources.list", "var/lib/dbus/machine-id")
# systemd makes nothing anew at boot for a /usr that is not newer than these.
UPDATED = ("etc/.updated", "var/.updated")


@dataclass(frozen=True)
class Disk:
    """A root file system that a run copies, and what a boot has to know of it."""

    image: Path
    userland: Userland


def find(arch: Arch, cache: Cache, name: str, include: tuple[str, ...], modules: Path, *, compare: bool = True,
         ) -> Disk:
    """Return the disk called name, made if need be. modules: tar file of the kernel's modules.

    compare=False is for who needs the noted hash of our own images and not the image (Cache.get()).
    """
    if name == TINY:
        return Disk(rootfs.base_image(arch, cache, rootfs.Spec(), modules, compare=compare), userland.TINY)
    if name == DEBIAN:
        return Disk(debian_image(arch, cache, include, modules, compare=compare), userland.DEBIAN)
    path = Path(name)
    image = file_image(arch, cache, path, modules) if is_tar(path) else path
    return Disk(image, userland.look(image, arch, name))


def check(arch: Arch, name: str, include: tuple[str, ...]) -> None:
    """Raise UsageError for a root file system that cannot be had, as far as that shows before anything is built."""
    if include and name != DEBIAN:
        raise UsageError(f"--include takes --rootfs {DEBIAN}: packages are installed into nothing else",
                         f"add --rootfs {DEBIAN}")
    debian.packages(include)
    if name not in {TINY, DEBIAN}:
        check_file(Path(name))
        if not is_tar(Path(name)):
            userland.look(Path(name), arch, name)


def check_file(path: Path) -> None:
    """Raise UsageError when a path is no file that we can read."""
    if path.is_dir():
        raise UsageError(f"--rootfs {path} is a folder", f"make a tar file of it: tar -C {path} -cf root.tar .")
    if not path.is_file():
        raise UsageError(f"--rootfs {path} {'is no regular file' if path.exists() else 'does not exist'}",
                         f"valid: {TINY}, {DEBIAN}, a tar file, an ext4 image")
    if not os.access(path, os.R_OK):
        raise UsageError(f"--rootfs {path} cannot be read by this user")
    if path.stat().st_size == 0:
        raise UsageError(f"--rootfs {path} is empty", "give a tar file or an ext4 image")


def is_tar(path: Path) -> bool:
    """Return whether a file is a tar file, packed or not."""
    with path.open("rb") as stream:
        head = stream.read(512)
    return head.startswith(PACKED) or head[TAR_AT:TAR_AT + len(TAR)] == TAR


def debian_image(arch: Arch, cache: Cache, include: tuple[str, ...], modules: Path, *, compare: bool = True) -> Path:
    """Return the image of Debian with our few files."""
    masked = [line.split("#")[0].strip() for line in (debian.FOLDER / "masked").read_text().splitlines()]

    def plan(entry: Path, folder: Path) -> Plan:
        overlay = folder / "overlay"
        shutil.copytree(debian.FOLDER / "etc", overlay / "etc", symlinks=True)
        for name in UPDATED:
            (overlay / name).parent.mkdir(parents=True, exist_ok=True)
            (overlay / name).touch()
        (overlay / "etc/machine-id").touch()
        return Plan(str(debian.archive(arch, cache, include)), str(folder / "tree"), str(entry / rootfs.IMAGE),
                    rootfs.IMAGE_UUID, LEAST, ROOM, str(overlay), REMOVED, tuple(filter(None, masked)), ("root/.ssh",),
                    str(folder / "modules"), debian.EPOCH)

    key = key_of(debian.content(arch, cache, include), noted_hash(modules), str(LEAST), str(ROOM), *REMOVED, *UPDATED,
                 recipe(Path(__file__), Path(pack.__file__)), files=files_below(debian.FOLDER), base=ROOT)
    return packed_image(arch, cache, key, modules, plan, compare=compare)


def file_image(arch: Arch, cache: Cache, path: Path, modules: Path) -> Path:
    """Return the image of a user's tar file, with the kernel's modules added and nothing else changed."""

    def plan(entry: Path, folder: Path) -> Plan:
        return Plan(str(path.resolve()), str(folder / "tree"), str(entry / rootfs.IMAGE), rootfs.IMAGE_UUID, LEAST,
                    ROOM, modules=str(folder / "modules"))

    key = key_of(hash_file(path), noted_hash(modules), str(LEAST), str(ROOM),
                 recipe(Path(__file__), Path(pack.__file__)))
    try:
        return packed_image(arch, cache, key, modules, plan)
    except BuildError as error:
        raise UsageError(f"--rootfs {path} cannot be unpacked: {error.message}",
                         "it must be a tar file of a root file system; a packed one needs its program, such as zstd",
                         error.details) from error


def packed_image(arch: Arch, cache: Cache, key: str, modules: Path, plan: Callable[[Path, Path], Plan], *,
                 compare: bool = True) -> Path:
    """Return the image that a plan describes; plan gets the cache entry and a folder with modules."""

    def make(entry: Path) -> None:
        doctor.check_space(SPACE_NEEDED)
        log = cache.root / "build" / f"image-{arch.name}.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_text("")
        pretend = [] if os.geteuid() == 0 else ["fakeroot"]
        with OwnFolder(cache.root, TREE) as folder:
            (folder / "tree").mkdir()
            unpack_modules(modules, folder / "modules", log)
            tools.run([*pretend, sys.executable, "-I", pack.__file__, plan(entry, folder).text()], log,
                      "making the disk image", rootfs.PACK_LIMIT)

    return cache.get("rootfs", key, make, compare=compare) / rootfs.IMAGE


def unpack_modules(modules: Path, folder: Path, log: Path) -> None:
    """Unpack Linux' modules with the tables that modprobe reads."""
    folder.mkdir()
    tools.run(["tar", "--force-local", "-C", str(folder), "--no-same-owner", "-xf", str(modules)], log,
              "unpacking the modules", rootfs.PACK_LIMIT)
    for release in (folder / "lib/modules").glob("*"):
        tools.run(["depmod", "-b", str(folder), release.name], log, "depmod", rootfs.PACK_LIMIT)


def run_copy(base: Path, disk: Path, login: Login | None, host_key: bytes, client: str, log: Path) -> None:
    """Copy an image to disk with one run's keys: the server's own, and the one client that may come in.

    host_key is in the form that the server reads, client the public half of the client's key.
    """
    tools.run(["cp", "--sparse=always", "--reflink=auto", "--", str(base), str(disk)], log, "copying the disk",
              rootfs.PACK_LIMIT)
    disk.chmod(0o600)
    if login is not None:
        write_keys(disk, login, host_key, client, log)


def write_keys(disk: Path, login: Login, host_key: bytes, client: str, log: Path) -> None:
    """Write a run's keys into an image. Other keys that may log in stay; those of an earlier run go."""
    image = Image(disk)
    if image.unfinished:
        # What debugfs writes would be overwritten by what the journal still has.
        tools.run(["e2fsck", "-y", "-E", "journal_only", str(disk)], log, "replaying the journal", rootfs.PACK_LIMIT)
        image = Image(disk)
    targets, commands = {}, []
    for path, content in ((login.host_key, host_key), (login.authorized, b"")):
        parent = Path(path).parent
        real = image.resolve(str(parent))
        if not real:
            commands += [f"mkdir {parent.parent}"] * (not image.resolve(str(parent.parent))) + [
                f"mkdir {parent}", f"set_inode_field {parent} mode 040700"]
            real = str(parent)
        target = f"{real.rstrip('/')}/{Path(path).name}"
        targets[target] = content or authorized(image, target, client)
    with OwnFolder(disk.parent, "keys-") as folder:
        # debugfs takes a path to its first space and says nothing in its status, so it gets names without a folder,
        # and what is there afterwards is compared.
        for number, (target, content) in enumerate(targets.items()):
            (folder / f"in-{number}").write_bytes(content)
            # A run that is repeated has the keys of the one before; debugfs does not write over a file.
            commands += [f"rm {target}", f"write in-{number} {target}", f"set_inode_field {target} mode 0100600",
                         f"set_inode_field {target} uid 0", f"set_inode_field {target} gid 0"]
        (folder / "commands").write_text("\n".join(commands) + "\n")
        tools.run(["debugfs", "-w", "-f", "commands", str(disk)], log, "writing the run's keys", rootfs.INJECT_LIMIT,
                  cwd=folder)
    for target, content in targets.items():
        if image.ask(f"cat {target}", len(content) + 1) != content:
            raise InfrastructureError(f"{target} of {disk} is not what was written there", f"see {log}",
                                      tools.tail(log))


def authorized(image: Image, target: str, client: str) -> bytes:
    """Return the content of authorized_keys: what is there without an earlier run's key, and this run's."""
    there = image.ask(f"cat {target}") if image.look(target)[0] == "regular" else b""
    if len(there) == userland.READ_LIMIT:
        raise UsageError(f"{target} of {image.path} has {userland.READ_LIMIT >> 20} MiB or more", "make it shorter")
    kept = [line for line in there.split(b"\n") if line and not line.endswith(MARK)]
    return b"\n".join([*kept, client.encode() + MARK, b""])
