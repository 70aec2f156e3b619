# SPDX-License-Identifier: BSD-2-Clause
"""The options that describe a machine, of every command that makes one. They are declared once, here.

This module imports no pydantic: --help does not need the model.
"""

from __future__ import annotations

import functools
import glob
import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestration.base.arch import CHECKS, GUEST_MODES
from orchestration.base.roots import ROOTS
from orchestration.cli.group import one_of

if TYPE_CHECKING:
    from orchestration.machine.layers import Resolved


def root_names(incomplete: str) -> list[str]:
    """Complete the name of a root file system, or the path of one."""
    parent, _, name = incomplete.rpartition("/")
    place = f"{parent}/" if "/" in incomplete else ""
    found = sorted(Path(place or ".").glob(f"{glob.escape(name)}*"))
    return [*one_of(ROOTS)(incomplete), *(f"{place}{path.name}{'/' * path.is_dir()}" for path in found)]

ACCELERATORS = ("tcg", "kvm")
GuestModeOption = Annotated[str | None, typer.Option("--guest-mode", autocompletion=one_of(GUEST_MODES),
                                                     metavar="MODE", show_default=False, help=(
    "privilege of the guest's kernel: beside (that of its programs), or above (x86_64; default where "
    "it holds the kernel back, which it does not under emulation)"))]
CpusOption = Annotated[str | None, typer.Option("--cpus", metavar="N", show_default=False, help=(
    "CPUs of the machine and of the guest, from 1 to 8; 1 if not given"))]
# Field of orchestration.machine.description.Description: its option. None, or an empty list, is "not given".
OPTIONS: dict[str, Any] = {
    "memory": Annotated[str | None, typer.Option(metavar="SIZE", help="memory of the guest, such as 2G; 512M if not "
                                                                      "given")],
    "cpus": CpusOption,
    "places": Annotated[list[str] | None, typer.Option("--place", metavar="NAME=CPU", show_default=False, help=(
        "the CPU that a server or vCPU runs on, such as block=1 or vcpu0=2; may be repeated"))],
    "disk_size": Annotated[str | None, typer.Option(metavar="SIZE", help="size of the guest's first disk, such as 8G")],
    "persist": Annotated[str | None, typer.Option(metavar="NAME", help=(
        "keep the guest's first disk under this name, and find it again (see: ./orchestrate disks)"))],
    "disks": Annotated[list[str] | None, typer.Option("--disk", metavar="FILE[,ro]", help=(
        "one more disk of the guest: a raw image or block device, which the guest writes; may be repeated"))],
    "ports": Annotated[list[str] | None, typer.Option("--port", metavar="HOST:GUEST", help=(
        "let a port of this host's loopback interface lead to one of the guest; may be repeated"))],
    "shares": Annotated[list[str] | None, typer.Option("--share", metavar="HOSTDIR[:GUESTDIR][:rw]", help=(
        "let the guest see a folder of this host, at /mnt/NAME if not told where; to read, unless :rw; "
        "may be repeated"))],
    "name": Annotated[str | None, typer.Option(metavar="NAME", help="name of the machine, for ps, ssh, cp and others")],
    "accel": Annotated[str | None, typer.Option(autocompletion=one_of(ACCELERATORS), show_default=False,
                                                help="tcg (default), or kvm where our probe runs under it")],
    "guest_mode": GuestModeOption,
    "rootfs": Annotated[str | None, typer.Option(autocompletion=root_names, show_default=False, metavar="NAME|FILE",
                                                 help="tiny (default), debian, or the file of one: tar or ext4")],
    "include": Annotated[list[str] | None, typer.Option(metavar="PACKAGE", show_default=False, help=(
        "a Debian package that --rootfs debian has as well; may be repeated"))],
    "append": Annotated[str | None, typer.Option(help="more boot arguments for Linux")],
    "kernel_config": Annotated[list[str] | None, typer.Option("--kernel-config", metavar="FRAGMENT", show_default=False,
                                                              help="options of Linux that win over ours (a file; may "
                                                                   "be repeated)")],
    "patches": Annotated[list[str] | None, typer.Option("--patch", metavar="FILE", show_default=False, help=(
        "a patch of Linux to apply after our series (may be repeated)"))],
    "debug": Annotated[list[str] | None, typer.Option("--debug", autocompletion=one_of(CHECKS), metavar="CHECK",
                                                      show_default=False, help=(
        f"a check to compile into Linux: {', '.join(CHECKS)}; exit code 115 if it reports a bug (may be repeated)"))],
    "trace": Annotated[bool | None, typer.Option("--trace/--no-trace", show_default=False, help=(
        "with the L4 that counts and traces (then: ./orchestrate trace)"))],
    "snapshot": Annotated[bool | None, typer.Option("--snapshot/--no-snapshot", show_default=False, help=(
        "start from a stored state of the booted machine, which the first boot makes"))],
}
IGNORE = Annotated[bool, typer.Option("--no-config", help="read no quoll.toml")]
SHOW = Annotated[bool, typer.Option("--show-config", help="print the machine's description, and where each value "
                                                          "came from")]


class Wanted:
    """What a command line said of a machine."""

    def __init__(self, given: Mapping[str, Any], *, show: bool, ignore: bool) -> None:
        """Take the options that were given, by field; whether to print the result; whether to read no file."""
        self.given = {name: value for name, value in given.items() if value not in (None, [])}
        self.show, self.ignore = show, ignore

    def resolve(self, arch: str | None = None) -> Resolved:
        """Return the description of a machine; with --show-config, print it and end the command."""
        from orchestration.machine import layers

        resolved = layers.resolve(self.given | ({"arch": arch} if arch else {}), () if self.ignore else None)
        if self.show:
            print(resolved.show(), end="")
            raise typer.Exit
        return resolved


def describes_machine(function: Callable[..., int]) -> Callable[..., int]:
    """Give a command the options of a machine; its parameter wanted gets them as one Wanted."""

    @functools.wraps(function)
    def command(**arguments: Any) -> int:
        given = {name: arguments.pop(name) for name in OPTIONS}
        wanted = Wanted(given, show=arguments.pop("show_config"), ignore=arguments.pop("no_config"))
        return function(**arguments, wanted=wanted)

    kind = inspect.Parameter.KEYWORD_ONLY
    own = [one.replace(kind=kind) for one in inspect.signature(function, eval_str=True).parameters.values()
           if one.name != "wanted"]
    more = [inspect.Parameter(name, kind, default=None, annotation=option) for name, option in OPTIONS.items()]
    more += [inspect.Parameter("show_config", kind, default=False, annotation=SHOW),
             inspect.Parameter("no_config", kind, default=False, annotation=IGNORE)]
    command.__signature__ = inspect.Signature([*own, *more])  # type: ignore[attr-defined]
    command.__annotations__ = {one.name: one.annotation for one in (*own, *more)}
    return command
