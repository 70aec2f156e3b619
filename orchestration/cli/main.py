# SPDX-License-Identifier: BSD-2-Clause
"""The command line: ./orchestrate boot | build | test | measure | doctor; the others are elsewhere."""

from __future__ import annotations

import os
import shlex
import sys
from contextlib import suppress
from dataclasses import replace
from typing import Annotated

import typer
from typer._completion_classes import completion_init

from orchestration.base import arch as arches
from orchestration.base import doctor
from orchestration.base.errors import UsageError, printable
from orchestration.base.tree import ROOT
from orchestration.cli import frame
from orchestration.cli import machines as running_cli
from orchestration.cli.frame import EPILOG
from orchestration.machine.console import Line

ACCELERATORS = ("tcg", "kvm")
ARCH_NAMES = frame.one_of(arches.ARCHES)
app = typer.Typer(cls=frame.Group, add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None,
                  no_args_is_help=True, context_settings={"help_option_names": ["-h", "--help"]},
                  callback=frame.common, epilog=EPILOG)


@app.command(epilog=EPILOG)
def boot(
    arch: Annotated[str, typer.Argument(metavar="ARCH", autocompletion=ARCH_NAMES,
                                        help=f"one of: {', '.join(arches.ARCHES)}")],
    command: Annotated[list[str] | None, typer.Argument(metavar="-- COMMAND...",
                                                        help="run this in the guest instead of a shell")] = None,
    accel: Annotated[str, typer.Option(autocompletion=frame.one_of(ACCELERATORS),
                                       help="tcg, or kvm where our probe runs under it")] = "tcg",
    append: Annotated[str, typer.Option(help="more boot arguments for Linux")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="build, then print QEMU's command")] = False,
    console: Annotated[bool, typer.Option("--console", help="show the serial line as well")] = False,
    trace: Annotated[bool, typer.Option("--trace", help="with the L4 that counts and traces (then: ./orchestrate "
                                                        "trace)")] = False,
    detach: Annotated[bool, typer.Option("--detach", "-d", help="leave it running, print its name (ssh, attach, "
                                                                "cp, gdb, stop)")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="no progress")] = False,
    terminal: running_cli.TerminalOption = False,
) -> int:
    """Build what has changed, boot it, and open a shell in the guest (or run COMMAND there)."""
    chosen = arches.find(arch)
    if accel not in ACCELERATORS:
        raise UsageError(f"unknown accelerator '{accel}'; valid: {', '.join(ACCELERATORS)}")
    if detach and command:
        raise UsageError("--detach leaves no command to run", "boot first, then: ./orchestrate ssh -- COMMAND")
    if not quiet:
        # Before the imports, which take longer than everybody waits for a sign.
        print(f"{chosen.name}: building what has changed", file=sys.stderr)
    from orchestration.base.cache import Cache
    from orchestration.base.rundir import RunDirectory
    from orchestration.machine import boot as booting
    from orchestration.machine import keeper, kernel_tests, qemu
    from orchestration.machine.progress import Progress

    doctor.ensure([chosen])
    doctor.check_space()
    progress = Progress(quiet)
    cache = Cache(say=progress.say)
    made = replace(booting.artefacts(chosen, cache, progress), trace=trace)
    if accel == "kvm":
        with progress.step("probe KVM"):
            kernel_tests.probe(chosen, made.bare)
    run = RunDirectory(f"boot-{chosen.name}")
    with progress.step("run's files"):
        session = booting.prepare(made, progress, run, accel=accel, bootargs=append)
    if dry_run:
        print(shlex.join(qemu.arguments(chosen, session.machine.config, None, qemu.free_port())))
        return 0
    if detach:
        return keeper.detach(session, frame.explained)
    if console:
        session.machine.on_line = show_line
    with session:
        status = session.serve(command or [], terminal)
    booting.discard_large_files(run)
    return status


def show_line(line: Line) -> None:
    """Print a line of the serial line, also while a shell has made the terminal raw, and if there is one."""
    with suppress(OSError):
        print(f"{line.channel.name.lower():5} | {printable(line.text)}", file=sys.stderr,
              end="\r\n" if sys.stderr.isatty() else "\n")


@app.command(epilog=EPILOG)
def build(arch: Annotated[list[str], typer.Argument(metavar="ARCH...", autocompletion=ARCH_NAMES,
                                                    help=f"some of: {', '.join(arches.ARCHES)}")]) -> int:
    """Build all that has changed, and boot nothing."""
    from orchestration.base.cache import Cache
    from orchestration.machine import boot as booting
    from orchestration.machine.progress import Progress

    chosen = [arches.find(name) for name in arch]
    doctor.ensure(chosen)
    doctor.check_space()
    progress = Progress()
    cache = Cache(say=progress.say)
    for one in chosen:
        progress.say(one.name)
        booting.artefacts(one, cache, progress)
    return 0


@app.command(name="test", epilog=EPILOG, context_settings={"ignore_unknown_options": True})
def run_tests(words: Annotated[list[str] | None, typer.Argument(
        metavar="[ARCH...] [PYTEST ARGUMENT...]", autocompletion=ARCH_NAMES, help="architectures, then what goes to "
        "pytest: paths and options")] = None,
    nightly: Annotated[bool, typer.Option("--nightly", help="the slow tests of the nightly run as well")] = False,
    coverage: Annotated[bool, typer.Option("--coverage", help="report which lines and branches of our Python code "
                                                              "the tests execute")] = False,
) -> int:
    """Run every test, on every architecture or on those named first; what follows them goes to pytest."""
    rest = list(words or [])
    chosen = []
    while rest and rest[0] in arches.ARCHES:
        chosen.append(arches.find(rest.pop(0)))
    if rest and not rest[0].startswith("-") and not (ROOT / rest[0].split("::")[0]).exists():
        raise UsageError(f"'{rest[0]}' is no architecture and no path to tests; valid: {', '.join(arches.ARCHES)}")
    doctor.ensure(chosen or arches.ARCHES.values(), tests=True)
    doctor.check_space()
    os.chdir(ROOT)
    arguments = ["pytest", *(f"--arch={one.name}" for one in chosen), *(["--nightly"] if nightly else []), *rest]
    if coverage:
        from orchestration.cli.coverage import of_python

        return of_python(arguments)
    return os.execv(sys.executable, [sys.executable, "-m", *arguments])


@app.command(epilog=EPILOG)
def measure(
    arch: Annotated[list[str] | None, typer.Argument(metavar="ARCH...", autocompletion=ARCH_NAMES, help=(
        f"some of: {', '.join(arches.ARCHES)}; all when none is named"))] = None,
) -> int:
    """Measure the guest against native Linux: all architectures into docs/measurements.md, named ones to the screen."""
    from orchestration.bench import measurements
    from orchestration.machine.progress import Progress

    chosen = [arches.find(name) for name in arch or arches.ARCHES]
    doctor.ensure(chosen)
    measurements.write(chosen, Progress())
    return 0


@app.command(name="doctor")
def doctor_command(
    arch: Annotated[list[str] | None, typer.Argument(metavar="ARCH...", autocompletion=ARCH_NAMES, help=(
        f"some of: {', '.join(arches.ARCHES)}; all when none is named"))] = None,
    install: Annotated[bool, typer.Option("--install", help="install what is missing")] = False,
) -> int:
    """Say what this machine lacks, and the command that mends it."""
    # bootstrap.py does this before there is a .venv; here it is for help and completion.
    return doctor.report(install, [arches.find(name) for name in arch or arches.ARCHES])


running_cli.register(app, EPILOG)


def main(arguments: list[str]) -> int:
    """Run a command line; return the exit code."""
    frame.heed_signals()
    completion_init()
    return frame.explained(lambda: app(arguments, prog_name="orchestrate"))
