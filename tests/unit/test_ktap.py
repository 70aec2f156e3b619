# SPDX-License-Identifier: BSD-2-Clause
"""The reader of kernel test results, on recorded logs."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestration.machine import ktap

LOGS = Path(__file__).with_name("logs")


def read(name: str) -> ktap.Report:
    return ktap.parse((LOGS / name).read_text().splitlines())


def test_good() -> None:
    report = read("ktap-good.log")
    assert report.passed
    assert [(result.name, result.outcome) for result in report.results] == [
        ("retype_checks_its_arguments", "pass"), ("call_and_reply", "pass"), ("smp", "skip")]
    assert report.results[0].diagnostics == ("# a diagnostic",)


def test_fail() -> None:
    report = read("ktap-fail.log")
    assert not report.passed
    assert not report.problems
    assert report.results[1].outcome == "fail"
    assert "3 != 4" in report.results[1].diagnostics[0]


@pytest.mark.parametrize("name", ["ktap-panic.log", "ktap-hang.log", "ktap-restart.log"])
def test_incomplete_logs_never_pass(name: str) -> None:
    report = read(name)
    assert report.problems
    assert not report.passed


def test_a_panic_is_shown() -> None:
    assert "PANIC" in " ".join(read("ktap-panic.log").problems)


@pytest.mark.parametrize("lines", [[], ["nothing"], ["KTAP version 1"], ["KTAP version 1", "1..1"],
                                   ["KTAP version 1", "1..1", "Bail out! no memory"],
                                   ["KTAP version 1", "1..2", "ok 2 second", "ok 1 first"],
                                   ["KTAP version 1", "ok 1 first"]])
def test_nothing_is_no_success(lines: list[str]) -> None:
    assert not ktap.parse(lines).passed


def test_subtests_belong_to_their_parent() -> None:
    report = ktap.parse(["KTAP version 1", "1..1", "    KTAP version 1", "    1..1", "    not ok 1 inner",
                         "not ok 1 outer"])
    assert [result.name for result in report.results] == ["outer"]
    assert report.planned == 1
