# SPDX-License-Identifier: BSD-2-Clause
"""Reads the KTAP that the kernel's own tests print, from logs that may be cut short or hold other text.

Only the outermost level counts: lines of subtests are indented and become their parent's diagnostics.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

RESULT = re.compile(r"(not )?ok\s+(\d+)(?:\s+-)?\s*([^#]*?)\s*(?:#\s*(SKIP|TODO)?\s*(.*))?$", re.IGNORECASE)
PLAN = re.compile(r"1\.\.(\d+)\s*$")


@dataclass(frozen=True)
class Result:
    """One test: its number, name, outcome and the lines printed since the one before."""

    number: int
    name: str
    outcome: str
    diagnostics: tuple[str, ...] = ()


@dataclass
class Report:
    """All of a log. problems is empty only when the log is complete and in order."""

    planned: int | None = None
    results: list[Result] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        """Say whether everything that was planned ran and nothing failed."""
        return not self.problems and all(result.outcome in ("pass", "skip") for result in self.results)


def parse(lines: list[str]) -> Report:
    """Read a log's lines into a report."""
    report = Report()
    started = False
    pending: list[str] = []
    for raw in lines:
        line = raw.rstrip()
        if re.match(r"(K?TAP) version \d+", line):
            if started:
                report.problems.append("a second KTAP header: the tests started again")
            started = True
        elif not started:
            continue
        elif match := PLAN.match(line):
            report.planned = int(match.group(1))
        elif match := RESULT.match(line):
            failed, number, name, directive, _ = match.groups()
            outcome = "skip" if (directive or "").upper() == "SKIP" else "fail" if failed else "pass"
            expected = len(report.results) + 1
            if int(number) != expected:
                report.problems.append(f"test number {number} where {expected} was due")
            report.results.append(Result(int(number), name or f"test {number}", outcome, tuple(pending)))
            pending = []
        elif line.startswith("Bail out!"):
            report.problems.append(line)
        elif line:
            pending.append(line)
    if not started:
        report.problems.append("no KTAP header")
    elif report.planned is None:
        report.problems.append("no plan")
    elif report.planned != len(report.results):
        report.problems.append(f"{len(report.results)} of {report.planned} tests reported")
    if report.problems and pending:
        report.problems.append("last lines: " + " | ".join(pending[-3:]))
    return report
