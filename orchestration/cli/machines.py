# SPDX-License-Identifier: BSD-2-Clause
"""The commands ps, attach, ssh, cp, gdb, trace, dossier, stop and disks."""

from __future__ import annotations

from typing import Annotated

import typer

from orchestration.base.errors import UsageError
from orchestration.cli.words import CommandArgument, TerminalOption
from orchestration.machine import registry


def machine_names(incomplete: str) -> list[str]:
    """Complete the name of a running machine."""
    return [entry.name for entry in registry.entries() if entry.name.startswith(incomplete)]


def machine_places(incomplete: str) -> list[str]:
    """Complete the machine of a place of cp."""
    return [f"{name}:" for name in machine_names(incomplete)]


Name = Annotated[str | None, typer.Argument(metavar="MACHINE", autocompletion=machine_names,
                                            help="as ps lists it; not needed when only one runs")]


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


def ssh_command(machine: Name = None, command: CommandArgument = None, terminal: TerminalOption = False) -> int:
    """Open a shell in a running guest, or run COMMAND there with its status as ours."""
    from orchestration.running import reach

    return reach.shell(registry.find(machine), list(command or []), terminal)


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

    return reach.gdb(registry.find(machine), list(argument or []))


def trace_command(machine: Name = None, last: Annotated[int, typer.Option(
        "--last", min=0, help="events to show, the newest at the end")] = 64) -> int:
    """Print what L4 has counted and its last events, of a machine booted with --trace."""
    from orchestration.running import remote

    print("\n".join(remote.show_trace(registry.find(machine), last)))
    return 0


def dossier_command(machine: Name = None) -> int:
    """Write dossier.txt into the run folder: what a machine is doing, such as one that hangs; the machine runs on."""
    from orchestration.running import remote

    print(remote.write_dossier(registry.find(machine)))
    return 0


def place_command(machine: Annotated[str, typer.Argument(metavar="MACHINE", autocompletion=machine_names,
                                                         help="name of a machine (see: ./orchestrate ps)")],
                  places: Annotated[list[str] | None, typer.Argument(
                      metavar="NAME=CPU...", help="who is to run where, such as block=1")] = None) -> int:
    """Print the CPUs that the servers and vCPUs of a running machine run on, or move some."""
    from orchestration.running import remote

    for line in remote.place(registry.find(machine), places or ()):
        print(line)
    return 0


def disk_names(incomplete: str) -> list[str]:
    """Complete the name of a persistent disk."""
    from orchestration.machine import persistent

    return [name for name in persistent.names() if name.startswith(incomplete)]


def disks_command(remove: Annotated[list[str] | None, typer.Option(
        metavar="NAME", autocompletion=disk_names, help="remove this disk for ever; may be repeated")] = None) -> int:
    """List the disks of boot --persist, or remove some."""
    from orchestration.machine import persistent

    for name in remove or ():
        persistent.remove(name)
    if not remove:
        for line in persistent.table():
            print(line)
    return 0


def stop_command(machine: Name = None) -> int:
    """Power a running machine off."""
    from orchestration.running import reach

    return reach.stop(registry.find(machine))
