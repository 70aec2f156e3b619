# SPDX-License-Identifier: BSD-2-Clause
"""The commands pytest and python: other people's tests and programs, with Quoll's own Python packages."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from orchestration.base import arch as arches
from orchestration.base import doctor
from orchestration.cli.group import one_of
from orchestration.cli.words import leading_architectures


def pytest_command(words: Annotated[list[str] | None, typer.Argument(
        metavar="[ARCH...] [PYTEST ARGUMENT...]", autocompletion=one_of(arches.ARCHES),
        help="architectures of the guests, then what goes to pytest: your files and options")] = None) -> int:
    """Run your own tests, which use the fixture guest, in the current folder (docs/python.md)."""
    chosen, rest = leading_architectures(words or [])
    doctor.ensure(chosen)
    return os.execv(sys.executable, [sys.executable, "-m", "pytest", "-p", "quoll.plugin", "--quoll-install",
                                     *(f"--quoll-arch={one.name}" for one in chosen), *rest])


def python_command(words: Annotated[list[str] | None, typer.Argument(
        metavar="[PYTHON ARGUMENT...]", help="what goes to python: a program, or -c and its text")] = None) -> int:
    """Run a Python program that imports quoll (docs/python.md)."""
    return os.execv(sys.executable, [sys.executable, *(words or [])])
