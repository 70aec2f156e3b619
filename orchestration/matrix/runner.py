# SPDX-License-Identifier: BSD-2-Clause
"""Runs the cells of a matrix, several at a time, each attempt a process of its own with a folder of its own.

Every attempt is kept and written down when it ends, so a crash half-way loses none that was finished. The exit code
says whose failure it was: what is not the system's own doing is an infrastructure failure, which is no test's.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from xml.etree import ElementTree

from orchestration.base import tools
from orchestration.base.errors import (
    EXIT_INTERRUPTED,
    BuildError,
    InfrastructureError,
    MissingError,
    QuollError,
    UsageError,
)
from orchestration.base.rundir import RUNS_VARIABLE
from orchestration.base.tree import ROOT
from orchestration.matrix.plan import Cell

PASS, RETRIED, FAIL, INFRASTRUCTURE, SKIPPED = "pass", "pass after retry", "fail", "infrastructure", "skipped"
OUTCOMES = (PASS, RETRIED, FAIL, INFRASTRUCTURE, SKIPPED)
# Exit codes that are not about the system under test.
TOOL_CODES = {*(error.exit_code for error in (UsageError, MissingError, InfrastructureError, BuildError)),
              EXIT_INTERRUPTED}
SAYS = "orchestrate: "
TIME_UP = -1
KILL_GRACE = 30.0
TAIL = 30


class CellsFailedError(QuollError):
    """Cells of a matrix failed."""

    exit_code = 116
    outcome = "cells"


@dataclass(frozen=True)
class Attempt:
    """One run of a cell's command. status: exit code, TIME_UP when it was ended; last: the end of its output."""

    number: int
    outcome: str
    status: int
    seconds: float
    last: tuple[str, ...]
    folder: str


@dataclass
class CellResult:
    """A cell with all its attempts."""

    cell: Cell
    attempts: list[Attempt] = field(default_factory=list)

    @property
    def outcome(self) -> str:
        """Return what became of it; a pass that took more than one attempt is told as such."""
        if self.cell.skipped:
            return SKIPPED
        if not self.attempts:
            return INFRASTRUCTURE
        if self.attempts[-1].outcome == PASS:
            return PASS if len(self.attempts) == 1 else RETRIED
        # Once it failed by itself, a later failure of the infrastructure does not wash that off.
        return FAIL if any(attempt.outcome == FAIL for attempt in self.attempts) else INFRASTRUCTURE

    @property
    def seconds(self) -> float:
        """Return the time of all attempts."""
        return round(sum(attempt.seconds for attempt in self.attempts), 1)

    @property
    def message(self) -> str:
        """Return the line that says most about the last failure."""
        if not self.attempts and not self.cell.skipped:
            return "not run: the matrix was interrupted"
        for attempt in reversed(self.attempts):
            if attempt.outcome != PASS:
                said = [line for line in attempt.last if line.startswith(SAYS)]
                words = [line for line in attempt.last if line.strip()]
                return said[-1].removeprefix(SAYS) if said else f"status {attempt.status}" \
                    + (f": {words[-1]}" if words else "")
        return ""


def judge(status: int, last: tuple[str, ...]) -> str:
    """Return what an exit code makes of an attempt. A command's own status may be like ours, but has not our words."""
    if status == 0:
        return PASS
    said = any(line.startswith(SAYS) for line in last)
    return INFRASTRUCTURE if status < 0 or (status in TOOL_CODES and said) else FAIL


def blames_tool(junit: Path) -> bool:
    """Say whether pytest's report has failures, and all of them are InfrastructureErrors."""
    try:
        tree = ElementTree.parse(junit)
    except (OSError, ElementTree.ParseError):
        return False
    failed = [f"{node.get('message')} {node.text}" for tag in ("failure", "error") for node in tree.iter(tag)]
    return bool(failed) and all(InfrastructureError.__name__ in text for text in failed)


class Runner:
    """Runs cells. folder gets one folder a cell and attempt, and attempts.jsonl."""

    def __init__(self, folder: Path, store: Path, retries: int, minutes: float, tell: Callable[[str], None]) -> None:
        """Keep what all cells share."""
        self.folder, self.store, self.retries, self.limit, self.tell = folder, store, retries, minutes * 60, tell
        self.lock = threading.Lock()
        self.groups: set[int] = set()
        self.stopping = False
        self.results: list[CellResult] = []

    def run(self, cells: list[Cell], jobs: int) -> list[CellResult]:
        """Run all, jobs at a time, in the file's order. results has what is there, also when this is interrupted."""
        self.results = [CellResult(cell) for cell in cells]
        with ThreadPoolExecutor(jobs) as pool:
            try:
                list(pool.map(self.run_cell, self.results))
            except BaseException:
                self.stop()
                raise
        return self.results

    def stop(self) -> None:
        """End what runs, and begin nothing more."""
        with self.lock:
            self.stopping = True
            for group in self.groups:
                os.killpg(group, signal.SIGTERM)
        killer = threading.Timer(KILL_GRACE, self.kill)
        killer.daemon = True
        killer.start()

    def kill(self) -> None:
        """End what did not end when it was told to."""
        with self.lock:
            for group in self.groups:
                os.killpg(group, signal.SIGKILL)

    def run_cell(self, result: CellResult) -> None:
        """Run a cell until it passes or its attempts are used up."""
        cell = result.cell
        if cell.skipped:
            return
        for number in range(1, self.retries + 2):
            if self.stopping:
                break
            attempt = self.attempt(cell, number)
            result.attempts.append(attempt)
            with self.lock, (self.folder / "attempts.jsonl").open("a") as stream:
                stream.write(json.dumps({"cell": cell.label, **asdict(attempt)}) + "\n")
            self.tell(f"{attempt.outcome:<16} {attempt.seconds:7.0f} s  {cell.label}"
                      + (f" (attempt {number})" if number > 1 else ""))
            if attempt.outcome == PASS:
                break

    def attempt(self, cell: Cell, number: int) -> Attempt:
        """Run the command once."""
        name = re.sub(r"[^\w.-]+", "-", cell.label)
        folder = self.folder / "cells" / name / f"attempt-{number}"
        folder.mkdir(parents=True, exist_ok=True)
        arguments = [word.replace("{folder}", str(folder)).replace("{store}", str(self.store))
                     for word in cell.arguments]
        began = time.monotonic()
        log = folder / "output.log"
        with log.open("wb") as stream, tools.group() as group:
            process = subprocess.Popen([str(ROOT / "orchestrate"), *arguments], cwd=ROOT, stdin=subprocess.DEVNULL,
                                       stdout=stream, stderr=subprocess.STDOUT, process_group=group,
                                       env={**os.environ, RUNS_VARIABLE: str(folder / "runs")})
            with self.lock:
                self.groups.add(group)
                if self.stopping:
                    os.killpg(group, signal.SIGTERM)
            try:
                status = process.wait(self.limit)
            except subprocess.TimeoutExpired:
                os.killpg(group, signal.SIGTERM)
                try:
                    process.wait(KILL_GRACE)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
                stream.write(b"\norchestrate: the command did not end within the matrix's limit\n")
                status = TIME_UP
            finally:
                with self.lock:
                    self.groups.discard(group)
        last = tools.tail(log, TAIL)
        outcome = INFRASTRUCTURE if blames_tool(folder / "junit.xml") else judge(status, last)
        if self.stopping and outcome != PASS:
            # It ended because it was told to.
            outcome, last = INFRASTRUCTURE, (*last, f"{SAYS}the matrix was interrupted")
        if outcome == PASS:
            shutil.rmtree(folder / "runs", ignore_errors=True)
        return Attempt(number, outcome, status, round(time.monotonic() - began, 1), last,
                       str(folder.relative_to(self.folder)))
