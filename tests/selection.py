# SPDX-License-Identifier: BSD-2-Clause
"""A pytest plugin: which tests run, in which order, and which of them one worker must run (tests/README.md)."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

UNIT = Path(__file__).with_name("unit")
# Fixtures that stand for a machine that several tests use: those tests run in one worker, so that it boots once.
MACHINES = {"shared_guest": "guest", "machine": "machine"}
LEFT_OUT = "left_out"


def workers(cpus: int) -> int:
    """Return how many workers run the tests; 0: pytest itself. An emulated machine keeps one CPU busy."""
    return 2 if cpus >= 2 else 0


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Return what -n auto means."""
    return workers(len(os.sched_getaffinity(0)))


def architecture(item: pytest.Item) -> str:
    """Return the name of the architecture that a test runs for; an empty string for none."""
    callspec = getattr(item, "callspec", None)
    return str(getattr(callspec.params.get("arch", ""), "name", "")) if callspec else ""


def group(item: pytest.Item) -> str:
    """Return the name of the machine that a test shares with others; an empty string for none."""
    names = [name for fixture, name in MACHINES.items() if fixture in getattr(item, "fixturenames", ())]
    return f"{architecture(item)}-{names[0]}" if names and architecture(item) else ""


def everything_wanted(config: pytest.Config) -> bool:
    """Say whether the command line asks for nightly tests: by --nightly, by a mark, or by the name of a test."""
    return bool(config.getoption("--nightly") or config.option.markexpr or any("::" in word for word in config.args))


@pytest.hookimpl(wrapper=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> Iterator[None]:
    """Leave the nightly tests out, group the others by machine, and sort them: what needs no machine comes first.

    The tests without a machine run while the builds go on beside them; after them come the architectures one after
    the other, each with the tests that share a machine first, as these take longest.
    """
    left_out = [] if everything_wanted(config) else [item for item in items if item.get_closest_marker("nightly")]
    if left_out:
        items[:] = [item for item in items if item not in set(left_out)]
        config.hook.pytest_deselected(items=left_out)
    config.stash[COUNT] = len(left_out)
    for item in items:
        if group(item):
            item.add_marker(pytest.mark.xdist_group(group(item)))
    yield
    order = [str(name) for name in config.stash[ARCHES]]
    items.sort(key=lambda item: (UNIT not in item.path.parents,
                                 order.index(architecture(item)) if architecture(item) in order else -1,
                                 not group(item), group(item)))


COUNT = pytest.StashKey[int]()
ARCHES = pytest.StashKey[list[str]]()


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """A worker tells the main process what it left out."""
    output: dict[str, Any] | None = getattr(session.config, "workeroutput", None)
    if output is not None:
        output[LEFT_OUT] = session.config.stash.get(COUNT, 0)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """The main process hears it. Every worker collects the same tests."""
    node.config.stash[COUNT] = getattr(node, "workeroutput", {}).get(LEFT_OUT, node.config.stash.get(COUNT, 0))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say at the end what did not run."""
    count = config.stash.get(COUNT, 0)
    if count:
        terminalreporter.write_line(f"{count} nightly {'test was' if count == 1 else 'tests were'} left out; "
                                    "./orchestrate test --nightly runs them as well")
