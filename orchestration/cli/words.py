# SPDX-License-Identifier: BSD-2-Clause
"""Arguments and options that several commands take."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import takewhile
from pathlib import Path
from typing import Annotated

import typer

from orchestration.base.arch import ARCHES, Arch
from orchestration.base.errors import UsageError
from orchestration.cli.group import one_of

ArchArgument = Annotated[str, typer.Argument(metavar="ARCH", autocompletion=one_of(ARCHES),
                                             help=f"one of: {', '.join(ARCHES)}")]
MachineArchArgument = Annotated[str | None, typer.Argument(
    metavar="ARCH", autocompletion=one_of(ARCHES), help=f"one of: {', '.join(ARCHES)}; not needed where quoll.toml "
                                                        "names it")]
ArchesArgument = Annotated[list[str] | None, typer.Argument(
    metavar="ARCH...", autocompletion=one_of(ARCHES), help=f"some of: {', '.join(ARCHES)}; all when none is named")]
CommandArgument = Annotated[list[str] | None, typer.Argument(metavar="-- COMMAND...",
                                                             help="run this in the guest instead of a shell")]
TerminalOption = Annotated[bool, typer.Option("--tty", "-t", help="give COMMAND a terminal, as a shell has it")]

# No peer of a measurement; rounds by wall time, unless told.
NOBODY, ROUNDS = "none", 7
StoreOption = Annotated[Path | None, typer.Option("--store", help="folder of the results")]


def workload_names(incomplete: str) -> list[str]:
    """Complete the name of a workload."""
    from orchestration.bench import workload

    return [name for name in workload.available() if name.startswith(incomplete)]


def check_words(option: str, given: list[str], valid: list[str]) -> None:
    """Raise UsageError for a word that an option does not take."""
    for word in given:
        if word not in valid:
            raise UsageError(f"unknown value '{word}' of {option}; valid: {', '.join(valid)}")


def leading_architectures(words: Sequence[str]) -> tuple[list[Arch], list[str]]:
    """Return the architectures that words begin with, and the other words."""
    chosen = [ARCHES[word] for word in takewhile(ARCHES.__contains__, words)]
    return chosen, list(words[len(chosen):])
