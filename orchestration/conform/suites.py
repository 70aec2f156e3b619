# SPDX-License-Identifier: BSD-2-Clause
"""The list of suites, and the two machines that run one."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from orchestration.base.arch import Arch, Check, GuestMode
from orchestration.base.cache import Cache
from orchestration.base.errors import UsageError
from orchestration.base.rundir import RunDirectory
from orchestration.base.tools import program
from orchestration.build import distribution, flavours, linux, quoll, rootfs, userland
from orchestration.conform import kept, ltp, perl, python, redis, selftests, toolchains
from orchestration.conform.suite import DISK, Suite
from orchestration.machine import boot
from orchestration.machine.description import Description, Disk
from orchestration.machine.progress import Progress
from orchestration.machine.qemu import MIB
from orchestration.machine.session import Session

# Bytes of either machine: what the largest tests touch, and room for what they leave in memory.
MEMORY = 1 << 30


def known(ltp_folder: Path | None = None) -> dict[str, Suite]:
    """Return the suites by name. ltp_folder: LTP's source, or where it is installed, if it is here."""
    return {one.name: one for one in (selftests.SUITE, python.SUITE, perl.SUITE, redis.SUITE, toolchains.SUITE,
                                     ltp.suite(ltp_folder))}


def find(name: str, ltp_folder: Path | None = None) -> Suite:
    """Return the suite of a name; raise UsageError that lists the valid ones."""
    found = known(ltp_folder)
    if name not in found:
        raise UsageError(f"unknown suite '{name}'; valid: {', '.join(found)}")
    return found[name]


@dataclass(frozen=True)
class Peer:
    """The Linux on the bare machine that the guest is compared with."""

    image: Path
    modules: Path | None = None
    extra: tuple[str, ...] = ()
    """Words for QEMU."""
    release: str = ""
    """What it calls itself, where that is not the guest's."""


def native(arch: Arch, cache: Cache, *, full: bool, quick: bool = False, cpus: int = 1) -> Peer:
    """Build Linux of the guest's source, with the same options. The quick tests do with what figures compare."""
    flavour = flavours.native(arch, full=full, suites=not quick, smp=cpus > 1)
    built = linux.linux(arch, cache, flavour)
    return Peer(built / flavour.image.rpartition("/")[2], None if quick else built / "modules.tar")


def debian_kernel(arch: Arch, cache: Cache) -> Peer:
    """Fetch Debian's own kernel."""
    made = distribution.unpacked(arch, cache)
    extra = ("-initrd", str(distribution.first_files(arch, cache, made)))
    return Peer(made / distribution.KERNEL, made / distribution.MODULES, extra, distribution.release(made))


@dataclass(frozen=True)
class Made:
    """One side: what makes a session of it, and hashes of what that runs with."""

    prepare: Callable[[], Session]
    runs_with: tuple[str, ...]


def machines(arch: Arch, cache: Cache, progress: Progress, suite: Suite, folder: Path, peer: Peer, *,
             full: bool, mode: GuestMode | None = None, debug: tuple[Check, ...] = (),
             cpus: int = 1) -> tuple[Made, Made]:
    """Build the guest's side; return it and that of its peer.

    The root file system has the same files on both but for modules, and the memory the same size. full: with the
    kernel that has all that a suite asks for, or with the small one, which is built in minutes. mode: the guest mode.
    debug: checks that are compiled into the guest's. cpus: of either machine, and of the guest.
    """
    disks = (Disk(folder / DISK, read_only=True),) if (folder / DISK).exists() else ()
    description = Description(arch=arch.name, memory=MEMORY, disks=disks, guest_mode=mode, debug=debug,
                              cpus=cpus)
    spec = rootfs.Spec(extra=suite.packages)
    with progress.step("L4, servers"):
        bare = quoll.bare(arch, cache)
    with progress.step("build Linux"):
        port = linux.linux(arch, cache, flavours.guest(arch, full=full, smp=cpus > 1, debug=debug))
    with progress.step("root disks"):
        disk = rootfs.base_image(arch, cache, spec, port / "modules.tar")
        other_disk = rootfs.base_image(arch, cache, spec, peer.modules)
    made = boot.Artefacts(arch, quoll.abi(arch), bare, port, disk, userland.TINY)
    quiet = Progress(quiet=True)

    def guest() -> Session:
        return boot.prepare(description, made, quiet, RunDirectory(f"conform-{arch.name}"))

    def other() -> Session:
        return boot.prepare_native(arch, peer.image, other_disk, quiet, RunDirectory(f"conform-native-{arch.name}"),
                                   peer.extra, f"mem={description.memory // MIB}M {arch.busy_bootargs}", disks=disks,
                                   cpus=cpus)

    common = (emulator(arch), str(MEMORY), *([f"{cpus} CPUs"] if cpus > 1 else []))
    # Of L4's folder only what boots: the kernel's tests are in it, too.
    ours = kept.content(bare, arch.kernel, *quoll.SERVERS)
    return (Made(guest, (*common, ours, kept.content(port), kept.content(disk.parent), str(mode))),
            Made(other, (*common, kept.content(peer.image.parent), peer.image.name, kept.content(other_disk.parent),
                         arch.busy_bootargs)))


def emulator(arch: Arch) -> str:
    """Return what QEMU calls its release."""
    done = subprocess.run([program(arch.qemu), "--version"], capture_output=True, text=True, check=True)
    return done.stdout.splitlines()[0].split("(")[0].strip()


def versions(arch: Arch, release: str, peer: Peer) -> str:
    """Return which release of a suite, Linux and QEMU a comparison is of."""
    base = (flavours.PATCHES / "BASE").read_text().split()
    ours = f"Linux {base[-1] if base else '6.12'}"
    words = [release, f"{ours} on L4, Debian's {peer.release} on the bare machine" if peer.release else ours,
             emulator(arch)]
    return ", ".join(filter(None, words))
