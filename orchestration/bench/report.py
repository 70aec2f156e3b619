# SPDX-License-Identifier: BSD-2-Clause
"""The page of results: one HTML file with tables and plots, or the tables in Markdown for docs/.

A chapter is an architecture. The figures of a workload under a clock come from one run, the last of those that are
shown which has them: micro by instructions and fio by wall time may come from two runs, and each table names its own.

The plots are SVG from the template: a bar and a line need no plotting library, the text in them stays text, and the
page is a few hundred kB at most and loads nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import jinja2

from orchestration.base.errors import InfrastructureError
from orchestration.bench import scale, tables
from orchestration.bench.compare import CONDITIONS, differences
from orchestration.bench.runner import BUSIEST, DONE
from orchestration.bench.store import Failure, Record, Store
from orchestration.bench.tables import Row
from orchestration.bench.terms import ABOVE, GUEST, KIND, MICRO, SCALE, TRACED, Clock

TEMPLATES = Path(__file__).with_name("templates")
# What the micro suite may cost beside native Linux, as geometric mean.
AIM = 1.6
AXIS_STEP = 0.5
# Runs in a line of history.
HISTORY = 40


@dataclass(frozen=True)
class Part:
    """The rows of one clock and one of our systems, the runs that they are from, and what was counted beside them."""

    clock: Clock
    ours: str
    runs: Sequence[Record]
    rows: Sequence[Row]
    peers: Sequence[str]
    means: Sequence[tuple[str, float, Row]]
    counters: Sequence[str]
    axis: float
    failures: Sequence[Failure]

    def missing(self, row: Row, side: str) -> str:
        """Return what stands where a side has no figure: not each run has all peers."""
        told = any(one.workload == row.workload and one.side in (side, "") for one in self.failures)
        return "failed" if told else ""


@dataclass(frozen=True)
class Scaling:
    """What several CPUs gain by one clock, and the runs that it is from."""

    clock: Clock
    runs: Sequence[Record]
    lines: Sequence[scale.Line]
    systems: Sequence[str]


@dataclass(frozen=True)
class Chapter:
    """An architecture; record is the last of its runs, for the circumstances."""

    record: Record
    parts: Sequence[Part]
    scaling: Sequence[Scaling]
    failures: Sequence[Failure]
    history: dict[str, list[tuple[str, float]]]


def failed(record: Record, clock: Clock) -> list[Failure]:
    """Return a run's failures under a clock; what failed before it ran failed under both."""
    return [one for one in record.failures if one.clock in (clock, "")]


def workloads_of(record: Record, clock: Clock) -> list[str]:
    """Return the workloads that a run has something of under a clock."""
    return [*(one.workload for one in record.samples if one.clock == clock),
            *(one.workload for one in failed(record, clock))]


def merged(records: Sequence[Record], clock: Clock) -> tuple[Record, list[Record]]:
    """Return one record with each workload's last figures and failures under a clock, and the runs they are from."""
    last = {name: record for record in records for name in workloads_of(record, clock)}
    used = [record for record in records if any(record is one for one in last.values())]
    samples = [one for record in used for one in record.samples if one.clock == clock and last[one.workload] is record]
    failures = [one for record in used for one in failed(record, clock) if last[one.workload] is record]
    return replace(records[-1], samples=samples, failures=failures), used


def part(records: Sequence[Record], clock: Clock, ours: str = GUEST) -> Part:
    """Return what the page shows of one clock. records are of one architecture, the last one last.

    ours: the side whose ratios are shown: the guest beside its programs, or above them.
    """
    record, used = merged(records, clock)
    # What L4 counted is of the guest beside.
    others = (ABOVE,) if ours == GUEST else (GUEST, TRACED)
    rows = tables.rows(replace(record, samples=[one for one in record.samples if one.side not in others]), clock, ours)
    if ours != GUEST:
        rows = [row for row in rows if ours in row.sides]
        used = [one for one in used if any(sample.side == ours and sample.clock == clock for sample in one.samples)]
    peers = [peer for peer in tables.peers(rows) if peer != ours]
    means = [(peer, mean, worst) for peer in peers if (mean := tables.mean_cost(rows, MICRO, peer)) is not None
             and (worst := tables.worst(rows, MICRO, peer)) is not None]
    highest = max((cost for row in rows for peer in peers if (cost := row.cost(peer)) is not None), default=1.0)
    counters = list(dict.fromkeys(name for row in rows for name in row.counters))
    steps = max(2 / AXIS_STEP, -(-highest // AXIS_STEP))
    return Part(clock, ours, used, rows, peers, means, counters, steps * AXIS_STEP, record.failures)


def scaling(records: Sequence[Record], clock: Clock) -> Scaling:
    """Return what the page shows of several CPUs by one clock."""
    record, used = merged(records, clock)
    lines = scale.lines(record, clock)
    return Scaling(clock, used, lines, scale.systems(lines))


def chapter(records: Sequence[Record], store: Store) -> Chapter:
    """Return what the page shows of an architecture."""
    plain, several = ([one for one in records if one.kind == kind] for kind in (KIND, SCALE))
    parts = [one for clock in Clock for ours in (GUEST, ABOVE) if plain and (one := part(plain, clock, ours)).rows]
    scales = [found for clock in Clock if several and (found := scaling(several, clock)).lines]
    failures = dict.fromkeys(one for clock in Clock for kind in (plain, several) if kind
                             for one in merged(kind, clock)[0].failures)
    last = (plain or several)[-1]
    return Chapter(last, parts, scales, list(failures), history(store, last))


def rounds(run: Record) -> int:
    """Return how often a run measured by wall time."""
    return max((one.round + 1 for one in run.samples if one.clock == Clock.WALL), default=0)


def otherwise(record: Record, shown: Record) -> list[str]:
    """Return in what the circumstances of a run differ from those that are shown."""
    return differences(record.facts.get(CONDITIONS, {}), shown.facts.get(CONDITIONS, {}))


def history(store: Store, record: Record) -> dict[str, list[tuple[str, float]]]:
    """Return the guest's instruction counts in all runs up to this one, by workload/metric; two or more of each."""
    found = store.history(KIND, record.arch, Clock.INSTRUCTIONS, GUEST)
    lines = {}
    for (workload, metric), points in found.items():
        until = [point for point in points if point[0] <= record.id][-HISTORY:]
        if len(until) > 1:
            lines[f"{workload}/{metric}" if workload != metric else workload] = until
    return lines


def polyline(points: Sequence[tuple[str, float]], width: float, height: float) -> str:
    """Return the coordinates of a line through the values, lowest at the bottom."""
    values = [value for _, value in points]
    low, span = min(values), (max(values) - min(values)) or 1.0
    step = width / (len(values) - 1)
    return " ".join(f"{number * step:.1f},{height - (value - low) / span * height:.1f}"
                    for number, value in enumerate(values))


def named(shown: Part) -> str:
    """Return what follows the name of a table that is not of the usual guest."""
    return ", guest mode above" if shown.ours == ABOVE else ""


def environment() -> jinja2.Environment:
    """Return Jinja with our templates and filters; an unknown name in a template is an error."""
    made = jinja2.Environment(loader=jinja2.FileSystemLoader(TEMPLATES), undefined=jinja2.StrictUndefined,
                              autoescape=jinja2.select_autoescape(("html.j2",)), trim_blocks=True, lstrip_blocks=True)
    made.filters.update(quantity=tables.quantity, interval=tables.interval)
    made.globals.update(polyline=polyline, otherwise=otherwise, rounds=rounds, named=named, GUEST=GUEST,
                        CONDITIONS=CONDITIONS, BUSIEST=BUSIEST, AIM=AIM, AXIS_STEP=AXIS_STEP, SCALE_AIM=scale.AIM)
    return made


def worth_showing(store: Store, arch: str) -> list[Record]:
    """Return the runs that a report shows when none is named: what ended well beside a peer."""
    found = [store.load(name) for kind in (KIND, SCALE) for name in store.ids(kind, arch)[-HISTORY:]]
    ours = (GUEST, TRACED)
    return [record for record in found if record.outcome == DONE
            and any(one.side not in ours and scale.system_of(one.side) not in ours for one in record.samples)]


def render(records: Sequence[Record], store: Store, markdown: bool) -> str:
    """Return the page."""
    found: dict[str, list[Record]] = {}
    for record in sorted(records, key=lambda one: one.started):
        found.setdefault(record.arch, []).append(record)
    chapters = [chapter(found[arch], store) for arch in dict.fromkeys(record.arch for record in records)]
    name = "report.md.j2" if markdown else "report.html.j2"
    return environment().get_template(name).render(chapters=chapters)


def write(path: Path, records: Sequence[Record], store: Store, markdown: bool = False) -> None:
    """Write the page of some runs."""
    try:
        path.write_text(render(records, store, markdown))
    except OSError as error:
        raise InfrastructureError(f"cannot write {path}: {error.strerror}", "name another file with -o") from error
