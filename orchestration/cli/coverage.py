# SPDX-License-Identifier: BSD-2-Clause
"""The command coverage: which lines of the kernel its tests execute; and what test --coverage adds to test."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer

from orchestration.base import arch as arches
from orchestration.base import doctor
from orchestration.base.errors import UsageError
from orchestration.base.ownership import PREFIX, OwnFolder, temporary
from orchestration.base.tree import ROOT
from orchestration.cli.words import ArchesArgument

UNREACHED = ROOT / "tests/kernel/unreached.yaml"
# The kernel's own tests, without those that run the same program once more on another variant of the kernel, which
# this replaces. Each boots in seconds and needs no Linux.
TESTS = ("tests/system/test_kernel.py", "tests/system/test_kernel_start.py", "tests/system/test_attack.py",
         "tests/system/test_model.py")
SELECTION = "not counting and not checking"


def coverage_command(
    arch: ArchesArgument = None,
    output: Annotated[Path | None, typer.Option(help="write each report into this folder as well, as kernel-ARCH.txt"),
                      ] = None,
    least: Annotated[float, typer.Option(min=0, max=100, help="fail below this share of lines, in percent")] = 0,
) -> int:
    """Run the kernel's tests and say which lines of the kernel they execute, and which they do not."""
    chosen = [arches.find(name) for name in arch or arches.ARCHES]
    if output is not None and not output.is_dir():
        raise UsageError(f"--output: {output} is no folder")
    doctor.ensure(chosen, tests=True)
    doctor.check_space()
    status = 0
    for one in chosen:
        status |= tested(one, output, least)
    return status


def tested(arch: arches.Arch, output: Path | None, least: float) -> int:
    """Run the tests for one architecture and report; return an exit status."""
    from orchestration.base.cache import Cache
    from orchestration.build import quoll
    from orchestration.inspect import lines

    name = arch.name
    with OwnFolder(temporary(), PREFIX) as folder:
        tests = subprocess.run([sys.executable, "-m", "pytest", f"--arch={name}", f"--kernel-lines={folder}",
                                "-k", SELECTION, *TESTS], cwd=ROOT, stdout=sys.stderr, check=False)
        code = lines.read(quoll.lines_kernel(arch, Cache()) / quoll.counting(quoll.KERNEL))
        found = lines.measure(code, sorted(folder.iterdir()))
    text = "\n".join(lines.report(found, lines.excuses(UNREACHED)))
    print(f"{name}\n{text}\n", flush=True)
    if output is not None:
        (output / f"kernel-{name}.txt").write_text(text + "\n")
    if found.percent() < least:
        print(f"orchestrate: the tests execute {found.percent():.1f} % of the kernel's lines on {name}; at least "
              f"{least:g} % are wanted", file=sys.stderr)
    return int(tests.returncode != 0 or found.percent() < least)


def of_python(arguments: list[str]) -> int:
    """Run a module, such as pytest, and what it starts, and report which of our Python code was executed."""
    with OwnFolder(temporary(), PREFIX) as folder:
        tool = [sys.executable, "-m", "coverage"]
        environment = dict(os.environ, COVERAGE_FILE=str(folder / "coverage"))
        done = subprocess.run([*tool, "run", "-m", *arguments], cwd=ROOT, env=environment, check=False)
        for step in (["combine", "--quiet"], ["report"]):
            subprocess.run([*tool, *step], cwd=ROOT, env=environment, check=False)
    return done.returncode
