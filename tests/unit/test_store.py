# SPDX-License-Identifier: BSD-2-Clause
"""The store keeps every finished result, says when it is damaged, and is made anew from the JSON files."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from orchestration.base.errors import InfrastructureError, UsageError
from orchestration.base.tree import ROOT
from orchestration.bench import store
from orchestration.bench.store import Failure, Sample, Store
from orchestration.cli import main as cli

SAMPLE = Sample("micro", "getppid", "guest", "instructions", 0, 321.0, "instructions", "lower", {"entries": 2.0})
FAILURE = Failure("fio", "guest", "wall", "workload", "it filled the disk")


def test_what_was_stored_comes_back(tmp_path: Path) -> None:
    results = Store(tmp_path)
    record = results.begin("bench", "x86_64", {"revision": "abc"})
    results.add(record, [SAMPLE])
    results.fail(record, FAILURE)
    results.add_facts(record, {"more": 1})
    results.end(record, "done")
    loaded = Store(tmp_path).load(record.id)
    assert loaded == record
    assert store.from_json((tmp_path / "runs" / f"{record.id}.json").read_text()) == record
    assert results.ids("bench", "x86_64") == [record.id]
    assert results.ids("faults") == results.ids("bench", "riscv64") == []


def test_a_run_is_found_by_its_beginning(tmp_path: Path) -> None:
    results = Store(tmp_path)
    first, second = results.begin("bench", "x86_64", {}), results.begin("bench", "riscv64", {})
    assert results.load(first.id[:-2]).id == first.id or first.id[:-2] == second.id[:-2]
    with pytest.raises(UsageError, match="ambiguous run"):
        results.load("2")
    with pytest.raises(UsageError, match="unknown run 'nothing'; the last are: 2"):
        results.load("nothing")
    with pytest.raises(UsageError, match="unknown run '%'"):
        results.load("%")


def test_a_crash_loses_no_finished_result(tmp_path: Path) -> None:
    """A process that is killed in the middle of a run leaves all that it had added, in tables and file."""
    script = f"""
import os, signal, sys
sys.path.insert(0, {str(ROOT)!r})
from pathlib import Path
from orchestration.bench.store import Sample, Store
results = Store(Path({str(tmp_path)!r}))
record = results.begin("bench", "x86_64", {{}})
for number in range(5):
    results.add(record, [Sample("w", "m", "guest", "wall", number, float(number), "ns", "lower")])
results.database.execute("BEGIN")
results.insert_sample(record.id, Sample("w", "m", "guest", "wall", 5, 5.0, "ns", "lower"))
os.kill(os.getpid(), signal.SIGKILL)
"""
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == -9
    results = Store(tmp_path)
    loaded = results.load(results.ids()[0])
    assert [sample.round for sample in loaded.samples] == [0, 1, 2, 3, 4]
    assert loaded.outcome == store.RUNNING
    assert store.from_json((tmp_path / "runs" / f"{loaded.id}.json").read_text()) == loaded


@pytest.mark.parametrize("damage", ["text", "truncated", "version", "table"])
def test_a_damaged_store_is_said_and_made_anew(tmp_path: Path, damage: str,
                                               capsys: pytest.CaptureFixture[str]) -> None:
    results = Store(tmp_path)
    record = results.begin("bench", "x86_64", {})
    results.add(record, [SAMPLE])
    results.end(record, "done")
    results.close()
    database = tmp_path / store.DATABASE
    if damage == "text":
        database.write_bytes(b"this is no database, although it is long enough to be one" * 100)
    elif damage == "truncated":
        os.truncate(database, 5000)
    else:
        with sqlite3.connect(database) as connection:
            connection.execute("PRAGMA user_version = 99" if damage == "version" else "DROP TABLE sample")
    assert cli.main(["bench", "show", record.id, "--store", str(tmp_path)]) == 120
    said = capsys.readouterr().err
    assert "results.sqlite is damaged" in said
    assert f"orchestrate bench rebuild --store {tmp_path}" in said
    assert cli.main(["bench", "rebuild", "--store", str(tmp_path)]) == 0
    assert Store(tmp_path).load(record.id) == record


def test_rebuild_names_files_that_are_damaged_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    results = Store(tmp_path)
    record = results.begin("bench", "x86_64", {})
    results.end(record, "done")
    results.close()
    (tmp_path / "runs" / "other.json").write_text("{")
    (tmp_path / "runs" / "third.json").write_text(json.dumps({"samples": [], "failures": []}))
    count, damaged = store.rebuild(tmp_path)
    assert count == 1
    assert [line.split(":")[0] for line in damaged] == ["other.json", "third.json"]
    assert cli.main(["bench", "rebuild", "--store", str(tmp_path)]) == 120
    said = capsys.readouterr().err
    assert "other.json" in said and "2 more could not be read" in said


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InfrastructureError, match="cannot open the store"):
        Store(tmp_path / "file")


def test_two_at_a_time(tmp_path: Path) -> None:
    one, other = Store(tmp_path), Store(tmp_path)
    first, second = one.begin("bench", "x86_64", {}), other.begin("bench", "aarch64", {})
    one.add(first, [SAMPLE])
    other.add(second, [SAMPLE, SAMPLE])
    assert len(other.load(first.id).samples) == 1
    assert len(one.load(second.id).samples) == 2
