# SPDX-License-Identifier: BSD-2-Clause
"""Drivers on another CPU than the guest: where they run, where their interrupts come, killed, moved."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from orchestration.base.arch import Arch
from orchestration.build import quoll, system
from orchestration.inspect import placement
from orchestration.inspect.gdbstub import Stub
from orchestration.machine.qemu import Config, Machine
from tests.system.small_guest import PASSED, SOURCES, Outcome, results

CPUS = 2
DRIVERS = ("console", "block", "net")


def several(config: Config) -> Config:
    return replace(config, cpus=CPUS)


def put(monkeypatch: pytest.MonkeyPatch, cpu: int) -> None:
    """Have all drivers begin on a CPU."""
    moved = tuple(replace(server, cpu=cpu) for server in system.SERVERS)
    monkeypatch.setattr(system, "servers", lambda **ignored: moved)


@pytest.fixture
def interrupts(arch: Arch, bare: Path) -> Callable[[Machine], list[placement.Interrupt]]:
    """Return the interrupts that came to a machine."""

    def read(machine: Machine) -> list[placement.Interrupt]:
        with Stub(machine) as stub:
            found = placement.interrupts(stub, bare / quoll.KERNEL, quoll.abi(arch))
        return [one for one in found.values() if one.taken]

    return read


def drivers_of(found: list[placement.Interrupt], cpu: int) -> list[placement.Interrupt]:
    """Return the interrupts that go to a CPU, and came there last."""
    return [one for one in found if (one.cpu, one.taken_cpu) == (cpu, cpu)]


@pytest.mark.parametrize("cpu", [0, 1])
def test_an_interrupt_comes_where_its_driver_runs(run: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch,
                                                  cpu: int, interrupts: Callable[..., Any]) -> None:
    seen: list[placement.Interrupt] = []

    def look(machine: Machine, text: str) -> None:
        if text == "done":
            seen.extend(interrupts(machine))

    put(monkeypatch, cpu)
    outcome = run(change=several, on_line=look)
    assert results(outcome) == PASSED
    assert "root: guest powers off, status 7" in outcome.log
    # The disk's and the card's at least; that of the root pager's clock comes to CPU 0.
    there = drivers_of(seen, cpu)
    assert len(there) >= 2, seen
    assert len(there) + len(drivers_of(seen, 0)) * (cpu != 0) == len(seen), seen


@pytest.mark.parametrize(("name", "every"), [("block", 400), ("net", 3), ("console", 4)])
def test_a_driver_dies_on_another_cpu(run: Callable[..., Outcome], crashing: Callable[..., Path], name: str,
                                      every: int, monkeypatch: pytest.MonkeyPatch,
                                      interrupts: Callable[..., Any]) -> None:
    """It is started again there, and neither a request nor an interrupt is lost."""
    seen: list[placement.Interrupt] = []

    def look(machine: Machine, text: str) -> None:
        if text == "done":
            seen.extend(interrupts(machine))

    put(monkeypatch, 1)
    outcome = run(servers={name: crashing(name, every)}, change=several, on_line=look)
    assert outcome.died(name) >= 2
    assert list(dict.fromkeys(results(outcome))) == PASSED
    assert "root: guest powers off, status 7" in outcome.log
    assert len(drivers_of(seen, 1)) >= 2, seen


def test_drivers_and_the_guest_are_moved(run: Callable[..., Outcome], arch: Arch, monkeypatch: pytest.MonkeyPatch,
                                         interrupts: Callable[..., Any]) -> None:
    """All that runs on CPU 0 goes to CPU 1 while it runs, and what the guest does next goes by their new CPU."""
    before: list[placement.Interrupt] = []
    after: list[placement.Interrupt] = []
    missing = {f"root: server {name} goes from CPU 0 to CPU 1" for name in DRIVERS} | {
        "root: vCPU 0 goes from CPU 0 to CPU 1"}

    def act(machine: Machine, text: str) -> None:
        if text == "done":
            before.extend(interrupts(machine))
            abi = quoll.abi(arch)
            assert placement.show(machine, machine.run, abi) == dict.fromkeys((*DRIVERS, "vcpu0"), 0)
            placement.move(machine, machine.run, abi, dict.fromkeys((*DRIVERS, "vcpu0"), 1))
            assert placement.show(machine, machine.run, abi) == dict.fromkeys((*DRIVERS, "vcpu0"), 1)
        elif text in missing:
            missing.remove(text)
            if not missing:
                machine.send(b"d\n")
        elif text == "ok blocks again":
            after.extend(interrupts(machine))
            machine.send(b"q\n")

    put(monkeypatch, 0)
    outcome = run("", change=several, on_line=act)
    assert results(outcome) == [*PASSED, "ok blocks again"]
    assert outcome.deaths()["block"] == 0
    assert "root: guest powers off, status 7" in outcome.log
    assert len(drivers_of(before, 0)) == len(before)
    assert drivers_of(after, 1), after
    assert sum(one.taken for one in after) > sum(one.taken for one in before)


def test_a_driver_that_hangs_alone_on_its_cpu_is_restarted(run: Callable[..., Outcome], crashing: Callable[..., Path],
                                                           monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether those of another CPU answer says nothing of it; that it takes all the time and never waits does."""
    moved = tuple(replace(server, cpu=int(server.program == "block")) for server in system.SERVERS)
    monkeypatch.setattr(system, "servers", lambda **ignored: moved)
    outcome = run(servers={"block": crashing("block", 1000, hangs=True)}, change=several)
    assert "root: server block died: takes the time of all and never waits" in outcome.log
    assert outcome.deaths() == dict.fromkeys(SOURCES, 0) | {"block": outcome.deaths()["block"]}
    assert results(outcome) == PASSED
