# SPDX-License-Identifier: BSD-2-Clause
"""What a suite of tests is: how it is built, which tests it has, how a test is run and read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from orchestration.base.arch import Arch
from orchestration.base.cache import Cache
from orchestration.base.errors import MissingError
from orchestration.conform.outcome import Outcome

# Files of a built suite.
PACKED, DISK = "suite.tar.gz", "suite.ext4"


class NotHereError(MissingError):
    """A suite's files are nowhere on this machine: it is skipped by name, and the others run."""


@dataclass(frozen=True)
class Test:
    """One command in the guest: the suite's own runner with one test."""

    __test__ = False

    name: str
    """COLLECTION:TEST."""
    command: str
    limit: float
    """Seconds, after which it counts as failed."""

    @property
    def collection(self) -> str:
        """Return what stands before the colon."""
        return self.name.partition(":")[0]


@dataclass(frozen=True)
class Suite:
    """A suite by functions.

    build() returns a folder: with PACKED if something is unpacked at place in the guest, with DISK if the guest has a
    second disk with the suite, which setup mounts.
    """

    name: str
    what: str
    """One line."""
    packages: tuple[str, ...]
    """Debian packages that the guest has for it."""
    place: str
    """Folder in the guest."""
    build: Callable[[Arch, Cache], Path]
    tests: Callable[[Path], list[Test]]
    read: Callable[[bytes, int], Outcome]
    quick: tuple[str, ...]
    """Collections of the quick run, which is part of ./orchestrate test and has the small kernels."""
    setup: str = ""
    """Shell commands in the guest before the first test."""
    release: Callable[[Path], str] = lambda folder: ""
    """Which release of the suite a built folder holds, where the suite is not of a Debian package or of Linux."""
