# SPDX-License-Identifier: BSD-2-Clause
"""The command line: which commands ./orchestrate has, and where each of them is."""

from __future__ import annotations

import os

import typer

from orchestration.cli import group, signals
from orchestration.cli.failures import explained
from orchestration.cli.group import EPILOG, Group, Lazy

# In the order of the help.
COMMANDS = {
    "boot": Lazy("boot", "boot_command", begins="begin"),
    "build": Lazy("boot", "build_command"),
    "test": Lazy("checks", "pytest_command", {"ignore_unknown_options": True}),
    "pytest": Lazy("python", "pytest_command", {"ignore_unknown_options": True}),
    "python": Lazy("python", "python_command", {"ignore_unknown_options": True, "allow_interspersed_args": False}),
    "coverage": Lazy("coverage", "coverage_command"),
    "lint": Lazy("lint", "lint_command"),
    "measure": Lazy("bench", "measure_command"),
    "doctor": Lazy("checks", "doctor_command"),
    "ps": Lazy("machines", "ps_command"),
    "attach": Lazy("machines", "attach_command"),
    "ssh": Lazy("machines", "ssh_command"),
    "cp": Lazy("machines", "cp_command"),
    "gdb": Lazy("machines", "gdb_command"),
    "trace": Lazy("machines", "trace_command"),
    "dossier": Lazy("machines", "dossier_command"),
    "place": Lazy("machines", "place_command"),
    "stop": Lazy("machines", "stop_command"),
    "disks": Lazy("machines", "disks_command"),
    "repro": Lazy("boot", "repro_command"),
    "conform": Lazy("conform", "conform_command"),
    "completion": Lazy("completion", "completion_command"),
    "faults": Lazy("faults", "faults_command"),
    "matrix": Lazy("matrix", "matrix_command"),
    "ci": Lazy("matrix", "ci_command"),
    "bench": Lazy("bench", "app"),
    "report": Lazy("bench", "report_command"),
}
# Set by the shell that asks for completions.
COMPLETE_VARIABLE = "_ORCHESTRATE_COMPLETE"
app = typer.Typer(cls=Group, add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None,
                  no_args_is_help=True, context_settings={"help_option_names": ["-h", "--help"]},
                  callback=group.common, epilog=EPILOG)
Group.lazy = COMMANDS


def main(arguments: list[str]) -> int:
    """Run a command line; return the exit code."""
    signals.heed_signals()
    if COMPLETE_VARIABLE in os.environ:
        from typer._completion_classes import completion_init

        completion_init()
    return explained(lambda: app(arguments, prog_name="orchestrate"))
