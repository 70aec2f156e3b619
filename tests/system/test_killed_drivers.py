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


@pytest.mark.parametrize("driver", inject.DRIVERS)
def test_the_guest_sees_a_delay_and_no_error(made: boot.Artefacts, progress: Progress, tmp_path: Path,
                                             driver: str) -> None:
    for kind, count in (("kill", 3), ("hang", 1)):
        work = campaign.Campaign(made, driver, kind, SEED, progress, RunDirectory("campaign", tmp_path),
                                 open=lambda name: RunDirectory(name, tmp_path))
        work.go(list(range(count)), lambda trial: progress.say(campaign.describe(trial)))
        assert [trial.outcome for trial in work.trials] == ["recovered"] * count, work.trials
        assert all(trial.deaths for trial in work.trials)
        assert (work.run.path / "trials.jsonl").read_text().count("\n") == count
