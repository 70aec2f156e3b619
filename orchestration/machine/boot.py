# SPDX-License-Identifier: BSD-2-Clause
"""From sources to a booted machine: builds what is not in the cache, makes the run's files, starts QEMU."""

from __future__ import annotations

import os
import secrets
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from orchestration.base.arch import Arch
from orchestration.base.cache import Cache
from orchestration.base.errors import UsageError
from orchestration.base.limits import time_scale
from orchestration.base.roots import TINY
from orchestration.base.rundir import RunDirectory
from orchestration.build import disk, dtb, flavours, image, linux, quoll, system, userland
from orchestration.build.userland import Userland
from orchestration.machine import keys, root_disk
from orchestration.machine.console import Channel
from orchestration.machine.description import Description, Disk
from orchestration.machine.progress import Progress
from orchestration.machine.qemu import BESIDE_GUEST, Config, Machine
from orchestration.machine.session import Session
from orchestration.machine.stages import (
    BOOT_STAGES,
    NATIVE_STAGES,
    Stage,
    Tracker,
    with_memory,
    with_systemd,
    without_mark,
    without_ssh,
)

if TYPE_CHECKING:
    from quoll_abi import Abi

# Bytes, with the one that ends it; Linux' own name for it (arch/l4).
COMMAND_LINE_SIZE = 2048
BOOTARGS = "root=/dev/vda rw panic=-1"
# For a root file system in memory, whose /init is what Linux looks for first.
MEMORY_BOOTARGS = "panic=-1"
# The root pager starts a driver for each of these. Linux looks for partitions on any disk that has a size, which takes
# as long as the host takes; and what is connected to nothing receives nothing.
IDLE_DEVICES = ("-blockdev", "driver=null-co,node-name=hd0,size=0",
                "-device", "virtio-blk-pci,drive=hd0,disable-legacy=on",
                "-netdev", "hubport,id=n0,hubid=0", "-device", "virtio-net-pci,netdev=n0,disable-legacy=on,romfile=")


@dataclass(frozen=True)
class Artefacts:
    """Everything that was built for one architecture."""

    arch: Arch
    abi: Abi
    bare: Path
    linux: Path
    disk: Path
    userland: Userland = userland.TINY
    """What is on the disk."""

    def program(self, kernel: str, *, trace: bool) -> Path:
        """Return the path of a form of the kernel, of the one that counts and traces if that is wanted."""
        return self.bare / (quoll.traced(kernel) if trace else kernel)


def chosen_linux(description: Description) -> flavours.Flavour:
    """Return the kind of Linux that a machine boots: the small one of tiny, or the full one."""
    return flavours.guest(description.target, full=description.rootfs != TINY, smp=description.cpus > 1,
                          debug=description.debug, fragments=description.kernel_config, patches=description.patches)


def artefacts(description: Description, cache: Cache, progress: Progress) -> Artefacts:
    """Build everything that a machine needs, or find it in the cache.

    Of a machine that starts from a snapshot the root disk is not read: it has one of its own (snapshot.prepare()).
    """
    arch = description.target
    # Looks at the user's files, so it comes before all that takes long.
    flavour = chosen_linux(description)
    known = root_disk.known(description)
    if known is None:
        disk.check(arch, description.rootfs, description.include)
    with progress.step("L4, servers"):
        bare = quoll.bare(arch, cache)
    with progress.step("build Linux"):
        port = linux.linux(arch, cache, flavour)
    with progress.step("root disk"):
        made = known or disk.find(arch, cache, description.rootfs, description.include, port / "modules.tar",
                                  compare=not description.snapshot)
    return Artefacts(arch, quoll.abi(arch), bare, port, made.image, made.userland)


def prepare(description: Description, made: Artefacts, progress: Progress, run: RunDirectory, *,
            root: Path | None = None, run_keys: keys.RunKeys | None = None, extra: tuple[str, ...] = (),
            seed: bytes | None = None) -> Session:
    """Make one run's boot image and disk and return its session. root: an earlier run's disk, with its keys.

    seed: what Linux' random numbers start from, for a run that is to be like another.
    """
    run_keys = run_keys or keys.make()
    bootargs = " ".join(filter(None, ("console=hvc0", BOOTARGS, made.userland.bootargs, host_name_argument(description),
                                      description.append)))
    initrd = boot_image(description, made, run, bootargs, seed or secrets.token_bytes(64))
    held = None
    if root is None:
        root, held = root_disk.of_run(description, made.disk, made.linux / "modules.tar", made.userland, run, run_keys)
    config = replace(machine(description, made), initrd=initrd, disk=root, extra=extra)
    stages = tracker(with_memory(BOOT_STAGES, description.memory), made.userland)
    return replace(session(description, made, progress, run, config, stages, run_keys), held=held)


def host_name_argument(description: Description) -> str:
    """Return the boot arguments by which Linux, and systemd in place of /etc/hostname, call the guest by its name."""
    name = description.host_name
    return f"hostname={name} systemd.hostname={name}" if name else ""


def machine(description: Description, made: Artefacts) -> Config:
    """Return the machine of a description, as far as all its runs have the same."""
    return Config(kernel=made.program(made.arch.kernel, trace=description.trace), disks=description.disks,
                  ports=description.ports, shares=description.shares, memory=description.memory + BESIDE_GUEST,
                  cpus=description.cpus, accel=description.accel)


def session(description: Description, made: Artefacts, progress: Progress, run: RunDirectory, config: Config,
            stages: Tracker, run_keys: keys.RunKeys) -> Session:
    """Return the session of a machine that has everything."""
    return Session(Machine(made.arch, config, run), stages, progress,
                   made.program(quoll.KERNEL, trace=description.trace), made.linux / "vmlinux",
                   keys=run_keys if made.userland.login else None, name=description.name,
                   watches=bool(description.debug))


def tracker(stages: tuple[Stage, ...], has: Userland) -> Tracker:
    """Return what follows a boot: through the stages, as far as the user land has them."""
    if not has.marks:
        stages = without_mark(stages)
    if has.login is None:
        return Tracker(without_ssh(stages), time_scale())
    return Tracker(with_systemd(stages) if has.systemd else stages, time_scale())


def boot_image(description: Description, made: Artefacts, run: RunDirectory, bootargs: str, seed: bytes,
               archive: bytes = b"") -> Path:
    """Write one run's boot image and return its path. archive is the guest's root file system, if not on a disk."""
    if len(os.fsencode(bootargs)) >= COMMAND_LINE_SIZE:
        raise UsageError(f"boot arguments of {len(os.fsencode(bootargs))} bytes with ours; Linux takes "
                         f"{COMMAND_LINE_SIZE - 1}")
    places = {place.name: place.cpu for place in description.places}
    servers = system.servers(disks=len(description.disks), shares=len(description.shares), places=places)
    where = image.initrd_range(made.abi, description.memory, len(archive))
    blobs = {"dtb": dtb.compile_tree(made.abi, bootargs, description.memory, seed, where, servers,
                                      description.cpus)}
    if archive:
        blobs[image.INITRD] = archive
    programs = {name: made.bare / name for name in system.programs(servers)} | {image.LINUX: made.linux / "vmlinux"}
    packed = run.file("boot.img")
    packed.write_bytes(image.pack(made.arch, made.abi, programs, blobs, description.memory, servers,
                                  description.guest_mode, description.cpus, places))
    return packed


def prepare_in_memory(description: Description, made: Artefacts, archive: Path, progress: Progress,
                      run: RunDirectory, extra: tuple[str, ...], seed: bytes) -> Session:
    """Make one run's boot image with the root file system in it and return its session, which has no way in."""
    initrd = boot_image(description, made, run, f"console=hvc0 {MEMORY_BOOTARGS}", seed, archive.read_bytes())
    config = Config(kernel=made.program(made.arch.kernel, trace=description.trace), initrd=initrd, network=False,
                    cpus=description.cpus, extra=(*IDLE_DEVICES, *extra))
    return Session(Machine(made.arch, config, run), Tracker(without_ssh(BOOT_STAGES), time_scale()), progress,
                   made.program(quoll.KERNEL, trace=description.trace), made.linux / "vmlinux")


def prepare_native(arch: Arch, kernel: Path, base: Path, progress: Progress, run: RunDirectory,
                   extra: tuple[str, ...] = (), bootargs: str = "", has: Userland = userland.TINY,
                   disks: tuple[Disk, ...] = (), cpus: int = 1) -> Session:
    """Return a session of Linux on the bare machine, with the same disks and the same way in."""
    run_keys = keys.make()
    append = " ".join(filter(None, (f"console={arch.native_console}", BOOTARGS, has.bootargs, bootargs)))
    config = Config(kernel=kernel, append=append, disk=root_disk.copied(base, run, has, run_keys), disks=disks,
                    cpus=cpus, extra=extra, first_channel=Channel.GUEST)
    return Session(Machine(arch, config, run), tracker(NATIVE_STAGES, has), progress,
                   keys=run_keys if has.login else None)


def prepare_native_in_memory(arch: Arch, kernel: Path, modules: tuple[str, ...], progress: Progress, run: RunDirectory,
                             extra: tuple[str, ...], bootargs: str, cpus: int = 1) -> Session:
    """Return a session of Linux on the bare machine, its root file system among QEMU's modules, and no way in."""
    append = f"console={arch.native_console} {MEMORY_BOOTARGS} {bootargs}"
    config = Config(kernel=kernel, append=append, network=False, cpus=cpus, extra=(*modules, *extra),
                    first_channel=Channel.GUEST)
    return Session(Machine(arch, config, run), Tracker(without_ssh(NATIVE_STAGES), time_scale()), progress)


def discard_large_files(run: RunDirectory) -> None:
    """Remove what a run that went well need not keep: the disk and the boot image."""
    for name in ("disk.ext4", "boot.img"):
        run.file(name).unlink(missing_ok=True)
