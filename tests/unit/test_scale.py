# SPDX-License-Identifier: BSD-2-Clause
"""What several CPUs gain: the sides of a run, its gains and their ratio, and how they are shown. Boots no machine."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from orchestration.base.arch import ARCHES
from orchestration.base.cache import Cache
from orchestration.base.errors import UsageError, WorkloadError
from orchestration.bench import compare, kit, scale, sides
from orchestration.bench.runner import Bench
from orchestration.bench.sides import Side
from orchestration.bench.store import Failure, Record, Sample, Store
from orchestration.bench.terms import SCALE, Clock
from orchestration.bench.workload import load
from orchestration.build import system
from orchestration.cli import main as cli
from orchestration.machine.description import Description
from orchestration.machine.progress import Progress


def sample(side: str, value: float, number: int = 0, **other: Any) -> Sample:
    """One figure of getppid."""
    told: dict[str, Any] = {"clock": "wall", "unit": "ns", "better": "lower"} | other
    return Sample("parallel", "getppid", side, round=number, value=value, **told)


def record(*samples: Sample, failures: tuple[Failure, ...] = ()) -> Record:
    facts = {compare.CONDITIONS: {"Linux": "6.12.1"}, "revision": "abc", "host": "h", "options that differ": {}}
    return Record("20260101-000000-x86_64-0001", SCALE, "x86_64", "2026-01-01T00:00:00Z", facts,
                  "2026-01-01T00:01:00Z", "done", list(samples), list(failures))


@pytest.mark.parametrize("text", ["", "0", "1,", "1,1", "9", "1,2,x", "-1", "1 2", "1,\uff12"])
def test_a_wrong_list_of_cpus(text: str) -> None:
    with pytest.raises(UsageError, match="no list of numbers of CPUs"):
        scale.numbers(text)


def test_a_list_of_cpus() -> None:
    assert scale.numbers("4,1,2") == [1, 2, 4]


@pytest.mark.parametrize(("arch", "cpus", "clock", "turns"), [
    ("riscv64", 4, Clock.INSTRUCTIONS, True), ("riscv64", 8, Clock.INSTRUCTIONS, True),
    ("riscv64", 4, Clock.WALL, False), ("riscv64", 1, Clock.INSTRUCTIONS, False),
    ("x86_64", 4, Clock.INSTRUCTIONS, False), ("aarch64", 4, Clock.INSTRUCTIONS, False)])
def test_an_idle_cpu_is_behind_each_that_keeps_its_turn(arch: str, cpus: int, clock: Clock, turns: bool) -> None:
    given = Description(arch=arch, cpus=cpus)
    machine, arguments = sides.in_turns(given, clock)
    # Linux has as many vCPUs either way.
    assert machine.cpus == cpus
    if not turns:
        assert (machine, arguments) == (given, ())
        return
    assert arguments[:2] == ("-smp", str(2 * cpus))
    places = {one.name: one.cpu for one in machine.places}
    assert system.vcpu_places(places)[:cpus] == tuple(range(0, 2 * cpus, 2))


def test_gains_are_of_the_same_round_and_their_ratio_too() -> None:
    found = scale.lines(record(*(sample("guest-1", value, number) for number, value in enumerate((100, 200, 300))),
                               *(sample("guest-2", value, number) for number, value in enumerate((50, 125, 150))),
                               *(sample("native-1", 80, number) for number in range(3)),
                               # the second round failed
                               *(sample("native-2", 50, number) for number in (0, 2))), Clock.WALL)
    one, two = found
    assert (one.cpus, two.cpus) == (1, 2)
    assert one.ratio is None and one.gains["guest"].median == 1
    assert two.name == "parallel/getppid" and two.figures["guest"].median == 125
    assert two.gains["guest"].median == 2 and two.gains["guest"].low == 1.6
    assert two.gains["native"].median == 1.6
    assert two.ratio is not None
    assert (two.ratio.median, two.ratio.count) == (1.25, 2)


def test_of_rates_more_is_better() -> None:
    rates: dict[str, Any] = {"better": "higher", "unit": "op/s"}
    found = scale.lines(record(sample("guest-1", 100, **rates), sample("guest-4", 300, **rates)), Clock.WALL)
    assert [(line.cpus, line.gains["guest"].median) for line in found] == [(1, 1), (4, 3)]


def test_what_failed_on_one_cpu_has_no_gain() -> None:
    found = scale.lines(record(sample("guest-2", 100), sample("native-1", 50), sample("native-2", 25)), Clock.WALL)
    assert [(line.cpus, sorted(line.figures), sorted(line.gains)) for line in found] == [
        (1, ["native"], ["native"]), (2, ["guest", "native"], ["native"])]
    assert found[1].ratio is None


def test_every_system_has_a_side_for_each_number(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def made(name: str) -> Any:
        def side(arch: object, cache: object, progress: object, root: str, *, cpus: int) -> Side:
            return Side(name, lambda *_: None, lambda *_: None, tmp_path, cpus=cpus)  # type: ignore[arg-type]
        return side

    monkeypatch.setattr(sides, "guest", made("guest"))
    monkeypatch.setattr(sides, "native", made("native"))
    told = ARCHES["x86_64"], Cache(tmp_path), Progress(quiet=True), "tiny"
    assert [one.name for one in scale.sides_of(*told, ["native"], [1, 4])] == ["guest-1", "guest-4", "native-1",
                                                                             "native-4"]
    assert [one.name for one in scale.sides_of(*told, ["none"], [2])] == ["guest-2"]
    assert scale.parts_of("guest-8") == ("guest", 8)


def test_wall_time_is_of_machines_with_the_hosts_cpus(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The clock that counts has all, and the run is of a kind of its own."""
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    monkeypatch.setattr(kit, "pack", lambda *_: tmp_path)
    monkeypatch.setattr(Bench, "root", lambda *_: tmp_path)
    monkeypatch.setattr(Bench, "facts", lambda *_: {compare.CONDITIONS: {}})
    ran: list[tuple[str, str]] = []

    def up(self: Bench, stack: object, record: object, side: Side, workload: object, clock: Clock, root: object) -> Any:
        ran.append((side.name, clock))
        raise WorkloadError("enough")

    monkeypatch.setattr(Bench, "up", up)
    every = [Side(f"guest-{cpus}", None, None, tmp_path, cpus=cpus) for cpus in (1, 2, 4)]  # type: ignore[arg-type]
    monkeypatch.setattr(scale, "sides_of", lambda *_: every)
    bench = Bench(ARCHES["x86_64"], Cache(tmp_path), Store(tmp_path / "store"), Progress(quiet=True),
                  [load("parallel")], list(Clock), 1, cpus=[1, 2, 4])
    assert bench.measure([]).kind == SCALE
    assert ran == [("guest-1", "instructions"), ("guest-2", "instructions"), ("guest-4", "instructions"),
                   ("guest-1", "wall"), ("guest-2", "wall")]


def test_gains_are_shown_and_reported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    results = Store(tmp_path / "store")
    results.insert(record(sample("guest-1", 2000), sample("guest-2", 1250), sample("native-1", 1000),
                          sample("native-2", 500), failures=(Failure("redis", "guest-2", "wall", "workload", "no"),)))
    store = ["--store", str(tmp_path / "store")]
    assert cli.main(["bench", "show", "20260101", *store]) == 0
    out = capsys.readouterr().out
    assert "1.60" in out and "2.00" in out and "0.800" in out and "failed: redis on guest-2: no" in out
    assert cli.main(["bench", "list", *store]) == 0
    assert "20260101-000000-x86_64-0001" in capsys.readouterr().out
    page = tmp_path / "page"
    assert cli.main(["report", "--markdown", "-o", str(page), *store]) == 0
    text = page.read_text()
    assert "### Several CPUs, wall time" in text
    assert "| parallel/getppid | 2 | 1.25 us | 1.60 | 500 ns | 2.00 | 0.800 |" in text
    assert "- redis on guest-2 (wall): no" in text
    assert cli.main(["report", "-o", str(page), *store]) == 0
    assert '<span class="bad">0.800</span>' in page.read_text()


def test_the_command_refuses_what_it_cannot_measure(capsys: pytest.CaptureFixture[str]) -> None:
    for words, said in ((["--cpus", "1,99"], "no list of numbers of CPUs"),
                        (["--against", "xen"], "'xen' of --against"),
                        (["-w", "parallel", "-w", "redis"], "in runs of their own")):
        assert cli.main(["bench", "scale", "x86_64", *words]) == 2
        assert said in capsys.readouterr().err
