# SPDX-License-Identifier: BSD-2-Clause
"""Setting runs beside each other, and beside a gate file: only where they can be compared."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from orchestration.bench.tables import GUEST, rows
from orchestration.bench.workload import Clock
from orchestration.errors import RegressionError, UsageError
from orchestration.store import Record

# Part of a run's facts: what must be equal for two runs to be compared.
CONDITIONS = "conditions"
OPTIONS = "options of "
WORKLOADS = "workloads"
# An instruction count that grows by less than this is no regression.
TOLERANCE = 0.005


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


class Gate(BaseModel):
    """A gate file: the instruction counts of the guest that a run is held to, by workload/metric."""

    model_config = ConfigDict(extra="forbid")

    arch: str
    tolerance: float = Field(default=TOLERANCE, ge=0)
    conditions: dict[str, str]
    workloads: dict[str, str]
    instructions: dict[str, float]


def read_gate(path: Path) -> Gate:
    """Return a gate file; raise UsageError when it is none."""
    try:
        return Gate.model_validate_json(path.read_text())
    except OSError as error:
        raise UsageError(f"cannot read the gate file {path}: {error.strerror}",
                         "--write-gate FILE makes one from this run") from error
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(str(part) for part in fault['loc']) or 'file'}: {fault['msg']}"
                           for fault in error.errors()[:4])
        raise UsageError(f"{path} is no gate file: {faults}") from error


def gate_of(record: Record) -> Gate:
    """Return the gate that a run sets."""
    counted = {row.name: row.sides[GUEST].median for row in rows(record, Clock.INSTRUCTIONS) if GUEST in row.sides}
    return Gate(arch=record.arch, conditions=record.facts.get(CONDITIONS, {}),
                workloads={name: digest for name, digest in record.facts.get(WORKLOADS, {}).items()
                           if any(key.split("/")[0] == name for key in counted)},
                instructions=counted)


def write_gate(record: Record, path: Path) -> None:
    """Write the gate that a run sets."""
    path.write_text(json.dumps(gate_of(record).model_dump(), indent=1) + "\n")


def check_gate(record: Record, gate: Gate, selected: list[str]) -> list[str]:
    """Hold a run to a gate; return what got better by more than the tolerance.

    Raise UsageError when they cannot be compared, RegressionError for a count that grew or is missing. selected: the
    workloads that were asked for; what the gate says of others is not looked at.
    """
    found = differences({"architecture": gate.arch, **gate.conditions},
                        {"architecture": record.arch, **record.facts.get(CONDITIONS, {})})
    now = record.facts.get(WORKLOADS, {})
    found += [f"the workload {name} is another one now" for name in selected
              if name in gate.workloads and gate.workloads[name] != now.get(name)]
    if found:
        raise UsageError(f"the gate is not comparable with this run: {'; '.join(found)}",
                         "look at the figures, then set it anew with --write-gate")
    counted = gate_of(record).instructions
    worse, better = [], []
    for name, limit in gate.instructions.items():
        if name.split("/")[0] not in selected:
            continue
        if name not in counted:
            worse.append(f"{name}: not measured (the gate has {limit:.0f})")
            continue
        change = counted[name] / limit - 1 if limit else 0.0
        text = f"{name}: {limit:.0f} -> {counted[name]:.0f} instructions ({change:+.1%})"
        if change > gate.tolerance:
            worse.append(text)
        elif change < -gate.tolerance:
            better.append(text)
    if worse:
        raise RegressionError(f"{len(worse)} of {len(gate.instructions)} figures are worse than the gate "
                              f"allows (tolerance {gate.tolerance:.1%})",
                              "mend the cause, or set the gate anew with --write-gate and say why", tuple(worse))
    return better
