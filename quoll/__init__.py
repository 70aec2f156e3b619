# SPDX-License-Identifier: BSD-2-Clause
"""Boots Quoll's Linux from Python: docs/python.md.

    with quoll.boot("riscv64", rootfs="debian") as guest:
        print(guest.run(["uname", "-srm"]).stdout)

What an installed pytest loads at each start stays light: a machine's modules are imported by the first boot.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

# An installed package carries the sources that it builds from; in a checkout they are beside this folder.
SOURCE = Path(__file__).resolve().parent / "source"
if SOURCE.is_dir() and str(SOURCE) not in sys.path:
    sys.path.append(str(SOURCE))

from orchestration.base.errors import (  # noqa: E402 - found by the lines above
    BuildError,
    HangError,
    InfrastructureError,
    MissingError,
    PanicError,
    QuollError,
    UsageError,
)
from quoll.errors import CommandError, CommandTimeout  # noqa: E402

if TYPE_CHECKING:
    from quoll.console import Console
    from quoll.guest import Completed, Guest

__all__ = ["BuildError", "CommandError", "CommandTimeout", "Completed", "Console", "Guest", "HangError",
           "InfrastructureError", "MissingError", "PanicError", "QuollError", "UsageError", "boot"]


def boot(arch: str | None = None, *, files: bool = True, install: bool = False, quiet: bool = True,
         **fields: Any) -> Guest:
    """Build what has changed, boot it, and return the guest when its SSH answers. Use it as a context manager.

    arch: x86_64, riscv64 or aarch64; may be left out where a quoll.toml names one. fields: those of a machine's
    description, as in quoll.toml (docs/usage.md), such as rootfs="debian", memory="1G", trace=True.
    files: values that are not given come from quoll.toml, as those of ./orchestrate boot do. install: install Debian
    packages that this host lacks, instead of raising MissingError. quiet: no progress on standard error.

    QEMU ends with the thread that called this, at the latest.
    """
    from quoll import machines

    given = fields if arch is None else {"arch": arch, **fields}
    return machines.boot(machines.describe(given, files), install=install, quiet=quiet)


def __getattr__(name: str) -> Any:
    """Import a class when it is asked for."""
    from importlib import import_module

    places = {"Completed": "quoll.guest", "Console": "quoll.console", "Guest": "quoll.guest"}
    if name not in places:
        raise AttributeError(f"module 'quoll' has no attribute '{name}'")
    return getattr(import_module(places[name]), name)
