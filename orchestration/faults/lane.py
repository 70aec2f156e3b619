# SPDX-License-Identifier: BSD-2-Clause
"""One driver of a campaign on the machine that runs: its workload, and the trial that is under way."""

from __future__ import annotations

import time
from dataclasses import dataclass

from orchestration.faults.results import Trial
from orchestration.faults.verified import Verified

# Seconds of progress that end a trial.
CALM = 0.3
# Kinds that need not end the driver, and the seconds until a wild store must have shown: some a driver finds at the
# fourth ping only, and one comes each second.
MAY_PASS, WILD_LIMIT = ("wild", "register"), 6.0


@dataclass
class Lane:
    """One driver on the machine that runs, its workload, and the trial that is under way."""

    driver: str
    workload: Verified
    ready: int = 0
    """Times that the root pager has told it ready."""
    rested: float = 0.0
    """When its last life counts as steady."""
    trial: Trial | None = None
    began: float = 0.0
    units: int = 0
    deaths: int = 0
    came: int = 0
    told: tuple[int, int] = (0, 0)

    def begin(self, number: int, deaths: int) -> Trial:
        """Note the counters before a fault; return the new trial."""
        self.trial = Trial(number, driver=self.driver)
        self.deaths, self.came, self.units = deaths, self.ready, self.workload.units
        self.told = len(self.workload.wrong), len(self.workload.errors)
        return self.trial

    def over(self, died: int, kind: str) -> bool:
        """Return whether the trial is over; died: how often the driver has died in it."""
        load, now = self.workload, time.monotonic()
        if load.ended():
            return True
        calm = (bool(load.stamps) and load.units > self.units and now - self.began > CALM
                and now - load.stamps[-1] < CALM)
        if kind in MAY_PASS and not died:
            return calm and now - self.began > WILD_LIMIT
        return calm and died > 0 and self.ready - self.came >= died

    def troubles(self) -> tuple[list[str], list[str]]:
        """Return what was wrong and what failed since the trial began."""
        wrong, errors = self.workload.wrong[self.told[0]:], self.workload.errors[self.told[1]:]
        if self.workload.remote is not None and self.workload.remote.error is not None:
            errors = [*errors, f"the way into the guest: {self.workload.remote.error}"]
        return wrong, errors
