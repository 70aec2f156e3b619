# SPDX-License-Identifier: BSD-2-Clause
"""Executed lines: from a program's DWARF and the emulator's log of what it translated."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from orchestration.base.errors import InfrastructureError, UsageError
from orchestration.inspect import lines

SOURCE = """int taken(int n)
{
	return n + 1;
}

int never(int n)
{
	return n - 1;
}

int _start(int n)
{
	if (n)
		return never(n);
	return taken(n);
}
"""


@pytest.fixture
def program(tmp_path: Path) -> Path:
    (tmp_path / "small.c").write_text(SOURCE)
    target = tmp_path / "small"
    subprocess.run(["cc", "-g", "-Og", "-fno-inline", "-fno-optimize-sibling-calls", "-ffreestanding", "-nostdlib",
                    "-static", "-no-pie", "-o", target, tmp_path / "small.c"], check=True, timeout=60)
    return target


def log_of(path: Path, addresses: list[int]) -> Path:
    """Write a log such as QEMU's."""
    path.write_text("IN: f\n" + "".join(f"0x{address:08x}:  90   nop\n" for address in addresses))
    return path


def test_lines_are_executed_whose_instructions_were_translated(program: Path, tmp_path: Path) -> None:
    code = lines.read(program)
    rows = {line for _, _, name, line in code.rows if name.endswith("small.c")}
    assert {3, 8, 13, 14, 15} <= rows
    wanted = [start for start, _, _, line in code.rows if line in (1, 2, 3, 4, 11, 12, 13, 15, 16)]
    # The half of the runs ran before there were page tables: by load addresses.
    first = log_of(tmp_path / "first", wanted[:4])
    second = log_of(tmp_path / "second", [address - code.start + code.load for address in wanted[4:]])
    found = lines.measure(code, [first, second])
    (name, seen), = found.files.items()
    assert name == str(tmp_path / "small.c")
    assert seen[3] and seen[13] and seen[15]
    assert not seen[8]
    assert {8} <= set(found.missed()[name]) <= {6, 7, 8, 9, 14}
    assert 40 < found.percent() < 90
    assert lines.measure(code, [log_of(tmp_path / "none", [])]).executed() == 0


def test_the_report_tells_what_was_missed_and_why(program: Path, tmp_path: Path) -> None:
    code = lines.read(program)
    found = lines.measure(code, [log_of(tmp_path / "log", [start for start, _, _, line in code.rows if line > 9])])
    name = str(tmp_path / "small.c")
    listed = tmp_path / "list.yaml"
    listed.write_text(f"- file: {name}\n  lines: [n - 1]\n  reason: it subtracts\n"
                      f"- file: {name}\n  lines: [nothing]\n  reason: none\n")
    text = lines.report(found, lines.excuses(listed), tmp_path)
    assert f"  {name}:3: return n + 1;" in text
    assert f"  {name}:8: it subtracts" in text
    assert f"  {name}:8: return n - 1;" not in text
    assert any("has no more use" in line and "nothing" in line for line in text)


def test_numbers_as_ranges() -> None:
    assert lines.ranges([1, 3, 4, 5, 9]) == "1, 3-5, 9"


def test_what_is_no_list_or_no_program_is_said(tmp_path: Path) -> None:
    (tmp_path / "list.yaml").write_text("- file: x\n")
    with pytest.raises(UsageError, match="no list of file, reason and lines"):
        lines.excuses(tmp_path / "list.yaml")
    (tmp_path / "none.c").write_text("void _start(void) {}\n")
    subprocess.run(["cc", "-nostdlib", "-static", "-o", tmp_path / "none", tmp_path / "none.c"], check=True, timeout=60)
    with pytest.raises(InfrastructureError, match="no debugging information"):
        lines.read(tmp_path / "none")


def test_the_list_of_this_repository_names_its_files(root: Path) -> None:
    for one in lines.excuses(root / "tests/kernel/unreached.yaml"):
        source = (root / one.file).read_text()
        assert all(words in source for words in one.lines), one
