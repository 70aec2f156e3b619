# SPDX-License-Identifier: BSD-2-Clause
"""The command faults."""

from __future__ import annotations

import json
import secrets
from pathlib import Path
from typing import Annotated, cast

import typer

from orchestration.base import arch as arches
from orchestration.base import doctor
from orchestration.base.errors import InfrastructureError, UsageError
from orchestration.cli.group import one_of
from orchestration.cli.words import ArchArgument
from orchestration.faults import plan as plans


def words(option: str, given: list[str] | None, valid: tuple[str, ...], usual: tuple[str, ...]) -> list[str]:
    """Return the given words, or the usual ones; raise UsageError that names an unknown one."""
    for word in given or []:
        if word not in valid:
            raise UsageError(f"unknown {option} '{word}'; valid: {', '.join(valid)}")
    return list(dict.fromkeys(given or usual))


def check_writable(path: Path) -> None:
    """Raise UsageError if a file cannot be written. Its content stays; if it was not there, it is not there later."""
    there = path.exists() or path.is_symlink()
    try:
        with path.open("a"):
            pass
        if not there:
            path.unlink()
    except OSError as error:
        raise UsageError(f"--json: cannot write {path}: {error.strerror}") from error


def faults_command(
    arch: ArchArgument,
    driver: Annotated[list[str] | None, typer.Option(
        autocompletion=one_of(plans.DRIVERS),
        help="net, block, console or 9p; the first three when none is named")] = None,
    kind: Annotated[list[str] | None, typer.Option(
        autocompletion=one_of(plans.KINDS),
        help="kill, hang, wild or register; the first three when none is named")] = None,
    count: Annotated[int, typer.Option(min=1, help="trials of each driver and kind")] = 10,
    minutes: Annotated[float | None, typer.Option(min=0.1, metavar="N", show_default=False, help=(
        "trials of each kind for so long, instead of a number of them"))] = None,
    stressed: Annotated[bool, typer.Option("--stress", help=(
        "in Debian, where stress-ng runs its stressors one after the other meanwhile"))] = False,
    small: Annotated[bool, typer.Option("--small", help="with --stress: in the small guest")] = False,
    cpus: Annotated[int, typer.Option(metavar="N", min=1, max=8, help="CPUs of the machine and of the guest")] = 1,
    without: Annotated[list[str] | None, typer.Option("--without", metavar="STRESSOR", show_default=False, help=(
        "with --stress: a stressor that does not run; may be repeated"))] = None,
    debug: Annotated[list[str] | None, typer.Option("--debug", autocompletion=one_of(arches.CHECKS), metavar="CHECK",
        show_default=False, help="compile a check into Linux, whose reports are harm; may be repeated")] = None,
    seed: Annotated[int | None, typer.Option(help="the same seed makes the same faults")] = None,
    trial: Annotated[list[int] | None, typer.Option(min=0, help="only the trial of this number")] = None,
    output: Annotated[Path | None, typer.Option("--json", help="write all results to this file as well")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="only the table")] = False,
) -> int:
    """Make drivers fail while a verified workload runs; print the outcome of each trial."""
    from orchestration.base.cache import Cache
    from orchestration.faults import campaign, results, stress
    from orchestration.machine import checks
    from orchestration.machine.progress import Progress

    chosen = arches.find(arch)
    drivers = words("--driver", driver, plans.DRIVERS, plans.USUAL_DRIVERS)
    kinds = words("--kind", kind, plans.KINDS, plans.USUAL)
    if output is not None:
        # Before trials that may take hours.
        check_writable(output)
    if (small or without) and not stressed:
        raise UsageError(f"{'--small' if small else '--without'} goes with --stress")
    compiled = cast("tuple[arches.Check, ...]", tuple(sorted(words("--debug", debug, arches.CHECKS, ()))))
    setting = stress.Setting(cpus, stressed, small, tuple(without or ()), compiled)
    checks.check_target(setting.machine(chosen))
    doctor.ensure([chosen])
    doctor.check_space()
    progress = Progress(quiet)
    made = setting.artefacts(chosen, Cache(say=progress.say), progress)
    number = secrets.randbelow(1 << 31) if seed is None else seed
    progress.say(f"seed {number}")
    found, harmed, lost = [], [], 0
    stressors: list[tuple[str, int]] = []
    try:
        for sort in kinds:
            work = campaign.campaign(made, setting, drivers, sort, number, progress)
            progress.say(f"{chosen.name} {' '.join(drivers)}, {sort}: {work.run.path}")
            try:
                numbers = trial or (range(count) if minutes is None else work.numbers(minutes))
                work.go(numbers, lambda done: progress.say(results.describe(done)))
            finally:
                found += work.results()
                stressors += work.stressors
            harmed += [f"{bad.driver} {sort} --trial {bad.number}: {bad.outcome}" for bad in work.bad()]
            harmed += [f"{sort}: {text}" for text in work.complaints]
            lost += sum(done.outcome == "infrastructure" for done in work.trials)
    finally:
        print("\n".join([*results.table(found), *([stress.describe(stressors)] if stressed else [])]))
        if output is not None:
            output.write_text(json.dumps(found, indent=1) + "\n")
    if harmed:
        said = f"{len(harmed)} {'trials did harm' if not stressed else 'things went wrong'}"
        raise results.HarmError(said, f"try one again: --seed {number} --driver D --kind K --trial N",
                                tuple(harmed[:20]))
    if lost:
        raise InfrastructureError(f"{lost} trials could not be carried out", "see result.json in the folders above")
    return 0
