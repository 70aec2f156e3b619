# SPDX-License-Identifier: BSD-2-Clause
"""Litmus tests of memory that L4, guests and servers share (tests/model), checked by spin: an order that is left out is
found."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

LIMIT = 600.0
# Orders of accesses that each model can be without.
PLANTED = {"events": range(1, 7), "rings": range(1, 6), "sleep": range(1, 5)}

pytestmark = pytest.mark.usefixtures("spin")


def verify(folder: Path, model: Path, planted: int) -> tuple[int, str]:
    """Return how many errors spin finds in the model, and its report; fail if it has not seen all states."""
    subprocess.run(["spin", "-a", f"-DPLANT={planted}", model], cwd=folder, check=True, capture_output=True,
                   timeout=LIMIT)
    subprocess.run(["gcc", "-O0", "-w", "-DSAFETY", "pan.c", "-o", "pan"], cwd=folder, check=True, timeout=LIMIT)
    done = subprocess.run(["./pan", "-m100000"], cwd=folder, check=True, capture_output=True, text=True, timeout=LIMIT)
    errors = re.search(r"errors: (\d+)$", done.stdout, re.MULTILINE)
    assert errors is not None, done.stdout
    assert "max search depth too small" not in done.stdout
    return int(errors[1]), done.stdout


@pytest.mark.parametrize("model", PLANTED)
def test_the_orders_of_the_code_suffice(tmp_path: Path, root: Path, model: str) -> None:
    errors, report = verify(tmp_path, root / f"tests/model/{model}.pml", 0)
    assert not errors, report
    assert "Search not completed" not in report


@pytest.mark.parametrize(("model", "planted"), [(model, one) for model, all_of in PLANTED.items() for one in all_of])
def test_each_of_them_is_needed(tmp_path: Path, root: Path, model: str, planted: int) -> None:
    errors, report = verify(tmp_path, root / f"tests/model/{model}.pml", planted)
    assert errors, report
    assert "assertion violated" in report


@pytest.mark.parametrize("model", PLANTED)
def test_every_order_is_left_out(root: Path, model: str) -> None:
    text = (root / f"tests/model/{model}.pml").read_text()
    assert {int(number) for number in re.findall(r"PLANT [!=]= (\d)", text)} == set(PLANTED[model])


def test_fences_order_stores_before_loads(root: Path) -> None:
    """Under QEMU a sequentially consistent load overtakes such a store on aarch64 (docs/many-cpus.md)."""
    pairs = re.compile(r"__atomic_(?:store|load)_n\([^;]*__ATOMIC_SEQ_CST")
    files = [path for folder in ("kernel", "servers") for path in sorted((root / folder).rglob("*.[ch]"))]
    assert len(files) > 100
    assert not [path.name for path in files if pairs.search(path.read_text())]
