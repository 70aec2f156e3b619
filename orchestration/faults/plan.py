# SPDX-License-Identifier: BSD-2-Clause
"""Which fault a trial makes: all of it follows from the seed and the trial's number."""

from __future__ import annotations

import random
from dataclasses import dataclass

KINDS = ("kill", "hang", "wild", "register")
# The kinds that every driver must survive. After a wrong register a driver may compute wrong data.
USUAL = KINDS[:3]
DRIVERS = ("net", "block", "console", "9p")
# Those that survive the usual kinds. A wild store of 9p may reset its device, which then forgets the guest's files.
USUAL_DRIVERS = DRIVERS[:3]
HITS_MAX = 8
STEPS_MAX = 48


@dataclass(frozen=True)
class Plan:
    """A trial's fault, all of it from the seed: the same seed and number give the same plan."""

    driver: str
    kind: str
    number: int
    entry: float
    hits: int
    steps: int
    choice: int
    """What decides among the variants of a kind, addresses and values."""


def plan(seed: int, driver: str, kind: str, number: int) -> Plan:
    """Return the plan of one trial."""
    source = random.Random(f"{seed}/{driver}/{kind}/{number}")
    return Plan(driver, kind, number, source.random(), source.randint(1, HITS_MAX), source.randint(0, STEPS_MAX),
                source.getrandbits(32))
