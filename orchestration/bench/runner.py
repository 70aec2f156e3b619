# SPDX-License-Identifier: BSD-2-Clause
"""Measures: boots the sides, runs the workloads, stores each figure at once, and goes on after what fails.

Each workload has machines of its own, so that what it counts depends neither on which others are run nor on what they
leave behind. Under the counting clock a side is booted after the other. For wall time all sides are up together and
take turns, so that a machine whose speed changes slows all of them.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from orchestration.base import doctor
from orchestration.base.arch import Arch
from orchestration.base.cache import Cache, hash_file
from orchestration.base.errors import InfrastructureError, QuollError, WorkloadError
from orchestration.base.roots import TINY
from orchestration.base.rundir import RunDirectory
from orchestration.bench import compare, distribution, execution, kit, memory, scale, sides
from orchestration.bench.sides import Side
from orchestration.bench.store import Failure, Record, Sample, Store
from orchestration.bench.terms import DISTRIBUTION, KIND, SCALE, TRACED, Clock
from orchestration.bench.workload import Workload, load, one_rootfs
from orchestration.build import quoll
from orchestration.machine import boot
from orchestration.machine.description import DEFAULT_MEMORY
from orchestration.machine.progress import Progress
from orchestration.machine.qemu import MIB, Config
from orchestration.machine.session import Session

# Runnable tasks of the host while wall time was measured, at most: what such figures are worth.
BUSIEST = "highest load of the host"
PEERS = {**sides.PEERS, DISTRIBUTION: distribution.side}
DONE, INTERRUPTED = "done", "interrupted"


@dataclass
class Bench:
    """One run of the bench: an architecture, its sides, and the workloads by clock."""

    arch: Arch
    cache: Cache
    store: Store
    progress: Progress
    workloads: Sequence[Workload]
    clocks: Sequence[Clock]
    rounds: int
    sides: list[Side] = field(default_factory=list)
    versions: dict[str, str] = field(default_factory=dict)
    """Versions of Linux, by side, of those that have booted."""
    unbootable: dict[str, QuollError] = field(default_factory=dict)
    errors: list[QuollError] = field(default_factory=list)
    cpus: Sequence[int] = ()
    """Numbers of CPUs, each of which makes a side of every system; none: one CPU and a kernel that can have no more."""

    def build(self, against: Iterable[str]) -> None:
        """Build all sides."""
        wanted = {name: None for workload in self.workloads for name in workload.description.host_packages}
        if wanted:
            doctor.ensure_packages(list(wanted))
        root = one_rootfs(self.workloads)
        if self.cpus:
            self.sides = scale.sides_of(self.arch, self.cache, self.progress, root, against, self.cpus)
            return
        self.sides = [sides.guest(self.arch, self.cache, self.progress, root),
                      *(PEERS[name](self.arch, self.cache, self.progress, root) for name in against)]

    def root(self, workload: Workload, clock: Clock, side: Side) -> Path:
        """Return the root file system that a workload runs on under a clock: an archive or a disk's image.

        Of tiny all sides have the same, with the guest's modules; Debian has those of the side's own kernel.
        """
        if workload.in_memory(clock):
            return memory.archive(self.arch, self.cache, workload)
        owner = side if workload.description.rootfs != TINY else self.sides[0]
        return kit.disk(self.arch, self.cache, workload, owner.modules)

    def facts(self, runnable: Iterable[Workload]) -> dict[str, object]:
        """Return what a run says of its circumstances; runnable are the workloads that it has the files of."""
        conditions = {
            "emulator": sides.emulator_version(self.arch), "accelerator": "tcg", "machine": self.arch.machine,
            "CPU": self.arch.cpu, "CPU under the counting clock": self.arch.counted_cpu,
            "memory": f"{Config.memory // MIB} MiB", "memory of Linux": f"{DEFAULT_MEMORY // MIB} MiB",
            "compiler": quoll.compiler_version(self.arch.compiler).strip().splitlines()[-1],
            "root file system": one_rootfs(self.workloads),
            **({"CPUs": scale.listed(self.cpus)} if self.cpus else {}),
            **{f"{compare.OPTIONS}{side.name}": hash_file(side.config)[:16] for side in self.sides}}
        return {
            compare.CONDITIONS: conditions,
            compare.WORKLOADS: {one.name: kit.digest(self.arch, self.cache, one) for one in runnable},
            "revision": sides.revision(), "host": f"{platform.system()} {platform.release()} {platform.machine()}",
            "rounds of wall time": self.rounds,
            "options that differ": {side.name: sides.option_differences(self.sides[0].config, side.config)
                                    for side in self.sides[1:]}}

    def measure(self, against: Iterable[str]) -> Record:
        """Build, run everything, and return the record. What failed is in the record and in self.errors."""
        self.build(against)
        roots: dict[tuple[str, Clock], dict[str, Path]] = {}
        problems = []
        for workload in self.workloads:
            with self.progress.step(f"files of {workload.name}"):
                try:
                    kit.pack(self.arch, self.cache, workload)
                    for clock in self.clocks:
                        if clock in workload.description.clocks:
                            roots[workload.name, clock] = {side.name: self.root(workload, clock, side)
                                                           for side in self.sides}
                except QuollError as error:
                    problems.append((workload, error))
        broken = {workload.name for workload, _ in problems}
        facts = self.facts([one for one in self.workloads if one.name not in broken])
        record = self.store.begin(SCALE if self.cpus else KIND, self.arch.name, facts)
        outcome = INTERRUPTED
        try:
            for workload, problem in problems:
                self.note(record, workload, "", "", problem)
            for clock in self.clocks:
                for workload in self.workloads:
                    if clock in workload.description.clocks and workload.name not in broken:
                        self.progress.say(f"{workload.name}, {clock}")
                        one = self.count if clock is Clock.INSTRUCTIONS else self.time
                        one(record, workload, roots[workload.name, clock])
            outcome = self.errors[0].outcome if self.errors else DONE
        finally:
            self.store.end(record, outcome)
        return record

    def note(self, record: Record, workload: Workload, side: str, clock: str, error: QuollError) -> None:
        """Note a failure; the run goes on."""
        shown = type(error)(f"{side}: {error.message}", error.hint, error.details) if side else error
        self.errors.append(shown)
        self.store.fail(record, Failure(workload.name, side, clock, error.outcome, error.message))
        for line in shown.lines():
            self.progress.say(f"  {line}")

    def boot(self, side: Side, workload: Workload, clock: Clock, root: Path) -> Session:
        """Return a session that is not booted yet."""
        run = RunDirectory(f"{workload.name}-{side.name}-{clock}", self.cache.root / "bench-runs")
        return side.in_memory(root, run) if workload.in_memory(clock) else side.session(root, clock, run)

    def up(self, stack: ExitStack, record: Record, side: Side, workload: Workload, clock: Clock, root: Path) -> Session:
        """Boot a side until the stack's end. One that did not boot the first time is not waited for again."""
        if side.name in self.unbootable:
            error = self.unbootable[side.name]
            raise type(error)(f"{error.message} (not tried again)", error.hint)
        try:
            session = stack.enter_context(self.boot(side, workload, clock, root))
            if not workload.in_memory(clock):
                self.started(record, side, session.run(["uname", "-r"]).text)
        except QuollError as error:
            if side.name not in self.versions:
                self.unbootable[side.name] = error
            raise
        return session

    def started(self, record: Record, side: Side, version: str) -> None:
        """Check that a booted side is what it should be: the same Linux as the others."""
        self.versions[side.name] = version
        if side.name == DISTRIBUTION:
            # Whatever Debian has; a fix or two more or less do not show in whole programs.
            record.facts[compare.CONDITIONS][f"Linux of {DISTRIBUTION}"] = version
            self.store.add_facts(record, record.facts)
            return
        if len({one.split("-")[0] for name, one in self.versions.items() if name != DISTRIBUTION}) > 1:
            told = ", ".join(f"{name} {one}" for name, one in self.versions.items())
            raise InfrastructureError(f"the sides are not comparable: they run different versions of Linux ({told})",
                                      "both are built from /usr/src/linux-source-6.12.tar.xz; empty the cache")
        record.facts[compare.CONDITIONS]["Linux"] = version.split("-", maxsplit=1)[0]
        self.store.add_facts(record, record.facts)

    def once(self, record: Record, session: Session, side: Side, workload: Workload, clock: Clock,
             number: int) -> None:
        """Run a workload once in a booted side and store its figures."""
        packed = kit.pack(self.arch, self.cache, workload)
        with self.progress.step(f"  {side.name}"):
            if workload.in_memory(clock):
                version, found = memory.run_once(session, workload)
                self.started(record, side, version)
            else:
                found = execution.run_once(session, workload, clock, packed)
        self.store.add(record, [Sample(workload.name, one.metric, side.name, clock, number, one.value, one.unit,
                                       one.better, one.counters) for one in found])

    def count(self, record: Record, workload: Workload, roots: Mapping[str, Path]) -> None:
        """Run a workload once on each side by the clock that counts instructions."""
        for side in self.sides:
            try:
                with ExitStack() as stack:
                    session = self.up(stack, record, side, workload, Clock.INSTRUCTIONS, roots[side.name])
                    self.once(record, session, side, workload, Clock.INSTRUCTIONS, 0)
                    session.power_off()
            except QuollError as error:
                self.note(record, workload, side.name, Clock.INSTRUCTIONS, error)
            else:
                boot.discard_large_files(session.machine.run)

    def note_load(self, record: Record) -> None:
        """Remember how busy the host is."""
        self.store.add_facts(record, {BUSIEST: max(os.getloadavg()[0], record.facts.get(BUSIEST, 0.0))})

    def time(self, record: Record, workload: Workload, roots: Mapping[str, Path]) -> None:
        """Run a workload by wall time, the sides in turns and each round in the other order."""
        up: list[tuple[Side, Session]] = []
        with ExitStack() as stack:
            for side in (one for one in self.sides if one.name != TRACED and scale.fits(one.cpus)):
                try:
                    up.append((side, self.up(stack, record, side, workload, Clock.WALL, roots[side.name])))
                except QuollError as error:
                    self.note(record, workload, side.name, Clock.WALL, error)
            for number in range(self.rounds):
                for side, session in list(up)[:: 1 if number % 2 == 0 else -1]:
                    try:
                        session.check()
                        self.once(record, session, side, workload, Clock.WALL, number)
                    except QuollError as error:
                        self.note(record, workload, side.name, Clock.WALL, error)
                        up = [one for one in up if one[0] is not side]
                self.note_load(record)
            for side, session in up:
                try:
                    session.power_off()
                except QuollError as error:
                    self.note(record, workload, side.name, Clock.WALL, error)
                else:
                    boot.discard_large_files(session.machine.run)


def counted_run(arch: Arch, cache: Cache, store: Store, progress: Progress, names: Iterable[str],
                against: Iterable[str] = ()) -> Record:
    """Count some workloads on our guest and its peers; raise what kept one from being counted."""
    bench = Bench(arch, cache, store, progress, [load(name) for name in names], [Clock.INSTRUCTIONS], rounds=1)
    record = bench.measure(against)
    error = verdict(bench.errors)
    if error is not None:
        raise error
    return record


def verdict(errors: Sequence[QuollError]) -> QuollError | None:
    """Return the error that decides the exit code: the tool's own failures come before those of workloads."""
    ranked = [error for error in errors if not isinstance(error, WorkloadError)] or list(errors)
    return ranked[0] if ranked else None
