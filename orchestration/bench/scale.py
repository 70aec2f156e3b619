# SPDX-License-Identifier: BSD-2-Clause
"""How figures change with the number of CPUs: each system is a side for each number, with the same kernel.

By wall time a gain is the figure of one CPU divided by that of several, so two CPUs gain 2 at best. By the clock that
counts, which counts the instructions of all CPUs, it is at best 1: what one CPU needs for an operation divided by what
all of several need for it. An idle CPU has none.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from orchestration.base.arch import Arch
from orchestration.base.cache import Cache
from orchestration.base.errors import UsageError
from orchestration.bench import sides
from orchestration.bench.sides import Side
from orchestration.bench.statistics import Estimate, estimate
from orchestration.bench.store import Record, Sample
from orchestration.bench.terms import GUEST, NATIVE, Clock
from orchestration.machine.description import CPUS_MAX
from orchestration.machine.progress import Progress

# Of what native Linux gains, at least.
AIM = 0.95


def numbers(text: str) -> list[int]:
    """Return the numbers of CPUs that a list such as 1,2,4 has; raise UsageError when it is none."""
    words = text.split(",")
    found = [int(word) for word in words if re.fullmatch("[0-9]{1,3}", word)]
    if len(found) < len(words) or len(set(found)) < len(found) or not all(1 <= one <= CPUS_MAX for one in found):
        raise UsageError(f"'{text}' is no list of numbers of CPUs, each from 1 to {CPUS_MAX}", "write such as 1,2,4")
    return sorted(found)


def listed(cpus: Iterable[int]) -> str:
    """Return numbers of CPUs as text."""
    return ", ".join(map(str, cpus))


def fits(cpus: int) -> bool:
    """Tell whether this host has as many CPUs, so that wall time says something of a machine's."""
    return cpus <= max(os.cpu_count() or 1, 1)


def name_of(system: str, cpus: int) -> str:
    """Return the name of a side."""
    return f"{system}-{cpus}"


def parts_of(side: str) -> tuple[str, int]:
    """Return the system and the number of CPUs that a side's name says."""
    system, _, cpus = side.rpartition("-")
    return system, int(cpus)


def system_of(side: str) -> str:
    """Return the system of a side, whose name need not say a number of CPUs."""
    return side.rpartition("-")[0] or side


def sides_of(arch: Arch, cache: Cache, progress: Progress, root: str, against: Iterable[str],
             cpus: Iterable[int]) -> list[Side]:
    """Build our system and native Linux, if that is wanted, and return their sides."""
    make = [sides.guest, *([sides.native] if NATIVE in against else [])]
    made = [one(arch, cache, progress, root, cpus=count) for one in make for count in cpus]
    return [replace(one, name=name_of(one.name, one.cpus)) for one in made]


@dataclass(frozen=True)
class Line:
    """What a metric does on a number of CPUs. figures and gains by system; ratio: our gain divided by native's."""

    name: str
    unit: str
    cpus: int
    figures: Mapping[str, Estimate]
    gains: Mapping[str, Estimate]
    ratio: Estimate | None
    counters: Mapping[str, float]


def gains_of(few: Mapping[int, Sample], many: Mapping[int, Sample]) -> dict[int, float]:
    """Return how much better the figures of more CPUs are, by round; what one side has no figure for is left out."""
    both = {number: (few[number], one) for number, one in many.items() if number in few}
    return {number: less.value / more.value if more.better == "lower" else more.value / less.value
            for number, (less, more) in both.items() if more.value and less.value}


def lines_of(metric: Sequence[Sample]) -> Iterator[Line]:
    """Return the lines of all samples of one metric."""
    found: dict[int, dict[str, dict[int, Sample]]] = {}
    for sample in metric:
        system, cpus = parts_of(sample.side)
        found.setdefault(cpus, {}).setdefault(system, {})[sample.round] = sample
    least = min(found)
    for cpus, systems in sorted(found.items()):
        gains = {system: gains_of(found[least].get(system, {}), each) for system, each in systems.items()}
        ours, theirs = gains.get(GUEST, {}), gains.get(NATIVE, {})
        shared = sorted(ours.keys() & theirs.keys()) if cpus != least else []
        first = metric[0]
        yield Line("/".join(dict.fromkeys((first.workload, first.metric))), first.unit, cpus,
                   {system: estimate([one.value for one in each.values()]) for system, each in systems.items()},
                   {system: estimate(list(each.values())) for system, each in gains.items() if each},
                   estimate([ours[number] / theirs[number] for number in shared]) if shared else None,
                   next((one.counters for one in systems.get(GUEST, {}).values()), {}))


def lines(record: Record, clock: Clock) -> list[Line]:
    """Return what a run found by one clock, each metric's in the order of the numbers of CPUs."""
    metrics: dict[tuple[str, str], list[Sample]] = {}
    for sample in record.samples:
        if sample.clock == clock:
            metrics.setdefault((sample.workload, sample.metric), []).append(sample)
    return [line for metric in metrics.values() for line in lines_of(metric)]


def systems(found: Iterable[Line]) -> list[str]:
    """Return the systems that lines have figures of, ours first."""
    names = dict.fromkeys(name for line in found for name in line.figures)
    return sorted(names, key=lambda name: name != GUEST)
