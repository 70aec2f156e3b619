# SPDX-License-Identifier: BSD-2-Clause
"""Results of trials: outcomes, gaps, and the table of campaigns."""

from __future__ import annotations

import statistics
from dataclasses import dataclass, field
from typing import Any

from orchestration.base.errors import QuollError

RECOVERED, NO_EFFECT = "recovered", "no effect"
OUTCOMES = (RECOVERED, NO_EFFECT, "guest-visible error", "wrong data", "stalled", "guest crash", "host crash",
            "infrastructure")
GOOD = (RECOVERED, NO_EFFECT)


class HarmError(QuollError):
    """A driver's fault did more than delay the guest."""

    exit_code = 117
    outcome = "harm"


@dataclass
class Trial:
    """A fault and its outcome. gap: seconds without progress of the workload, by wall clock."""

    number: int
    outcome: str = ""
    gap: float = 0.0
    deaths: list[str] = field(default_factory=list)
    troubles: list[str] = field(default_factory=list)
    fault: dict[str, Any] = field(default_factory=dict)
    run: str = ""
    driver: str = ""


def gaps(trials: list[Trial]) -> dict[str, float]:
    """Return median and maximum of the gaps of trials that recovered, in seconds."""
    found = [trial.gap for trial in trials if trial.outcome == RECOVERED]
    return {"median": round(statistics.median(found), 3), "max": max(found)} if found else {}


def rows(results: list[dict[str, Any]]) -> list[list[str]]:
    """Return the outcomes of campaigns as the rows of a table, of equal length, the head first; none of no results."""
    if not results:
        return []
    shown = [name for name in OUTCOMES if name in GOOD or any(result["outcomes"].get(name) for result in results)]
    found = [["architecture", "CPUs", "driver", "kind", "trials", *shown, "gap, median", "gap, longest"]]
    for result in results:
        counts = [str(result["outcomes"].get(name, 0)) for name in shown]
        gap = result["gap"]
        spans = [f"{gap[name]:.2f} s" if gap else "-" for name in ("median", "max")]
        found.append([result["arch"], str(result["cpus"]), result["driver"], result["kind"], str(len(result["trials"])),
                      *counts, *spans])
    return found


def table(results: list[dict[str, Any]]) -> list[str]:
    """Return the outcomes of campaigns as the lines of a table in Markdown."""
    lines = [f"| {' | '.join(row)} |" for row in rows(results)]
    return [*lines[:1], "|---" * (lines[0].count("|") - 1) + "|", *lines[1:]] if lines else []


def describe(trial: Trial) -> str:
    """Return one line on a trial."""
    fault = trial.fault
    text = (f"{trial.number:4} {trial.driver:<8} {trial.outcome:<12} {trial.gap:6.2f} s  {fault.get('where', '')}: "
            f"{fault.get('how', '')}")
    return "\n".join([text, *(f"       | {line}" for line in trial.troubles[:6])])
