# SPDX-License-Identifier: BSD-2-Clause
"""Setting runs beside each other: only where they can be compared."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from orchestration.base.errors import UsageError
from orchestration.bench.store import Record
from orchestration.bench.tables import rows
from orchestration.bench.terms import Clock

# Part of a run's facts: what must be equal for two runs to be compared.
CONDITIONS = "conditions"
OPTIONS = "options of "
WORKLOADS = "workloads"


def differences(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    """Return the conditions that two runs do not share, in words. A peer that only one of them has is none."""
    return [f"{name}: {one.get(name, 'not told')} against {other.get(name, 'not told')}"
            for name in dict.fromkeys([*one, *other])
            if one.get(name) != other.get(name) and not (name.startswith(OPTIONS) and name in one.keys() ^ other.keys())
            ]


def check_comparable(one: Record, other: Record) -> None:
    """Raise UsageError that says in what two runs differ, unless they may be compared."""
    found = differences({"architecture": one.arch, "kind": one.kind, **one.facts.get(CONDITIONS, {})},
                        {"architecture": other.arch, "kind": other.kind, **other.facts.get(CONDITIONS, {})})
    if found:
        raise UsageError(f"{one.id} and {other.id} are not comparable: {'; '.join(found)}",
                         "run the older one's sources again under today's conditions")


@dataclass(frozen=True)
class Change:
    """One metric of one side in two runs. significant: no clock or chance explains the difference."""

    name: str
    side: str
    clock: str
    unit: str
    better: str
    before: float
    after: float
    significant: bool

    @property
    def factor(self) -> float:
        """Return after over before."""
        return self.after / self.before if self.before else float("inf")

    @property
    def worse(self) -> bool:
        """Tell whether this is a change for the worse."""
        return self.significant and (self.factor > 1) == (self.better == "lower") and self.factor != 1


def changes(before: Record, after: Record) -> tuple[list[Change], list[str]]:
    """Return what changed, and why some metrics are left out. Raise UsageError when the runs are not comparable."""
    check_comparable(before, after)
    found, left_out = [], []
    old, new = before.facts.get(WORKLOADS, {}), after.facts.get(WORKLOADS, {})
    edited = sorted(name for name in set(old) & set(new) if old[name] != new[name])
    left_out += [f"the workload {name} is another one now" for name in edited]
    left_out += [f"the workload {name} is in one of the runs only" for name in sorted(set(old) ^ set(new))]
    for clock in Clock:
        rows_before = {row.name: row for row in rows(before, clock)}
        for row in rows(after, clock):
            if row.workload in edited or row.name not in rows_before:
                continue
            for side, now in row.sides.items():
                then = rows_before[row.name].sides.get(side)
                if then is None:
                    continue
                apart = now.low > then.high or now.high < then.low
                found.append(Change(row.name, side, clock, row.unit, row.better, then.median, now.median, apart))
    return found, left_out
