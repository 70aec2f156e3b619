# SPDX-License-Identifier: BSD-2-Clause
"""Tables of a run, and of changes between two runs, as they are printed."""

from __future__ import annotations

from itertools import starmap

import pytest

from orchestration.bench import show
from orchestration.bench.compare import Change
from orchestration.bench.store import Failure, Record, Sample


def record() -> Record:
    made = Record("20260101-000000-x86_64-0001", "bench", "x86_64", "2026-01-01T00:00:00Z", {})
    made.samples = list(starmap(Sample, [
        ("micro", "getppid", "guest", "instructions", 0, 300.0, "instructions", "lower"),
        ("micro", "getppid", "native", "instructions", 0, 200.0, "instructions", "lower"),
        ("micro", "pipe", "guest", "instructions", 0, 1600.0, "instructions", "lower"),
        ("micro", "pipe", "native", "instructions", 0, 1600.0, "instructions", "lower"),
        ("gzip", "gzip", "native", "instructions", 0, 5000.0, "instructions", "lower"),
        ("fio", "read", "guest", "wall", 0, 80.0, "op/s", "higher"),
        ("fio", "read", "native", "wall", 0, 100.0, "op/s", "higher"),
        ("fio", "read", "guest", "wall", 1, 90.0, "op/s", "higher"),
        ("fio", "read", "native", "wall", 1, 100.0, "op/s", "higher"),
        ("iperf3", "out", "guest", "wall", 0, 1.0, "op/s", "higher")]))
    made.failures = [Failure("gzip", "guest", "instructions", "failed", "did not end [in 5 s]"),
                     Failure("iperf3", "", "wall", "failed", "no peer")]
    return made


def rows(text: str) -> dict[str, list[str]]:
    """Return the cells of a table's rows by the first cell."""
    split = [[cell.strip() for cell in line.strip("│┃").replace("┃", "│").split("│")] for line in text.splitlines()]
    return {cells[0]: cells[1:] for cells in split if len(cells) > 1}


def test_each_clock_has_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    show.show_record(record())
    out = capsys.readouterr().out
    assert "x86_64, instructions (20260101-000000-x86_64-0001)" in out
    assert "x86_64, wall (20260101-000000-x86_64-0001)" in out
    found = rows(out)
    assert found["micro/getppid"] == ["300", "200", "1.50"]
    assert found["fio/read"] == ["85 op/s", "100 op/s", "0.85", "0.80 - 0.90"]


def test_what_a_side_did_not_measure_has_failed(capsys: pytest.CaptureFixture[str]) -> None:
    show.show_record(record())
    out = capsys.readouterr().out
    found = rows(out)
    assert found["gzip"] == ["failed", "5 000", ""]
    assert found["iperf3/out"] == ["1 op/s", "failed", "", ""]
    # Brackets of a message are no markup.
    assert "failed: gzip on guest: did not end [in 5 s]" in out
    assert "failed: iperf3 on the host: no peer" in out


def test_the_mean_and_the_worst_of_the_micro_suite_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    show.show_record(record())
    assert "micro suite beside native: geometric mean 1.22, worst 1.50 (getppid)" in capsys.readouterr().out


def test_changes_say_which_are_for_the_worse(capsys: pytest.CaptureFixture[str]) -> None:
    slower = Change("micro/getppid", "guest", "instructions", "instructions", "lower", 300, 330, significant=True)
    faster = Change("micro/pipe", "guest", "instructions", "instructions", "lower", 800, 400, significant=True)
    chance = Change("fio/read", "guest", "wall", "op/s", "higher", 100, 90, significant=False)
    show.show_changes("before", "after", [slower, faster, chance], ["the workload gzip is another one now"])
    out = capsys.readouterr().out
    found = rows(out)
    assert out.startswith("before -> after")
    assert found["micro/getppid"] == ["guest", "instructions", "300", "330", "1.1000", "worse"]
    assert found["micro/pipe"] == ["guest", "instructions", "800", "400", "0.5000", "better"]
    assert found["fio/read"] == ["guest", "wall", "100 op/s", "90 op/s", "0.9000", ""]
    assert "the workload gzip is another one now" in out
