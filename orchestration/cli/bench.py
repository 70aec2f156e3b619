# SPDX-License-Identifier: BSD-2-Clause
"""The commands bench ARCH | compare | show | list | workloads | rebuild, and report."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from orchestration.base import arch as arches
from orchestration.base import doctor
from orchestration.base.cache import Cache
from orchestration.base.errors import InfrastructureError, RegressionError, UsageError
from orchestration.bench import compare, report, sides, tables
from orchestration.bench import gate as gates
from orchestration.bench import workload as workloads
from orchestration.bench.runner import KIND, Bench, counted_run, verdict
from orchestration.bench.store import Record, Store, rebuild
from orchestration.bench.tables import GUEST, Row, quantity
from orchestration.bench.workload import Clock
from orchestration.cli.frame import Plain, one_of
from orchestration.machine.progress import Progress

MICRO = "micro"
NOBODY = "none"
ROUNDS = 7
app = typer.Typer(cls=Plain, add_completion=False, no_args_is_help=True, rich_markup_mode=None,
                  help="Measure workloads in the guest against native Linux; compare runs.")
StoreOption = Annotated[Path | None, typer.Option("--store", help="folder of the results")]


def workload_names(incomplete: str) -> list[str]:
    """Complete the name of a workload."""
    return [name for name in workloads.available() if name.startswith(incomplete)]


def record_names(incomplete: str) -> list[str]:
    """Complete the name of a run in the usual store."""
    return [name for name in Store(None).ids(KIND) if name.startswith(incomplete)]


RunArgument = Annotated[str, typer.Argument(metavar="RUN", autocompletion=record_names)]


def command(arch: arches.Arch) -> Callable[..., int]:
    """Return the command that measures on one architecture."""

    def measure(
        workload: Annotated[list[str] | None, typer.Option(
            "--workload", "-w", autocompletion=workload_names, help="only this one")] = None,
        against: Annotated[list[str] | None, typer.Option(autocompletion=one_of([*sides.PEERS, NOBODY]),
                                                          help=f"peer: {', '.join(sides.PEERS)} or {NOBODY}; native "
                                                               "unless told")] = None,
        clock: Annotated[list[str] | None, typer.Option(autocompletion=one_of(list(Clock)),
                                                        help=f"only this: {', '.join(Clock)}")] = None,
        rounds: Annotated[int, typer.Option(min=1, help="runs of each workload by wall time")] = ROUNDS,
        gate: Annotated[Path | None, typer.Option(help="fail when instruction counts grew beyond this file's")] = None,
        write_gate: Annotated[Path | None, typer.Option(help="set such a file's figures by this run")] = None,
        store: StoreOption = None,
        quiet: Annotated[bool, typer.Option("--quiet", "-q", help="no progress")] = False,
    ) -> int:
        chosen = [workloads.load(name) for name in dict.fromkeys(workload or workloads.available())]
        peers = list(dict.fromkeys(against or ["native"]))
        check_words("--against", peers, [*sides.PEERS, NOBODY])
        if NOBODY in peers:
            peers = []
        if sides.XEN in peers and arch.name != "x86_64":
            raise UsageError(f"Xen PV exists on x86_64 only, not on {arch.name}", "leave --against xen away")
        clocks = list(dict.fromkeys(clock or list(Clock)))
        check_words("--clock", clocks, list(Clock))
        limits = gates.read(gate) if gate else None
        if write_gate is not None:
            gates.check_place(write_gate)
        if (limits is not None or write_gate is not None) and Clock.INSTRUCTIONS not in clocks:
            raise UsageError("a gate is about instruction counts, and --clock leaves them out")
        doctor.ensure([arch])
        doctor.check_space()
        progress = Progress(quiet)
        results = Store(store)
        bench = Bench(arch, Cache(say=progress.say), results, progress, chosen, [Clock(one) for one in clocks], rounds)
        record = bench.measure(peers)
        show(record)
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

    measure.__doc__ = f"Measure workloads on {arch.name}: the guest, its peers, and their ratio."
    return measure


def check_words(option: str, given: list[str], valid: list[str]) -> None:
    """Raise UsageError for a word that an option does not take."""
    for word in given:
        if word not in valid:
            raise UsageError(f"unknown value '{word}' of {option}; valid: {', '.join(valid)}")


for _arch in arches.ARCHES.values():
    app.command(name=_arch.name)(command(_arch))


def printer() -> Console:
    """Return what tables are printed with: as wide as the terminal, and wide enough for a pipe."""
    console = Console(highlight=False)
    return console if sys.stdout.isatty() else Console(highlight=False, width=160)


def cells(row: Row, peers: list[str], clock: Clock) -> list[str]:
    """Return a row's cells."""
    found = row.sides.get(GUEST)
    out = [row.name, quantity(found.median, row.unit) if found else "failed"]
    for peer in peers:
        other, ratio = row.sides.get(peer), row.ratios.get(peer)
        out += [quantity(other.median, row.unit) if other else "failed", f"{ratio.median:.2f}" if ratio else ""]
        if clock is Clock.WALL:
            out.append(f"{ratio.low:.2f} - {ratio.high:.2f}" if ratio and ratio.count > 1 else "")
    return out


def show(record: Record) -> None:
    """Print a run's tables."""
    console = printer()
    for clock in Clock:
        found = tables.rows(record, clock)
        if not found:
            continue
        peers = tables.peers(found)
        # A title of the table would be broken to its width, and with it the name of the run.
        console.print(f"{record.arch}, {clock} ({record.id})", style="italic")
        table = Table()
        table.add_column("workload")
        table.add_column("ours", justify="right")
        for peer in peers:
            table.add_column(peer, justify="right")
            table.add_column(f"ours/{peer}", justify="right")
            if clock is Clock.WALL:
                table.add_column("interval", justify="right")
        for row in found:
            table.add_row(*cells(row, peers, clock))
        console.print(table)
        for peer in peers:
            mean, highest = tables.mean_cost(found, MICRO, peer), tables.worst(found, MICRO, peer)
            if mean is not None and highest is not None:
                console.print(f"{MICRO} suite beside {peer}: geometric mean {mean:.2f}, "
                              f"worst {highest.cost(peer):.2f} ({highest.metric})")
    for failure in record.failures:
        console.print(f"failed: {failure.workload} on {failure.side or 'the host'}: {failure.message}", markup=False)


@app.command(name="show")
def show_command(run: RunArgument, store: StoreOption = None) -> int:
    """Print the tables of a run again."""
    show(Store(store).load(run))
    return 0


@app.command(name="compare")
def compare_command(before: RunArgument, after: RunArgument, store: StoreOption = None) -> int:
    """Print what changed between two runs of the same conditions."""
    results = Store(store)
    found, left_out = compare.changes(results.load(before), results.load(after))
    console = printer()
    console.print(f"{before} -> {after}", style="italic")
    table = Table()
    for name in ("workload", "side", "clock", "before", "after", "factor", ""):
        table.add_column(name, justify="right" if name in ("before", "after", "factor") else "left")
    for change in found:
        word = "worse" if change.worse else "better" if change.significant and change.factor != 1 else ""
        table.add_row(change.name, change.side, change.clock, quantity(change.before, change.unit),
                      quantity(change.after, change.unit), f"{change.factor:.4f}", word)
    console.print(table)
    for line in left_out:
        console.print(line, markup=False)
    return 0


@app.command(name="gate")
def gate_command(
    arch: Annotated[list[str] | None, typer.Argument(metavar="[ARCH...]", autocompletion=one_of(arches.ARCHES), help=(
        f"some of: {', '.join(arches.ARCHES)}; all when none is named"))] = None,
    write: Annotated[bool, typer.Option("--write", help="set the gate by what is counted now")] = False,
    store: StoreOption = None,
) -> int:
    """Count the micro suite in the guest of each architecture, and hold it to ci/gate.yaml."""
    chosen = [arches.find(name) for name in arch or arches.ARCHES]
    limits = None if write else gates.read(gates.GATE)
    doctor.ensure(chosen)
    doctor.check_space()
    progress, results = Progress(), Store(store)
    regressions: list[RegressionError] = []
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
            regressions.append(error)
            print("\n".join(f"{one.name}: {line}" for line in error.details))
        else:
            print(f"{one.name}: kept")
    if regressions:
        raise regressions[0]
    return 0


@app.command(name="list")
def list_command(store: StoreOption = None) -> int:
    """List the runs in the store."""
    results = Store(store)
    for name in results.ids(KIND):
        record = results.load(name)
        print(f"{record.id}  {record.outcome:<14} {len(record.samples):5} figures  {len(record.failures):3} failures  "
              f"{record.facts.get('revision', '')}")
    return 0


@app.command(name="workloads")
def workloads_command() -> int:
    """List the workloads."""
    for name in workloads.available():
        one = workloads.load(name)
        print(f"{name:<12} {', '.join(one.description.clocks):<20} {one.description.description}")
    return 0


@app.command(name="rebuild")
def rebuild_command(store: StoreOption = None) -> int:
    """Make the store's database anew from the runs' JSON files."""
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
    results = Store(store)
    records = ([results.load(name) for name in run] if run else
               [record for name in arches.ARCHES for record in report.worth_showing(results, name)])
    if not records:
        raise UsageError(f"there is no run beside a peer in {results.folder}", "run: orchestrate bench ARCH")
    report.write(output, records, results, markdown)
    print(output)
    return 0
