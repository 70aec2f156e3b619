# SPDX-License-Identifier: BSD-2-Clause
"""A pytest plugin: which tests run, in which order, and which of them one worker must run (tests/README.md)."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

UNIT = Path(__file__).with_name("unit")
# Fixtures that stand for a machine that several tests use: those tests run in one worker, so that it boots once.
MACHINES = {"guest": "guest", "machine": "machine", "sharing": "sharing"}
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
    if callspec is None:
        return ""
    return str(callspec.params.get("quoll_arch") or getattr(callspec.params.get("arch", ""), "name", ""))


def machine(fixtures: Iterable[str]) -> str:
    """Return the name of the machine that a test with these fixtures shares with others; an empty string for none."""
    return next((name for fixture, name in MACHINES.items() if fixture in fixtures), "")


def id_of(arch: str, fixtures: Iterable[str]) -> str:
    """Return what stands for an architecture in a test's name: with the machine that the test shares, as x86_64@guest.

    The main process has nothing but names to tell by which tests belong together.
    """
    shared = machine(fixtures)
    return f"{arch}@{shared}" if shared else arch


def scope(name: str) -> str:
    """Return what is the same for all tests that one worker must run: the machine, or the test's own name."""
    found = re.search(r"\[(?:[^]]*-)?(\w+@\w+)[-\]]", name)
    return found[1] if found else name


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Give a worker all tests of a machine at once (pytest-xdist 3.8's own groups have no effect with pytest 9.2)."""
    from xdist.scheduler import LoadScopeScheduling

    class Scheduling(LoadScopeScheduling):  # type: ignore[misc]
        def _split_scope(self, nodeid: str) -> str:
            return scope(nodeid)

    return Scheduling(config, log)


def everything_wanted(config: pytest.Config) -> bool:
    """Say whether the command line asks for nightly tests: by --nightly, by a mark, or by the name of a test."""
    return bool(config.getoption("--nightly") or config.option.markexpr or any("::" in word for word in config.args))


@pytest.hookimpl(wrapper=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> Iterator[None]:
    """Leave the nightly tests out and sort the others: what needs no machine comes first.

    The tests without a machine run while the builds go on beside them; after them come the architectures one after
    the other, each with the tests that share a machine first, as these take longest.
    """
    for item in items:
        if item.get_closest_marker("elsewhere_nightly") and architecture(item) not in {"", "x86_64"}:
            item.add_marker(pytest.mark.nightly)
    left_out = [] if everything_wanted(config) else [item for item in items if item.get_closest_marker("nightly")]
    if left_out:
        items[:] = [item for item in items if not item.get_closest_marker("nightly")]
        config.hook.pytest_deselected(items=left_out)
    config.stash[COUNT] = len(left_out)
    yield
    order = config.stash[ARCHES]

    def place(item: pytest.Item) -> tuple[bool, int, bool, str]:
        name, shared = architecture(item), machine(getattr(item, "fixturenames", ()))
        return UNIT not in item.path.parents, order.index(name) if name in order else -1, not shared, shared

    items.sort(key=place)


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
