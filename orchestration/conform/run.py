# SPDX-License-Identifier: BSD-2-Clause
"""One suite on one architecture, on both sides."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from pathlib import Path

from orchestration.base.arch import Arch, GuestMode
from orchestration.base.cache import Cache
from orchestration.base.errors import UsageError
from orchestration.conform import compare, runner, suites
from orchestration.conform.compare import Expected
from orchestration.conform.runner import Side
from orchestration.conform.show import Result, cell
from orchestration.conform.suite import PACKED, Suite, Test
from orchestration.machine.progress import Progress

GUEST, NATIVE = "guest", "native"


def check(tests: Iterable[Test], only: Iterable[str]) -> None:
    """Raise UsageError that lists what is valid when a name is that of no collection and of no test."""
    listed = list(tests)
    collections = sorted({test.collection for test in listed})
    for name in only:
        if name in collections or any(name == test.name for test in listed):
            continue
        collection = name.partition(":")[0]
        inside = [test.name for test in listed if test.collection == collection]
        raise UsageError(f"no test is called '{name}'",
                         f"valid: {', '.join(inside)}" if inside else f"collections: {', '.join(collections)}")


def select(tests: list[Test], suite: Suite, quick: bool, only: tuple[str, ...]) -> list[Test]:
    """Return the tests that are wanted: all, those of the quick run, those named by collection or in full."""
    return [test for test in tests if (not quick or test.collection in suite.quick)
            and (not only or test.name in only or test.collection in only)]


def run(arch: Arch, cache: Cache, progress: Progress, suite: Suite, folder: Path, expected: Iterable[Expected], *,
        quick: bool = False, small: bool = False, debian: bool = False, mode: GuestMode | None = None,
        only: tuple[str, ...] = ()) -> Result | None:
    """Run a suite that is built in a folder; return its comparison, or None when none of its tests is wanted.

    quick: its quick tests only; small: with the small kernels, which quick tests always have; debian: native Linux is
    Debian's own kernel, not one of our source and options; mode: the guest mode, None for the machine's choice.
    """
    tests = select(suite.tests(folder), suite, quick, only)
    if not tests:
        return None
    full = not (quick or small)
    with progress.step("native Linux"):
        peer = suites.debian_kernel(arch, cache) if debian else suites.native(arch, cache, full=full)
    ours, other = suites.machines(arch, cache, progress, suite, folder, peer, full=full, mode=mode)
    packed = folder / PACKED
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
    return Result(arch.name, suite.name, suite.what, suites.versions(arch, suite.release(folder), peer),
                  time.strftime("%Y-%m-%d"), found, only, small, debian, mode)
