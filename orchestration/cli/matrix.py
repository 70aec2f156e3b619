# SPDX-License-Identifier: BSD-2-Clause
"""The commands matrix and ci."""

from __future__ import annotations

import shlex
import time
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orchestration.base import arch as arches
from orchestration.base import doctor
from orchestration.base.errors import BuildError, InfrastructureError, UsageError
from orchestration.base.tree import describe
from orchestration.cli.group import one_of

if TYPE_CHECKING:
    from orchestration.machine.progress import Progress

FileArgument = Annotated[Path, typer.Argument(metavar="FILE", help="such as ci/nightly.yaml")]


def facts(path: Path) -> dict[str, str]:
    """Return what a page says of its circumstances."""
    from orchestration.base.cache import hash_file
    from orchestration.bench.store import now

    return {"started": now(), "commit": describe() or "unknown", "matrix file": hash_file(path)[:12]}


def build(names: list[str], progress: Progress) -> dict[str, str]:
    """Build each architecture before its cells compete for it; return the message of each that does not build."""
    from orchestration.base.cache import Cache
    from orchestration.machine import boot
    from orchestration.machine.description import Description
    from orchestration.machine.progress import Progress

    failed = {}
    for name in names:
        progress.say(f"build {name}")
        try:
            boot.artefacts(Description(arch=name), Cache(say=progress.say), Progress(quiet=True))
        except (BuildError, InfrastructureError) as error:
            failed[name] = error.message
            progress.say("\n".join(error.lines()))
    return failed


def matrix_command(
    file: FileArgument,
    jobs: Annotated[int, typer.Option("--jobs", "-j", min=1, help="cells at a time")] = 1,
    arch: Annotated[list[str] | None, typer.Option(autocompletion=one_of(arches.ARCHES),
                                                       help="only this architecture")] = None,
    cell: Annotated[list[str] | None, typer.Option(help="only cells whose name begins so: 'bench micro'")] = None,
    folder: Annotated[Path | None, typer.Option("--output", "-o", help="where results go; a new folder by default")
                      ] = None,
    store: Annotated[Path | None, typer.Option(help="folder of the store of results")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="print the cells' commands, run nothing")] = False,
) -> int:
    """Run architectures x tests, workloads and faults from one file; write JUnit, KTAP and an HTML page."""
    from orchestration.bench.store import default_folder
    from orchestration.machine.progress import Progress
    from orchestration.matrix import output, plan
    from orchestration.matrix.runner import FAIL, INFRASTRUCTURE, Attempt, CellResult, CellsFailedError, Runner

    matrix = plan.load(file)
    plan.known("architecture", tuple(arch or ()), list(arches.ARCHES), file)
    cells = [one for one in plan.cells(matrix) if (not arch or one.arch in arch)
             and (not cell or any(one.name.startswith(word) for word in cell))]
    if not cells:
        raise UsageError(f"{file}: no cell fits",
                         "its cells: " + ", ".join(dict.fromkeys(one.name for one in plan.cells(matrix))))
    if dry_run:
        for one in cells:
            print(f"{one.label}: " + (f"skipped, {one.skipped}" if one.skipped else
                                      f"./orchestrate {shlex.join(one.arguments)}"))
        return 0
    names = list(dict.fromkeys(one.arch for one in cells if not one.skipped))
    # Here, and not by each cell at the same time.
    doctor.ensure([arches.find(name) for name in names], tests=any(one.arguments[0] == "test" for one in cells))
    doctor.check_space()
    stamp = datetime.now().strftime("%Y%m%d-%H%M%S")
    target = (folder or doctor.cache_root() / "matrix" / f"{stamp}-{matrix.name}").resolve()
    try:
        target.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InfrastructureError(f"cannot create {target}: {error.strerror}", "name another folder with --output"
                                  ) from error
    if (target / "matrix.json").exists():
        raise UsageError(f"{target} has the results of another matrix", "name an empty folder with --output")
    progress = Progress()
    about = facts(file)
    broken = build(names, progress)
    results_store = (store or default_folder()).resolve()
    runner = Runner(target, results_store, matrix.retries, matrix.minutes, progress.say)
    began = time.monotonic()
    # What does not build fails once and by name, not in each of its cells again.
    try:
        runner.run([one for one in cells if one.arch not in broken], jobs)
    finally:
        results = runner.results + [CellResult(one, [Attempt(1, INFRASTRUCTURE, BuildError.exit_code, 0.0, (
            f"orchestrate: does not build: {broken[one.arch]}",), "")]) for one in cells if one.arch in broken]
        about["took"] = f"{(time.monotonic() - began) / 60:.0f} min, {jobs} at a time"
        output.write(target, matrix.name, results, about)
        output.store(results_store, matrix.name, results, about)
    found = output.counts(results)
    progress.say(", ".join(f"{count} {outcome}" for outcome, count in found.items()))
    print(target / "index.html")
    if broken:
        raise BuildError(f"{', '.join(broken)} did not build, so none of its cells ran", "", tuple(broken.values()))
    if found[FAIL]:
        raise CellsFailedError(f"{found[FAIL]} cells failed", f"see {target / 'index.html'}", tuple(
            f"{result.cell.label}: {result.message}" for result in results if result.outcome == FAIL)[:20])
    if found[INFRASTRUCTURE]:
        raise InfrastructureError(f"{found[INFRASTRUCTURE]} cells could not be carried out",
                                  f"see {target / 'index.html'}", tuple(
            f"{result.cell.label}: {result.message}" for result in results if result.outcome == INFRASTRUCTURE)[:20])
    return 0


def ci_command(file: FileArgument, check: Annotated[bool, typer.Option(
        "--check", help="write nothing, fail when a file is not what the matrix file makes")] = False) -> int:
    """Make the jobs of GitHub Actions and GitLab CI from a matrix file, beside it."""
    from orchestration.matrix import plan, services

    matrix = plan.load(file)
    if check:
        stale = services.differences(matrix, file)
        if stale:
            raise BuildError(f"{', '.join(stale)} is not what {file} makes", f"run: ./orchestrate ci {file}")
        return 0
    for path in services.write(matrix, file):
        print(path)
    return 0
