# SPDX-License-Identifier: BSD-2-Clause
"""--checks NAME: every machine of the tests has a Linux with this check (--debug), and a test fails by its reports.

What Linux prints at boot counts for the first test that has the guest.
"""

from __future__ import annotations

from collections.abc import Iterator
from weakref import WeakKeyDictionary

import pytest

from orchestration.base.arch import CHECKS
from orchestration.machine.description import Description
from orchestration.machine.reports import found
from quoll import Guest

SEEN: WeakKeyDictionary[Guest, int] = WeakKeyDictionary()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--checks", action="append", default=[], metavar="NAME", choices=CHECKS,
                     help="boot a Linux with the check of --debug NAME; a test fails by what it reports")


def pytest_configure(config: pytest.Config) -> None:
    if wanted := tuple(config.getoption("--checks")):
        # For every description that does not say more, wherever it is made.
        Description.model_fields["debug"].default = wanted
        Description.model_rebuild(force=True)


@pytest.fixture(autouse=True)
def no_report(request: pytest.FixtureRequest) -> Iterator[None]:
    """With --checks, fail a test in whose time its guest reported something."""
    if not request.config.getoption("--checks") or "guest" not in request.fixturenames:
        yield
        return
    guest: Guest = request.getfixturevalue("guest")
    yield
    text, seen = guest.console.text, SEEN.get(guest, 0)
    SEEN[guest] = len(text)
    assert found(text[seen:]) == []
