# SPDX-License-Identifier: BSD-2-Clause
"""The model of the kernel's lock (tests/model/lock.pml), checked by spin: it holds, and a planted error is found."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

LIMIT = 600.0
# By what spin finds each error that the model can have, and whether in a check of liveness.
PLANTED = {1: ("assertion violated", False), 2: ("acceptance cycle", True), 3: ("acceptance cycle", True),
           4: ("assertion violated", False), 5: ("assertion violated", False), 6: ("invalid end state", False),
           7: ("invalid end state", False), 8: ("invalid end state", False), 9: ("invalid end state", False),
           10: ("invalid end state", False), 11: ("invalid end state", False), 12: ("invalid end state", False),
           13: ("invalid end state", False)}

pytestmark = pytest.mark.usefixtures("spin")


def verify(folder: Path, root: Path, *defines: str, live: bool = False, optimize: str = "-O2") -> tuple[int, str]:
    """Return how many errors spin finds in the model, and its report; fail if it has not seen all states.

    optimize: gcc's option for the checker, which takes 5 s to compile with -O2 and 1 s without.
    """
    options = ["-DLIVE"] if live else []
    subprocess.run(["spin", "-a", *options, *defines, root / "tests/model/lock.pml"], cwd=folder, check=True,
                   capture_output=True, timeout=LIMIT)
    subprocess.run(["gcc", optimize, "-w", "-DCOLLAPSE", "-DNFAIR=3" if live else "-DSAFETY", "pan.c", "-o", "pan"],
                   cwd=folder, check=True, timeout=LIMIT)
    done = subprocess.run(["./pan", "-m1000000", *(["-a", "-f"] if live else [])], cwd=folder, check=True,
                          capture_output=True, text=True, timeout=LIMIT)
    errors = re.search(r"errors: (\d+)$", done.stdout, re.MULTILINE)
    assert errors is not None, done.stdout
    assert "max search depth too small" not in done.stdout
    return int(errors[1]), done.stdout


# The model's head says why three CPUs are checked without the sleep at the lock.
@pytest.mark.parametrize(("options", "live"), [(("-DCPUS=2",), False), (("-DCPUS=2",), True),
                                               (("-DCPUS=2", "-DCOARSE"), False), (("-DCPUS=3", "-DSPIN"), False)])
def test_the_lock_holds(tmp_path: Path, root: Path, options: tuple[str, ...], live: bool) -> None:
    errors, report = verify(tmp_path, root, *options, live=live)
    assert not errors, report
    assert "Search not completed" not in report


@pytest.mark.parametrize("planted", PLANTED)
def test_an_error_of_the_lock_is_found(tmp_path: Path, root: Path, planted: int) -> None:
    words, live = PLANTED[planted]
    errors, report = verify(tmp_path, root, f"-DPLANT={planted}", live=live, optimize="-O1" if live else "-O0")
    assert errors, report
    assert f"pan:1: {words}" in report


def test_every_error_of_the_model_is_planted(root: Path) -> None:
    text = (root / "tests/model/lock.pml").read_text()
    assert {int(number) for number in re.findall(r"PLANT [!=]= (\d+)", text)} == set(PLANTED)
