# SPDX-License-Identifier: BSD-2-Clause
"""What counts as a report of Linux' checks."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestration.machine.reports import found

LOGS = Path(__file__).with_name("logs")


@pytest.mark.parametrize("line", [
    "WARNING: possible circular locking dependency detected", "WARNING: suspicious RCU usage",
    "BUG: sleeping function called from invalid context at mm/fault.c:1", "kernel BUG at lib/list_debug.c:29!",
    "UBSAN: shift-out-of-bounds in lib/test_ubsan.c:49:9", "BUG: KASAN: slab-use-after-free in f+0x1/0x2 [lkdtm]",
    "INFO: task sh:1 blocked for more than 120 seconds.", "Oops: page fault: 0001 [#1]",
    "sh: page allocation failure: order:0, mode:0x40cc0(GFP_KERNEL)",
])
def test_a_report_is_found(line: str) -> None:
    assert found(f"[    1.000000] before\n[   11.010000] {line}\n[   12.020000] after\n") == [line]


@pytest.mark.parametrize("line", ["WARNING: a program says so", "[    1.000000] test: BUG: is not first"])
def test_other_lines_are_none(line: str) -> None:
    assert found(line) == []


def test_a_good_boot_has_none() -> None:
    assert found((LOGS / "good.raw").read_text(errors="replace")) == []
