# SPDX-License-Identifier: BSD-2-Clause
"""How the kernel's selftests run: one by one, by their own runner."""

from __future__ import annotations

from pathlib import Path

from orchestration.conform import kselftest, outcome
from orchestration.conform.suite import Suite, Test

# In the guest: what the runner and the tests' scripts call.
PACKAGES = ("bash", "coreutils", "libasan8", "libcap2", "libnuma1", "libpopt0", "libubsan1", "perl-base", "procps",
            "util-linux")
# Tests that suspend the machine, change its clock for others, or take many minutes.
LEFT_OUT = {
    "breakpoints:step_after_suspend_test": "suspends the machine",
    "timers:freq-step": "measures the host's clock for minutes",
    "timers:clocksource-switch": "measures the host's clock for minutes",
    "timers:skew_consistency": "runs ten minutes by itself",
    "timers:leap-a-day": "sets the clock a day on, for minutes",
    "timers:leapcrash": "sets the clock a day on, for minutes",
    "timers:alarmtimer-suspend": "suspends the machine",
    "timers:set-timer-lat": "judges a latency, which under emulation is the host's",
    "timers:mqueue-lat": "judges a latency",
    "timers:nsleep-lat": "judges a latency",
    "syscall_user_dispatch:sud_benchmark": "measures speed, and has no result",
}
# Seconds that a test may take under emulation, whatever its own settings say, and what the runner adds.
TEST_LIMIT, SLACK = 90, 60
PLACE = "/opt/kselftest"


def tests(folder: Path) -> list[Test]:
    """Return the tests of a built suite."""
    names = [line.strip() for line in (folder / "kselftest-list.txt").read_text().splitlines() if line.strip()]
    return [Test(name, f"cd {PLACE} && ./run_kselftest.sh -o {TEST_LIMIT} -t {name}", TEST_LIMIT + SLACK)
            for name in names if name not in LEFT_OUT]


def read(output: bytes, status: int) -> outcome.Outcome:
    """Return what a test came to."""
    return outcome.kselftest(output.decode(errors="replace"))


# The quick collections have a test each that native Linux passes: what fails on both sides compares nothing.
SUITE = Suite("kselftest", "the kernel's selftests, of the same source", PACKAGES, PLACE, kselftest.build, tests, read,
              quick=("cachestat", "clone3", "core", "exec", "fchmodat2", "kcmp", "sigaltstack"))
