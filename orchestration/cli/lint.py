# SPDX-License-Identifier: BSD-2-Clause
"""The command lint."""

from __future__ import annotations

import sys
import time
from typing import Annotated

import typer

from orchestration.base.errors import QuollError, UsageError
from orchestration.base.tree import ROOT
from orchestration.cli.group import one_of
from orchestration.lint.core import Tree
from orchestration.lint.linters import LINTERS, lint

EPILOG = ("Exit codes: 0 nothing found; 1 something found; 2 usage; 3 a program is missing (see doctor); "
          "130 interrupted.")


def lint_command(
    names: Annotated[list[str] | None, typer.Argument(metavar="NAME...", autocompletion=one_of(LINTERS), help=(
        f"some of: {', '.join(LINTERS)}; all when none is named"))] = None,
    fix: Annotated[bool, typer.Option("--fix", help="first mend what a program can mend: layout of C, some of ruff's "
                                                    "rules, drawings")] = False,
    show: Annotated[bool, typer.Option("--list", help="list the linters, run none")] = False,
) -> int:
    """Run the linters on the files of the tree; print each finding as FILE:LINE: TEXT."""
    if show:
        for one in LINTERS.values():
            print(f"{one.name:<14} {one.what}{' (--fix mends)' if one.mend else ''}")
        return 0
    for name in names or ():
        if name not in LINTERS:
            raise UsageError(f"unknown linter '{name}'; valid: {', '.join(LINTERS)}")
    began = time.monotonic()
    chosen = [LINTERS[name] for name in dict.fromkeys(names or LINTERS)]
    results = lint(Tree(ROOT), chosen, fix)
    count = 0
    for one, found in zip(chosen, results, strict=True):
        if not isinstance(found, QuollError):
            count += len(found)
            print(*(f"{finding} [{one.name}]\n" for finding in found), sep="", end="")
    print(f"lint: {len(chosen)} linter{'s' * (len(chosen) != 1)}, {count or 'no'} finding{'s' * (count != 1)}, "
          f"{time.monotonic() - began:.0f} s", file=sys.stderr)
    for found in results:
        if isinstance(found, QuollError):
            raise found
    return int(bool(count))
