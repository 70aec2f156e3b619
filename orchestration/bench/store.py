# SPDX-License-Identifier: BSD-2-Clause
"""Results that outlive their run: an SQLite file that can be asked, and one JSON file a run that can be read.

Each sample is committed when it is there, so a crash loses none that was finished. The JSON file says the same as the
tables; a damaged store is made anew from these files (rebuild).
"""

from __future__ import annotations

import json
import secrets
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from orchestration.base import doctor
from orchestration.base.errors import InfrastructureError, UsageError

DATABASE = "results.sqlite"
VERSION = 1
# Seconds to wait for another orchestrator that writes.
BUSY_LIMIT = 30.0
RUNNING = "running"
SCHEMA = """
CREATE TABLE run (id TEXT PRIMARY KEY, kind TEXT NOT NULL, arch TEXT NOT NULL, started TEXT NOT NULL, ended TEXT,
    outcome TEXT NOT NULL, facts TEXT NOT NULL);
CREATE TABLE sample (run TEXT NOT NULL REFERENCES run, workload TEXT NOT NULL, metric TEXT NOT NULL,
    side TEXT NOT NULL, clock TEXT NOT NULL, round INTEGER NOT NULL, value REAL NOT NULL, unit TEXT NOT NULL,
    better TEXT NOT NULL, counters TEXT NOT NULL);
CREATE INDEX sample_by_run ON sample (run);
CREATE INDEX sample_by_metric ON sample (workload, metric, side, clock);
CREATE TABLE failure (run TEXT NOT NULL REFERENCES run, workload TEXT NOT NULL, side TEXT NOT NULL,
    clock TEXT NOT NULL, outcome TEXT NOT NULL, message TEXT NOT NULL);
"""


@dataclass(frozen=True)
class Sample:
    """One figure. side: who was measured (guest, native, xen); unit and better as the workload declares them."""

    workload: str
    metric: str
    side: str
    clock: str
    round: int
    value: float
    unit: str
    better: str
    counters: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Failure:
    """A workload that gave no figures, and why; outcome is that of an error class. workload may be empty: a boot."""

    workload: str
    side: str
    clock: str
    outcome: str
    message: str


@dataclass
class Record:
    """One run with all that it found. facts: what must be equal to compare, and what one wants to know."""

    id: str
    kind: str
    arch: str
    started: str
    facts: dict[str, Any]
    ended: str | None = None
    outcome: str = RUNNING
    samples: list[Sample] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)


def default_folder() -> Path:
    """Return where results are kept. It is not the cache: that may be deleted at any time."""
    return doctor.data_root()


def now() -> str:
    """Return the time as results carry it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class Store:
    """A folder with the database and the runs' JSON files."""

    def __init__(self, folder: Path | None = None) -> None:
        """Open or create the store; raise InfrastructureError when it is damaged or cannot be written."""
        self.folder = folder or default_folder()
        self.runs = self.folder / "runs"
        try:
            self.runs.mkdir(parents=True, exist_ok=True)
            self.database = sqlite3.connect(self.folder / DATABASE, timeout=BUSY_LIMIT)
        except (OSError, sqlite3.Error) as error:
            raise InfrastructureError(f"cannot open the store in {self.folder}: {error}",
                                      "name another one with --store") from error
        with self.explained():
            self.database.execute("PRAGMA foreign_keys = ON")
            version = self.database.execute("PRAGMA user_version").fetchone()[0]
            if version == 0:
                self.create()
            elif version != VERSION:
                raise sqlite3.DatabaseError(f"its version is {version}, not {VERSION}")
            fault = self.database.execute("PRAGMA quick_check(1)").fetchone()[0]
            if fault != "ok":
                raise sqlite3.DatabaseError(fault)

    def create(self) -> None:
        """Make the tables, unless another orchestrator has just done so."""
        with self.database:
            self.database.execute("BEGIN IMMEDIATE")
            if self.database.execute("PRAGMA user_version").fetchone()[0] == 0:
                for statement in SCHEMA.split(";"):
                    self.database.execute(statement)
                self.database.execute(f"PRAGMA user_version = {VERSION}")

    @contextmanager
    def explained(self) -> Iterator[None]:
        """Turn what SQLite raises into an error with a way out."""
        try:
            yield
        except sqlite3.Error as error:
            raise InfrastructureError(
                f"the store {self.folder / DATABASE} is damaged or cannot be written: {error}",
                f"its content is in the JSON files beside it as well: orchestrate bench rebuild --store {self.folder}"
            ) from error

    def begin(self, kind: str, arch: str, facts: Mapping[str, Any]) -> Record:
        """Start a run and return its record."""
        stamp = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
        record = Record(f"{stamp}-{arch}-{secrets.token_hex(2)}", kind, arch, now(), dict(facts))
        self.insert(record)
        self.write_json(record)
        return record

    def insert(self, record: Record) -> None:
        """Put a run with all its samples into the tables."""
        with self.explained(), self.database:
            self.database.execute("INSERT INTO run VALUES (?, ?, ?, ?, ?, ?, ?)",
                                  (record.id, record.kind, record.arch, record.started, record.ended,
                                   record.outcome, json.dumps(record.facts)))
            for sample in record.samples:
                self.insert_sample(record.id, sample)
            for failure in record.failures:
                self.insert_failure(record.id, failure)

    def insert_sample(self, run: str, sample: Sample) -> None:
        """Put a sample into its table."""
        self.database.execute("INSERT INTO sample VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", (
            run, sample.workload, sample.metric, sample.side, sample.clock, sample.round, sample.value, sample.unit,
            sample.better, json.dumps(dict(sample.counters))))

    def insert_failure(self, run: str, failure: Failure) -> None:
        """Put a failure into its table."""
        self.database.execute("INSERT INTO failure VALUES (?, ?, ?, ?, ?, ?)", (
            run, failure.workload, failure.side, failure.clock, failure.outcome, failure.message))

    def add(self, record: Record, samples: list[Sample]) -> None:
        """Store what one run of a workload gave."""
        with self.explained(), self.database:
            for sample in samples:
                self.insert_sample(record.id, sample)
        record.samples += samples
        self.write_json(record)

    def fail(self, record: Record, failure: Failure) -> None:
        """Store that a workload gave nothing."""
        with self.explained(), self.database:
            self.insert_failure(record.id, failure)
        record.failures.append(failure)
        self.write_json(record)

    def add_facts(self, record: Record, facts: Mapping[str, Any]) -> None:
        """Store what was learnt about a run while it went on."""
        record.facts.update(facts)
        with self.explained(), self.database:
            self.database.execute("UPDATE run SET facts = ? WHERE id = ?", (json.dumps(record.facts), record.id))
        self.write_json(record)

    def end(self, record: Record, outcome: str) -> None:
        """Close a run."""
        record.ended, record.outcome = now(), outcome
        with self.explained(), self.database:
            self.database.execute("UPDATE run SET ended = ?, outcome = ? WHERE id = ?",
                                  (record.ended, outcome, record.id))
        self.write_json(record)

    def write_json(self, record: Record) -> None:
        """Write a run's JSON file; it is whole at every moment."""
        path = self.runs / f"{record.id}.json"
        fresh = path.with_suffix(".new")
        try:
            fresh.write_text(json.dumps(asdict(record), indent=1) + "\n")
            fresh.rename(path)
        except OSError as error:
            raise InfrastructureError(f"cannot write {path}: {error.strerror}",
                                      "name another store with --store") from error

    def ids(self, kind: str | None = None, arch: str | None = None) -> list[str]:
        """Return the runs' names, oldest first."""
        with self.explained():
            rows = self.database.execute(
                "SELECT id FROM run WHERE (?1 IS NULL OR kind = ?1) AND (?2 IS NULL OR arch = ?2) "
                "ORDER BY started, id", (kind, arch)).fetchall()
        return [row[0] for row in rows]

    def history(self, kind: str, arch: str, clock: str, side: str) -> dict[tuple[str, str], list[tuple[str, float]]]:
        """Return for each (workload, metric) the figures of all runs that ended, oldest first, as (run, value)."""
        found: dict[tuple[str, str], list[tuple[str, float]]] = {}
        with self.explained():
            for workload, metric, run, value in self.database.execute(
                    "SELECT workload, metric, run.id, avg(value) FROM sample JOIN run ON run.id = sample.run "
                    "WHERE kind = ? AND arch = ? AND clock = ? AND side = ? AND ended IS NOT NULL "
                    "GROUP BY run.id, workload, metric ORDER BY run.started, run.id", (kind, arch, clock, side)):
                found.setdefault((workload, metric), []).append((run, value))
        return found

    def load(self, name: str) -> Record:
        """Return the run of that name or unambiguous beginning; raise UsageError when there is none."""
        with self.explained():
            # A beginning is compared as such, so that no character of it is a wildcard.
            rows = self.database.execute(
                "SELECT id, kind, arch, started, ended, outcome, facts FROM run WHERE substr(id, 1, length(?1)) = ?1",
                (name,)).fetchall()
            exact = [row for row in rows if row[0] == name]
            if len(exact or rows) != 1:
                known = ", ".join(row[0] for row in rows) or ", ".join(self.ids()[-5:]) or "none"
                what = "ambiguous" if rows else "unknown"
                raise UsageError(f"{what} run '{name}'; {'it could be' if rows else 'the last are'}: {known}",
                                 "orchestrate bench list names all")
            run, kind, arch, started, ended, outcome, facts = (exact or rows)[0]
            record = Record(run, kind, arch, started, json.loads(facts), ended, outcome)
            for row in self.database.execute("SELECT workload, metric, side, clock, round, value, unit, better, "
                                             "counters FROM sample WHERE run = ? ORDER BY rowid", (run,)):
                columns = [*row[:-1], json.loads(row[-1])]
                record.samples.append(Sample(*columns))
            record.failures = [Failure(*row) for row in self.database.execute(
                "SELECT workload, side, clock, outcome, message FROM failure WHERE run = ? ORDER BY rowid", (run,))]
        return record

    def close(self) -> None:
        """Give the database back."""
        self.database.close()


def from_json(text: str) -> Record:
    """Return the run that a JSON file describes; raise ValueError, KeyError or TypeError when it does not."""
    value = json.loads(text)
    samples = [Sample(**sample) for sample in value.pop("samples")]
    failures = [Failure(**failure) for failure in value.pop("failures")]
    return Record(**value, samples=samples, failures=failures)


def rebuild(folder: Path | None = None) -> tuple[int, list[str]]:
    """Make the database anew from the JSON files; return the number of runs and the files that are damaged as well.

    The old database stays beside the new one, under another name.
    """
    folder = folder or default_folder()
    old = folder / DATABASE
    for path in (old, folder / f"{DATABASE}-journal"):
        if path.exists():
            path.rename(path.with_name(f"{path.name}.damaged-{secrets.token_hex(2)}"))
    store = Store(folder)
    damaged, count = [], 0
    for path in sorted(store.runs.glob("*.json")):
        try:
            record = from_json(path.read_text())
        except (ValueError, KeyError, TypeError) as error:
            damaged.append(f"{path.name}: {error}")
            continue
        store.insert(record)
        count += 1
    store.close()
    return count, damaged
