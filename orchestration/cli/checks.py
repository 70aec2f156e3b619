# SPDX-License-Identifier: BSD-2-Clause
"""The commands test and doctor."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from orchestration.base import arch as arches
from orchestration.base import doctor
from orchestration.base.errors import UsageError
from orchestration.base.tree import ROOT
from orchestration.cli.group import one_of
from orchestration.cli.words import ArchesArgument, leading_architectures


def is_in_tree(path: str) -> bool:
    """Say whether a path names something in our tree, from its top."""
    return path != "" and (ROOT / path).exists() and (ROOT / path).resolve().is_relative_to(ROOT.resolve())


def pytest_command(words: Annotated[list[str] | None, typer.Argument(
        metavar="[ARCH...] [PYTEST ARGUMENT...]", autocompletion=one_of(arches.ARCHES),
        help="architectures, then what goes to pytest: paths and options")] = None,
    nightly: Annotated[bool, typer.Option("--nightly", help="the slow tests of the nightly run as well")] = False,
    coverage: Annotated[bool, typer.Option("--coverage", help="report which lines and branches of our Python code "
                                                              "the tests execute")] = False,
) -> int:
    """Run the linters and the tests, on every architecture or on those named first; what follows goes to pytest."""
    chosen, rest = leading_architectures(words or [])
    if rest and not rest[0].startswith("-") and not is_in_tree(rest[0].split("::")[0]):
        raise UsageError(f"'{rest[0]}' is no architecture and no path to tests; valid: {', '.join(arches.ARCHES)}")
    doctor.ensure(chosen or arches.ARCHES.values(), tests=True)
    doctor.check_space()
    os.chdir(ROOT)
    arguments = ["pytest", *(f"--arch={one.name}" for one in chosen), *(["--nightly"] if nightly else []), *rest]
    if coverage:
        from orchestration.cli.coverage import of_python

        return of_python(arguments)
    return os.execv(sys.executable, [sys.executable, "-m", *arguments])


def doctor_command(
    arch: ArchesArgument = None,
    install: Annotated[bool, typer.Option("--install", help="install what is missing")] = False,
) -> int:
    """Print what this host lacks, and the command that installs it."""
    # bootstrap.py does this before there is a .venv; here it is for help and completion.
    return doctor.report(install, [arches.find(name) for name in arch or arches.ARCHES])
