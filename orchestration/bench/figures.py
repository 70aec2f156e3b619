# SPDX-License-Identifier: BSD-2-Clause
"""The figures of a run of a workload: where they are in what its programs print and leave, and their units."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from orchestration.base.errors import WorkloadError
from orchestration.bench.terms import Clock
from orchestration.bench.workload import DESCRIPTION, EVERY, Metric, Workload

# The unit of what a clock of the guest tells; the counting clock's nanosecond is an instruction.
TIME, COUNTED = "time", "instructions"


@dataclass(frozen=True)
class Figure:
    """One figure of one run of a workload. counters: L4's, for one turn of the operation."""

    metric: str
    value: float
    unit: str
    better: str
    counters: Mapping[str, float] = field(default_factory=dict)


def unit_of(metric: Metric, clock: Clock) -> str:
    """Return a metric's unit under a clock."""
    if metric.unit != TIME:
        return metric.unit
    return COUNTED if clock is Clock.INSTRUCTIONS else "ns"


def json_lines(text: str) -> dict[str, dict[str, Any]]:
    """Return the JSON lines of an output that carry a metric, by its name."""
    found = {}
    for line in text.splitlines():
        if line.startswith("{"):
            try:
                value = json.loads(line)
            except (ValueError, RecursionError):
                continue
            if isinstance(value, dict) and isinstance(value.get("metric"), str):
                found[value["metric"]] = value
    return found


def number_of(line: Mapping[str, Any], clock: Clock) -> float | None:
    """Return the figure of a JSON line; the micro suite has one for each clock."""
    value = line.get("value", line.get("further" if clock is Clock.INSTRUCTIONS else "mean"))
    return float(value) if isinstance(value, int | float) else None


def whole(value: float, unit: str) -> float:
    """Return a figure without parts of an instruction: those are the coarseness of the guest's clock."""
    return float(round(value)) if unit == COUNTED else value


def follow(value: Any, path: str) -> Any:
    """Return what a path of keys and indices leads to, or None."""
    for part in path.split("."):
        try:
            value = value[int(part)] if isinstance(value, list) else value[part]
        except (KeyError, IndexError, TypeError, ValueError):
            return None
    return value


def find(metric: Metric, output: str, files: Mapping[str, str]) -> float | None:
    """Return a metric that is in a file or matches a pattern, or None."""
    text = output if metric.file is None else files.get(metric.file)
    if text is None:
        return None
    if metric.pattern is not None:
        matches = re.findall(metric.pattern, text)
        return float(matches[-1]) if matches else None
    assert metric.path is not None
    # fio may say something before its JSON.
    start = text.find("{")
    try:
        value = follow(json.loads(text[start:]), metric.path) if start >= 0 else None
    except (ValueError, RecursionError):
        return None
    return float(value) if isinstance(value, int | float) else None


def figures(workload: Workload, clock: Clock, output: str, files: Mapping[str, str]) -> list[Figure]:
    """Return all figures of a run under a clock; raise WorkloadError that names those which are missing."""
    lines = json_lines(output)
    found, missing = [], []
    for metric in workload.description.metrics:
        if metric.clocks is not None and clock not in metric.clocks:
            continue
        unit = unit_of(metric, clock)
        if metric.file is None and metric.pattern is None:
            names = list(lines) if metric.name == EVERY else [metric.name]
            for name in names or [metric.name]:
                value = number_of(lines.get(name, {}), clock)
                if value is None:
                    missing.append(name)
                else:
                    found.append(Figure(name, whole(value, unit), unit, metric.better, lines[name].get("counters", {})))
            continue
        value = find(metric, output, files)
        if value is None:
            missing.append(metric.name)
        else:
            found.append(Figure(metric.name, whole(value, unit), unit, metric.better))
    if missing:
        raise WorkloadError(f"the workload {workload.name} ended well but did not report {', '.join(missing)}",
                            f"see rootfs/workloads/{workload.name}/{DESCRIPTION}",
                            tuple(output.splitlines()[-8:]))
    return found
