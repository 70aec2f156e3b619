# SPDX-License-Identifier: BSD-2-Clause
"""The command line: ./orchestrate boot | build | test | measure | bench | report | doctor."""

from __future__ import annotations

import os
import shlex
import signal
import sys
import traceback
from collections.abc import Callable
from dataclasses import replace
from types import FrameType
from typing import Annotated

import typer
from typer._completion_classes import completion_init

from orchestration import arch as arches
from orchestration import boot as booting
from orchestration import doctor, kernel_tests, measurements, qemu, ssh
from orchestration.bench import cli as bench_cli
from orchestration.bootstrap import ROOT
from orchestration.cache import Cache
from orchestration.errors import EXIT_INTERRUPTED, QuollError, UsageError
from orchestration.faults import cli as faults_cli
from orchestration.matrix import cli as matrix_cli
from orchestration.progress import Progress
from orchestration.rundir import RunDirectory
from orchestration.running import cli as running_cli
from orchestration.running import keeper

ACCELERATORS = ("tcg", "kvm")
ARCH_NAMES = running_cli.one_of(arches.ARCHES)
EPILOG = ("Exit codes: a guest command's own; 2 usage; 3 something is missing (see doctor); "
          "116 cells of a matrix failed; 117 a driver's fault did harm; 118 a workload failed; "
          "119 a cost grew beyond its gate; 120 infrastructure; "
          "121 build; 122 panic; 123 hang; 130 interrupted.")
app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None, no_args_is_help=True,
                  help="Build, boot and test Quoll: Linux on an L4 microkernel.", epilog=EPILOG)


@app.command(epilog=EPILOG)
def boot(
    arch: Annotated[str, typer.Argument(metavar="ARCH", autocompletion=ARCH_NAMES,
                                        help=f"one of: {', '.join(arches.ARCHES)}")],
    command: Annotated[list[str] | None, typer.Argument(metavar="-- COMMAND...",
                                                        help="run this in the guest instead of a shell")] = None,
    accel: Annotated[str, typer.Option(autocompletion=running_cli.one_of(ACCELERATORS),
                                       help="tcg, or kvm where our probe runs under it")] = "tcg",
    append: Annotated[str, typer.Option(help="more boot arguments for Linux")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="build, then print QEMU's command")] = False,
    console: Annotated[bool, typer.Option("--console", help="show the serial line as well")] = False,
    trace: Annotated[bool, typer.Option("--trace", help="with the L4 that counts and traces (then: ./orchestrate "
                                                        "trace)")] = False,
    detach: Annotated[bool, typer.Option("--detach", "-d", help="leave it running, print its name (ssh, attach, "
                                                                "cp, gdb, stop)")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="no progress")] = False,
) -> int:
    """Build what has changed, boot it, and open a shell in the guest (or run COMMAND there)."""
    chosen = arches.find(arch)
    if accel not in ACCELERATORS:
        raise UsageError(f"unknown accelerator '{accel}'; valid: {', '.join(ACCELERATORS)}")
    doctor.ensure([chosen])
    doctor.check_space()
    progress = Progress(quiet)
    cache = Cache(say=progress.say)
    made = replace(booting.artefacts(chosen, cache, progress), trace=trace)
    if accel == "kvm":
        with progress.step("probe KVM"):
            kernel_tests.probe(chosen, made.bare)
    run = RunDirectory(f"boot-{chosen.name}")
    session = booting.prepare(made, progress, run, accel=accel, bootargs=append)
    if dry_run:
        print(shlex.join(qemu.arguments(chosen, session.machine.config, None, qemu.free_port())))
        return 0
    if detach:
        if command:
            raise UsageError("--detach leaves no command to run", "boot first, then: ./orchestrate ssh -- COMMAND")
        return keeper.detach(session, explained)
    if console:
        session.machine.on_line = lambda line: print(f"{line.channel.name.lower():5} | {line.text}", file=sys.stderr)
    with session:
        if command:
            source = None if sys.stdin is None or sys.stdin.isatty() else sys.stdin.buffer
            status = session.pass_through(command, source)
        elif sys.stdin.isatty() and sys.stdout.isatty():
            progress.say("the guest is ready; leave the shell to switch it off")
            assert session.connection is not None
            status = ssh.shell(session.connection, session.check)
        else:
            print("ready", flush=True)
            status = 0
        session.power_off()
    booting.discard_large_files(run)
    return status


@app.command(epilog=EPILOG)
def build(arch: Annotated[list[str], typer.Argument(metavar="ARCH...", autocompletion=ARCH_NAMES,
                                                    help=f"some of: {', '.join(arches.ARCHES)}")]) -> int:
    """Build all that has changed, and boot nothing."""
    chosen = [arches.find(name) for name in arch]
    doctor.ensure(chosen)
    doctor.check_space()
    progress = Progress()
    cache = Cache(say=progress.say)
    for one in chosen:
        progress.say(one.name)
        booting.artefacts(one, cache, progress)
    return 0


@app.command(epilog=EPILOG, context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
             options_metavar="[ARCH...] [PYTEST ARGUMENT...]")
def test(context: typer.Context) -> int:
    """Run every test, on every architecture or on those named first; what follows them goes to pytest."""
    rest = list(context.args)
    chosen = []
    while rest and rest[0] in arches.ARCHES:
        chosen.append(arches.find(rest.pop(0)))
    if rest and not rest[0].startswith("-") and not (ROOT / rest[0].split("::")[0]).exists():
        raise UsageError(f"'{rest[0]}' is no architecture and no path to tests; valid: {', '.join(arches.ARCHES)}")
    doctor.ensure(chosen or arches.ARCHES.values())
    doctor.check_space()
    os.chdir(ROOT)
    os.execv(sys.executable, [sys.executable, "-m", "pytest", *(f"--arch={one.name}" for one in chosen), *rest])


@app.command(epilog=EPILOG)
def measure(
    arch: Annotated[list[str] | None, typer.Argument(metavar="ARCH...", autocompletion=ARCH_NAMES, help=(
        f"some of: {', '.join(arches.ARCHES)}; all when none is named"))] = None,
) -> int:
    """Measure the guest against native Linux: all architectures into docs/measurements.md, named ones to the screen."""
    chosen = [arches.find(name) for name in arch or arches.ARCHES]
    doctor.ensure(chosen)
    measurements.write(chosen, Progress())
    return 0


@app.command(name="doctor")
def doctor_command() -> int:
    """Say what this machine lacks (handled before the .venv is needed)."""
    return doctor.report(mend=False)


app.command(name="faults", epilog=EPILOG)(faults_cli.faults)
running_cli.register(app, EPILOG)
app.command(name="matrix", epilog=EPILOG)(matrix_cli.matrix_command)
app.command(name="ci", epilog=EPILOG)(matrix_cli.ci_command)
app.add_typer(bench_cli.app, name="bench")
app.command(name="report", epilog=EPILOG)(bench_cli.report_command)


def one_line(error: typer.TyperException) -> str:
    """Return a usage error as one line that lists what is valid."""
    text = error.format_message().rstrip(".").replace("\n", " ")
    context = getattr(error, "ctx", None)
    if context is None:
        return text
    names = getattr(context.command, "commands", None)
    if names and "option" not in text:
        return f"{text}; valid: {', '.join(sorted(names))}"
    options = [name for parameter in context.command.params for name in parameter.opts if name.startswith("-")]
    if "option" in text:
        return f"{text}; valid: {', '.join([*options, '--help'])}"
    if "arch" in text.lower():
        return f"{text}; valid: {', '.join(arches.ARCHES)}"
    return text


def terminate(number: int, frame: FrameType | None) -> None:
    """Make SIGTERM and SIGHUP end like Ctrl-C: through every clean-up."""
    raise KeyboardInterrupt


def main(arguments: list[str]) -> int:
    """Run a command line; return the exit code."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, terminate)
    completion_init()
    return explained(lambda: app(arguments, standalone_mode=False, prog_name="orchestrate"))


def explained(work: Callable[[], int | None]) -> int:
    """Run something; return its exit code, or explain its failure and return that."""
    try:
        return int(work() or 0)
    except QuollError as error:
        print("\n".join(error.lines()), file=sys.stderr)
        return error.exit_code
    except typer.TyperException as error:
        print(f"orchestrate: {one_line(error)}", file=sys.stderr)
        return UsageError.exit_code
    except KeyboardInterrupt:
        print("orchestrate: interrupted", file=sys.stderr)
        return EXIT_INTERRUPTED
    except Exception:
        traceback.print_exc()
        print("orchestrate: this is a bug of the orchestrator", file=sys.stderr)
        return QuollError.exit_code
