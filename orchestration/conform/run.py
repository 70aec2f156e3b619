# SPDX-License-Identifier: BSD-2-Clause
"""One suite on one architecture, on both sides."""

from __future__ import annotations

import threading
from collections.abc import Iterable

from orchestration.base.arch import Arch
from orchestration.base.cache import Cache
from orchestration.conform import compare, runner, suites
from orchestration.conform.compare import Expected
from orchestration.conform.runner import Side
from orchestration.conform.show import Result, cell
from orchestration.conform.suite import Suite, Test
from orchestration.machine.progress import Progress

GUEST, NATIVE = "guest", "native"


def select(tests: list[Test], suite: Suite, quick: bool, only: tuple[str, ...]) -> list[Test]:
    """Return the tests that are wanted: all, those of the quick run, those named by collection or in full."""
    return [test for test in tests if (not quick or test.collection in suite.quick)
            and (not only or test.name in only or test.collection in only)]


def run(arch: Arch, cache: Cache, progress: Progress, suite: Suite, expected: Iterable[Expected], *,
        quick: bool = False, only: tuple[str, ...] = ()) -> Result | None:
    """Build and run a suite; return its comparison, or None when none of its tests is wanted."""
    with progress.step(f"suite {suite.name}"):
        folder = suite.build(arch, cache)
    tests = select(suite.tests(folder), suite, quick, only)
    if not tests:
        return None
    ours, other = suites.machines(arch, cache, progress, suite)
    packed = folder / "suite.tar.gz"
    sides = [Side(name, prepare, suite, packed if packed.exists() else None)
             for name, prepare in ((GUEST, ours), (NATIVE, other))]
    lock = threading.Lock()
    done = {side.name: 0 for side in sides}

    def tell(side: Side, test: Test) -> None:
        with lock:
            done[side.name] += 1
            progress.say(f"{side.name:6} {done[side.name]:4}/{len(tests)}  {test.name}: "
                         f"{cell(side.outcomes[test.name])}")

    runner.run(sides, tests, tell)
    found = compare.rows(arch.name, suite.name, tests, sides[0].outcomes, sides[1].outcomes, expected)
    return Result(arch.name, suite.name, suite.what, suites.versions(arch, cache), found)
