# SPDX-License-Identifier: BSD-2-Clause
"""Runs a suite's tests one by one in a machine, and boots that again when a test has lost it."""

from __future__ import annotations

import math
import re
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import wait as wait_for
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from orchestration.base.errors import HangError, InfrastructureError, PanicError, QuollError, printable
from orchestration.conform.kept import Kept
from orchestration.conform.outcome import Outcome, Status
from orchestration.conform.suite import Suite, Test
from orchestration.machine import boot, ssh, streams
from orchestration.machine.session import Session

# Tests in a row that lost their machine, after which the rest of a suite is given up.
LOSSES = 8
UNPACK_LIMIT = 300.0
# What udev makes in other systems; runners write there.
STREAMS = ("for pair in stdin/0 stdout/1 stderr/2; do ln -sfn /proc/self/fd/${pair#*/} /dev/${pair%/*}; done; "
           "ln -sfn /proc/self/fd /dev/fd")
# What other programs, such as those that keep the files of a CI job, take in no name.
UNSAFE = re.compile(r"[^\w.+-]")
# Seconds between two looks for an interruption.
POLL = 0.5


class Stopped(Exception):
    """The command was interrupted."""


@dataclass
class Side:
    """One of the two that are compared. prepare() makes a session; outcomes fill up while it runs."""

    name: str
    prepare: Callable[[], Session]
    suite: Suite
    packed: Path | None
    """The suite's files, to be unpacked in the guest."""
    kept: Kept | None = None
    """Where results go as they come."""
    until: float = math.inf
    """By time.monotonic(): no test starts later."""
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    session: Session | None = None
    boots: int = 0
    losses: int = 0
    """Tests in a row that lost the machine."""
    reports: list[str] = field(default_factory=list)
    """What checks that are compiled into the machine's Linux have reported; it grows by itself."""
    reported: int = 0
    """How many of them have a test."""
    stopped: threading.Event = field(default_factory=threading.Event)

    def run(self, tests: Iterable[Test], tell: Callable[[Side, Test], None]) -> None:
        """Run the tests that have no outcome yet; tell is called after each."""
        try:
            for test in tests:
                if test.name in self.outcomes:
                    continue
                begun = time.monotonic()
                if begun >= self.until:
                    break
                self.outcomes[test.name] = self.with_report(self.outcome(test))
                if self.kept is not None:
                    self.kept.note(test, self.outcomes[test.name], time.monotonic() - begun)
                tell(self, test)
        except QuollError as error:
            if self.stopped.is_set():
                raise Stopped from error
            raise
        finally:
            self.end(None)

    def outcome(self, test: Test) -> Outcome:
        """Run one test and return what it came to. A panic or a hang is its failure."""
        if self.session is None:
            if self.losses >= LOSSES:
                return Outcome(Status.ABSENT, f"{LOSSES} tests in a row lost the machine before")
            self.boots += 1
            try:
                self.start()
            except QuollError as error:
                # A machine that does not boot at all is an error of the whole run; one that has is not lost for good.
                if self.boots == 1 or self.stopped.is_set():
                    raise
                self.losses += 1
                self.end(error)
                return Outcome(Status.FAIL, f"the machine did not boot again: {error.message}", lost=True)
        assert self.session is not None
        assert self.session.connection is not None
        out = streams.Buffer()
        log = self.session.machine.run.file(f"{UNSAFE.sub('-', test.name)}.log")
        try:
            status = ssh.run(self.session.connection, f"({test.command}) 2>&1\nexit $?", out=out, err=out,
                             limit=test.limit * self.session.tracker.scale, check=self.check)
            self.hear_out()
        except ssh.Overdue:
            log.write_bytes(out.data)
            self.losses += 1
            with suppress(QuollError):
                self.hear_out()
            self.end(None)
            return Outcome(Status.FAIL, f"did not end in {test.limit:g} s", self.suite.read(out.data, 1).parts,
                           late=True)
        except (PanicError, HangError, InfrastructureError) as error:
            if self.stopped.is_set():
                raise Stopped from error
            log.write_bytes(out.data)
            self.losses += 1
            self.end(error)
            return Outcome(Status.FAIL, f"lost the machine: {error.message}", self.suite.read(out.data, 1).parts,
                           lost=True)
        log.write_bytes(out.data)
        self.losses = 0
        return self.suite.read(out.data, status)

    def hear_out(self) -> None:
        """Wait for what the machine's Linux has reported, which comes by another way than a test's status."""
        assert self.session is not None
        if self.session.watches:
            self.session.hear_out()

    def with_report(self, came_to: Outcome) -> Outcome:
        """Return a test's outcome with the first report since the test before; those at boot are the first test's."""
        fresh, self.reported = self.reports[self.reported:], len(self.reports)
        return replace(came_to, report=fresh[0]) if fresh else came_to

    def check(self) -> bool:
        """Handle what the machine has said; raise Stopped when the command was interrupted."""
        if self.stopped.is_set():
            raise Stopped
        assert self.session is not None
        return self.session.check()

    def start(self) -> None:
        """Boot, and put the suite there."""
        self.session = self.prepare()
        self.reports, self.reported = self.session.reports, 0
        self.session.open()
        place = self.suite.place
        steps = [(STREAMS, b""), (self.suite.setup, b"")]
        if self.packed is not None:
            steps.append((f"mkdir -p {place} && tar -C {place} -xzf -", self.packed.read_bytes()))
        for command, source in steps:
            done = self.session.shell_run(command, source=source, limit=UNPACK_LIMIT)
            if done.status:
                raise InfrastructureError(f"the suite {self.suite.name} cannot be set up in {self.name}: "
                                          f"{printable(done.err.decode(errors='replace').strip())}")

    def end(self, error: QuollError | None) -> None:
        """End the machine, if there is one."""
        session, self.session = self.session, None
        if session is not None:
            session.finish(error)
            if error is None:
                boot.discard_large_files(session.machine.run)

    def stop(self) -> None:
        """Have run() end soon. The thread that runs it closes its session; a boot ends when its machine does."""
        self.stopped.set()
        session = self.session
        if session is not None:
            session.machine.kill()


def run(sides: list[Side], tests: list[Test], tell: Callable[[Side, Test], None]) -> None:
    """Run all tests on all sides, which are machines that run at the same time, each in a thread."""
    with ThreadPoolExecutor(len(sides)) as pool:
        futures = [pool.submit(side.run, tests, tell) for side in sides]
        try:
            while (waiting := wait_for(futures, POLL)).not_done:
                if any(future.exception() for future in waiting.done):
                    break
        finally:
            while left := [side for side, future in zip(sides, futures, strict=True) if not future.done()]:
                # A machine may just be starting: look again.
                for side in left:
                    side.stop()
                time.sleep(POLL)
        for future in futures:
            with suppress(Stopped):
                future.result()
