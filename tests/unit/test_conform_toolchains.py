# SPDX-License-Identifier: BSD-2-Clause
"""How toolchains are run, and what they print is read."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest

from orchestration.base.arch import ARCHES
from orchestration.base.cache import Cache
from orchestration.conform import toolchains
from orchestration.conform.outcome import Status
from orchestration.conform.suite import PACKED

PASS, FAIL, SKIP = Status.PASS, Status.FAIL, Status.SKIP


def test_each_program_is_packed_and_compiled_where_it_is_unpacked(tmp_path: Path) -> None:
    built = toolchains.build(ARCHES["riscv64"], Cache(tmp_path))
    with tarfile.open(built / PACKED) as packed:
        files = {name.removeprefix("./") for name in packed.getnames()} - {".", ""}
    tests = toolchains.tests(built)
    assert files == {path.name for path in toolchains.SOURCES.iterdir()}
    assert all(any(name in test.command for test in tests) for name in files)
    assert all(test.command.startswith(f"cd {toolchains.PLACE} && ") for test in tests)
    assert {test.collection for test in tests} == {"c", "go", "java", "rust"}


@pytest.mark.parametrize(("text", "status", "came_to", "why"), [
    ("ok 1 - threads\nok 2 - a child\n1..2\n", 0, PASS, ""),
    ("ok 1 - threads\nnot ok 2 - a child\n1..2\n", 0, FAIL, "1 failed, 2 of 2 reported"),
    # The program ended before.
    ("ok 1 - threads\n", 134, FAIL, "exit=134"),
    # It was not compiled.
    ("main.c:3:1: error: unknown type\n", 1, FAIL, "exit=1"),
    ("--- PASS: TestOne (0.00s)\nPASS\nok  \ttime\t0.1s\n", 0, PASS, ""),
    ("--- PASS: TestOne (0.00s)\npanic: test timed out after 15m0s\nFAIL\ttime\t900s\n", 1, FAIL, "exit=1")])
def test_what_a_program_came_to(text: str, status: int, came_to: Status, why: str) -> None:
    found = toolchains.read(text.encode(), status)
    assert (found.status, found.why, found.late) == (came_to, why, "timed out" in text)


def test_each_test_of_go_is_a_part() -> None:
    text = """=== RUN   TestNotify
--- PASS: TestNotify (0.31s)
=== RUN   TestStop
    --- PASS: TestStop/winch (0.31s)
    signal_test.go:1: no such
--- FAIL: TestStop (0.62s)
--- SKIP: TestTerminal (0.00s)
FAIL
"""
    found = toolchains.read(text.encode(), 1)
    assert found.parts == {"TestNotify": PASS, "TestStop/winch": PASS, "TestStop": FAIL, "TestTerminal": SKIP}
