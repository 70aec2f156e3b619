# SPDX-License-Identifier: BSD-2-Clause
"""The commands ps, attach, ssh, cp, gdb, trace, dossier, stop, repro and completion."""

from __future__ import annotations

import glob
import sys
from typing import Annotated

import typer
from typer._completion_shared import get_completion_script

from orchestration.base.errors import UsageError
from orchestration.base.rundir import runs_folder
from orchestration.cli.frame import one_of
from orchestration.machine import registry

SHELLS = ("bash", "zsh", "fish")


def machine_names(incomplete: str) -> list[str]:
    """Complete the name of a running machine."""
    return [entry.name for entry in registry.entries() if entry.name.startswith(incomplete)]


def machine_places(incomplete: str) -> list[str]:
    """Complete the machine of a place of cp."""
    return [f"{name}:" for name in machine_names(incomplete)]


def run_names(incomplete: str) -> list[str]:
    """Complete the name of a run that can be booted again."""
    parent = runs_folder()
    return sorted(path.parent.name for path in parent.glob(f"{glob.escape(incomplete)}*/disk.ext4"))


Name = Annotated[str | None, typer.Argument(metavar="MACHINE", autocompletion=machine_names,
                                            help="as ps lists it; not needed when only one runs")]

TerminalOption = Annotated[bool, typer.Option("--tty", "-t", help="give COMMAND a terminal, as a shell has it")]


def ps_command() -> int:
    """List the machines that run."""
    for entry in registry.entries():
        print(f"{entry.name}\t{entry.arch}\tssh port {entry.port}\t{entry.run}")
    return 0


def attach_command(machine: Name = None, log: Annotated[bool, typer.Option(
        "--log", help="show the log of L4 and its servers as well")] = False) -> int:
    """Join the terminal with a running guest's console; Ctrl-] leaves."""
    from orchestration.running import reach

    return reach.attach(registry.find(machine), log)


def ssh_command(machine: Name = None, command: Annotated[list[str] | None, typer.Argument(
        metavar="-- COMMAND...", help="run this instead of a shell")] = None,
        terminal: TerminalOption = False) -> int:
    """Open a shell in a running guest, or run COMMAND there with its status as ours."""
    from orchestration.running import reach

    words = list(command or [])
    if machine is not None and machine not in machine_names("") and "--" in sys.argv \
            and sys.argv[sys.argv.index("--") + 1:][:1] == [machine]:
        words, machine = [machine, *words], None
    return reach.shell(registry.find(machine), words, terminal)


def cp_command(paths: Annotated[list[str], typer.Argument(
        metavar="SOURCE... TARGET", autocompletion=machine_places,
        help="one side is MACHINE:PATH, or :PATH when only one machine runs")]) -> int:
    """Copy files and folders into a running guest or out of it."""
    from orchestration.running import reach

    if len(paths) < 2:
        raise UsageError("cp needs a source and a target")
    return reach.copy(paths[:-1], paths[-1])


def gdb_command(machine: Name = None, argument: Annotated[list[str] | None, typer.Argument(
        metavar="-- GDB ARGUMENT...", help="more for gdb, such as -ex 'break schedule'")] = None) -> int:
    """Debug a running machine: gdb with the symbols of L4, of the server that runs, and of Linux."""
    from orchestration.running import reach

    words = list(argument or [])
    if machine is not None and machine.startswith("-"):
        words, machine = [machine, *words], None
    return reach.gdb(registry.find(machine), words)


def trace_command(machine: Name = None, last: Annotated[int, typer.Option(
        "--last", min=0, help="events to show, the newest at the end")] = 64) -> int:
    """Print what L4 has counted and its last events, of a machine booted with --trace."""
    from orchestration.running import remote

    print("\n".join(remote.show_trace(registry.find(machine), last)))
    return 0


def dossier_command(machine: Name = None) -> int:
    """Say what a machine is doing, such as one that hangs: write dossier.txt into its run's folder; it runs on."""
    from orchestration.running import remote

    print(remote.write_dossier(registry.find(machine)))
    return 0


def stop_command(machine: Name = None) -> int:
    """Power a running machine off."""
    from orchestration.running import reach

    return reach.stop(registry.find(machine))


def repro_command(
    run: Annotated[str, typer.Argument(metavar="RUN", autocompletion=run_names,
                                       help="a run's folder, or enough of its name")],
    command: Annotated[list[str] | None, typer.Argument(metavar="-- COMMAND...",
                                                        help="run this in the guest instead of a shell")] = None,
    terminal: TerminalOption = False,
) -> int:
    """Boot again exactly what a failed run booted, on copies of its files."""
    from orchestration.base import doctor
    from orchestration.machine import boot
    from orchestration.machine.progress import Progress
    from orchestration.running import repro

    folder = repro.find(run)
    progress = Progress()
    session = repro.prepare(folder, progress)
    doctor.ensure([session.machine.arch])
    doctor.check_space()
    progress.say(f"again: {folder.name}")
    with session:
        status = session.serve(command or [], terminal)
    boot.discard_large_files(session.machine.run)
    return status


def completion_command(shell: Annotated[str, typer.Argument(
        metavar="SHELL", autocompletion=one_of(SHELLS), help=", ".join(SHELLS))]) -> int:
    """Print the script that completes our commands: eval "$(./orchestrate completion bash)"."""
    if shell not in SHELLS:
        raise UsageError(f"unknown shell '{shell}'; valid: {', '.join(SHELLS)}")
    print(get_completion_script(prog_name="orchestrate", complete_var="_ORCHESTRATE_COMPLETE", shell=shell))
    return 0


def register(app: typer.Typer, epilog: str) -> None:
    """Add the commands."""
    for name, command in (("ps", ps_command), ("attach", attach_command), ("ssh", ssh_command), ("cp", cp_command),
                          ("gdb", gdb_command), ("trace", trace_command),
                          ("dossier", dossier_command), ("stop", stop_command), ("repro", repro_command),
                          ("completion", completion_command)):
        app.command(name=name, epilog=epilog)(command)


