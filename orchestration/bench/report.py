# SPDX-License-Identifier: BSD-2-Clause
"""The page of results: one HTML file with tables and plots, or the tables in Markdown for docs/.

The plots are SVG from the template: a bar and a line need no plotting library, the text in them stays text, and the
page is a few hundred kB at most and loads nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2

from orchestration.bench import tables
from orchestration.bench.compare import CONDITIONS
from orchestration.bench.runner import KIND
from orchestration.bench.tables import GUEST, Row
from orchestration.bench.workload import Clock
from orchestration.errors import InfrastructureError
from orchestration.store import Record, Store

TEMPLATES = Path(__file__).with_name("templates")
MICRO = "micro"
# What the micro suite may cost beside native Linux, as geometric mean.
AIM = 1.6
AXIS_STEP = 0.5
# Runs in a line of history.
HISTORY = 40


@dataclass(frozen=True)
class Part:
    """The rows of one clock of one run, and what was counted beside them."""

    clock: Clock
    rows: Sequence[Row]
    peers: Sequence[str]
    means: Sequence[tuple[str, float, Row]]
    counters: Sequence[str]
    axis: float


def part(record: Record, clock: Clock) -> Part:
    """Return what the page shows of one clock."""
    rows = tables.rows(record, clock)
    peers = tables.peers(rows)
    means = [(peer, mean, worst) for peer in peers if (mean := tables.mean_cost(rows, MICRO, peer)) is not None
             and (worst := tables.worst(rows, MICRO, peer)) is not None]
    highest = max((cost for row in rows for peer in peers if (cost := row.cost(peer)) is not None), default=1.0)
    counters = list(dict.fromkeys(name for row in rows for name in row.counters))
    steps = max(2 / AXIS_STEP, -(-highest // AXIS_STEP))
    return Part(clock, rows, peers, means, counters, steps * AXIS_STEP)


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


def environment() -> jinja2.Environment:
    """Return Jinja with our templates and filters; an unknown name in a template is an error."""
    made = jinja2.Environment(loader=jinja2.FileSystemLoader(TEMPLATES), undefined=jinja2.StrictUndefined,
                              autoescape=jinja2.select_autoescape(("html.j2",)), trim_blocks=True, lstrip_blocks=True)
    made.filters.update(quantity=tables.quantity, interval=tables.interval)
    made.globals.update(polyline=polyline, GUEST=GUEST, CONDITIONS=CONDITIONS, AIM=AIM, AXIS_STEP=AXIS_STEP)
    return made


def render(records: Sequence[Record], store: Store, markdown: bool) -> str:
    """Return the page."""
    chapters: list[dict[str, Any]] = []
    for record in records:
        parts = [one for clock in Clock if (one := part(record, clock)).rows]
        chapters.append({"record": record, "parts": parts, "history": history(store, record)})
    name = "report.md.j2" if markdown else "report.html.j2"
    return environment().get_template(name).render(chapters=chapters)


def write(path: Path, records: Sequence[Record], store: Store, markdown: bool = False) -> None:
    """Write the page of some runs."""
    try:
        path.write_text(render(records, store, markdown))
    except OSError as error:
        raise InfrastructureError(f"cannot write {path}: {error.strerror}", "name another file with -o") from error
