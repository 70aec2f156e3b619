# SPDX-License-Identifier: BSD-2-Clause
"""One suite on one architecture, on both sides."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from orchestration.base.arch import Arch, Check, GuestMode
from orchestration.base.cache import Cache
from orchestration.base.errors import UsageError
from orchestration.conform import compare, runner, suites
from orchestration.conform.compare import Expected
from orchestration.conform.kept import Kept
from orchestration.conform.runner import Side
from orchestration.conform.show import Result, cell
from orchestration.conform.suite import PACKED, Suite, Test
from orchestration.machine.progress import Progress

GUEST, NATIVE = "guest", "native"


@dataclass(frozen=True)
class Choice:
    """What of a suite runs, and how."""

    only: tuple[str, ...] = ()
    """Collections, or tests in full; * stands for any text. Nothing: all."""
    quick: bool = False
    """The quick tests only, with the small kernels."""
    small: bool = False
    """With the small kernels."""
    debian: bool = False
    """Native Linux is Debian's own kernel, not one of our source and options."""
    mode: GuestMode | None = None
    """The guest mode, None for the machine's choice."""
    resume: bool = False
    """What has a result of these kernels does not run again."""
    minutes: float | None = None
    """No test starts later."""
    in_turn: bool = False
    """Native Linux first, then the guest; not both at the same time."""
    debug: tuple[Check, ...] = ()
    """Checks that are compiled into the guest's Linux; what they report during a test is a difference."""
    cpus: int = 1
    """Of either machine, and of the guest."""


# Names of tests that are listed where one is not found.
NEAR = 8


def matches(pattern: str, test: Test) -> bool:
    """Tell whether a pattern of --test means a test: by its collection, or by its whole name."""
    means = re.compile(".*".join(re.escape(part) for part in pattern.split("*")))
    return any(means.fullmatch(name) for name in (test.collection, test.name))


def check(tests: Iterable[Test], only: Iterable[str]) -> None:
    """Raise UsageError that lists what is valid when a name is that of no collection and of no test."""
    listed = list(tests)
    collections = sorted({test.collection for test in listed})
    for name in only:
        if any(matches(name, test) for test in listed):
            continue
        collection = name.partition(":")[0]
        inside = [test.name for test in listed if test.collection == collection]
        near = inside if len(inside) <= NEAR else get_close_matches(name, inside, NEAR, 0)
        which = "valid" if near == inside else f"the nearest of {len(inside)}"
        raise UsageError(f"no test is called '{name}'",
                         f"{which}: {', '.join(near)}" if inside else f"collections: {', '.join(collections)}")


def select(tests: list[Test], suite: Suite, choice: Choice) -> list[Test]:
    """Return the tests that are wanted."""
    return [test for test in tests if (not choice.quick or test.collection in suite.quick)
            and (not choice.only or any(matches(name, test) for name in choice.only))]


def run(arch: Arch, cache: Cache, progress: Progress, suite: Suite, folder: Path, expected: Iterable[Expected],
        choice: Choice) -> Result | None:
    """Run a suite that is built in a folder; return its comparison, or None when none of its tests is wanted."""
    begun = time.monotonic()
    tests = select(suite.tests(folder), suite, choice)
    if not tests:
        return None
    full = not (choice.quick or choice.small)
    with progress.step("native Linux"):
        peer = (suites.debian_kernel(arch, cache) if choice.debian
                else suites.native(arch, cache, full=full, quick=choice.quick, cpus=choice.cpus))
    made = suites.machines(arch, cache, progress, suite, folder, peer, full=full, mode=choice.mode,
                           debug=choice.debug, cpus=choice.cpus)
    packed = folder / PACKED
    sides = []
    for name, one in zip((GUEST, NATIVE), made, strict=True):
        kept = Kept.find(cache, arch, suite, folder, name, one.runs_with)
        side = Side(name, one.prepare, suite, packed if packed.exists() else None, kept)
        if choice.minutes is not None:
            side.until = begun + choice.minutes * 60
        if choice.resume:
            side.outcomes = kept.read(tests)
        sides.append(side)
    lock = threading.Lock()

    def tell(side: Side, test: Test) -> None:
        with lock:
            progress.say(f"{side.name:6} {len(side.outcomes):4}/{len(tests)}  {test.name}: "
                         f"{cell(side.outcomes[test.name])}")

    for together in [[side] for side in reversed(sides)] if choice.in_turn else [sides]:
        runner.run(together, tests, tell)
    found = compare.rows(arch.name, suite.name, tests, sides[0].outcomes, sides[1].outcomes, expected)
    days = {day for side in sides if side.kept is not None for day in side.kept.days}
    return Result(arch.name, suite.name, suite.what, suites.versions(arch, suite.release(folder), peer),
                  " to ".join(sorted({min(days), max(days)})) if days else "", found, choice.only, choice.small,
                  choice.debian, choice.mode, len(tests) - len(found), choice.debug, choice.cpus)
