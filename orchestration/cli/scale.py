# SPDX-License-Identifier: BSD-2-Clause
"""The command bench scale."""

from __future__ import annotations

from typing import Annotated

import typer

from orchestration.base import arch as arches
from orchestration.base import doctor
from orchestration.bench.terms import NATIVE, Clock
from orchestration.cli.group import one_of
from orchestration.cli.words import NOBODY, ROUNDS, ArchArgument, StoreOption, check_words, workload_names

CPUS = "1,2,4,8"


def scale_command(
        arch: ArchArgument,
        workload: Annotated[list[str] | None, typer.Option(
            "--workload", "-w", autocompletion=workload_names, help="only this one")] = None,
        cpus: Annotated[str, typer.Option(help="numbers of CPUs, the least of which others are set beside; by wall "
                                          "time only those that this host has")] = CPUS,
        against: Annotated[str, typer.Option(autocompletion=one_of([NATIVE, NOBODY]),
                                             help=f"peer: {NATIVE} or {NOBODY}")] = NATIVE,
        clock: Annotated[list[str] | None, typer.Option(autocompletion=one_of(list(Clock)),
                                                        help=f"only this: {', '.join(Clock)}")] = None,
        rounds: Annotated[int, typer.Option(min=1, help="runs of each workload by wall time")] = ROUNDS,
        store: StoreOption = None,
        quiet: Annotated[bool, typer.Option("--quiet", "-q", help="no progress")] = False,
) -> int:
    """Measure what several CPUs gain: workloads on each number of them, in the guest and in native Linux."""
    from orchestration.base.cache import Cache
    from orchestration.bench import show
    from orchestration.bench import workload as workloads
    from orchestration.bench.runner import Bench, verdict
    from orchestration.bench.scale import numbers
    from orchestration.bench.store import Store
    from orchestration.machine.progress import Progress

    target, counts = arches.find(arch), numbers(cpus)
    check_words("--against", [against], [NATIVE, NOBODY])
    clocks = list(dict.fromkeys(clock or list(Clock)))
    check_words("--clock", clocks, list(Clock))
    chosen = [workloads.load(name) for name in dict.fromkeys(workload or workloads.available(bench="scale"))]
    workloads.one_rootfs(chosen)
    doctor.ensure([target])
    doctor.check_space()
    progress = Progress(quiet)
    bench = Bench(target, Cache(say=progress.say), Store(store), progress, chosen, [Clock(one) for one in clocks],
                  rounds, cpus=counts)
    show.show_record(bench.measure([against]))
    error = verdict(bench.errors)
    if error is not None:
        raise error
    return 0
