# SPDX-License-Identifier: BSD-2-Clause
"""How redis' own tests are found, run and read."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestration.conform import debsource, redis
from orchestration.conform.outcome import Status

PASS, FAIL, SKIP = Status.PASS, Status.FAIL, Status.SKIP
BEGIN = "Starting test server at port 21079\n[ready]: 5123\nTesting unit/dump\n"
END = "[1/1 done]: unit/dump (22 seconds)\n\n                   The End\n\n\\o/ All tests passed without errors!\n"


def test_files_of_tests_are_found_and_run(tmp_path: Path) -> None:
    for name in ("unit/dump", "unit/type/list", "unit/tls", "unit/cluster/links", "integration/rdb", "helpers/load"):
        path = tmp_path / f"tests/{name}.tcl"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    names = redis.found(tmp_path)
    assert names == ["integration:rdb", "unit:dump", "type:list"]
    built = tmp_path / "built"
    built.mkdir()
    (built / debsource.LIST).write_text("\n".join(names))
    commands = [test.command for test in redis.tests(built)]
    assert [command.rpartition(" ")[2] for command in commands] == ["integration/rdb", "unit/dump", "unit/type/list"]
    assert all(command.startswith("cd /opt/redis && ") for command in commands)


def test_each_line_of_the_runner_is_a_part() -> None:
    text = (f"{BEGIN}[ok]: DUMP / RESTORE a key (3 ms)\n[ok]: MIGRATE of 12345 keys (4292 ms)\n"
            "[ignore]: MIGRATE of a large key: large memory flag not provided\n"
            "[err]: RESTORE can set LRU in tests/unit/dump.tcl\nExpected '1' to be equal to '2'\n")
    found = redis.read(f"{text}!!! WARNING The following tests failed:\n".encode(), 1)
    assert (found.status, found.why) == (FAIL, "exit=1")
    assert found.parts == {"DUMP / RESTORE a key": PASS, "MIGRATE of * keys": PASS, "RESTORE can set LRU": FAIL,
                           "MIGRATE of a large key: large memory flag not provided": SKIP}


@pytest.mark.parametrize(("text", "status", "came_to", "why"), [
    (f"{BEGIN}[ok]: one (1 ms)\n{END}", 0, PASS, ""),
    # A file whose commands are its only test.
    (f"{BEGIN}{END}", 0, PASS, ""),
    (f"{BEGIN}[ignore]: one: large memory flag not provided\n{END}", 0, SKIP, ""),
    # The runner's status is 0 for a file of tests that it cannot run.
    (f"{BEGIN}[exception]: Executing test client: no such file.\n", 0, FAIL, "its runner told no result"),
    ("", 0, FAIL, "its runner told no result"),
    (f"{BEGIN}[ok]: one (1 ms)\n[TIMEOUT]: clients state report follows.\n", 1, FAIL, "exit=1")])
def test_what_a_file_came_to(text: str, status: int, came_to: Status, why: str) -> None:
    found = redis.read(text.encode(), status)
    assert (found.status, found.why, found.late) == (came_to, why, "[TIMEOUT]" in text)
