# SPDX-License-Identifier: BSD-2-Clause
"""Statistics, tables, comparisons and the page of results."""

from __future__ import annotations

import random
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from orchestration.base.errors import UsageError
from orchestration.bench import compare, report, sides, tables
from orchestration.bench.statistics import coverage, estimate, geometric_mean, ratios
from orchestration.bench.store import Failure, Record, Sample, Store
from orchestration.bench.terms import Clock

CONDITIONS = {"Linux": "6.12.1", "emulator": "QEMU 7.2", "machine": "q35", "options of guest": "o"}


def record(name: str = "20260101-000000-x86_64-0001", factor: float = 1.0, **changed: object) -> Record:
    facts = {compare.CONDITIONS: dict(CONDITIONS), compare.WORKLOADS: {"micro": "d1", "fio": "d2"}, "revision": "abc",
             "host": "here", "options that differ": {"native": ["+CONFIG_A=y"]}}
    made = Record(name, "bench", "x86_64", "2026-01-01T00:00:00Z", facts, "2026-01-01T00:01:00Z", "done")
    for metric, ours, theirs in (("getppid", 300.0, 200.0), ("pipe", 800.0, 800.0)):
        made.samples.append(Sample("micro", metric, "guest", "instructions", 0, ours * factor, "instructions", "lower",
                                   {"entries": 2.0}))
        made.samples.append(Sample("micro", metric, "native", "instructions", 0, theirs, "instructions", "lower"))
    for number, noise in enumerate((1.0, 1.1, 0.9, 1.05, 0.95, 1.0, 1.0)):
        made.samples.append(Sample("fio", "read", "guest", "wall", number, 80 * noise / factor, "op/s", "higher"))
        made.samples.append(Sample("fio", "read", "native", "wall", number, 100 * noise, "op/s", "higher"))
    return replace(made, **changed)  # type: ignore[arg-type]


def test_intervals_hold_the_median_as_often_as_they_say() -> None:
    chance = random.Random(1)
    held = 0
    for _ in range(2000):
        found = estimate([chance.expovariate(1.0) for _ in range(9)])
        held += found.low <= 0.6931 <= found.high
    assert held / 2000 == pytest.approx(found.confidence, abs=0.02)
    assert found.confidence >= 0.95


@pytest.mark.parametrize(("count", "rank", "chance"), [(1, 0, 0.0), (2, 0, 0.5), (6, 0, 0.96875), (9, 1, 0.9609375)])
def test_coverage(count: int, rank: int, chance: float) -> None:
    assert coverage(count, rank) == pytest.approx(chance)


def test_few_values_give_their_extremes() -> None:
    assert (estimate([3.0]).low, estimate([3.0]).high) == (3.0, 3.0)
    found = estimate([5.0, 1.0, 3.0])
    assert (found.median, found.low, found.high, found.confidence) == (3.0, 1.0, 5.0, 0.75)


def test_ratios_are_taken_by_round() -> None:
    """A machine that gets twice as slow in the middle changes no ratio."""
    slowness = [1, 1, 1, 2, 2, 2, 2]
    found = ratios([30.0 * slow for slow in slowness], [20.0 * slow for slow in slowness])
    assert found is not None
    assert (found.low, found.median, found.high) == (1.5, 1.5, 1.5)
    assert ratios([1.0], [0.0]) is None


def test_geometric_mean() -> None:
    assert geometric_mean([1.0, 4.0]) == pytest.approx(2.0)


def test_clocks_are_not_mixed() -> None:
    counted, timed = (tables.rows(record(), clock) for clock in Clock)
    assert [row.name for row in counted] == ["micro/getppid", "micro/pipe"]
    assert [row.name for row in timed] == ["fio/read"]
    assert counted[0].cost("native") == 1.5
    assert timed[0].cost("native") == pytest.approx(1.25)
    assert tables.mean_cost(counted, "micro", "native") == pytest.approx(1.5**0.5)
    worst = tables.worst(counted, "micro", "native")
    assert worst is not None and worst.metric == "getppid"


@pytest.mark.parametrize(("value", "unit", "text"), [
    (1234567.0, "instructions", "1 234 567"), (1500.0, "ns", "1.5 us"), (12.0, "ns", "12 ns"),
    (2.5e9, "bit/s", "2.5 Gbit/s"), (812.0, "op/s", "812 op/s")])
def test_quantities(value: float, unit: str, text: str) -> None:
    assert tables.quantity(value, unit) == text


def test_changes_between_runs() -> None:
    found, left_out = compare.changes(record(), record("20260102-000000-x86_64-0002", 1.1))
    assert not left_out
    by = {(change.name, change.side): change for change in found}
    assert by["micro/getppid", "guest"].worse
    assert by["micro/getppid", "guest"].factor == pytest.approx(1.1)
    assert not by["micro/getppid", "native"].worse
    # Less of what is better high, but within what the clock of the wall does anyway.
    assert not by["fio/read", "guest"].significant


def test_peers_that_one_run_does_not_have_are_no_difference() -> None:
    other = record()
    other.facts[compare.CONDITIONS]["options of xen"] = "x"
    assert compare.changes(record(), other)[0]


@pytest.mark.parametrize(("name", "value"), [("Linux", "6.12.2"), ("accelerator", "kvm"), ("options of guest", "x")])
def test_runs_under_other_conditions_are_refused(name: str, value: str) -> None:
    other = record()
    other.facts[compare.CONDITIONS][name] = value
    with pytest.raises(UsageError, match=f"not comparable: {name}: .* against {re.escape(value)}"):
        compare.changes(record(), other)
    with pytest.raises(UsageError, match="architecture: x86_64 against riscv64"):
        compare.changes(record(), record(arch="riscv64"))


def test_a_workload_that_was_edited_is_left_out() -> None:
    other = record(factor=1.2)
    other.facts[compare.WORKLOADS] = {"micro": "d9", "tar": "d3"}
    found, left_out = compare.changes(record(), other)
    assert {change.name for change in found} == {"fio/read"}
    assert left_out == ["the workload micro is another one now", "the workload fio is in one of the runs only",
                        "the workload tar is in one of the runs only"]


def test_options_that_only_name_the_machine_do_not_count(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("CONFIG_SMP=y\nCONFIG_X86_64=y\n# CONFIG_SWAP is not set\n")
    (tmp_path / "b").write_text("CONFIG_SWAP=y\nCONFIG_HAVE_THIS=y\n")
    assert sides.option_differences(tmp_path / "a", tmp_path / "b") == ["+CONFIG_SMP=y", "-CONFIG_SWAP=y"]


class Reader(HTMLParser):
    """Collects what a browser would have to load, and whether every element is closed."""

    VOID = frozenset({"meta", "br", "link", "img"})

    def __init__(self) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.open: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in self.VOID:
            self.open.append(tag)
        self.loaded += [str(value) for name, value in attrs
                        if name in ("src", "href", "xlink:href") and not str(value).startswith("#")]
        self.loaded += [tag] if tag in ("script", "link", "iframe") else []

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        pass

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture
def filled(tmp_path: Path) -> Store:
    store = Store(tmp_path)
    for number in range(3):
        one = record(f"2026010{number + 1}-000000-x86_64-000{number}", 1 + number / 10)
        store.insert(one)
    return store


def test_the_page_stands_alone(filled: Store, tmp_path: Path) -> None:
    last = filled.load("20260103")
    last.failures.append(Failure("tar", "guest", "wall", "workload", "<b>it failed</b> & burned"))
    path = tmp_path / "page.html"
    report.write(path, [last], filled)
    text = path.read_text()
    reader = Reader()
    reader.feed(text)
    assert reader.open == []
    assert reader.loaded == []
    assert not re.search(r"url\(|@import|https?://", text)
    assert "<b>it failed</b> & burned" in reader.text
    for word in ("micro/getppid", "fio/read", "geometric mean", "entries", "6.12.1", "360"):
        assert word in reader.text
    assert text.count("<polyline") == 2


def test_the_tables_in_markdown(filled: Store, tmp_path: Path) -> None:
    path = tmp_path / "page.md"
    report.write(path, [filled.load("20260101")], filled, markdown=True)
    text = path.read_text()
    assert "| micro/getppid | 300 | 200 | 1.50 |" in text
    assert "| fio/read | 80 op/s | 100 op/s | 0.80 | 0.80 - 0.80 |" in text
    assert not re.search(r"\n\n\n", text)
    widths = [line.count("|") for line in text.split("### Instructions")[1].split("###")[0].splitlines()
              if line.startswith(("| micro", "|---"))]
    assert len(set(widths[:3])) == 1


def test_history_ends_with_the_run_that_is_shown(filled: Store) -> None:
    assert report.history(filled, filled.load("20260101")) == {}
    lines = report.history(filled, filled.load("20260102"))
    assert [round(value) for _, value in lines["micro/getppid"]] == [300, 330]


def test_a_line_through_equal_values_is_flat() -> None:
    assert report.polyline([("a", 5.0), ("b", 5.0)], 100, 10) == "0.0,10.0 100.0,10.0"
