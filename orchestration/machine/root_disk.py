# SPDX-License-Identifier: BSD-2-Clause
"""The first disk of a run: a copy of its root file system, or a persistent disk, with the run's keys."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from orchestration.base.cache import noted_hash
from orchestration.base.ownership import HELD, give_back, keep_back
from orchestration.base.roots import DEBIAN, TINY
from orchestration.base.rundir import RunDirectory
from orchestration.build import disk, extfs, userland
from orchestration.build.disk import Disk
from orchestration.build.userland import Userland
from orchestration.machine import persistent
from orchestration.machine.description import Description
from orchestration.machine.keys import RunKeys

NAME = "disk.ext4"


def host_key(has: Userland, run_keys: RunKeys) -> bytes:
    """Return the key of the SSH server in the form that it reads, nothing for a user land without one."""
    return run_keys.host_files[has.login.openssh] if has.login else b""


def copied(base: Path, run: RunDirectory, has: Userland, run_keys: RunKeys) -> Path:
    """Make one run's disk, with its keys, of an image; return its path."""
    target = run.file(NAME)
    disk.run_copy(base, target, has.login, host_key(has, run_keys), run_keys.client_line, run.file("keys.log"))
    return target


def known(description: Description) -> Disk | None:
    """Return the persistent disk that a description names, if it exists."""
    found = persistent.find(description.persist) if description.persist is not None else None
    if found is None:
        return None
    if description.rootfs == TINY:
        return Disk(found.image, userland.TINY)
    has = userland.look(found.image, description.target, f"persistent disk '{found.name}'")
    return Disk(found.image, replace(has, marks=description.rootfs == DEBIAN))


def of_run(description: Description, base: Path, modules: Path, has: Userland, run: RunDirectory, run_keys: RunKeys,
           ) -> tuple[Path, int | None]:
    """Return the disk of a run with its keys, and, if it is a persistent one, the descriptor of its lock.

    base: image of the root file system; modules: tar file of the kernel's modules, which base has as well.
    """
    log = run.file("keys.log")
    if description.persist is None:
        path = copied(base, run, has, run_keys)
        if description.disk_size is not None:
            extfs.resize(path, description.disk_size, log)
        return path, None
    held = persistent.lock(description.persist, run.path)
    # Programs that change the disk hold the lock to their own end, whatever becomes of this process.
    HELD.add(held)
    try:
        # Another boot may have made the disk since the description was filled.
        persistent.recall(description.persist, description.model_dump())
        found = persistent.find(description.persist) or make(description, base, modules, log)
        persistent.revive(found, description, log)
        if found.record.get("modules", noted_hash(modules)) != noted_hash(modules):
            extfs.replace_modules(found.image, modules, log)
            persistent.note(found, modules=noted_hash(modules))
        if has.login is not None:
            disk.write_keys(found.image, has.login, host_key(has, run_keys), run_keys.client_line, log)
    except BaseException:
        give_back(held)
        raise
    keep_back(held)
    return found.image, held


def make(description: Description, base: Path, modules: Path, log: Path) -> persistent.Known:
    """Make the persistent disk of a description as a copy of an image, of the size that is wanted, without keys.

    Its record has the modules that are in it, but for an image of the user's own, where none are ours.
    """

    def fill(path: Path) -> None:
        disk.run_copy(base, path, None, b"", "", log)
        if description.disk_size is not None:
            extfs.resize(path, description.disk_size, log)

    ours = description.rootfs in {TINY, DEBIAN} or disk.is_tar(Path(description.rootfs))
    return persistent.make(description, fill, **({"modules": noted_hash(modules)} if ours else {}))
