# SPDX-License-Identifier: BSD-2-Clause
"""The command conform."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from orchestration.base import arch as arches
from orchestration.base import doctor
from orchestration.base.errors import InfrastructureError, RegressionError, UsageError
from orchestration.bench.terms import DISTRIBUTION, NATIVE
from orchestration.cli.group import one_of
from orchestration.cli.options import CpusOption, GuestModeOption
from orchestration.cli.words import ArchArgument

PEERS = (NATIVE, DISTRIBUTION)


def conform_command(
    arch: ArchArgument,
    suite: Annotated[list[str] | None, typer.Option("--suite", metavar="NAME", help="only this suite; may be "
                                                                                    "repeated")] = None,
    test: Annotated[list[str] | None, typer.Option("--test", metavar="COLLECTION[:TEST]",
                                                   help="only these tests, * for any text; may be repeated")] = None,
    quick: Annotated[bool, typer.Option("--quick", help="the tests that ./orchestrate test runs")] = False,
    small: Annotated[bool, typer.Option("--small", help="with the small kernels, as --quick has them; many tests are "
                                                       "skipped on both sides then")] = False,
    ltp: Annotated[Path | None, typer.Option("--ltp", metavar="SOURCE", envvar="QUOLL_LTP",
                                             help="LTP's source, a folder or a tar file; or where LTP is "
                                                  "installed, with one folder for each ARCH")] = None,
    against: Annotated[str, typer.Option("--against", metavar="PEER",
                                         help="native: Linux of the same source and options; distribution: "
                                              "Debian's own kernel, which is not built")] = NATIVE,
    cpus: CpusOption = None,
    guest_mode: GuestModeOption = None,
    debug: Annotated[list[str] | None, typer.Option("--debug", autocompletion=one_of(arches.CHECKS), metavar="CHECK",
                                                    help="a check to compile into the guest's Linux; what it reports "
                                                         "during a test is a difference; may be repeated")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="take the results that earlier runs have kept of the same "
                                                          "kernels, and run the rest")] = False,
    minutes: Annotated[float | None, typer.Option("--minutes", min=0, help="start no test of a suite after so many; "
                                                                           "0 shows what --resume finds")] = None,
    in_turn: Annotated[bool, typer.Option("--in-turn", help="first native Linux, then the guest: one machine at a "
                                                            "time")] = False,
    write: Annotated[bool, typer.Option("--write", help="write the tables into docs/conform.md")] = False,
    list_them: Annotated[bool, typer.Option("--list", help="list the suites")] = False,
) -> int:
    """Run suites of others in the guest and in native Linux, and compare test by test."""
    from orchestration.base.cache import Cache
    from orchestration.conform import compare, run, show, suites
    from orchestration.conform.suite import NotHereError
    from orchestration.machine import checks, layers
    from orchestration.machine.progress import Progress

    if list_them:
        for one in suites.known().values():
            print(f"{one.name:12} {one.what}")
        return 0
    chosen = arches.find(arch)
    wanted = [suites.find(name, ltp) for name in suite or suites.known()]
    given = {"cpus": cpus, "guest_mode": guest_mode, "debug": sorted(set(debug or ()))}
    machine = layers.resolve({"arch": arch} | {name: one for name, one in given.items() if one}, ()).description
    checks.check_target(machine)
    if write and (quick or any(":" in name for name in test or ())):
        raise UsageError("--write wants whole suites or collections", "leave out --quick, and the tests of --test")
    if against not in PEERS:
        raise UsageError(f"unknown peer '{against}'; valid: {', '.join(PEERS)}")
    expected = compare.read(against=against, kernels="small" if quick or small else "full")
    debian = against == DISTRIBUTION
    if debian and (quick or small):
        raise UsageError("Debian's own kernel is compared with the full one", "leave out --quick and --small")
    doctor.ensure([chosen])
    doctor.check_space()
    choice = run.Choice(tuple(test or ()), quick, small, debian, machine.guest_mode, resume, minutes, in_turn,
                        machine.debug, machine.cpus)
    progress = Progress()
    cache = Cache(say=progress.say)
    here, results = [], []
    for one in wanted:
        if quick and not one.quick:
            continue
        try:
            with progress.step(f"suite {one.name}"):
                here.append((one, one.build(chosen, cache)))
        except NotHereError as error:
            if suite:
                raise
            progress.say(f"suite {one.name} is skipped: {error.message}; {error.hint}")
    listed = [test for one, folder in here for test in one.tests(folder)]
    run.check(listed, test or ())
    for one, folder in here:
        result = run.run(chosen, cache, progress, one, folder, expected, choice)
        if result is None:
            continue
        print("\n".join(show.text(result)), flush=True)
        for line in compare.idle(expected, chosen.name, one.name, result.rows):
            progress.say(f"tests/conform/expected.toml: {line} differs no longer on {chosen.name}")
        results.append(result)
        if write and not compare.is_vain(result.rows):
            show.write([result])
    if not results:
        names = ", ".join(sorted({each.collection for each in listed}))
        raise UsageError("these options leave no test", f"collections: {names}")
    vain = [result.suite for result in results if not test and compare.is_vain(result.rows)]
    if vain:
        raise InfrastructureError(f"nothing to compare with: native Linux passes no test of {', '.join(vain)}, "
                                  "or was lost too often", "see the folders of the runs")
    missed = [one for result in results for row in result.rows for one in row.unexplained]
    if missed:
        raise RegressionError(f"the guest does not pass {len(missed)} of what native Linux passes",
                              "mend it, or give the reason in tests/conform/expected.toml",
                              tuple(f"{one.name}: {one.guest.value} {one.why}".rstrip() for one in missed[:40]))
    return 0
