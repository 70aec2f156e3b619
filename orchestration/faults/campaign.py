# SPDX-License-Identifier: BSD-2-Clause
"""Makes drivers fail under a verified workload and tells what became of each trial.

A trial is one fault (inject.py). It is over when the workload goes on, and, where the fault must end the driver, when
the root pager has told its death and a new one is ready. A machine that a trial has harmed is replaced by a new one.
"""

from __future__ import annotations

import json
import re
import statistics
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

from orchestration import boot, build, doctor
from orchestration.console import Channel, Line
from orchestration.errors import HangError, InfrastructureError, PanicError, QuollError
from orchestration.faults import inject
from orchestration.faults.verified import WORKLOADS, Verified
from orchestration.gdbstub import Stub
from orchestration.progress import Progress
from orchestration.rundir import RunDirectory
from orchestration.session import Session

RECOVERED, NO_EFFECT = "recovered", "no effect"
OUTCOMES = (RECOVERED, NO_EFFECT, "guest-visible error", "wrong data", "stalled", "guest crash", "host crash",
            "infrastructure")
GOOD = (RECOVERED, NO_EFFECT)
READY = re.compile(r"root: (\w+) ready")
# Seconds: until a driver must be back, until a wild store must have shown, between trials (so that a life counts as
# steady for the root pager's back-off), and of progress that ends a trial.
RECOVERY_LIMIT, WILD_LIMIT, PAUSE, CALM = 60.0, 4.0, 2.2, 0.3


class HarmError(QuollError):
    """A driver's fault did more than delay the guest."""

    exit_code = 117
    outcome = "harm"


@dataclass
class Trial:
    """What was done and what came of it. gap: seconds without progress of the workload, wall clock."""

    number: int
    outcome: str = ""
    gap: float = 0.0
    deaths: list[str] = field(default_factory=list)
    troubles: list[str] = field(default_factory=list)
    fault: dict[str, Any] = field(default_factory=dict)
    run: str = ""


@dataclass
class Campaign:
    """Trials of one driver and one kind, on machines that are booted when one is needed."""

    made: boot.Artefacts
    driver: str
    kind: str
    seed: int
    progress: Progress
    run: RunDirectory
    trials: list[Trial] = field(default_factory=list)
    session: Session | None = None
    workload: Verified | None = None
    ready: Counter[str] = field(default_factory=Counter)
    open: Callable[[str], RunDirectory] = RunDirectory

    def line(self, line: Line) -> None:
        """Take a line of the serial line, on its thread."""
        if line.channel is Channel.LOG and (match := READY.match(line.text)):
            self.ready[match[1]] += 1
        if self.workload is not None:
            self.workload.console_line(line)

    def start(self) -> tuple[Session, Verified]:
        """Return a machine with the workload running on it, booted if need be."""
        if self.session is None or self.workload is None:
            self.ready.clear()
            session = boot.prepare(self.made, Progress(quiet=True), self.open(f"faults-{self.made.arch.name}"))
            session.machine.on_line = self.line
            self.workload = None
            session.__enter__()
            self.session = session
            self.workload = WORKLOADS[self.driver](session)
            self.workload.start()
        return self.session, self.workload

    def drop(self, error: QuollError | None = None) -> None:
        """End the machine as it is."""
        if self.session is not None:
            self.session.finish(error)
        self.session = self.workload = None

    def trial(self, number: int) -> Trial:
        """Run one trial."""
        trial = Trial(number)
        try:
            session, workload = self.start()
            trial.run = str(session.machine.run.path.name)
            before = len(workload.wrong), len(workload.errors)
            self.carry_out(trial, session, workload)
            trial.troubles = workload.wrong[before[0]:] + workload.errors[before[1]:]
            if workload.remote is not None and workload.remote.error is not None:
                trial.troubles.append(f"the way into the guest: {workload.remote.error}")
            if len(workload.wrong) > before[0]:
                trial.outcome = "wrong data"
            elif trial.troubles:
                trial.outcome = "guest-visible error"
        except PanicError as error:
            trial.outcome = "guest crash" if error.message.startswith("Linux") else "host crash"
            trial.troubles = [error.message, *error.details[:12]]
            self.drop(error)
        except HangError as error:
            trial.outcome = "stalled"
            trial.troubles = [error.message]
            if self.workload is not None:
                trial.troubles += self.workload.troubles()[-8:]
            self.drop(error)
        except InfrastructureError as error:
            trial.outcome = "infrastructure"
            trial.troubles = [error.message, *error.details[:8]]
            self.drop(error)
        if trial.outcome not in GOOD and self.session is not None:
            self.drop()
        return trial

    def carry_out(self, trial: Trial, session: Session, workload: Verified) -> None:
        """Make the fault and wait for its end."""
        # What has happened so far is no part of the trial.
        session.check()
        deaths = len(session.deaths)
        ready = self.ready[self.driver]
        plan = inject.plan(self.seed, self.driver, self.kind, trial.number)
        injector = inject.Injector(self.made.arch, self.made.abi, self.driver, self.made.bare / self.driver)
        with Stub(session.machine) as stub:
            trial.fault = injector.inject(stub, plan)
        began = time.monotonic()
        units = workload.units

        def back() -> bool:
            if workload.ended():
                return True
            calm = bool(workload.stamps) and workload.units > units and time.monotonic() - began > CALM \
                and time.monotonic() - workload.stamps[-1] < CALM
            died, came = len(session.deaths) - deaths, self.ready[self.driver] - ready
            if self.kind == "wild" and not died:
                return calm and time.monotonic() - began > WILD_LIMIT
            return calm and died > 0 and came >= died

        session.wait_for(back, f"{self.driver} after {plan.kind}", RECOVERY_LIMIT)
        trial.gap = round(workload.quiet(began), 3)
        trial.deaths = session.deaths[deaths:]
        trial.outcome = RECOVERED if trial.deaths else NO_EFFECT
        pause = time.monotonic() + PAUSE
        while time.monotonic() < pause:
            session.wait(0.1)

    def finish(self) -> None:
        """Stop the workload, power off, and check what only then can be; a difference is the last trial's."""
        if self.session is None or self.workload is None:
            return
        session, workload = self.session, self.workload
        last = self.trials[-1]
        before = len(workload.wrong), len(workload.errors)
        try:
            workload.stop()
            session.power_off()
            workload.after_power_off()
        except QuollError as error:
            last.outcome = "stalled" if isinstance(error, HangError) else error.outcome
            last.troubles.append(f"at the end of the campaign: {error.message}")
            self.drop(error)
            return
        wrong, errors = workload.wrong[before[0]:], workload.errors[before[1]:]
        if wrong or errors:
            last.outcome = "wrong data" if wrong else "guest-visible error"
            last.troubles += [f"at the end of the campaign: {text}" for text in wrong + errors]
        self.drop()
        boot.discard_large_files(session.machine.run)

    def go(self, numbers: list[int], tell: Callable[[Trial], None]) -> None:
        """Run the trials; each is on the disk before the next begins."""
        try:
            for number in numbers:
                trial = self.trial(number)
                self.trials.append(trial)
                with self.run.file("trials.jsonl").open("a") as stream:
                    stream.write(json.dumps(asdict(trial)) + "\n")
                tell(trial)
            self.finish()
        finally:
            self.drop()
            self.run.write_json("result.json", self.result())

    def result(self) -> dict[str, Any]:
        """Return everything, for JSON."""
        return {"arch": self.made.arch.name, "driver": self.driver, "kind": self.kind, "seed": self.seed,
                "outcomes": dict(Counter(trial.outcome for trial in self.trials)),
                "gap": gaps(self.trials), "trials": [asdict(trial) for trial in self.trials]}

    def bad(self) -> list[Trial]:
        """Return the trials that did harm."""
        return [trial for trial in self.trials if trial.outcome not in (*GOOD, "infrastructure")]


def gaps(trials: list[Trial]) -> dict[str, float]:
    """Return median and maximum of the gaps of trials that recovered, in seconds."""
    found = [trial.gap for trial in trials if trial.outcome == RECOVERED]
    return {"median": round(statistics.median(found), 3), "max": max(found)} if found else {}


def table(results: list[dict[str, Any]]) -> list[str]:
    """Return the outcomes of campaigns as a table in Markdown."""
    shown = [name for name in OUTCOMES if name in GOOD or any(result["outcomes"].get(name) for result in results)]
    lines = [f"| architecture | driver | kind | trials | {' | '.join(shown)} | gap, median | gap, longest |",
             "|---" * (len(shown) + 6) + "|"]
    for result in results:
        counts = [str(result["outcomes"].get(name, 0)) for name in shown]
        gap = result["gap"]
        spans = [f"{gap[name]:.2f} s" if gap else "-" for name in ("median", "max")]
        lines.append(f"| {result['arch']} | {result['driver']} | {result['kind']} | {len(result['trials'])} | "
                     f"{' | '.join([*counts, *spans])} |")
    return lines


def describe(trial: Trial) -> str:
    """Return one line on a trial."""
    fault = trial.fault
    text = f"{trial.number:4} {trial.outcome:<12} {trial.gap:6.2f} s  {fault.get('where', '')}: {fault.get('how', '')}"
    return "\n".join([text, *(f"       | {line}" for line in trial.troubles[:6])])


def campaign(arch_made: boot.Artefacts, driver: str, kind: str, seed: int, progress: Progress) -> Campaign:
    """Return a campaign with a folder of its own."""
    assert driver in build.SERVERS
    return Campaign(arch_made, driver, kind, seed, progress,
                    RunDirectory(f"{arch_made.arch.name}-{driver}-{kind}", doctor.cache_root() / "faults"))
