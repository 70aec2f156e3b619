# SPDX-License-Identifier: BSD-2-Clause
"""The commands boot, build and repro."""

from __future__ import annotations

import glob
import shlex
import shutil
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orchestration.base import arch as arches
from orchestration.base import doctor
from orchestration.base.errors import UsageError, printable
from orchestration.base.rundir import runs_folder
from orchestration.cli.failures import explained
from orchestration.cli.group import one_of
from orchestration.cli.options import Wanted, describes_machine
from orchestration.cli.words import CommandArgument, MachineArchArgument, TerminalOption

if TYPE_CHECKING:
    from orchestration.machine.console import Line


def run_names(incomplete: str) -> list[str]:
    """Complete the name of a run that can be booted again."""
    parent = runs_folder()
    return sorted(path.parent.name for path in parent.glob(f"{glob.escape(incomplete)}*/disk.ext4"))


def begin() -> None:
    """Begin to read what takes long to read, before the command line is understood: Linux' source, for keys."""
    from orchestration.base.cache import hash_ahead
    from orchestration.build import linux

    hash_ahead(linux.TARBALL)


@describes_machine
def boot_command(
    wanted: Wanted,
    arch: MachineArchArgument = None,
    command: CommandArgument = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="build, then print QEMU's command")] = False,
    console: Annotated[bool, typer.Option("--console", help="show the serial line as well")] = False,
    detach: Annotated[bool, typer.Option("--detach", "-d", help="leave it running, print its name (ssh, attach, "
                                                                "cp, gdb, stop)")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="no progress")] = False,
    terminal: TerminalOption = False,
) -> int:
    """Build what has changed, boot it, and open a shell in the guest (or run COMMAND there)."""
    description = wanted.resolve(arch).description
    chosen = description.target
    if detach and command:
        raise UsageError("--detach leaves no command to run", "boot first, then: ./orchestrate ssh -- COMMAND")
    if not quiet:
        # Before the imports, which take a second.
        print(f"{chosen.name}: building what has changed", file=sys.stderr)
    from orchestration.base.cache import Cache, hash_ahead
    from orchestration.base.rundir import RunDirectory
    from orchestration.build import userland

    if description.snapshot and (program := shutil.which(chosen.qemu)):
        # While the imports go on; for the snapshot's key.
        hash_ahead(Path(program).resolve())
    from orchestration.machine import boot, checks, keeper, kernel_tests, qemu, snapshot
    from orchestration.machine.progress import Progress

    checks.check(description)
    snapshot.check(description)
    doctor.ensure([chosen])
    doctor.check_space()
    progress = Progress(quiet)
    cache = Cache(say=progress.say, doing=progress.doing)
    if dry_run:
        # The command to paste is that of a boot.
        description = description.model_copy(update={"snapshot": False})
    made = boot.artefacts(description, cache, progress)
    if description.accel == "kvm":
        with progress.step("probe KVM"):
            kernel_tests.probe(chosen, made.bare)
    if command:
        userland.check_command(made.userland, description.rootfs)
    run = RunDirectory(f"boot-{chosen.name}")
    with progress.step("run's files"):
        session = snapshot.session_of(description, made, progress, run, cache)
    if dry_run:
        print(shlex.join(qemu.arguments(chosen, session.machine.config, None, qemu.free_port())))
        return 0
    if detach:
        return keeper.detach(session, explained)
    if console:
        session.machine.on_line = show_line
    with session:
        status = session.serve(command or [], terminal)
    boot.discard_large_files(run)
    return status


def show_line(line: Line) -> None:
    """Print a line of the serial line, also while a shell has made the terminal raw, and if there is one."""
    with suppress(OSError):
        print(f"{line.channel.name.lower():5} | {printable(line.text)}", file=sys.stderr,
              end="\r\n" if sys.stderr.isatty() else "\n")


@describes_machine
def build_command(wanted: Wanted, arch: Annotated[list[str] | None, typer.Argument(
        metavar="ARCH...", autocompletion=one_of(arches.ARCHES), help=f"some of: {', '.join(arches.ARCHES)}")] = None,
) -> int:
    """Build all that has changed, and boot nothing."""
    names: list[str | None] = [*arch] if arch else [None]
    descriptions = [wanted.resolve(name).description for name in names]
    from orchestration.base.cache import Cache
    from orchestration.machine import boot, checks
    from orchestration.machine.progress import Progress

    for one in descriptions:
        checks.check_target(one)
    doctor.ensure([one.target for one in descriptions])
    doctor.check_space()
    progress = Progress()
    cache = Cache(say=progress.say, doing=progress.doing)
    for one in descriptions:
        progress.say(one.arch)
        boot.artefacts(one, cache, progress)
    return 0


def repro_command(
    run: Annotated[str, typer.Argument(metavar="RUN", autocompletion=run_names,
                                       help="a run's folder, or enough of its name")],
    command: CommandArgument = None,
    terminal: TerminalOption = False,
) -> int:
    """Boot again exactly what a failed run booted, on copies of its files."""
    from orchestration.machine import boot
    from orchestration.machine.progress import Progress
    from orchestration.running import repro

    folder = repro.find(run)
    progress = Progress()
    session = repro.prepare(folder, progress, command=bool(command))
    doctor.ensure([session.machine.arch])
    doctor.check_space()
    progress.say(f"again: {folder.name}")
    with session:
        status = session.serve(command or [], terminal)
    boot.discard_large_files(session.machine.run)
    return status
