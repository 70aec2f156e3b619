# SPDX-License-Identifier: BSD-2-Clause
"""--snapshot: the first boot of a machine ends in a stored state, and each run starts from that.

A snapshot is a cache entry: memory, QEMU's state, the disk as it was then, the boot image. Its key has all that a
machine's state depends on: QEMU's program and arguments, L4, servers, Linux, the disk's content, boot arguments. What
belongs to a run is not in it: keys, random numbers, time, ports and folders come when the machine resumes.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from orchestration.base import tools
from orchestration.base.cache import Cache, hash_file, hash_large, key_of, note, noted_hash
from orchestration.base.errors import InfrastructureError, UsageError
from orchestration.base.limits import time_scale
from orchestration.base.rundir import RunDirectory
from orchestration.build import disk, dtb, image, resume, system
from orchestration.build.userland import Login
from orchestration.machine import boot, incoming, keys, qemu, shares
from orchestration.machine.boot import Artefacts
from orchestration.machine.console import Channel
from orchestration.machine.description import Description
from orchestration.machine.progress import Progress
from orchestration.machine.session import Session
from orchestration.machine.shares import Share
from orchestration.machine.stages import RESUME_STAGES, Tracker

# The version of what an entry holds.
FORMAT = 1
KIND = "snapshot"
RAM, STATE, DISK, IMAGE, NOTES = "ram", "state", "disk.ext4", "boot.img", "snapshot.json"
# What L4 said while it booted, for instance where its trace lies: each run's log begins with it.
LOG = "l4.log"
# What of a description belongs to a run and is the same to the guest.
OF_A_RUN = ("snapshot", "name", "ports")
# What a machine that is stored shares in place of each folder: nothing of it is ever looked at.
NO_FOLDER = Path("/var/empty")
PROGRAM = "/run/quoll-resume"
# How many are kept, and seconds in which one that was used is kept in any case: a run may be opening its files.
KEPT, UNUSED = 8, 3600
# Seconds until nobody is logged in any more, and for copies of a disk.
REST_LIMIT, COPY_LIMIT = 60.0, 300.0


def check(description: Description) -> None:
    """Raise UsageError for a machine that cannot start from a snapshot."""
    if not description.snapshot:
        return
    if description.accel != "tcg":
        raise UsageError("--snapshot works under emulation only: with KVM the state depends on the host's CPU",
                         "leave out one of --snapshot and --accel")
    for option, given in (("disk", description.disks), ("persist", description.persist)):
        if given:
            raise UsageError(f"--snapshot and --{option} exclude each other: Linux would go on with what it knew of "
                             "a disk that has changed since", f"leave out one of --snapshot and --{option}")


def common(description: Description) -> Description:
    """Return what all runs of a description have in common."""
    none = tuple(Share(NO_FOLDER, f"/mnt/{number}") for number in range(len(description.shares)))
    defaults = {name: Description.model_fields[name].default for name in OF_A_RUN}
    return description.model_copy(update={**defaults, "shares": none})


def qemu_program(made: Artefacts) -> str:
    """Return the hash of QEMU's program."""
    return hash_large(Path(tools.program(made.arch.qemu)).resolve())


def parts_of(description: Description, made: Artefacts) -> dict[str, str]:
    """Return what the state of a booted machine depends on, each part by its name."""
    own = common(description)
    config = replace(boot.machine(own, made), kernel=Path("kernel"), initrd=Path("initrd"), disk=Path("disk"))
    return {
        "format": str(FORMAT),
        "QEMU": qemu_program(made),
        "machine": json.dumps(qemu.arguments(made.arch, config, None, 0)),
        "description": own.model_dump_json(),
        "boot arguments": f"{boot.BOOTARGS} {made.userland.bootargs}",
        "L4 and servers": hash_file(made.bare / "manifest.json"),
        "Linux": noted_hash(made.linux / "vmlinux"),
        # A user's image is no file of an entry, whatever lies beside it.
        "disk": note(made.disk) if made.disk == Path(description.rootfs) else noted_hash(made.disk),
        # Not recipe(), which takes 0.06 s for all these: a snapshot is soon made anew.
        "boot image": key_of(files=[Path(str(module.__file__)) for module in (image, dtb, system, boot)]),
        "way to make it": key_of(files=[Path(__file__), Path(incoming.__file__), resume.SOURCE]),
    }


def session_of(description: Description, made: Artefacts, progress: Progress, run: RunDirectory, cache: Cache
               ) -> Session:
    """Return the session of a machine that starts from its snapshot, if that is wanted, or is booted."""
    if description.snapshot:
        return prepare(description, made, progress, run, cache)
    return boot.prepare(description, made, progress, run)


def prepare(description: Description, made: Artefacts, progress: Progress, run: RunDirectory, cache: Cache) -> Session:
    """Return the session of a machine that starts from its snapshot, which is made if it is not there."""
    check(description)
    if made.userland.login is None:
        raise UsageError(f"--snapshot needs an SSH server, and {description.rootfs} has none", "boot it without")
    login = made.userland.login
    parts = parts_of(description, made)

    def make(folder: Path) -> None:
        progress.say(f"{reason(cache, parts)}: the machine is booted once to make one")
        store(folder, description, made, progress, cache, parts)

    key = key_of(*(f"{name}={value}" for name, value in parts.items()))
    with suppress(FileNotFoundError):
        # When it was used last, for prune(). Before it is looked at: afterwards another process could have removed it.
        os.utime(cache.folder(KIND, key))
    entry = cache.get(KIND, key, make)
    prune(cache)
    notes = json.loads((entry / NOTES).read_text())
    run_keys = keys.make()
    root, initrd = run.file(DISK), run.file(IMAGE)
    link(entry / IMAGE, initrd)
    shutil.copyfile(entry / LOG, run.file(LOG))
    tools.run(["cp", "--sparse=always", "--reflink=auto", "--", str(entry / DISK), str(root)], run.file("keys.log"),
              "copying the disk", COPY_LIMIT)
    config = replace(boot.machine(description, made), initrd=initrd, disk=root, ram=entry / RAM,
                     incoming=entry / STATE)
    session = boot.session(description, made, progress, run, config, Tracker(RESUME_STAGES, time_scale()), run_keys)
    machine = session.machine
    machine.split.start_at(Channel(notes["channel"]))

    def start() -> None:
        assert machine.monitor is not None
        incoming.load(machine.monitor, entry / STATE)
        incoming.deliver(machine, notes["page"], bytes.fromhex(notes["magic"]),
                         secrets.token_bytes(incoming.SEED_SIZE),
                         identity(login, run_keys, description.host_name))

    machine.starter = start
    return session


def link(source: Path, target: Path) -> None:
    """Give a file that nobody changes a second name, or copy it where that cannot be."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def used(entry: Path) -> float:
    """Return when a snapshot was used last; 0 for one that somebody has removed just now."""
    try:
        return entry.stat().st_mtime
    except FileNotFoundError:
        return 0.0


def by_age(cache: Cache) -> list[Path]:
    """Return the snapshots, the one that was not used for the longest time first."""
    return sorted((cache.root / KIND).glob("[!.]*"), key=used)


def reason(cache: Cache, parts: Mapping[str, str]) -> str:
    """Return why there is no snapshot with these parts: none at all, or what has changed since the latest one."""
    for path in reversed(by_age(cache)):
        with suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
            noted = json.loads((path / NOTES).read_text())["parts"]
            if noted["description"] == parts["description"]:
                changed = [name for name, value in parts.items() if noted.get(name) != value]
                return f"the snapshot of this machine has another {', another '.join(changed)}"
    return "no snapshot of this machine yet"


def prune(cache: Cache) -> None:
    """Remove the snapshots that were not used for the longest time, beyond KEPT and but for those used just now."""
    for path in by_age(cache)[:-KEPT]:
        with cache.lock(f"{KIND}-{path.name}"):
            if path.exists() and used(path) < time.time() - UNUSED:
                shutil.rmtree(path)


def identity(login: Login, run_keys: keys.RunKeys, host_name: str = "") -> incoming.Identity:
    """Return what a run gives to its guest. Keys of the image that may log in stay (rootfs/resume)."""
    return incoming.Identity(host_name.encode(), run_keys.host_files[login.openssh],
                             run_keys.client_line.encode() + disk.MARK + b"\n")


def store(folder: Path, description: Description, made: Artefacts, progress: Progress, cache: Cache,
          parts: Mapping[str, str]) -> None:
    """Boot a machine and store it in folder."""
    # Now the root disk is read, so now it is compared.
    found = disk.find(made.arch, cache, description.rootfs, description.include, made.linux / "modules.tar")
    made = replace(made, disk=found.image)
    program = resume.compiled(made.arch, cache)
    run = RunDirectory(f"snapshot-{made.arch.name}")
    session = boot.prepare(common(description), made, progress, run)
    session.mounts = False
    machine = session.machine
    nothing = run.file("nothing")
    nothing.mkdir()
    machine.config = replace(machine.config, ram=folder / RAM, shares=tuple(
        replace(one, folder=nothing) for one in machine.config.shares))
    # QEMU would be killed if the memory's file could not grow.
    with (folder / RAM).open("wb") as stream:
        os.posix_fallocate(stream.fileno(), 0, machine.config.memory)
    magic = secrets.token_bytes(incoming.MAGIC_SIZE)
    with session, progress.step("snapshot"):
        if description.shares:
            session.shell_run(shares.LOADING)
        assert made.userland.login is not None
        page = come_to_rest(session, made.userland.login, program, folder / RAM, magic)
        assert machine.monitor is not None
        incoming.save(machine.monitor, folder / STATE)
        with suppress(InfrastructureError):
            # It ends before it has answered.
            machine.monitor.execute("quit")
        assert machine.reader is not None
        machine.reader.join(incoming.TRANSFER_LIMIT * time_scale())
    for name in (DISK, IMAGE, LOG):
        shutil.move(run.file(name), folder / name)
    for name in (DISK, RAM):
        tools.run(["fallocate", "--dig-holes", str(folder / name)], run.file("snapshot.log"), "making holes",
                  COPY_LIMIT)
    for path in folder.iterdir():
        path.chmod(0o600)
    write_notes(folder, {"page": page, "magic": magic.hex(), "channel": machine.split.splitter.channel.value,
                         "run": str(run.path), "parts": dict(parts)})


def write_notes(folder: Path, notes: Mapping[str, Any]) -> None:
    """Write what a run has to know of a snapshot, and what the snapshot was made of."""
    (folder / NOTES).write_text(json.dumps(notes, indent=1) + "\n")


def come_to_rest(session: Session, login: Login, program: Path, ram: Path, magic: bytes) -> int:
    """Bring a guest to where it waits for what a resumed run tells it; return the offset of the page for that."""
    session.push(program, PROGRAM, "700")
    done = session.run([PROGRAM, magic.hex(), login.host_key, login.authorized, disk.MARK.decode(),
                        *(() if login.rereads else (f"/run/{Path(login.program).name}.pid",))])
    if done.status:
        raise InfrastructureError("the guest cannot wait for a snapshot", session.where(),
                                  tuple(done.err.decode(errors="replace").splitlines()))
    assert session.connection is not None
    session.connection.close()
    session.connection = None
    page = incoming.find_page(ram, magic)
    incoming.wait_until_it_spins(ram, page, REST_LIMIT * time_scale())
    return page
