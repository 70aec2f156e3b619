# SPDX-License-Identifier: BSD-2-Clause
"""Kills drivers under a verified workload, one trial of a kind; more are nightly, and ./orchestrate faults."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from orchestration.base.rundir import RunDirectory
from orchestration.faults import campaign, results
from orchestration.faults import plan as plans
from orchestration.faults.inject import Injector
from orchestration.inspect import debuginfo
from orchestration.inspect.gdbstub import Stub
from orchestration.machine import boot
from orchestration.machine.progress import Progress

SEED = 20


@pytest.mark.parametrize(("kind", "count"), [
    ("kill", 1), ("hang", 1), pytest.param("kill", 5, marks=pytest.mark.nightly)])
def test_the_guest_sees_a_delay_and_no_error(made: boot.Artefacts, progress: Progress, tmp_path: Path, kind: str,
                                             count: int) -> None:
    work = campaign.Campaign(made, list(plans.DRIVERS), kind, SEED, progress, RunDirectory("campaign", tmp_path),
                             open=lambda name: RunDirectory(name, tmp_path))
    work.go(list(range(count)), lambda trial: progress.say(results.describe(trial)))
    assert [trial.outcome for trial in work.trials] == ["recovered"] * count * len(plans.DRIVERS), work.trials
    assert all(trial.deaths for trial in work.trials)
    assert {trial.driver for trial in work.trials} == set(plans.DRIVERS)
    assert (work.run.path / "trials.jsonl").read_text().count("\n") == len(work.trials)


class WithinAccesses(campaign.Campaign):
    """Kills the console at every instruction between the intent of an access to the UART and its note."""

    places: list[tuple[int, int]] = []  # noqa: RUF012 - filled before the first trial
    """Address, and one of the two ways to kill."""

    def inject(self, injector: Injector, stub: Stub, number: int) -> dict[str, Any]:
        if not self.places:
            self.places = [(place, way) for name in ("get", "put") for place in self.window(injector, stub, name)
                           for way in (0, 1)]
        address, way = self.places[number % len(self.places)]
        page = injector.arrive(stub, address, 1)
        assert page is not None
        return {"where": injector.program.place(address),
                **injector.kill(stub, plans.Plan("console", "kill", number, 0, 1, 0, way), page)}

    def window(self, injector: Injector, stub: Stub, name: str) -> list[int]:
        """Step through a function of the console until it has noted an access; return the places from its intent on."""
        known = debuginfo.read(self.made.bare / "console")
        fields = known.structs["state"]

        def value(at: int) -> int:
            # Another address space has nothing there; it may run when the UART had no room.
            return int.from_bytes(stub.read(self.made.abi.SERVER_DMA_VADDR + at, 8) or b"", "little")

        for _ in range(20):
            if injector.arrive(stub, known.symbols[name], 1) is None:
                break
            step = value(0)
            found: list[int] = []
            for _ in range(3000):
                stub.step()
                if value(fields["note.intent"]) >> 9 > step and injector.at_home(stub):
                    found.append(stub.register(injector.code.pc))
                # The last place is after the access and before its step is stored.
                if value(fields["note.done"]) >> 9 > step:
                    return found
        raise AssertionError(f"{name} makes no access")


@pytest.mark.nightly
def test_no_byte_is_lost_or_repeated_wherever_the_console_dies(made: boot.Artefacts, progress: Progress,
                                                               tmp_path: Path) -> None:
    work = WithinAccesses(made, ["console"], "kill", SEED, progress, RunDirectory("campaign", tmp_path),
                          open=lambda name: RunDirectory(name, tmp_path))
    work.go(list(range(20)), lambda trial: progress.say(results.describe(trial)))
    assert [trial.outcome for trial in work.trials] == ["recovered"] * 20, work.trials
    assert 16 <= len(work.places) <= 20


class Aimed(campaign.Campaign):
    """Stores a value into one variable of the driver."""

    entry, variable, member, value = "", "", "", 0

    def inject(self, injector: Injector, stub: Stub, number: int) -> dict[str, Any]:
        known = debuginfo.read(self.made.bare / injector.driver)
        place = known.symbols[self.variable] + known.variables[self.variable][self.member]
        page = injector.arrive(stub, known.symbols[self.entry], 1)
        assert page is not None
        at = stub.register(injector.code.pc)
        stored = injector.store(stub, place, 8, self.value)
        after = stub.register(injector.code.pc)
        # Whether the store faulted, or was not executed at all, tells whether driver or debugger is to blame.
        assert stored, f"from {at:#x} to {after:#x}; at {place:#x} is {stub.read(place, 8)!r}"
        return {"how": f"{self.variable}.{self.member} = {self.value:#x}"}


def aimed(made: boot.Artefacts, progress: Progress, folder: Path, driver: str, **what: Any) -> None:
    work = Aimed(made, [driver], "wild", SEED, progress, RunDirectory("campaign", folder),
                 open=lambda name: RunDirectory(name, folder))
    for name, value in what.items():
        setattr(work, name, value)
    work.go([0, 1], lambda trial: progress.say(results.describe(trial)))
    assert [trial.outcome for trial in work.trials] == ["recovered"] * 2, work.trials


def test_a_line_that_stays_raised_is_the_end_of_its_driver(made: boot.Artefacts, progress: Progress,
                                                           tmp_path: Path) -> None:
    if made.arch.name == "x86_64":
        pytest.skip("its drivers have messages, not lines")
    # The driver reads a register to lower its line; the pointer to it is changed. A GIC then interrupts for ever;
    # QEMU's PLIC never again, which the root pager's pings find.
    aimed(made, progress, tmp_path, "net", entry="backend_peek", variable="pci", member="isr",
          value=made.abi.SERVER_INFO_VADDR)


def test_a_request_that_changes_is_not_written(made: boot.Artefacts, progress: Progress, tmp_path: Path) -> None:
    aimed(made, progress, tmp_path, "console", entry="next_of_request", variable="sending", member="chain.readable",
          value=1 << 30)
