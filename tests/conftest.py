# SPDX-License-Identifier: BSD-2-Clause
"""Options and fixtures of all tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestration import arch as arches
from orchestration import boot
from orchestration.bootstrap import ROOT
from orchestration.cache import Cache
from orchestration.progress import Progress


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--arch", default="x86_64", help="architecture of the system tests")


@pytest.fixture(scope="session")
def root() -> Path:
    return ROOT


@pytest.fixture(scope="session")
def arch(request: pytest.FixtureRequest) -> arches.Arch:
    return arches.find(request.config.getoption("--arch"))


@pytest.fixture(scope="session")
def progress() -> Progress:
    return Progress()


@pytest.fixture(scope="session")
def cache() -> Cache:
    return Cache()


@pytest.fixture(scope="session")
def made(arch: arches.Arch, cache: Cache, progress: Progress) -> boot.Artefacts:
    """Everything built, once for all tests."""
    return boot.artefacts(arch, cache, progress)
