# SPDX-License-Identifier: BSD-2-Clause
"""./orchestrate repro: boots once more exactly what a failed run booted, from the files that it left behind.

A run that started from a snapshot is booted from its boot image and its disk as it left that.

A run that failed keeps its boot image and its disk. They are copied, the copy gets new keys, and the machine is the one
that config.json describes. A run that went well keeps neither; then the command that made it is what can be repeated.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from orchestration.base import arch as arches
from orchestration.base.cache import hash_file
from orchestration.base.errors import UsageError
from orchestration.base.rundir import RunDirectory, runs_folder
from orchestration.build import userland
from orchestration.machine import boot, keys, persistent, root_disk
from orchestration.machine.progress import Progress
from orchestration.machine.qemu import Config, Machine
from orchestration.machine.session import Session
from orchestration.machine.stages import BOOT_STAGES, NATIVE_STAGES


def find(name: str) -> Path:
    """Return the folder of a run, named by its path, its name or the beginning or end of one."""
    if not name:
        raise UsageError("repro: an empty name")
    if Path(name).is_dir():
        return Path(name)
    parent = runs_folder()
    found = [path for path in sorted(parent.iterdir()) if path.name.startswith(name) or path.name.endswith(name)] \
        if parent.is_dir() else []
    exact = [path for path in found if path.name == name]
    if len(exact or found) == 1:
        return (exact or found)[0]
    raise UsageError(f"no run '{name}'" if not found else f"'{name}' fits several runs: "
                     + ", ".join(path.name for path in found[:6]), f"they are the folders in {parent}")


def described(folder: Path) -> tuple[dict[str, Any], dict[str, str], Config]:
    """Return a run's result, the noted hashes of its files, and its machine; raise UsageError where one is missing."""
    try:
        result = json.loads((folder / "result.json").read_text())
        noted = json.loads((folder / "hashes.json").read_text())
        arches.find(result["arch"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{folder.name} is no run of a machine that can be repeated ({error})") from error
    try:
        config = Config.from_json(json.loads((folder / "config.json").read_text()))
    except FileNotFoundError as error:
        raise UsageError(f"{folder.name} is of an older version, without config.json, and cannot be repeated",
                         f"QEMU's command is in {folder / 'argv'}") from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(f"config.json of {folder.name} describes no machine ({error})") from error
    return result, noted, config


def prepare(folder: Path, progress: Progress, *, command: bool = False) -> Session:
    """Return a session of the same machine as a run's, on copies of its files.

    Raise UsageError where it cannot be booted, and where a command is to be run in a guest without an SSH server.
    """
    result, noted, config = described(folder)
    arch = arches.find(result["arch"])
    kernel, initrd, disk = config.kernel, folder / "boot.img", folder / "disk.ext4"
    native = config.initrd is None
    if config.disk is None:
        raise UsageError(f"{folder.name} had no disk: its machine was for one workload of the bench",
                         "run it again: ./orchestrate bench run ARCH -w WORKLOAD --clock instructions")
    if config.disk.parent.parent == persistent.folder():
        raise UsageError(f"{folder.name} used a disk that outlives its runs: {config.disk}",
                         f"boot it again by its name: --persist {config.disk.parent.name}")
    if not disk.exists() or not (native or initrd.exists()):
        raise UsageError(f"{folder.name} went well, and its disk was not kept",
                         "what failed can be repeated; a command can be given again, with the --seed that it printed")
    if not kernel.exists():
        raise UsageError(f"the kernel of {folder.name} is gone from the cache: {kernel}")
    files = {"kernel": kernel} | ({} if native else {"initrd": initrd})
    changed = [name for name, path in files.items() if hash_file(path) != noted.get(name)]
    if changed:
        raise UsageError(f"{', '.join(changed)} of {folder.name} is not what it booted")
    has = userland.described(userland.Image(disk))
    if command:
        userland.check_command(has, f"the disk of {folder.name}")
    run = RunDirectory(f"repro-{arch.name}")
    fresh = keys.make()
    root_disk.copied(disk, run, has, fresh)
    if not native:
        run.file("boot.img").write_bytes(initrd.read_bytes())
    again = replace(config, ram=None, incoming=None, initrd=None if native else run.file("boot.img"),
                    disk=run.file("disk.ext4"))
    linux = result.get("linux_symbols")
    symbols = Path(linux) if linux else None
    return Session(Machine(arch, again, run), boot.tracker(NATIVE_STAGES if native else BOOT_STAGES, has), progress,
                   None if native else kernel.with_suffix(".elf"), symbols, keys=fresh if has.login else None,
                   watches=result.get("reports") is not None)
