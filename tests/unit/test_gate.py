# SPDX-License-Identifier: BSD-2-Clause
"""Gates: kept or not, which of a file's entries is a run's, and what is no gate file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import pytest

from orchestration.base.arch import ARCHES
from orchestration.base.cache import Cache
from orchestration.base.errors import RegressionError, UsageError
from orchestration.bench import compare, gate, kit
from orchestration.bench.store import Record, Sample
from orchestration.bench.terms import MICRO
from orchestration.bench.workload import load
from orchestration.cli.main import main

CONDITIONS = {"emulator": "QEMU emulator version 7.2.22 (Debian 1)", "machine": "q35", "compiler": "gcc version 12.2.0",
              "Linux": "6.12.1", "options of guest": "o"}


def record(factor: float = 1.0, arch: str = "x86_64", count: int = 2,
           conditions: Mapping[str, str] = MappingProxyType({})) -> Record:
    facts = {compare.CONDITIONS: CONDITIONS | dict(conditions), compare.WORKLOADS: {"micro": "d1", "fio": "d2"}}
    made = Record("20260101-000000-x86_64-0001", "bench", arch, "2026-01-01T00:00:00Z", facts)
    made.samples = [Sample("micro", metric, side, "instructions", 0, value * factor, "instructions", "lower")
                    for metric, value in (("getppid", 300.0), ("pipe", 800.0))[:count] for side in ("guest", "native")]
    made.samples.append(Sample("fio", "read", "guest", "wall", 0, 80.0, "op/s", "higher"))
    return made


@pytest.fixture
def path(tmp_path: Path) -> Path:
    made = tmp_path / "gate.yaml"
    gate.write(record(), made)
    return made


def test_a_gate_is_kept_or_not(path: Path) -> None:
    kept = gate.read(path)
    assert kept.gates[0].instructions == {"micro/getppid": 300, "micro/pipe": 800}
    assert kept.gates[0].workloads == {"micro": "d1"}
    assert gate.check(record(), kept, ["micro", "fio"]) == []
    assert gate.check(record(1.0005), kept, ["micro"]) == []
    assert gate.check(record(0.9), kept, ["micro"]) == [
        "micro/getppid: 300 -> 270 instructions (-10.0%, tolerance 0.1%)",
        "micro/pipe: 800 -> 720 instructions (-10.0%, tolerance 0.1%)"]
    with pytest.raises(RegressionError, match="2 of 2") as caught:
        gate.check(record(1.1), kept, ["micro"])
    assert caught.value.exit_code == 119
    assert caught.value.details[0] == "micro/getppid: 300 -> 330 instructions (+10.0%, tolerance 0.1%)"
    with pytest.raises(RegressionError, match="1 of 2"):
        gate.check(record(count=1), kept, ["micro"])
    with pytest.raises(UsageError, match="no figures of fio; it has some of: micro"):
        gate.check(record(), kept, ["fio"])


@pytest.mark.parametrize(("name", "value"), [
    ("emulator", "QEMU emulator version 10.0.2"), ("compiler", "gcc version 14.2.0 (Debian 14.2.0-19)"),
    ("Linux", "6.12.2"), ("machine", "virt")])
def test_a_run_elsewhere_is_told_apart(path: Path, name: str, value: str) -> None:
    with pytest.raises(gate.ElsewhereError, match=f"{name}: .* against {value.split(' (', maxsplit=1)[0]}$"):
        gate.check(record(1.1, conditions={name: value}), gate.read(path), ["micro"])


def test_an_architecture_that_the_gate_does_not_have(path: Path) -> None:
    with pytest.raises(gate.ElsewhereError, match="no figures of riscv64 .*: none at all"):
        gate.check(record(arch="riscv64"), gate.read(path), ["micro"])


def test_single_counts_have_tolerances_of_their_own(path: Path) -> None:
    kept = gate.read(path)
    kept.tolerances = {"micro/pipe": 0.2}
    with pytest.raises(RegressionError, match="1 of 2") as caught:
        gate.check(record(1.1), kept, ["micro"])
    assert caught.value.details == ("micro/getppid: 300 -> 330 instructions (+10.0%, tolerance 0.1%)",)


def test_what_is_ours_is_no_condition(path: Path) -> None:
    """Nor is what a distribution adds to a version."""
    other = {"options of guest": "x", "emulator": "QEMU emulator version 7.2.22 (Debian 2)"}
    with pytest.raises(RegressionError):
        gate.check(record(1.1, conditions=other), gate.read(path), ["micro"])


def test_a_workload_that_was_edited_is_no_other_machine(path: Path) -> None:
    other = record()
    other.facts[compare.WORKLOADS]["micro"] = "d9"
    with pytest.raises(UsageError, match="the workload micro is another one now") as caught:
        gate.check(other, gate.read(path), ["micro"])
    assert not isinstance(caught.value, gate.ElsewhereError)


def test_each_environment_has_its_entry(path: Path) -> None:
    path.write_text(path.read_text().replace("tolerance: 0.001", "tolerance: 0.03"))
    gate.write(record(2, conditions={"Linux": "6.12.2"}), path)
    gate.write(record(3, arch="aarch64"), path)
    gate.write(record(4), path)
    found = gate.read(path)
    assert [(one.arch, one.conditions["Linux"], one.instructions["micro/pipe"]) for one in found.gates] == [
        ("x86_64", "6.12.1", 3200), ("x86_64", "6.12.2", 1600), ("aarch64", "6.12.1", 2400)]
    assert found.tolerance == 0.03
    edited = record()
    edited.facts[compare.WORKLOADS]["micro"] = "d9"
    gate.write(edited, path)
    assert [(one.arch, one.workloads) for one in gate.read(path).gates] == [
        ("aarch64", {"micro": "d1"}), ("x86_64", {"micro": "d9"})]
    assert path.read_text().startswith("# SPDX-License-Identifier: BSD-2-Clause\n")


@pytest.mark.parametrize("text", ["", "[]", "gates: [", "\0", "gates: [{arch: x86_64, instruction: {}}]"])
def test_what_is_no_gate_file_is_said(tmp_path: Path, text: str) -> None:
    path = tmp_path / "gate.yaml"
    path.write_text(text)
    with pytest.raises(UsageError, match="is no gate file"):
        gate.read(path)
    assert main(["bench", "x86_64", "--gate", str(path)]) == 2
    assert main(["bench", "x86_64", "--write-gate", str(path)]) == 2
    assert path.read_text() == text


def test_a_gate_without_instructions_is_wrong_use(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for option in ("--gate", "--write-gate"):
        assert main(["bench", "x86_64", "--clock", "wall", option, str(path)]) == 2
        assert "a gate is about instruction counts" in capsys.readouterr().err
    assert main(["bench", "x86_64", "--write-gate", str(path / "beside" / "gate.yaml")]) == 2


def test_the_gate_of_this_repository(tmp_path: Path) -> None:
    """It has every architecture, and its figures are of the suite as it is now: ./orchestrate bench gate --write."""
    entries = gate.read(gate.GATE).gates
    assert {one.arch for one in entries} == set(ARCHES)
    for one in entries:
        assert set(one.conditions) == set(gate.DECISIVE)
        assert one.workloads == {MICRO: kit.digest(ARCHES[one.arch], Cache(tmp_path), load(MICRO))}
        assert len(one.instructions) >= 25
