# SPDX-License-Identifier: BSD-2-Clause
"""Makes drivers fail under a verified workload and tells what became of each trial.

A trial is one fault (inject.py) in one driver. It is over when the driver's workload goes on, and, where the fault must
end the driver, when the root pager has told its death and a new one is ready. Several drivers take turns on one
machine, each under its own workload, all the time: a round is one trial of each. What takes seconds to show is watched
together: the wild stores of a round, and two hangs, while the third driver answers, since the root pager takes the
silence of all of them for that of a busy host. A machine that a trial has harmed is replaced by a new one.
"""

from __future__ import annotations

import itertools
import json
import re
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

from orchestration.base.errors import HangError, InfrastructureError, PanicError, QuollError
from orchestration.base.rundir import RunDirectory, runs_folder
from orchestration.build import quoll
from orchestration.faults import inject, stress
from orchestration.faults import plan as plans
from orchestration.faults.lane import Lane
from orchestration.faults.results import GOOD, NO_EFFECT, RECOVERED, Trial, gaps
from orchestration.faults.verified import WORKLOADS, with_folders
from orchestration.inspect.gdbstub import Stub
from orchestration.machine import boot
from orchestration.machine.console import Channel, Line
from orchestration.machine.progress import Progress
from orchestration.machine.session import Session

READY = re.compile(r"root: (\w+) ready")
# Seconds: until a driver must be back, and between its trials, so that a life counts as steady for the root pager's
# back-off.
RECOVERY_LIMIT, PAUSE = 60.0, 2.2
# How many drivers of a machine fail together.
TOGETHER = {"kill": 1, "hang": 2, "wild": 3, "register": 3}


@dataclass
class Campaign:
    """Trials of some drivers and one kind, on machines that are booted when one is needed."""

    made: boot.Artefacts
    drivers: list[str]
    kind: str
    seed: int
    progress: Progress
    run: RunDirectory
    trials: list[Trial] = field(default_factory=list)
    session: Session | None = None
    lanes: list[Lane] = field(default_factory=list)
    open: Callable[[str], RunDirectory] = RunDirectory
    setting: stress.Setting = field(default_factory=stress.Setting)
    """Of its machines; made is of it."""
    stress: stress.Stress | None = None
    stressors: list[tuple[str, int]] = field(default_factory=list)
    """With their statuses, of machines that have ended."""
    complaints: list[str] = field(default_factory=list)
    """Of the stressors, and what Linux said meanwhile; of machines that have ended."""
    since: float | None = None
    """When the workloads of the first machine ran."""

    def line(self, line: Line) -> None:
        """Take a line of the serial line, on its thread."""
        match = READY.match(line.text) if line.channel is Channel.LOG else None
        for lane in self.lanes:
            if match is not None and match[1] == lane.driver:
                lane.ready += 1
            lane.workload.console_line(line)

    def prepare(self, run: RunDirectory) -> Session:
        """Return the session of a machine that is not booted yet."""
        machine = with_folders(self.setting.machine(self.made.arch), self.drivers, run)
        return boot.prepare(machine, self.made, Progress(quiet=True), run)

    def start(self) -> Session:
        """Return a machine with the workloads running on it, booted if need be."""
        if self.session is None:
            session = self.prepare(self.open(f"faults-{self.made.arch.name}"))
            session.machine.on_line = self.line
            session.open()
            self.session = session
            self.lanes = [Lane(driver, WORKLOADS[driver](session)) for driver in self.drivers]
            if self.setting.stressed:
                self.stress = stress.Stress(session, self.seed, self.setting)
                self.stress.prepare()
            for lane in self.lanes:
                lane.workload.start()
            if self.stress is not None:
                self.stress.start()
            self.since = self.since or time.monotonic()
        return self.session

    def drop(self, error: QuollError | None = None) -> None:
        """End the machine as it is."""
        if self.session is not None:
            self.session.finish(error)
        if self.stress is not None:
            self.stressors += self.stress.results
            self.complaints += self.stress.troubles()
        self.session, self.stress = None, None
        self.lanes = []

    def round(self, number: int) -> list[Trial]:
        """Make the trial of this number with each driver."""
        trials = [Trial(number, driver=driver) for driver in self.drivers]
        try:
            session = self.start()
            # What has happened so far is no part of the trials.
            session.check()
            for text in self.stress.check() if self.stress is not None else ():
                self.progress.say(f"       | stress-ng: {text}")
            trials = [lane.begin(number, self.died(lane)) for lane in self.lanes]
            size = TOGETHER[self.kind]
            for first in range(0, len(self.lanes), size):
                batch = self.lanes[first:first + size]
                for lane in batch:
                    self.strike(session, lane)
                self.see_through(session, batch)
        except PanicError as error:
            outcome = "guest crash" if error.message.startswith("Linux") else "host crash"
            self.spoil(trials, outcome, [error.message, *error.details[:12]], error)
        except HangError as error:
            self.spoil(trials, "stalled", [error.message], error)
        except InfrastructureError as error:
            self.spoil(trials, "infrastructure", [error.message, *error.details[:8]], error)
        if any(trial.outcome not in GOOD for trial in trials):
            self.drop()
        return trials

    def died(self, lane: Lane) -> int:
        """Return how often a driver has died on this machine."""
        assert self.session is not None
        return sum(text.startswith(f"{lane.driver} ") for text in self.session.deaths)

    def strike(self, session: Session, lane: Lane) -> None:
        """Make the fault, once the driver's life counts as steady for the root pager's back-off."""
        trial = lane.trial
        assert trial is not None
        trial.run = str(session.machine.run.path.name)
        while time.monotonic() < lane.rested:
            session.wait(0.1)
        injector = inject.Injector(self.made.arch, self.made.abi, lane.driver, self.made.bare / lane.driver)
        with Stub(session.machine) as stub:
            trial.fault = self.inject(injector, stub, trial.number)
        lane.began = time.monotonic()
        lane.units = lane.workload.units

    def inject(self, injector: inject.Injector, stub: Stub, number: int) -> dict[str, Any]:
        """Make the fault of this number; return what was done."""
        return injector.inject(stub, plans.plan(self.seed, injector.driver, self.kind, number))

    def see_through(self, session: Session, lanes: list[Lane]) -> None:
        """Wait for the end of the trials of some lanes, and note what came of each."""
        waiting = list(lanes)

        def some_ended() -> bool:
            for lane in waiting[:]:
                if lane.over(self.died(lane) - lane.deaths, self.kind):
                    self.judge(session, lane)
                    waiting.remove(lane)
            return not waiting

        session.wait_for(some_ended, f"{' and '.join(lane.driver for lane in lanes)} after {self.kind}", RECOVERY_LIMIT)
        # A wild store may show late, while another's is still watched.
        for lane in lanes:
            if lane.trial is not None and len(lane.trial.deaths) < self.died(lane) - lane.deaths:
                session.wait_for(lambda lane=lane: lane.over(self.died(lane) - lane.deaths, self.kind),  # type: ignore[misc]
                                 f"{lane.driver} after {self.kind}", RECOVERY_LIMIT)
            self.judge(session, lane)

    def judge(self, session: Session, lane: Lane) -> None:
        """Note the outcome of a trial that is over."""
        trial = lane.trial
        assert trial is not None
        trial.gap = round(lane.workload.quiet(lane.began), 3)
        trial.deaths = [text for text in session.deaths if text.startswith(f"{lane.driver} ")][lane.deaths:]
        wrong, errors = lane.troubles()
        trial.troubles = wrong + errors
        trial.outcome = ("wrong data" if wrong else "guest-visible error" if errors else
                         RECOVERED if trial.deaths else NO_EFFECT)
        if trial.deaths:
            lane.rested = time.monotonic() + PAUSE

    def spoil(self, trials: list[Trial], outcome: str, troubles: list[str], error: QuollError) -> None:
        """Write down an end of the machine, for every trial of the round that was not over, and end it.

        Whose fault it was cannot be told, and one too many is better than none.
        """
        for trial in trials:
            if not trial.outcome:
                lane = next((lane for lane in self.lanes if lane.trial is trial), None)
                trial.outcome = outcome
                trial.troubles = troubles + (lane.workload.troubles()[-8:] if lane is not None else [])
        self.drop(error)

    def finish(self) -> list[Trial]:
        """Stop the workloads, power off, and check what only then can be.

        A difference is the last trial's; return those that it changed.
        """
        if self.session is None:
            return []
        session, lanes = self.session, self.lanes
        last = {trial.driver: trial for trial in self.trials}
        before = {lane.driver: (len(lane.workload.wrong), len(lane.workload.errors)) for lane in lanes}
        try:
            if self.stress is not None:
                self.stress.stop()
            for lane in lanes:
                lane.workload.stop()
            session.power_off()
            for lane in lanes:
                lane.workload.after_power_off()
        except QuollError as error:
            for trial in last.values():
                trial.outcome = "stalled" if isinstance(error, HangError) else error.outcome
                trial.troubles.append(f"at the end of the campaign: {error.message}")
            self.drop(error)
            return list(last.values())
        changed = []
        for lane in lanes:
            wrong, errors = (lane.workload.wrong[before[lane.driver][0]:],
                             lane.workload.errors[before[lane.driver][1]:])
            if wrong or errors:
                last[lane.driver].outcome = "wrong data" if wrong else "guest-visible error"
                last[lane.driver].troubles += [f"at the end of the campaign: {text}" for text in wrong + errors]
                changed.append(last[lane.driver])
        self.drop()
        boot.discard_large_files(session.machine.run)
        return changed

    def numbers(self, minutes: float) -> Iterator[int]:
        """Yield the numbers of trials from 0 until so long after the workloads have begun, one at least."""
        for number in itertools.count():
            yield number
            if self.since is None or time.monotonic() > self.since + 60 * minutes:
                return

    def go(self, numbers: Iterable[int], tell: Callable[[Trial], None]) -> None:
        """Run the trials; each is on the disk before the next round begins, once more if the end changes it."""
        def note(trial: Trial) -> None:
            with self.run.file("trials.jsonl").open("a") as stream:
                stream.write(json.dumps(asdict(trial)) + "\n")
            tell(trial)

        try:
            for number in numbers:
                for trial in self.round(number):
                    self.trials.append(trial)
                    note(trial)
            for trial in self.finish():
                note(trial)
        finally:
            self.drop()
            self.run.write_json("result.json", self.results())

    def results(self) -> list[dict[str, Any]]:
        """Return everything, for JSON: one record a driver."""
        mine = {driver: [trial for trial in self.trials if trial.driver == driver] for driver in self.drivers}
        return [{"arch": self.made.arch.name, "cpus": self.setting.cpus, "driver": driver, "kind": self.kind,
                 "seed": self.seed,
                 "outcomes": dict(Counter(trial.outcome for trial in trials)), "gap": gaps(trials),
                 **({"stress": stress.summary(self.stressors, self.complaints)} if self.setting.stressed else {}),
                 "trials": [asdict(trial) for trial in trials]} for driver, trials in mine.items()]

    def bad(self) -> list[Trial]:
        """Return the trials that did harm."""
        return [trial for trial in self.trials if trial.outcome not in (*GOOD, "infrastructure")]


def campaign(made: boot.Artefacts, setting: stress.Setting, drivers: list[str], kind: str, seed: int,
             progress: Progress) -> Campaign:
    """Return a campaign with a folder of its own."""
    assert set(drivers) <= set(quoll.SERVERS)
    name = f"{made.arch.name}-{'-'.join(drivers)}-{kind}"
    return Campaign(made, drivers, kind, seed, progress, RunDirectory(name, runs_folder("faults")), setting=setting)
