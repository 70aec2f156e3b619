# SPDX-License-Identifier: BSD-2-Clause
"""Drivers that are killed under a verified workload, a few of each kind; campaigns are ./orchestrate faults."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestration import boot
from orchestration.faults import campaign, inject
from orchestration.progress import Progress
from orchestration.rundir import RunDirectory

SEED = 20


@pytest.mark.parametrize(("kind", "count"), [("kill", 3), ("hang", 1)])
def test_the_guest_sees_a_delay_and_no_error(made: boot.Artefacts, progress: Progress, tmp_path: Path, kind: str,
                                             count: int) -> None:
    work = campaign.Campaign(made, list(inject.DRIVERS), kind, SEED, progress, RunDirectory("campaign", tmp_path),
                             open=lambda name: RunDirectory(name, tmp_path))
    work.go(list(range(count)), lambda trial: progress.say(campaign.describe(trial)))
    assert [trial.outcome for trial in work.trials] == ["recovered"] * count * len(inject.DRIVERS), work.trials
    assert all(trial.deaths for trial in work.trials)
    assert {trial.driver for trial in work.trials} == set(inject.DRIVERS)
    assert (work.run.path / "trials.jsonl").read_text().count("\n") == len(work.trials)
