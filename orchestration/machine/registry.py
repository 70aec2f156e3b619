# SPDX-License-Identifier: BSD-2-Clause
"""Which machines run, and how to reach them: one JSON file each, written when QEMU starts, removed when it ends.

The file names the folder of the machine's sockets, which only its user can enter; the key that opens the guest lies
there and goes with it.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from orchestration.base import doctor
from orchestration.base.errors import UsageError

if TYPE_CHECKING:
    from orchestration.machine.keys import RunKeys
    from orchestration.machine.qemu import Machine

KEY, HOST_KEY = "client-key", "host-key"


@dataclass(frozen=True)
class Entry:
    """A running machine. pid is its orchestrator's; paths as text."""

    name: str
    arch: str
    pid: int
    port: int
    run: str
    sockets: str
    kernel: str
    linux: str


def folder() -> Path:
    """Return where the files are."""
    path = doctor.cache_root() / "machines"
    path.mkdir(parents=True, exist_ok=True)
    return path


def alive(entry: Entry) -> bool:
    """Say whether a machine's orchestrator still runs and keeps its sockets."""
    try:
        os.kill(entry.pid, 0)
    except OSError:
        return False
    return Path(entry.sockets).is_dir()


def entries() -> list[Entry]:
    """Return the machines that run; files that others left behind are removed."""
    found = []
    for path in sorted(folder().glob("*.json")):
        try:
            entry = Entry(**json.loads(path.read_text()))
        except (OSError, ValueError, TypeError):
            continue
        if alive(entry):
            found.append(entry)
        else:
            path.unlink(missing_ok=True)
    return found


def find(name: str | None) -> Entry:
    """Return the machine called name; without a name, the only one that runs."""
    running = entries()
    names = ", ".join(entry.name for entry in running)
    if name is None:
        if len(running) == 1:
            return running[0]
        if not running:
            raise UsageError("no machine runs", "start one: ./orchestrate boot ARCH --detach")
        raise UsageError(f"several machines run; name one of them: {names}")
    for entry in running:
        if entry.name == name:
            return entry
    raise UsageError(f"no machine '{name}' runs; valid: {names or 'none'}")


def check_name(name: str) -> None:
    """Raise UsageError when a machine of this name runs."""
    for entry in entries():
        if entry.name == name:
            raise UsageError(f"a machine '{name}' runs already: {entry.run}", f"end it: ./orchestrate stop {name}")


def add(machine: Machine, keys: RunKeys | None, kernel: Path | None, linux: Path | None, wanted: str | None = None,
        ) -> Path:
    """Write the file of a machine whose QEMU has started.

    wanted: its name; None: its architecture and the lowest free number.
    keys: of its SSH, None for a machine without; kernel, linux: ELF files with the symbols of L4 and of Linux.
    """
    for name, key in () if keys is None else ((KEY, keys.client_file), (HOST_KEY, keys.host_line.encode())):
        with open(os.open(machine.sockets / name, os.O_WRONLY | os.O_CREAT, 0o600), "wb") as stream:
            stream.write(key)
    entries()
    number = 1
    while True:
        name = wanted or f"{machine.arch.name}-{number}"
        path = folder() / f"{name}.json"
        entry = Entry(name, machine.arch.name, os.getpid(), machine.port, str(machine.run.path), str(machine.sockets),
                      str(kernel or ""), str(linux or ""))
        try:
            with path.open("x") as stream:
                stream.write(json.dumps(asdict(entry)) + "\n")
        except FileExistsError:
            if wanted is not None:
                check_name(wanted)
                if path.exists():
                    # Damaged, or of another version of Quoll: entries() leaves it alone.
                    raise UsageError(f"the name '{wanted}' is taken by {path}, which tells of no machine",
                                     "another name, or without that file") from None
            number += 1
            continue
        return path
