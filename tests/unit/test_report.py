# SPDX-License-Identifier: BSD-2-Clause
"""A report of several runs of an architecture shows the figures of the right ones."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from orchestration.bench import compare, report
from orchestration.bench.runner import BUSIEST
from orchestration.bench.store import Failure, Record, Sample, Store
from orchestration.bench.terms import Clock

INSTRUCTIONS, WALL = Clock.INSTRUCTIONS, Clock.WALL


def record(day: int, *figures: tuple[str, str, float], peer: str | None = "native", **changed: object) -> Record:
    """Return a run with figures of (workload, clock, what ours costs); the peer's is 100."""
    facts = {compare.CONDITIONS: {"Linux": "6.12.1", "machine": "q35"}, "revision": f"commit{day}",
             "host": "here", "options that differ": {}}
    made = Record(f"2026010{day}-000000-x86_64-000{day}", "bench", "x86_64", f"2026-01-0{day}T00:00:00Z", facts,
                  f"2026-01-0{day}T00:01:00Z", "done")
    for workload, clock, ours in figures:
        made.samples.append(Sample(workload, "cost", "guest", clock, 0, ours, "ns", "lower"))
        if peer:
            made.samples.append(Sample(workload, "cost", peer, clock, 0, 100, "ns", "lower"))
    return replace(made, **changed)  # type: ignore[arg-type]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path)


def shown(store: Store, *records: Record) -> str:
    return report.render(records, store, markdown=True)


def test_each_workload_comes_from_the_last_run_that_has_it(store: Store) -> None:
    text = shown(store, record(3, ("tar", INSTRUCTIONS, 107)), record(1, ("micro", INSTRUCTIONS, 150)),
                 record(2, ("micro", INSTRUCTIONS, 120), ("fio", WALL, 130)))
    assert text.count("## x86_64") == 1
    counted, timed = text.split("### Instructions")[1].split("### Wall time")
    assert "| micro/cost | 120 ns | 100 ns | 1.20 |" in counted
    assert "1.50" not in counted
    assert "| tar/cost | 107 ns | 100 ns | 1.07 |" in counted
    assert "fio" not in counted
    assert "| fio/cost | 130 ns | 100 ns | 1.30 |" in timed
    assert [day for day in (1, 2, 3) if f"commit{day}" in counted] == [2, 3]
    assert [day for day in (1, 2, 3) if f"commit{day}" in timed] == [2]


def test_what_failed_last_is_no_older_figure(store: Store) -> None:
    failure = Failure("fio", "guest", WALL, "workload", "it broke")
    text = shown(store, record(1, ("fio", WALL, 130), ("micro", WALL, 150)),
                 record(2, failures=[failure]))
    assert "130" not in text
    assert "| micro/cost | 150 ns |" in text
    assert "- fio on guest (wall): it broke" in text


def test_a_peer_that_was_not_asked_for_has_not_failed(store: Store) -> None:
    text = shown(store, record(1, ("fio", WALL, 130)), record(2, ("micro", WALL, 150), peer="xen"))
    assert "| fio/cost | 130 ns | 100 ns | 1.30 |  |  |  |  |" in text
    assert "| micro/cost | 150 ns |  |  |  | 100 ns | 1.50 |  |" in text


def test_a_peer_that_failed_says_so(store: Store) -> None:
    failed = record(1, ("fio", WALL, 130), ("micro", WALL, 120),
                    failures=[Failure("fio", "native", WALL, "hang", "it hung")])
    failed.samples = [one for one in failed.samples if (one.workload, one.side) != ("fio", "native")]
    assert "| fio/cost | 130 ns | failed |  |  |" in shown(store, failed)


def test_a_failure_that_was_mended_is_not_told(store: Store) -> None:
    failures = [Failure("fio", "guest", clock, "workload", "it broke") for clock in (WALL, "")]
    text = shown(store, record(1, failures=failures), record(2, ("fio", WALL, 130), ("fio", INSTRUCTIONS, 9)))
    assert "it broke" not in text
    assert "| fio/cost | 130 ns |" in text


def test_other_circumstances_are_told(store: Store) -> None:
    other = record(1, ("fio", WALL, 130))
    other.facts[compare.CONDITIONS]["Linux"] = "6.12.0"
    text = shown(store, other, record(2, ("micro", WALL, 120)))
    assert "2026-01-01, revision `commit1`, 1 rounds; Linux: 6.12.0 against 6.12.1." in text
    assert "2026-01-02, revision `commit2`, 1 rounds." in text


def test_how_busy_the_host_was_stands_with_wall_time(store: Store) -> None:
    busy = record(1, ("fio", WALL, 130), ("micro", INSTRUCTIONS, 120))
    busy.facts[BUSIEST] = 11.6
    counted, timed = shown(store, busy).split("### Wall time")
    assert "2026-01-01, revision `commit1`, 1 rounds, highest load of the host 12." in timed
    assert "highest load" not in counted


def test_architectures_keep_the_order_in_which_they_are_named(store: Store) -> None:
    text = shown(store, replace(record(3, ("micro", WALL, 1)), arch="riscv64"), record(1, ("micro", WALL, 1)))
    assert text.index("## riscv64") < text.index("## x86_64")


def test_runs_without_a_peer_and_bad_ones_are_not_worth_showing(store: Store) -> None:
    good = record(1, ("micro", INSTRUCTIONS, 120))
    for one in (good, record(2, ("micro", INSTRUCTIONS, 119), peer=None),
                record(3, ("micro", INSTRUCTIONS, 118), peer="traced"),
                record(4, ("micro", INSTRUCTIONS, 117), outcome="interrupted")):
        store.insert(one)
    assert [one.id for one in report.worth_showing(store, "x86_64")] == [good.id]
