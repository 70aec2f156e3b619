# SPDX-License-Identifier: BSD-2-Clause
"""Hashes of large files that are kept from command to command, with the status that each file had when it was read.

A file is read again when its status has changed: device, inode, size, or a time. Nobody sets the time of a status
change (ctime), which each write sets. A file that was changed just now is read each time, because another change in
the same tick of that clock would not show. After a restart of the host each file is read once: a write that the host
lost would not show either.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from orchestration.base import doctor

# Bytes: smaller files are read faster than they are looked up.
LARGE = 1 << 20
# Nanoseconds after which a change has another time than the last one, on any file system.
TICK = 2 * 10**9
# Files that are remembered, those that were read last.
KEPT = 256
NAME = "hashes.json"
BOOT = Path("/proc/sys/kernel/random/boot_id")


def status(path: Path) -> list[int]:
    """Return what changes when a file does; the time of the last change of its status is the last one."""
    found = path.stat()
    return [found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns]


def load() -> dict[str, Any]:
    """Return status and hash of each file by its name; nothing where none of this boot of the host is noted."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        noted = json.loads((doctor.cache_root() / NAME).read_text())
        if noted["boot"] == BOOT.read_text():
            return {str(name): list(value) for name, value in noted["files"].items()}
    return {}


def keep(name: str, value: list[Any]) -> None:
    """Note a file. What another process notes at the same time may be lost, and is found out again."""
    files = {known: one for known, one in load().items() if known != name} | {name: value}
    with suppress(OSError):
        folder = doctor.cache_root()
        text = json.dumps({"boot": BOOT.read_text(), "files": dict(list(files.items())[-KEPT:])}, indent=1)
        with tempfile.NamedTemporaryFile("w", dir=folder, prefix=f".{NAME}-", delete=False) as stream:
            stream.write(text)
        Path(stream.name).replace(folder / NAME)


def hash_of(path: Path, compute: Callable[[Path], str]) -> str:
    """Return compute(path), a hash of a file's content; of a large file, what it was when the file was read last."""
    before = status(path)
    if before[2] < LARGE:
        return compute(path)
    name = f"{compute.__name__} {path.absolute()}"
    noted = load().get(name, [])
    if noted[:-1] == before and isinstance(noted[-1], str):
        return noted[-1]
    digest = compute(path)
    if before == status(path) and before[-1] + TICK < time.time_ns():
        keep(name, [*before, digest])
    return digest
