# SPDX-License-Identifier: BSD-2-Clause
"""A matrix' results as JSON, JUnit, KTAP, an HTML page that loads nothing, and records of the store."""

from __future__ import annotations

import json
import shlex
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import jinja2

from orchestration.bench.store import Failure, Sample, Store
from orchestration.faults import results as fault_results
from orchestration.matrix.runner import FAIL, INFRASTRUCTURE, OUTCOMES, PASS, RETRIED, SKIPPED, Attempt, CellResult

KIND = "matrix"
TEMPLATES = Path(__file__).with_name("templates")


def as_json(name: str, results: list[CellResult], facts: dict[str, Any]) -> dict[str, Any]:
    """Return everything as plain values."""
    return {"name": name, **facts, "outcomes": counts(results),
            "cells": [{**asdict(result.cell), "outcome": result.outcome, "message": result.message,
                       "seconds": result.seconds, "attempts": [asdict(one) for one in result.attempts]}
                      for result in results]}


def counts(results: list[CellResult]) -> dict[str, int]:
    """Return how many cells had each outcome."""
    found = Counter(result.outcome for result in results)
    return {outcome: found[outcome] for outcome in OUTCOMES}


def junit(name: str, results: list[CellResult]) -> str:
    """Return JUnit's XML, a suite an architecture; earlier attempts have Surefire's names (flaky..., rerun...)."""
    root = ElementTree.Element("testsuites", name=name)
    for arch in dict.fromkeys(result.cell.arch for result in results):
        mine = [result for result in results if result.cell.arch == arch]
        found = counts(mine)
        suite = ElementTree.SubElement(
            root, "testsuite", name=f"{name} {arch}", tests=str(len(mine)), failures=str(found[FAIL]),
            errors=str(found[INFRASTRUCTURE]), skipped=str(found[SKIPPED]),
            time=str(round(sum(result.seconds for result in mine), 1)))
        for result in mine:
            case = ElementTree.SubElement(suite, "testcase", classname=f"{name}.{arch}", name=result.cell.name,
                                          time=str(result.seconds))
            if result.outcome == SKIPPED:
                ElementTree.SubElement(case, "skipped", message=result.cell.skipped)
            blamed = {FAIL: "failure", INFRASTRUCTURE: "error"}.get(result.outcome)
            if blamed is not None:
                element(case, blamed, result.outcome, result.message, result.attempts[-1] if result.attempts else None)
            earlier = "flaky" if result.outcome == RETRIED else "rerun"
            for attempt in result.attempts[:-1]:
                tag = "Failure" if attempt.outcome == FAIL else "Error"
                element(case, f"{earlier}{tag}", attempt.outcome, f"attempt {attempt.number}, status {attempt.status}",
                        attempt)
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def element(case: ElementTree.Element, tag: str, kind: str, message: str, attempt: Attempt | None) -> None:
    """Add what became of an attempt."""
    ElementTree.SubElement(case, tag, type=kind, message=clean(message)).text = clean(
        "\n".join(attempt.last if attempt is not None else ()))


def clean(text: str) -> str:
    """Return the text without what XML cannot hold."""
    return "".join(c for c in text if c in "\t\n\r" or " " <= c <= "\ud7ff" or "\ue000" <= c <= "\ufffd")


def ktap(results: list[CellResult]) -> str:
    """Return KTAP; an infrastructure failure is no result of a test, so it is skipped, with its reason."""
    lines = ["KTAP version 1", f"1..{len(results)}"]
    for number, result in enumerate(results, 1):
        word = "not ok" if result.outcome == FAIL else "ok"
        reason = {SKIPPED: f" # SKIP {result.cell.skipped}",
                  INFRASTRUCTURE: f" # SKIP infrastructure: {result.message}"}.get(result.outcome, "")
        lines += [f"# attempt {attempt.number}: {attempt.outcome}, status {attempt.status}, {attempt.seconds} s"
                  for attempt in result.attempts]
        lines.append(f"{word} {number} {result.cell.label.replace('#', '')}{reason}")
    return "\n".join(lines) + "\n"


def fault_rows(folder: Path, results: list[CellResult]) -> list[list[str]]:
    """Return the rows of the table of all campaigns of fault cells, from the JSON that their last attempt wrote."""
    found = []
    for result in results:
        for attempt in result.attempts[-1:]:
            path = folder / attempt.folder / "faults.json"
            if path.exists():
                found += json.loads(path.read_text())
    return fault_results.rows(found)


def html(name: str, results: list[CellResult], facts: dict[str, Any], faults: list[list[str]]) -> str:
    """Return the page."""
    environment = jinja2.Environment(loader=jinja2.FileSystemLoader(TEMPLATES), autoescape=True, trim_blocks=True,
                                     lstrip_blocks=True)
    arches = list(dict.fromkeys(result.cell.arch for result in results))
    grid = {(result.cell.name, result.cell.arch): result for result in results}
    names = list(dict.fromkeys(result.cell.name for result in results))
    return environment.get_template("matrix.html.j2").render(
        name=name, facts=facts, counts=counts(results), arches=arches, names=names, grid=grid, faults=faults,
        results=results, line=shlex.join, longest=max((result.seconds for result in results), default=1) or 1)


def store(folder: Path, name: str, results: list[CellResult], facts: dict[str, Any]) -> list[str]:
    """Put a record an architecture into the store: seconds of each cell that passed, failures of the others."""
    target = Store(folder)
    ids = []
    for arch in dict.fromkeys(result.cell.arch for result in results):
        mine = [result for result in results if result.cell.arch == arch]
        record = target.begin(KIND, arch, {"matrix": name, **facts})
        for result in mine:
            if result.outcome in (PASS, RETRIED):
                target.add(record, [Sample(result.cell.name, "seconds", "guest", "wall", 0,
                                           result.attempts[-1].seconds, "s", "lower")])
            for attempt in result.attempts:
                if attempt.outcome != PASS:
                    target.fail(record, Failure(result.cell.name, "guest", "wall", attempt.outcome,
                                                f"attempt {attempt.number}: {result.message}"))
        found = counts(mine)
        target.end(record, FAIL if found[FAIL] else INFRASTRUCTURE if found[INFRASTRUCTURE] else "done")
        ids.append(record.id)
    target.close()
    return ids


def write(folder: Path, name: str, results: list[CellResult], facts: dict[str, Any]) -> None:
    """Write all files."""
    faults = fault_rows(folder, results)
    (folder / "matrix.json").write_text(json.dumps(as_json(name, results, facts), indent=1) + "\n")
    (folder / "junit.xml").write_text(junit(name, results))
    (folder / "results.ktap").write_text(ktap(results))
    (folder / "index.html").write_text(html(name, results, facts, faults))
