# SPDX-License-Identifier: BSD-2-Clause
"""The commands bench run | scale | compare | show | gate | list | workloads | rebuild, report, and measure."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from orchestration.base import arch as arches
from orchestration.base import doctor
from orchestration.base.errors import InfrastructureError, RegressionError, UsageError
from orchestration.base.roots import ROOTS, TINY
from orchestration.bench.terms import ABOVE, DISTRIBUTION, KIND, MICRO, PEERS, SCALE, XEN, Clock
from orchestration.cli.group import Command, Plain, one_of
from orchestration.cli.scale import scale_command
from orchestration.cli.words import (
    NOBODY,
    ROUNDS,
    ArchArgument,
    ArchesArgument,
    StoreOption,
    check_words,
    workload_names,
)


class BenchGroup(Plain):
    """The commands of bench. `bench ARCH` is `bench run ARCH`."""

    def parse_args(self, ctx: typer.Context, args: list[str]) -> list[str]:  # type: ignore[override]
        """Put the command's name before an architecture."""
        return super().parse_args(ctx, ["run", *args] if args[:1] and args[0] in arches.ARCHES else args)


app = typer.Typer(cls=BenchGroup, add_completion=False, no_args_is_help=True, rich_markup_mode=None,
                  help="Measure workloads in the guest against native Linux; compare runs.")


def record_names(incomplete: str) -> list[str]:
    """Complete the name of a run in the usual store."""
    from orchestration.bench.store import Store

    return [name for name in Store(None).ids(KIND) if name.startswith(incomplete)]


RunArgument = Annotated[str, typer.Argument(metavar="RUN", autocompletion=record_names)]


@app.command(name="run", cls=Command)
def run_command(
    arch: ArchArgument,
        workload: Annotated[list[str] | None, typer.Option(
            "--workload", "-w", autocompletion=workload_names, help="only this one")] = None,
        rootfs: Annotated[str, typer.Option(autocompletion=one_of(ROOTS), help="the workloads on this root "
                                            f"file system, when none is named: {' or '.join(ROOTS)}")] = TINY,
        against: Annotated[list[str] | None, typer.Option(autocompletion=one_of([*PEERS, NOBODY]),
                                                          help=f"peer: {', '.join(PEERS)} or {NOBODY}; native "
                                                               "unless told")] = None,
        clock: Annotated[list[str] | None, typer.Option(autocompletion=one_of(list(Clock)),
                                                        help=f"only this: {', '.join(Clock)}")] = None,
        rounds: Annotated[int, typer.Option(min=1, help="runs of each workload by wall time")] = ROUNDS,
        gate: Annotated[Path | None, typer.Option(help="fail when instruction counts grew beyond this file's")] = None,
        write_gate: Annotated[Path | None, typer.Option(help="set such a file's figures by this run")] = None,
        store: StoreOption = None,
        quiet: Annotated[bool, typer.Option("--quiet", "-q", help="no progress")] = False,
) -> int:
    """Measure workloads on an architecture: the guest, its peers, and their ratio."""
    from orchestration.base.cache import Cache
    from orchestration.bench import distribution, show
    from orchestration.bench import gate as gates
    from orchestration.bench import workload as workloads
    from orchestration.bench.runner import Bench, verdict
    from orchestration.bench.store import Store
    from orchestration.machine.progress import Progress

    target = arches.find(arch)
    check_words("--rootfs", [rootfs], list(ROOTS))
    names = workload or workloads.available(rootfs=rootfs, bench="run")
    chosen = [workloads.load(name) for name in dict.fromkeys(names)]
    root = workloads.one_rootfs(chosen)
    peers = list(dict.fromkeys(against or ["native"]))
    check_words("--against", peers, [*PEERS, NOBODY])
    if NOBODY in peers:
        peers = []
    if ABOVE in peers and ABOVE not in target.guest_modes:
        raise UsageError(f"{target.name} has no guest mode above", "leave --against above away")
    if XEN in peers and target.name != "x86_64":
        raise UsageError(f"Xen PV exists on x86_64 only, not on {target.name}", "leave --against xen away")
    if DISTRIBUTION in peers:
        distribution.check(root)
    clocks = list(dict.fromkeys(clock or list(Clock)))
    check_words("--clock", clocks, list(Clock))
    limits = gates.read(gate) if gate else None
    if write_gate is not None:
        gates.check_place(write_gate)
    if (limits is not None or write_gate is not None) and Clock.INSTRUCTIONS not in clocks:
        raise UsageError("a gate is about instruction counts, and --clock leaves them out")
    doctor.ensure([target])
    doctor.check_space()
    progress = Progress(quiet)
    results = Store(store)
    bench = Bench(target, Cache(say=progress.say), results, progress, chosen, [Clock(one) for one in clocks], rounds)
    record = bench.measure(peers)
    show.show_record(record)
    error = verdict(bench.errors)
    if error is not None:
        raise error
    if write_gate is not None:
        gates.write(record, write_gate)
    if limits is not None:
        for line in gates.check(record, limits, [one.name for one in chosen]):
            progress.say(f"better than the gate: {line}")
        progress.say(f"the gate {gate} is kept")
    return 0


app.command(name="scale", cls=Command)(scale_command)


@app.command(name="show", cls=Command)
def show_command(run: RunArgument, store: StoreOption = None) -> int:
    """Print the tables of a run again."""
    from orchestration.bench import show
    from orchestration.bench.store import Store

    show.show_record(Store(store).load(run))
    return 0


@app.command(name="compare", cls=Command)
def compare_command(before: RunArgument, after: RunArgument, store: StoreOption = None) -> int:
    """Print what changed between two runs of the same conditions."""
    from orchestration.bench import compare, show
    from orchestration.bench.store import Store

    results = Store(store)
    show.show_changes(before, after, *compare.changes(results.load(before), results.load(after)))
    return 0


@app.command(name="gate", cls=Command)
def gate_command(
    arch: ArchesArgument = None,
    write: Annotated[bool, typer.Option("--write", help="set the gate by what is counted now")] = False,
    store: StoreOption = None,
) -> int:
    """Count the micro suite in the guest of each architecture, and hold it to ci/gate.yaml."""
    from orchestration.base.cache import Cache
    from orchestration.bench import gate as gates
    from orchestration.bench.runner import counted_run
    from orchestration.bench.store import Store
    from orchestration.machine.progress import Progress

    chosen = [arches.find(name) for name in arch or arches.ARCHES]
    limits = None if write else gates.read(gates.GATE)
    doctor.ensure(chosen)
    doctor.check_space()
    progress, results = Progress(), Store(store)
    worse: list[str] = []
    hint = ""
    for one in chosen:
        record = counted_run(one, Cache(say=progress.say), results, progress, [MICRO])
        if limits is None:
            gates.write(record, gates.GATE)
            continue
        try:
            for line in gates.check(record, limits, [MICRO]):
                progress.say(f"better than the gate: {line}")
        except gates.ElsewhereError as error:
            print(f"{one.name}: skipped, {error.message}")
        except RegressionError as error:
            worse.append(one.name)
            hint = error.hint
            print("\n".join(f"{one.name}: {line}" for line in error.details))
        else:
            print(f"{one.name}: kept")
    if worse:
        raise RegressionError(f"figures of {', '.join(worse)} are worse than the gate allows", hint)
    return 0


@app.command(name="list", cls=Command)
def list_command(store: StoreOption = None) -> int:
    """List the runs in the store."""
    from orchestration.bench.store import Store

    results = Store(store)
    for name in sorted([*results.ids(KIND), *results.ids(SCALE)]):
        record = results.load(name)
        print(f"{record.id}  {record.outcome:<14} {len(record.samples):5} figures  {len(record.failures):3} failures  "
              f"{record.facts.get('revision', '')}")
    return 0


@app.command(name="workloads", cls=Command)
def workloads_command() -> int:
    """List the workloads."""
    from orchestration.bench import workload as workloads

    for name in workloads.available():
        one = workloads.load(name)
        print(f"{name:<12} {', '.join(one.description.clocks):<20} {one.description.description}")
    return 0


@app.command(name="rebuild", cls=Command)
def rebuild_command(store: StoreOption = None) -> int:
    """Make the store's database anew from the runs' JSON files."""
    from orchestration.bench.store import rebuild

    count, damaged = rebuild(store)
    print(f"{count} runs")
    if damaged:
        raise InfrastructureError(f"{len(damaged)} more could not be read", "the old database is kept beside the new "
                                  "one", tuple(damaged))
    return 0


def report_command(
    run: Annotated[list[str] | None, typer.Argument(
        metavar="[RUN...]", autocompletion=record_names,
        help="if none is named, those that ended well and have a peer")] = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="file to write")] = Path("report.html"),
    markdown: Annotated[bool, typer.Option("--markdown", help="tables in Markdown instead of a page")] = False,
    store: StoreOption = None,
) -> int:
    """Write a page with tables and plots of what bench found; it needs no network and no other file.

    A workload's figures under a clock come from the last run that has them.
    """
    from orchestration.bench import report
    from orchestration.bench.store import Store

    results = Store(store)
    records = ([results.load(name) for name in run] if run else
               [record for name in arches.ARCHES for record in report.worth_showing(results, name)])
    if not records:
        raise UsageError(f"there is no run beside a peer in {results.folder}", "run: ./orchestrate bench run ARCH")
    report.write(output, records, results, markdown)
    print(output)
    return 0


def measure_command(
    arch: ArchesArgument = None,
) -> int:
    """Measure the guest against native Linux: all architectures into docs/measurements.md, named ones to the screen."""
    from orchestration.bench import measurements
    from orchestration.machine.progress import Progress

    chosen = [arches.find(name) for name in arch or arches.ARCHES]
    doctor.ensure(chosen)
    measurements.write(chosen, Progress())
    return 0
