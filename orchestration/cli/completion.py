# SPDX-License-Identifier: BSD-2-Clause
"""The command completion."""

from __future__ import annotations

from typing import Annotated

import typer
from typer._completion_shared import get_completion_script

from orchestration.base.errors import UsageError
from orchestration.cli.group import one_of

SHELLS = ("bash", "zsh", "fish")


def completion_command(shell: Annotated[str, typer.Argument(
        metavar="SHELL", autocompletion=one_of(SHELLS), help=", ".join(SHELLS))]) -> int:
    """Print the script that completes our commands: eval "$(./orchestrate completion bash)"."""
    if shell not in SHELLS:
        raise UsageError(f"unknown shell '{shell}'; valid: {', '.join(SHELLS)}")
    print(get_completion_script(prog_name="orchestrate", complete_var="_ORCHESTRATE_COMPLETE", shell=shell))
    return 0
