# SPDX-License-Identifier: BSD-2-Clause
"""Disks that survive their run: a folder for each name, with the image, what it was made of, and a lock.

One process at a time has a disk: it holds the lock, which the kernel takes back however the process ends. The image
gets its name when it is whole, so one that was interrupted while it was made does not exist.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestration.base import doctor, ownership
from orchestration.base.errors import UsageError
from orchestration.build import extfs
from orchestration.machine import registry
from orchestration.machine.description import Description, show_size

IMAGE, RECORD, LOCK = "disk.ext4", "disk.json", "lock"
# Fields of a description that are decided when the disk is made.
DECIDED = ("arch", "rootfs", "include")


def folder() -> Path:
    """Return where the disks are. Unlike the cache, this holds what nothing can build again."""
    return doctor.data_root() / "disks"


@dataclass(frozen=True)
class Known:
    """A disk that exists."""

    name: str
    record: Mapping[str, Any]
    """The fields of DECIDED, and what was noted of its content."""

    @property
    def place(self) -> Path:
        """Return its folder."""
        return folder() / self.name

    @property
    def image(self) -> Path:
        """Return its file."""
        return self.place / IMAGE

    def user(self) -> str:
        """Return who has it at the moment, an empty string if nobody."""
        with (self.place / LOCK).open("a+") as stream:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                stream.seek(0)
                return who(stream.read())
        return ""


def find(name: str) -> Known | None:
    """Return a disk, None if there is none of this name."""
    place = folder() / name
    if not (place / IMAGE).exists():
        return None
    try:
        record = json.loads((place / RECORD).read_text())
        for key in DECIDED:
            if not isinstance(record[key], kind := list if key == "include" else str):
                raise TypeError(f"{key} is no {kind.__name__}")
        return Known(name, record)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(f"persistent disk '{name}' has no readable {RECORD}: {error}",
                         f"its file system is {place / IMAGE}") from error


def names() -> list[str]:
    """Return the names of all disks, also of those whose record is damaged."""
    return sorted(path.parent.name for path in folder().glob(f"[!.]*/{IMAGE}"))


def who(note: str) -> str:
    """Return the user of a disk from the note in its lock: a process and the folder of its run."""
    pid, _, run = note.strip().partition(" ")
    machine = next((entry.name for entry in registry.entries() if run and entry.run == run), "")
    if machine:
        return f"machine {machine} ({run})"
    return f"another boot (process {pid}, {run})" if run else f"process {pid}"


def recall(name: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a disk has decided and the user did not say; values: what the user said, by field.

    Nothing if there is no such disk. Raise UsageError where the user wants something else.
    """
    disk = find(name)
    if disk is None:
        return {}
    for key in DECIDED:
        has = plain(disk.record[key])
        if values.get(key, has) != has:
            raise UsageError(f"persistent disk '{name}' was made with {key} = {shown(has)}, not {shown(values[key])}",
                             "another name makes a new disk; ./orchestrate disks lists those that exist")
    return {key: plain(disk.record[key]) for key in DECIDED if key not in values}


def check(name: str) -> None:
    """Raise UsageError when somebody has a disk."""
    disk = find(name)
    user = disk.user() if disk is not None else ""
    if user:
        raise in_use(name, user)


def plain(value: Any) -> Any:
    """Return a value of JSON as a description has it."""
    return tuple(value) if isinstance(value, list) else value


def shown(value: Any) -> str:
    """Return a value for a message."""
    return json.dumps(value)


def in_use(name: str, user: str) -> UsageError:
    """Return the error of a disk that somebody has."""
    return UsageError(f"persistent disk '{name}' is in use by {user}", "a disk is of one machine at a time")


@contextmanager
def locked(name: str, run: Path | None = None) -> Iterator[int]:
    """Hold the lock of a disk, which need not exist yet, in the block; the value is the descriptor that holds it."""
    held = lock(name, run)
    try:
        yield held
    finally:
        os.close(held)


def lock(name: str, run: Path | None = None) -> int:
    """Take the lock of a disk; return the descriptor that holds it, also in processes that are forked."""
    place = folder() / name
    while True:
        place.mkdir(parents=True, exist_ok=True)
        try:
            held = ownership.open_high(place / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
        except FileNotFoundError:
            # Somebody removes the disk just now.
            continue
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            said = os.pread(held, 4096, 0).decode(errors="replace")
            os.close(held)
            raise in_use(name, who(said)) from error
        # Somebody may have removed the disk, with the file that is locked now.
        if os.fstat(held).st_nlink:
            os.ftruncate(held, 0)
            os.pwrite(held, f"{os.getpid()} {run or ''}\n".encode(), 0)
            return held
        os.close(held)


def make(description: Description, fill: Callable[[Path], None], **noted: str) -> Known:
    """Make the disk of a description, whose lock the caller holds; fill() writes its image to a path."""
    assert description.persist is not None
    place = folder() / description.persist
    unfinished = place / f"{IMAGE}.new"
    unfinished.unlink(missing_ok=True)
    fill(unfinished)
    record = {key: getattr(description, key) for key in DECIDED} | noted
    (place / RECORD).write_text(json.dumps(record, indent=1) + "\n")
    unfinished.replace(place / IMAGE)
    return Known(description.persist, record)


def revive(disk: Known, description: Description, log: Path) -> None:
    """Bring the file system of a disk, whose lock the caller holds, to where its last guest left it; perhaps grow it.

    Raise UsageError for a size below that which it has: what a guest has laid out is not made smaller.
    """
    extfs.check(disk.image, log)
    wanted = description.disk_size
    if wanted is None:
        return
    has = extfs.size(disk.image)
    if wanted < has:
        raise UsageError(f"persistent disk '{disk.name}' has {show_size(has)} and is not made smaller, to "
                         f"{show_size(wanted)}")
    extfs.resize(disk.image, wanted, log)


def note(disk: Known, **more: str) -> None:
    """Store more in a disk's record."""
    (disk.place / f"{RECORD}.new").write_text(json.dumps({**disk.record, **more}, indent=1) + "\n")
    (disk.place / f"{RECORD}.new").replace(disk.place / RECORD)


def remove(name: str) -> None:
    """Remove a disk for ever; raise UsageError when there is none or somebody has it."""
    if name not in names():
        raise UsageError(f"there is no persistent disk '{name}'; valid: {', '.join(names()) or 'none'}")
    # No disk's name begins so. Under its own name another boot could make a new disk in the midst of the removal.
    gone = folder() / f".{name}"
    with locked(name):
        shutil.rmtree(gone, ignore_errors=True)
        (folder() / name).rename(gone)
        shutil.rmtree(gone)


def table() -> Iterator[str]:
    """Return a line for each disk: name, architecture, root file system, size, space that it takes, user.

    Raise UsageError after the last line when the record of a disk is damaged.
    """
    damaged: list[UsageError] = []
    for name in names():
        try:
            disk = find(name)
        except UsageError as error:
            damaged.append(error)
            continue
        if disk is not None:
            status = disk.image.stat()
            yield "\t".join((name, disk.record["arch"], disk.record["rootfs"], show_size(status.st_size),
                             f"{status.st_blocks * 512 >> 20}M on disk", disk.user() or "free"))
    if damaged:
        raise UsageError("; ".join(error.message for error in damaged), "; ".join(error.hint for error in damaged))
