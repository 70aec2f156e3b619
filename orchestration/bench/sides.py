# SPDX-License-Identifier: BSD-2-Clause
"""Who is measured: our guest, the same Linux on the bare machine, and on x86_64 the same Linux as Xen's PV guest."""

from __future__ import annotations

import re
import subprocess
import tarfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from orchestration.base.arch import Arch, GuestMode
from orchestration.base.cache import Cache, key_of
from orchestration.base.errors import MissingError, UsageError
from orchestration.base.roots import TINY
from orchestration.base.rundir import RunDirectory
from orchestration.base.tools import program
from orchestration.base.tree import ROOT, describe
from orchestration.bench.terms import ABOVE, GUEST, NATIVE, TRACED, XEN, Clock
from orchestration.build import flavours, linux, rootfs, system, userland
from orchestration.machine import boot
from orchestration.machine.description import CPUS_MAX, DEFAULT_MEMORY, Description, Place
from orchestration.machine.progress import Progress
from orchestration.machine.qemu import MIB
from orchestration.machine.session import Session

XEN_CONFIG = ROOT / "orchestration" / "build" / "configs" / "xen-x86_64.config"
XEN_PACKAGE = "xen-hypervisor-4.20-amd64"
# QEMU before 9 reads the stack of user mode's iretq with the supervisor's rights, which SMAP then refuses: a guest of
# Xen PV, whose kernel is in user mode, does not come up. The mitigations are off on native Linux as well.
XEN_ARGUMENTS = "console=com1 com1=115200,8n1 loglvl=error guest_loglvl=error smap=no spec-ctrl=no xpti=no"
# Under a counting clock nothing may come from outside but packets: not the time of day, not random numbers.
SEED = bytes(64)
REPEATABLE = ("-seed", "1", "-rtc", "base=2026-01-01T00:00:00,clock=vm")
# The length of a CPU's turn at most, where a CPU that waits in a loop keeps its turn.
TURN_US = 20
# Options that only say which machine or compiler it is, or how the image is made.
INCIDENTAL = re.compile(r"CONFIG_(HAVE_|ARCH_|CC_|AS_|LD_|GCC_|L4|X86|RISCV|ARM|CPU_|USE_|HAS_|GENERIC_|NEED_|PAHOLE_"
                        r"|OUTPUT_|PGTABLE_|PHYSICAL_|PCI|ACPI|SERIAL|VIRTIO|OF|PNP|RTC|XEN|HVC|XZ_|DECOMPRESS|KERNEL_)")


@dataclass(frozen=True)
class Side:
    """One of those who are measured. config is Linux's configuration."""

    name: str
    session: Callable[[Path, Clock, RunDirectory], Session]
    """Makes one boot of it from a disk's image."""
    in_memory: Callable[[Path, RunDirectory], Session]
    """Makes one boot of it from an archive, by the clock that counts: without a disk, and without a way in."""
    config: Path
    modules: Path | None = None
    """A tar file of its kernel's modules."""
    cpus: int = 1


def counted(arch: Arch, clock: Clock) -> tuple[str, ...]:
    """Return QEMU's further arguments for a clock."""
    if clock is Clock.WALL:
        return ()
    return ("-icount", "shift=0,sleep=off", "-cpu", arch.counted_cpu, *REPEATABLE)


def in_turns(description: Description, clock: Clock) -> tuple[Description, tuple[str, ...]]:
    """Return a machine whose CPUs all get turns, and QEMU's further arguments for that.

    Under -icount CPUs run one after the other, each up to the next timer of the machine unless it gives up its turn;
    and QEMU before 8.1 has nothing left then for the CPU behind one that has come to the timer. So where a CPU keeps
    its turn while it waits for that one, neither goes on. There each vCPU has an idle CPU behind it, which needs
    nothing, and the machine has a timer that ends turns: that of a filter of a network without cards.
    """
    cpus = description.cpus
    if clock is Clock.WALL or cpus == 1 or not description.target.keeps_turn:
        return description, ()
    places = tuple(Place(f"{system.VCPU}{number}", 2 * number) for number in range(cpus))
    return description.model_copy(update={"places": places}), (
        "-smp", str(2 * cpus), "-netdev", "hubport,id=turns,hubid=1",
        "-object", f"filter-buffer,id=turn,netdev=turns,interval={TURN_US}")


def guest(arch: Arch, cache: Cache, progress: Progress, root: str = TINY, *, trace: bool = False,
          mode: GuestMode | None = None, cpus: int | None = None) -> Side:
    """Build our system and return its side. root: the root file system of what it runs; mode: its guest mode.

    cpus: of the machine, whose Linux is for several CPUs then, even if it has one.
    """
    description = Description(arch=arch.name, rootfs=root, trace=trace, guest_mode=mode, cpus=cpus or 1)
    built = description if cpus is None else description.model_copy(update={"cpus": CPUS_MAX})
    made = boot.artefacts(built, cache, progress)

    def session(disk: Path, clock: Clock, run: RunDirectory) -> Session:
        machine, turns = in_turns(description, clock)
        return boot.prepare(machine, replace(made, disk=disk), progress, run, extra=(*counted(arch, clock), *turns),
                            seed=SEED)

    def in_memory(archive: Path, run: RunDirectory) -> Session:
        machine, turns = in_turns(description, Clock.INSTRUCTIONS)
        return boot.prepare_in_memory(machine, made, archive, progress, run,
                                      (*counted(arch, Clock.INSTRUCTIONS), *turns), SEED)

    name = TRACED if trace else mode or GUEST
    return Side(name, session, in_memory, made.linux / "config", made.linux / "modules.tar", description.cpus)


def traced(arch: Arch, cache: Cache, progress: Progress, root: str = TINY) -> Side:
    """Return our system on the L4 that counts: its figures are a little higher, and it tells where they come from."""
    return guest(arch, cache, progress, root, trace=True)


def above(arch: Arch, cache: Cache, progress: Progress, root: str = TINY) -> Side:
    """Return our system with the guest's kernel above its programs, also where that does not hold it back."""
    return guest(arch, cache, progress, root, mode="above")


def native(arch: Arch, cache: Cache, progress: Progress, root: str = TINY, *, cpus: int | None = None) -> Side:
    """Build native Linux and return its side. For Debian it has modules of its own, of the same options.

    cpus: as of guest().
    """
    full, count = root != TINY, cpus or 1
    with progress.step("build native"):
        made = linux.linux(arch, cache, flavours.native(arch, full=full, smp=cpus is not None))

    kernel, memory = made / Path(arch.linux_image).name, f"mem={DEFAULT_MEMORY // MIB}M"

    def session(disk: Path, clock: Clock, run: RunDirectory) -> Session:
        has = userland.DEBIAN if full else userland.TINY
        return boot.prepare_native(arch, kernel, disk, progress, run, counted(arch, clock), memory, has,
                                   cpus=count)

    def in_memory(archive: Path, run: RunDirectory) -> Session:
        return boot.prepare_native_in_memory(arch, kernel, ("-initrd", str(archive)), progress, run,
                                             counted(arch, Clock.INSTRUCTIONS), memory, count)

    return Side(NATIVE, session, in_memory, made / "config", made / "modules.tar" if full else None, count)


def xen(arch: Arch, cache: Cache, progress: Progress, root: str = TINY) -> Side:
    """Build native Linux with Xen's options, fetch Xen from Debian, and return the side."""
    if arch.name != "x86_64":
        raise UsageError(f"Xen PV exists on x86_64 only, not on {arch.name}", "leave --against xen away")
    if root != TINY:
        raise UsageError("there is no Linux with Debian's options for Xen PV", "leave --against xen away")
    plain = flavours.native(arch)
    flavour = flavours.Flavour(f"xen-{arch.name}", plain.patched, plain.make_arch, (*plain.configs, XEN_CONFIG),
                            plain.base, plain.image, plain.targets)
    with progress.step("build Xen's Linux"):
        made = linux.linux(arch, cache, flavour)
    with progress.step("fetch Xen"):
        hypervisor = hypervisor_of(arch, cache)

    memory = f"dom0_mem={DEFAULT_MEMORY // MIB}M,max:{DEFAULT_MEMORY // MIB}M {XEN_ARGUMENTS}"
    kernel = f"{str(made / Path(arch.linux_image).name).replace(',', ',,')} console=hvc0"

    def session(disk: Path, clock: Clock, run: RunDirectory) -> Session:
        module = ("-initrd", f"{kernel} {boot.BOOTARGS} {userland.TINY.bootargs}")
        return boot.prepare_native(arch, hypervisor, disk, progress, run, (*counted(arch, clock), *module), memory)

    def in_memory(archive: Path, run: RunDirectory) -> Session:
        modules = ("-initrd", f"{kernel} {boot.MEMORY_BOOTARGS},{str(archive).replace(',', ',,')}")
        return boot.prepare_native_in_memory(arch, hypervisor, modules, progress, run,
                                             counted(arch, Clock.INSTRUCTIONS), memory)

    return Side(XEN, session, in_memory, made / "config")


def hypervisor_of(arch: Arch, cache: Cache) -> Path:
    """Return Xen's program from Debian's package, uncompressed, as QEMU's loader wants it."""
    archive = rootfs.packages(arch, cache, rootfs.Spec(extra=(XEN_PACKAGE,)))

    def make(entry: Path) -> None:
        with tarfile.open(archive) as packed:
            names = [name for name in packed.getnames() if re.search(r"/boot/xen-[\d.]+-amd64\.gz$", f"/{name}")]
            stream = packed.extractfile(names[0]) if names else None
            if stream is None:
                raise MissingError(f"{XEN_PACKAGE} holds no /boot/xen-*.gz", "Debian has changed its package")
            (entry / "xen").write_bytes(zlib.decompress(stream.read(), zlib.MAX_WBITS | 16))

    return cache.get("xen", key_of(XEN_PACKAGE, files=[archive]), make) / "xen"


PEERS: dict[str, Callable[[Arch, Cache, Progress, str], Side]] = {NATIVE: native, XEN: xen, ABOVE: above,
                                                                       TRACED: traced}


def options(config: Path) -> set[str]:
    """Return the options that a configuration of Linux sets, without those that only name its machine."""
    return {line for line in config.read_text().splitlines()
            if line.startswith("CONFIG_") and not INCIDENTAL.match(line)}


def option_differences(one: Path, other: Path) -> list[str]:
    """Return the options in which two configurations differ; a + is set in the first only, a - in the other only."""
    first, second = options(one), options(other)
    return [f"+{line}" for line in sorted(first - second)] + [f"-{line}" for line in sorted(second - first)]


def emulator_version(arch: Arch) -> str:
    """Return QEMU's version."""
    done = subprocess.run([program(arch.qemu), "--version"], capture_output=True, text=True, check=True)
    return done.stdout.splitlines()[0]


def revision() -> str:
    """Return the commit that is measured, marked when the checkout is not quite that."""
    return describe() or "not told"
