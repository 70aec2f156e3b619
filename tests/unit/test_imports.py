# SPDX-License-Identifier: BSD-2-Clause
"""A command imports what it needs: the start of ps, --help and completion is what everybody waits for."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

# What costs more than the command line itself.
HEAVY = ("asyncio", "backports", "cryptography", "elftools", "fabric", "fdt", "invoke", "jinja2", "multiprocessing",
         "paramiko", "pydantic", "qemu", "rich", "sqlite3", "xml", "yaml")
SCRIPT = """
import sys
from orchestration.cli.main import main
status = main(sys.argv[1:])
sys.stdout.flush()
print(*sorted(sys.modules), sep="\\n", file=sys.stderr)
sys.exit(status)
"""


def environment(root: Path) -> dict[str, str]:
    """Return the variables of a process that loads this tree's packages, and not what measures coverage."""
    return {**{name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")},
            "PYTHONPATH": str(root)}


def imported(root: Path, *arguments: str, **more: str) -> set[str]:
    """Return the modules that are loaded after a command."""
    done = subprocess.run([sys.executable, "-c", SCRIPT, *arguments], cwd=root, capture_output=True, text=True,
                          check=False, env=environment(root) | more)
    assert done.returncode == 0, done.stderr
    return set(done.stderr.splitlines())


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["ps"], ["boot", "--help"], ["ssh", "--help"],
                                       ["cp", "--help"], ["bench", "--help"], ["faults", "--help"],
                                       ["matrix", "--help"], ["doctor", "--help"], ["completion", "bash"]],
                         ids=" ".join)
def test_a_command_that_only_tells_loads_nothing_heavy(root: Path, arguments: list[str]) -> None:
    found = imported(root, *arguments)
    assert "orchestration.cli.main" in found
    # Typer loads it for the value of an argument.
    meant = {"pydantic"} if arguments == ["completion", "bash"] else set()
    assert not {name.split(".")[0] for name in found} & (set(HEAVY) - meant)
    assert "orchestration.machine.session" not in found


def test_the_pytest_plugin_loads_nothing_heavy(root: Path) -> None:
    """Every pytest of an environment in which Quoll is installed loads it."""
    done = subprocess.run([sys.executable, "-c", "import sys, quoll.plugin; print(*sys.modules)"], cwd=root,
                          capture_output=True, text=True, check=True, env=environment(root))
    found = set(done.stdout.split())
    assert "quoll.plugin" in found
    assert not {name for name in found if name.split(".")[0] in HEAVY}
    assert not {name for name in found if name.startswith(("orchestration.machine", "orchestration.build"))}


def test_a_command_loads_its_own_module_only(root: Path) -> None:
    found = {name for name in imported(root, "ps") if name.startswith("orchestration.cli.")}
    assert "orchestration.cli.machines" in found
    assert not found & {f"orchestration.cli.{name}" for name in ("bench", "boot", "checks", "faults", "matrix")}
