# SPDX-License-Identifier: BSD-2-Clause
"""How the kernel's selftests run: one by one, by their own runner."""

from __future__ import annotations

from pathlib import Path

from orchestration.conform import kselftest, outcome
from orchestration.conform.suite import Suite, Test

# In the guest: what the runner and the tests' scripts call.
PACKAGES = ("bash", "coreutils", "e2fsprogs", "libasan8", "libcap2", "libnuma1", "libpopt0", "libubsan1", "perl-base",
            "procps", "util-linux")
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
    "seccomp:seccomp_benchmark": "judges how times of filters compare, for more than a minute",
    "syscall_user_dispatch:sud_benchmark": "measures speed, and has no result",
}
# Seconds that a test may take under emulation, whatever its own settings say, and what the runner adds. Some take
# longer on an idle host, in native Linux as well.
TEST_LIMIT, SLACK = 90, 60
LONG_LIMIT, LONG = 600, frozenset({
    "mqueue:mq_perf_tests", "openat2:rename_attack_test", "pidfd:pidfd_setns_test", "pidfd:pidfd_test",
    "pidfd:pidfd_poll_test", "rseq:basic_percpu_ops_mm_cid_test", "rseq:basic_percpu_ops_test",
    "rseq:run_param_test.sh", "rtc:rtctest", "timers:inconsistency-check", "timers:raw_skew",
    "x86:sysret_ss_attrs_64"})
# A script that runs all programs of memory management one after the other, as long as they take. Here each is a test;
# the script runs the groups of those that want arguments, and huge pages reserved, which it needs for any of them.
# Left out are those that want modules of the kernel's own tests, several nodes of memory, or all of the memory.
MEMORY, MEMORY_LIMIT = "mm:run_vmtests.sh", 300
GROUPS = ("gup_test", "hugetlb", "ksm", "pkey", "thp", "userfaultfd")
PROGRAMS = ("compaction_test", "cow", "droppable", "gup_longterm", "ksm_functional_tests", "madv_populate",
            "map_fixed_noreplace", "map_populate", "mdwe_test", "memfd_secret", "migration", "mkdirty",
            "mlock-random-test", "mlock2-tests", "mrelease_test", "mremap_dontunmap", "mremap_test", "mseal_test",
            "on-fault-limit", "pagemap_ioctl", "seal_elf", "soft-dirty", "uffd-unit-tests")
PLACE = "/opt/kselftest"


def command(name: str, limit: int) -> str:
    """Return how the kernel's runner is called for a test of its list."""
    return f"cd {PLACE} && ./run_kselftest.sh -o {limit} -t {name}"


def memory() -> list[Test]:
    """Return the tests of memory management: programs that are in no list, by the functions of the runner; groups."""
    runner = f"cd {PLACE}/mm && BASE_DIR={PLACE} && . ../kselftest/runner.sh"
    commands = {name: f"{runner} && kselftest_override_timeout={MEMORY_LIMIT} && run_many ./{name}"
                for name in PROGRAMS}
    commands |= {group: f"export KSELFTEST_RUN_VMTESTS_SH_ARGS='-t {group}' && {command(MEMORY, MEMORY_LIMIT)}"
                 for group in GROUPS}
    return [Test(f"mm:{name}", words, MEMORY_LIMIT + SLACK) for name, words in commands.items()]


def tests(folder: Path) -> list[Test]:
    """Return the tests of a built suite."""
    names = (folder / "kselftest-list.txt").read_text().split()
    limits = {name: LONG_LIMIT if name in LONG else TEST_LIMIT
              for name in names if name not in LEFT_OUT and name != MEMORY}
    found = [Test(name, command(name, limit), limit + SLACK) for name, limit in limits.items()]
    return found + (memory() if MEMORY in names else [])


def read(output: bytes, status: int) -> outcome.Outcome:
    """Return what a test came to."""
    return outcome.kselftest(output.decode(errors="replace"))


# The quick collections have a test each that native Linux passes: what fails on both sides compares nothing.
SUITE = Suite("kselftest", "the kernel's selftests, of the same source", PACKAGES, PLACE, kselftest.build, tests, read,
              quick=("cachestat", "clone3", "core", "exec", "fchmodat2", "kcmp", "sigaltstack"))
