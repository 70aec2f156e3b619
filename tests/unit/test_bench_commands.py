# SPDX-License-Identifier: BSD-2-Clause
"""Commands on runs that the store has, the gate's command, and the page of ./orchestrate measure."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestration.base import doctor
from orchestration.base.arch import ARCHES, Arch
from orchestration.base.tree import ROOT
from orchestration.bench import compare, gate, measurements, runner, tables
from orchestration.bench.store import Failure, Record, Sample, Store
from orchestration.bench.terms import Clock
from orchestration.cli import main as cli

CONDITIONS = {"emulator": "QEMU emulator version 7.2.22", "machine": "q35", "compiler": "gcc 12", "Linux": "6.12.1",
              "options of guest": "o"}


def record(day: int, getppid: float, arch: str = "x86_64", **conditions: str) -> Record:
    made = Record(f"2026010{day}-000000-{arch}-000{day}", "bench", arch, f"2026-01-0{day}T00:00:00Z",
                  {compare.CONDITIONS: CONDITIONS | conditions, compare.WORKLOADS: {"micro": "d1"}, "revision": "abc"},
                  f"2026-01-0{day}T00:01:00Z", "done")
    made.samples = [Sample("micro", "getppid", side, "instructions", 0, value, "instructions", "lower")
                    for side, value in (("guest", getppid), ("native", 200.0))]
    return made


@pytest.fixture
def store(tmp_path: Path) -> str:
    results = Store(tmp_path / "store")
    results.insert(record(1, 300))
    last = record(2, 330)
    last.failures = [Failure("fio", "guest", "wall", "workload", "fio failed with status 1")]
    results.insert(last)
    return str(tmp_path / "store")


def test_a_run_is_shown_by_the_start_of_its_name(store: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["bench", "show", "20260102", "--store", store]) == 0
    out = capsys.readouterr().out
    assert "330" in out and "1.65" in out
    assert "failed: fio on guest: fio failed with status 1" in out
    assert cli.main(["bench", "show", "2027", "--store", store]) == 2
    assert "2027" in capsys.readouterr().err


def test_two_runs_are_compared(store: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["bench", "compare", "20260101", "20260102", "--store", store]) == 0
    out = capsys.readouterr().out
    assert "1.1000" in out and "worse" in out


def test_runs_and_workloads_are_listed(store: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["bench", "list", "--store", store]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert any(line.startswith("20260102-000000-x86_64-0002  done") and "1 failures  abc" in line for line in lines)
    assert cli.main(["bench", "workloads"]) == 0
    assert any(line.startswith("gzip ") for line in capsys.readouterr().out.splitlines())


def test_a_report_of_the_store_or_of_a_run(store: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "page.md"
    assert cli.main(["report", "--markdown", "-o", str(page), "--store", store]) == 0
    assert capsys.readouterr().out == f"{page}\n"
    assert "1.65" in page.read_text()
    assert cli.main(["report", "20260101", "--markdown", "-o", str(page), "--store", store]) == 0
    assert "1.50" in page.read_text() and "1.65" not in page.read_text()


@pytest.mark.parametrize("form", [["--markdown"], []])
def test_each_of_our_modes_has_a_table(store: str, tmp_path: Path, form: list[str]) -> None:
    both = record(3, 300.0)
    both.facts |= {"host": "here", "options that differ": {}}
    both.samples += [Sample("micro", "getppid", side, clock, 0, value, clock, "lower")
                     for side, clock, value in (("above", "instructions", 178.0), ("above", "wall", 178.0),
                                                ("native", "wall", 200.0))]
    Store(Path(store)).insert(both)
    page = tmp_path / "page"
    assert cli.main(["report", "20260103", *form, "-o", str(page), "--store", store]) == 0
    text = page.read_text()
    for clock in ("Instructions", "Wall time"):
        assert f"{clock}, guest mode above" in text
    assert "1.50" in text and "0.89" in text
    assert "1.69" not in text, "our modes are not each other's peers"


def test_a_report_of_nothing_says_what_to_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["report", "-o", str(tmp_path / "page"), "--store", str(tmp_path / "empty")]) == 2
    assert "./orchestrate bench run" in capsys.readouterr().err


@pytest.fixture
def counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Record]:
    """What the gate's command counts, by architecture; the gate is a copy, set by 300 for x86_64 and riscv64."""
    found = {name: record(3, 300, name) for name in ("x86_64", "riscv64")}
    monkeypatch.setattr(gate, "GATE", tmp_path / "gate.yaml")
    monkeypatch.setattr(doctor, "ensure", lambda chosen: None)
    monkeypatch.setattr(doctor, "check_space", lambda: None)

    def run(arch: Arch, *ignored: object) -> Record:
        return found[arch.name]

    monkeypatch.setattr(runner, "counted_run", run)
    assert cli.main(["bench", "gate", "--write", "x86_64", "riscv64", "--store", str(tmp_path / "store")]) == 0
    return found


def test_the_gates_command_tells_each_architecture(tmp_path: Path, counted: dict[str, Record],
                                                   capsys: pytest.CaptureFixture[str]) -> None:
    command = ["bench", "gate", "x86_64", "riscv64", "--store", str(tmp_path / "store")]
    assert cli.main(command) == 0
    assert capsys.readouterr().out == "x86_64: kept\nriscv64: kept\n"
    counted["x86_64"] = record(4, 330)
    counted["riscv64"] = record(4, 330, "riscv64", Linux="6.12.2")
    assert cli.main(command) == 119
    told = capsys.readouterr()
    assert "x86_64: micro/getppid: 300 -> 330 instructions (+10.0%, tolerance 0.1%)" in told.out
    assert "riscv64: skipped, " in told.out
    assert "figures of x86_64 are worse than the gate allows" in told.err


def test_what_is_measured_stands_in_one_page(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measurements, "emulator_version", lambda arch: "QEMU emulator version 7.2.22")
    monkeypatch.setattr(measurements, "revision", lambda: "abc")

    def figures(getppid: float, null: int) -> measurements.Figures:
        rows = {row.name: row for row in tables.rows(record(1, getppid), Clock.INSTRUCTIONS)}
        return measurements.Figures(rows, {"null-syscall": null}, {"Linux": 0.51}, 1.2, "27000 KiB, 509304 kB",
                                    {"quoll.elf": "1 + 2 + 3"})

    text = measurements.page({"x86_64": figures(300, 135), "riscv64": figures(400, 173)})
    assert "revision `abc`" in text
    for line in ("| micro/getppid | 200 | 300 | 1.50 | 200 | 400 | 2.00 |", "| null-syscall | 135 | 173 |",
                 "| Linux | 0.5 | 0.5 |", "| beside the guest | 27000 KiB | 27000 KiB |",
                 "| for programs | 509304 kB | 509304 kB |", "| quoll.elf | 1 + 2 + 3 | 1 + 2 + 3 |"):
        assert line in text.splitlines()
    lines = next(line for line in text.splitlines() if line.startswith("| kernel, generic |"))
    assert 3000 < int(lines.split("|")[2]) < 10000


def test_lines_of_one_cpu_are_not_generic() -> None:
    of_cpus = {name: measurements.lines_of((f"servers/libl4/arch/{name}",)) for name in ARCHES}
    sources = [path for path in (ROOT / "servers").rglob("*") if path.suffix in measurements.SOURCES]
    everything = sum(len(path.read_text().splitlines()) for path in sources)
    assert all(lines > 10 for lines in of_cpus.values())
    assert measurements.lines_of(("servers",)) + sum(of_cpus.values()) == everything
