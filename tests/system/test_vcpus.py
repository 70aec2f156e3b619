# SPDX-License-Identifier: BSD-2-Clause
"""A guest with several vCPUs, without Linux (servers/vcpus.c): start, stop, RAM, IPIs, timers, tables."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from orchestration.base.arch import Arch
from orchestration.bench.sides import counted
from orchestration.bench.terms import Clock
from orchestration.build import system
from tests.system.small_guest import HERE, Outcome, runtime

VCPUS = 4
PASSED = ["page of the first", "start of one that there is not", "start of the first", "stop of the first",
          "start, page and arguments", "start of one that runs", "no way to one that there is not",
          "an IPI to oneself", "a token by IPIs", "atomic adds to shared RAM", "timers", "a page by the guest's table",
          "stores through it", "a translation that each flushes", "RAM unmapped for one",
          "one frame of all, which another one rewrites", "stop and start again",
          "the same while others send and flush", "all after that", "a turn between calls of the others"]


@pytest.fixture(scope="module")
def vcpus_guest(arch: Arch, compile_bare: Callable[..., Path]) -> Callable[..., Path]:
    """Compile the guest. last: what its vCPU 2 does last. calm: no vCPU starts while others work."""

    def make(last: str = "OFF", calm: bool = False) -> Path:
        sources = [HERE / arch.name / "start.S", HERE / arch.name / "secondary.S", HERE / "vcpus.c", *runtime()]
        return compile_bare(f"vcpus-{last}-{calm}", HERE / "guest.ld", sources, f"-DVCPUS_END={last}",
                            f"-DCALM={int(calm)}")

    return make


@pytest.mark.parametrize(("cpus", "in_turn"), [(1, True), (2, True), (4, True), (2, False), (4, False)])
def test_vcpus_work(run: Callable[..., Outcome], vcpus_guest: Callable[..., Path], arch: Arch, cpus: int,
                    in_turn: bool) -> None:
    """On CPUs that the emulator runs in turn, by instructions, or each in a thread of the host.

    A host that is busy has threads wait for the one that holds L4's lock: then fewer of them want it.
    """
    extra = tuple(counted(arch, Clock.INSTRUCTIONS)) if in_turn else ()
    outcome = run(guest=vcpus_guest(calm=not in_turn), vcpus=VCPUS,
                  change=lambda config: replace(config, cpus=cpus, extra=extra))
    assert [line for line in outcome.log if "ok " in line] == [f"guest: ok {what}" for what in PASSED]
    assert "root: guest powers off, status 7" in outcome.log
    assert any(line.startswith(f"root: linux has {VCPUS} vCPUs, ") and line.endswith(f" on {cpus} CPUs")
               for line in outcome.log)


def test_a_fault_of_any_vcpu_ends_the_guest(run: Callable[..., Outcome], vcpus_guest: Callable[..., Path]) -> None:
    outcome = run(guest=vcpus_guest("FAULT"), vcpus=VCPUS)
    assert any(line.startswith("root: guest panic: fault without an upcall entry that works at ")
               for line in outcome.log)


@pytest.mark.parametrize("vcpus", [0, 9])
def test_a_number_of_vcpus_that_no_guest_has_is_refused(run: Callable[..., Outcome], vcpus: int) -> None:
    outcome = run(vcpus=vcpus)
    assert f"root: error: system: a guest with {vcpus} vCPUs, and it can have from 1 to 8" in outcome.log


def test_servers_run_where_the_description_says(run: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch) -> None:
    """On another CPU than the guest's, where the machine has it."""
    moved = tuple(replace(server, cpu=1) for server in system.SERVERS)
    monkeypatch.setattr(system, "servers", lambda **ignored: moved)
    outcome = run(change=lambda config: replace(config, cpus=2))
    assert "root: guest powers off, status 7" in outcome.log
    assert not any(line.startswith("not ok") for line in outcome.guest)
