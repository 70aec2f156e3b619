# SPDX-License-Identifier: BSD-2-Clause
"""A run's tables, and the changes between two runs, on the terminal."""

from __future__ import annotations

import sys

from rich.console import Console
from rich.table import Table

from orchestration.bench import scale, tables
from orchestration.bench.compare import Change
from orchestration.bench.store import Record
from orchestration.bench.tables import Row, quantity
from orchestration.bench.terms import GUEST, MICRO, SCALE, Clock


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


def show_scale(console: Console, record: Record) -> None:
    """Print the tables of a run with several numbers of CPUs."""
    for clock in Clock:
        found = scale.lines(record, clock)
        if not found:
            continue
        names = scale.systems(found)
        console.print(f"{record.arch}, {clock} ({record.id})", style="italic")
        table = Table()
        table.add_column("workload")
        for title in ("CPUs", *(word for name in names for word in (name, "gain")), "ratio of gains"):
            table.add_column(title, justify="right")
        for line in found:
            words = []
            for name in names:
                figure, gain = line.figures.get(name), line.gains.get(name)
                words += [quantity(figure.median, line.unit) if figure else "failed",
                          f"{gain.median:.2f}" if gain else ""]
            table.add_row(line.name, str(line.cpus), *words, f"{line.ratio.median:.3f}" if line.ratio else "")
        console.print(table)


def show_failures(console: Console, record: Record) -> None:
    """Print what failed in a run."""
    for failure in record.failures:
        console.print(f"failed: {failure.workload} on {failure.side or 'the host'}: {failure.message}", markup=False)


def show_record(record: Record) -> None:
    """Print a run's tables."""
    console = printer()
    if record.kind == SCALE:
        show_scale(console, record)
        show_failures(console, record)
        return
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
    show_failures(console, record)


def show_changes(before: str, after: str, found: list[Change], left_out: list[str]) -> None:
    """Print what changed between two runs, and which figures could not be compared."""
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
