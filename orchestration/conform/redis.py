# SPDX-License-Identifier: BSD-2-Clause
"""redis' own tests, from Debian's source package, of the server of the guest's Debian.

A server asks much of Linux at once: sockets, timers, signals, memory, and forks whose pages are copied while both run.
"""

from __future__ import annotations

import re
from pathlib import Path

from orchestration.base.arch import Arch
from orchestration.base.cache import Cache
from orchestration.conform import debsource, outcome
from orchestration.conform.outcome import Outcome, Status
from orchestration.conform.suite import Suite, Test

PLACE = "/opt/redis"
PACKAGES = ("procps", "redis-server", "redis-tools", "tcl8.6")
# Folders of tests below tests/; the others are for clusters, and for modules that would have to be compiled.
FOLDERS = ("integration", "unit", "unit/type")
# Tests that are not run, each with its reason.
LEFT_OUT = {
    "integration:corrupt-dump": "feeds damaged files to redis' reader, and asks nothing of Linux",
    "integration:corrupt-dump-fuzzer": "the same with random damage, which no two runs have in common",
    "integration:replication-rdbchannel": "waits by the clock for servers that are slow in emulation",
    "unit:latency-monitor": "measures time",
    "unit:memefficiency": "judges the shares of the allocator's memory by what the clock leaves it to do",
    "unit:printver": "prints the version",
    "unit:tls": "does nothing without certificates that are made for it",
    "unit:violations": "needs more memory than the machines have, and does nothing without that",
}
PROGRAMS = ("redis-benchmark", "redis-check-aof", "redis-check-rdb", "redis-cli", "redis-sentinel", "redis-server")
# The tests look for the programs where the source's makefile puts them.
SETUP = f"mkdir -p {PLACE}/src && ln -sf {' '.join(f'/usr/bin/{name}' for name in PROGRAMS)} {PLACE}/src/"
LIMIT = 1200.0
# A line of the runner, such as "[ok]: name (12 ms)" and "[err]: name in tests/unit/other.tcl".
LINE = re.compile(r"^\[(ok|err|exception|timeout|ignore|skip)\]: (.*?)(?: \(\d+ ms\)| in tests/\S+\.tcl)?$",
                  re.MULTILINE)
STATUSES = {"ok": Status.PASS, "ignore": Status.SKIP, "skip": Status.SKIP}
# What it says when nothing has come from a test for its --timeout, and its last words.
LATE = "[TIMEOUT]: clients state report follows."
PASSED = "All tests passed without errors!"


def build(arch: Arch, cache: Cache) -> Path:
    """Return a folder with the suite."""
    return debsource.build(cache, "redis", Path(__file__), ("tests", "redis.conf"), found)


def found(tree: Path) -> list[str]:
    """Return the names of the tests in a source tree: FOLDER:TEST."""
    names = [f"{folder.rpartition('/')[2]}:{path.stem}" for folder in FOLDERS
             for path in sorted((tree / "tests" / folder).glob("*.tcl"))]
    return [name for name in names if name not in LEFT_OUT]


def command(name: str) -> str:
    """Return how a test is run: by one client, with the tests that need much memory left out."""
    collection, _, test = name.partition(":")
    folder = next(one for one in FOLDERS if one.rpartition("/")[2] == collection)
    return (f"cd {PLACE} && TERM=dumb tclsh8.6 tests/test_helper.tcl --clients 1 --durable --no-latency "
            f"--timeout {LIMIT / 2:g} --single {folder}/{test}")


def tests(folder: Path) -> list[Test]:
    """Return the tests of a built suite."""
    return debsource.tests(folder, command, LIMIT)


def read(output: bytes, status: int) -> Outcome:
    """Return what a file of tests came to; its parts are the tests that it names."""
    text = output.decode(errors="replace")
    parts = outcome.unique((match[2], STATUSES.get(match[1], Status.FAIL)) for match in LINE.finditer(text))
    if status:
        return Outcome(Status.FAIL, f"exit={status}", parts, late=LATE in text)
    if PASSED not in text:
        return Outcome(Status.FAIL, "its runner told no result", parts)
    skipped = Status.SKIP in parts.values() and Status.PASS not in parts.values()
    return Outcome(Status.SKIP if skipped else Status.PASS, "", parts)


SUITE = Suite("redis", "redis' own tests", PACKAGES, PLACE, build, tests, read, quick=(), setup=SETUP)
