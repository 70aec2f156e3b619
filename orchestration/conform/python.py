# SPDX-License-Identifier: BSD-2-Clause
"""CPython's own tests of what it asks of Linux, from Debian's package of them."""

from __future__ import annotations

from pathlib import Path

from orchestration.base.arch import Arch
from orchestration.base.cache import Cache
from orchestration.conform import outcome
from orchestration.conform.suite import Suite, Test

PACKAGES = ("libpython3.13-testsuite", "python3", "python3.13")
# What they test: signals, processes, threads, memory, sockets, time, files.
MODULES = ("test_signal", "test_subprocess", "test_threading", "test_mmap", "test_socket", "test_time", "test_os",
           "test_posix", "test_fcntl", "test_select", "test_selectors", "test_epoll", "test_pty", "test_resource",
           "test_multiprocessing_fork.test_processes", "test_wait3", "test_wait4", "test_fork1", "test_eintr")
LIMIT = 900.0


def build(arch: Arch, cache: Cache) -> Path:
    """Return a folder without anything: Debian's packages have it all."""
    return cache.get("conform-none", "python", lambda entry: None)


def tests(folder: Path) -> list[Test]:
    """Return a test for each module."""
    return [Test(f"test:{name}", f"cd /tmp && python3 -m test -v -u none --timeout {LIMIT / 2:g} {name}", LIMIT)
            for name in MODULES]


def read(output: bytes, status: int) -> outcome.Outcome:
    """Return what a module came to."""
    return outcome.unittest(output.decode(errors="replace"), status)


SUITE = Suite("python", "CPython's own tests", PACKAGES, "/tmp", build, tests, read, quick=())
