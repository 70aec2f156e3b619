# SPDX-License-Identifier: BSD-2-Clause
"""From a run's samples to the rows that table, page and gate show."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from orchestration.bench.statistics import Estimate, estimate, geometric_mean, ratios
from orchestration.bench.store import Record, Sample
from orchestration.bench.terms import GUEST, TRACED, Clock

PREFIXES = ((1e9, "G"), (1e6, "M"), (1e3, "k"))


@dataclass(frozen=True)
class Row:
    """One metric under one clock: an estimate for each side, and for each peer the ratio of our side to it."""

    workload: str
    metric: str
    unit: str
    better: str
    sides: Mapping[str, Estimate]
    ratios: Mapping[str, Estimate]
    counters: Mapping[str, float] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Return workload and metric as one name, as gate files have it."""
        return f"{self.workload}/{self.metric}" if self.workload != self.metric else self.workload

    def cost(self, peer: str) -> float | None:
        """Return how many times the peer's cost our side's is: above 1 is worse, whichever way the figure goes."""
        ratio = self.ratios.get(peer)
        if ratio is None or not ratio.median:
            return None
        return ratio.median if self.better == "lower" else 1 / ratio.median


def rows(record: Record, clock: Clock, ours: str = GUEST) -> list[Row]:
    """Return the rows of one clock, in the order in which they were measured. Ratios are those of the side ours."""
    groups: dict[tuple[str, str], dict[str, list[Sample]]] = {}
    for sample in record.samples:
        if sample.clock == clock:
            groups.setdefault((sample.workload, sample.metric), {}).setdefault(sample.side, []).append(sample)
    made = []
    for (workload, metric), sides in groups.items():
        first = next(iter(sides.values()))[0]
        values = {side: [sample.value for sample in sorted(samples, key=lambda one: one.round)]
                  for side, samples in sides.items()}
        found = {side: ratio for side, others in values.items() if side not in (ours, TRACED) and ours in values
                 and (ratio := ratios(values[ours], others)) is not None}
        made.append(Row(workload, metric, first.unit, first.better,
                        {side: estimate(each) for side, each in values.items()}, found,
                        next((samples[0].counters for samples in sides.values() if samples[0].counters), {})))
    return made


def peers(found: Iterable[Row]) -> list[str]:
    """Return the sides that the guest is compared with."""
    return list(dict.fromkeys(side for row in found for side in row.sides if side not in (GUEST, TRACED)))


def mean_cost(found: Iterable[Row], workload: str, peer: str) -> float | None:
    """Return the geometric mean of what a workload's operations cost beside a peer's."""
    costs = [cost for row in found if row.workload == workload and (cost := row.cost(peer)) is not None]
    return geometric_mean(costs) if costs else None


def worst(found: Iterable[Row], workload: str, peer: str) -> Row | None:
    """Return the row of a workload that costs most beside a peer's."""
    costs = [(cost, row) for row in found if row.workload == workload and (cost := row.cost(peer)) is not None]
    return max(costs, key=lambda pair: pair[0])[1] if costs else None


def quantity(value: float, unit: str) -> str:
    """Return a figure for people. Instructions are exact and shown so."""
    if unit == "instructions":
        return f"{value:,.0f}".replace(",", " ")
    if unit == "ns":
        for size, name in ((1e9, "s"), (1e6, "ms"), (1e3, "us")):
            if value >= size:
                return f"{value / size:.3g} {name}"
        return f"{value:.3g} ns"
    for size, prefix in PREFIXES:
        if value >= size:
            return f"{value / size:.3g} {prefix}{unit}"
    return f"{value:.3g} {unit}"


def interval(found: Estimate, unit: str) -> str:
    """Return the interval of an estimate, or nothing where one value is all there is."""
    return f"{quantity(found.low, unit)} - {quantity(found.high, unit)}" if found.count > 1 else ""
