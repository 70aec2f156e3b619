# SPDX-License-Identifier: BSD-2-Clause
"""The server of a folder against a hostile guest, and a hostile server of a folder against the rest."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.system.small_guest import LIVES, PASSED, SOURCES, Outcome, results

if TYPE_CHECKING:
    from tests.system.conftest import Writer

pytestmark = pytest.mark.elsewhere_nightly
WITH_FOLDER = [*PASSED, "ok folder answers", "ok folder refuses bad buffers", "ok folder refuses bad rings",
               "ok folder refuses bad messages"]


def test_a_folder_refuses_what_its_guest_may_not_ask(run: Callable[..., Outcome], tmp_path: Path) -> None:
    """Bad buffers, rings, tables and messages; after a reset it answers again."""
    outcome = run(folder=tmp_path)
    assert results(outcome) == WITH_FOLDER
    assert outcome.deaths() == dict.fromkeys(SOURCES, 0)
    assert "root: guest powers off, status 7" in outcome.log


def test_a_folders_ring_that_somebody_rewrites_harms_only_the_folder(run: Callable[..., Outcome], writer: Writer,
                                                                     tmp_path: Path) -> None:
    kinds = [1, 2, 3, 4, 5, 6]
    for kind in kinds:
        writer.start(kind)
    outcome = run("w\nq", change=lambda config: replace(config, extra=writer.options(config.memory)), folder=tmp_path)
    assert [writer.stop(kind) for kind in kinds] == [True] * len(kinds)
    assert [line for line in outcome.guest if line.startswith("attacked")] == [f"attacked {kind}" for kind in kinds]
    assert outcome.deaths()["console"] == 0
    assert not any(line.startswith("root: error: ") for line in outcome.log)
    assert "root: guest powers off, status 7" in outcome.log


@pytest.mark.parametrize("first", [0, 8, *(pytest.param(first, marks=pytest.mark.nightly)
                                           for first in (2, 4, 6, 10, 11))])
def test_a_hostile_folders_server_harms_only_itself(run: Callable[..., Outcome], hostile: Callable[..., Path],
                                                    tmp_path: Path, first: int) -> None:
    """As the other servers; in its next life it serves the guest."""
    outcome = run(servers={"9p": hostile("9p", first)}, folder=tmp_path)
    assert outcome.deaths() == dict.fromkeys(SOURCES, 0) | {"9p": LIVES}
    assert results(outcome) == WITH_FOLDER
    assert not any(line.startswith("root: error: ") for line in outcome.log)
    assert "root: guest powers off, status 7" in outcome.log


@pytest.mark.parametrize("name", ["block", "net", "9p"])
def test_an_answer_longer_than_its_room_does_not_reach_the_guest(
        run: Callable[..., Outcome], compile_server: Callable[..., Path], tmp_path: Path, name: str) -> None:
    longer = compile_server(f"{name}-longer", name, "longer.c", "driver_complete", f"-DLONGER_LIVES={LIVES}")
    outcome = run(servers={name: longer}, folder=tmp_path)
    assert sum("device wrote" in line and "more than" in line for line in outcome.log) == LIVES
    assert list(dict.fromkeys(results(outcome))) == WITH_FOLDER
    assert "root: guest powers off, status 7" in outcome.log


def test_a_kept_answer_that_is_too_long_ends_one_life_only(
        run: Callable[..., Outcome], compile_server: Callable[..., Path], tmp_path: Path) -> None:
    """The ring outlives the server, with what it says: the device starts anew rather than each life dies of it."""
    lengthens = compile_server("9p-lengthens", "9p", "lengthens.c", "kept_queue_get")
    outcome = run(servers={"9p": lengthens}, folder=tmp_path)
    assert sum("device wrote" in line and "more than" in line for line in outcome.log) == 1
    assert list(dict.fromkeys(results(outcome))) == WITH_FOLDER
    assert "root: guest powers off, status 7" in outcome.log
