# SPDX-License-Identifier: BSD-2-Clause
"""What a run of the bench keeps and says when workloads, sides or the tool itself fail. No machine is booted."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest

from orchestration.base.arch import ARCHES
from orchestration.base.cache import Cache
from orchestration.base.errors import BuildError, HangError, InfrastructureError, PanicError, QuollError, WorkloadError
from orchestration.base.rundir import RunDirectory
from orchestration.bench import execution, kit, memory, runner, sides
from orchestration.bench.figures import Figure
from orchestration.bench.runner import BUSIEST, Bench, verdict
from orchestration.bench.sides import Side
from orchestration.bench.store import Store
from orchestration.bench.terms import Clock
from orchestration.bench.workload import Description, Metric, Workload
from orchestration.machine.progress import Progress
from orchestration.machine.session import Session
from orchestration.machine.ssh import Done
from orchestration.machine.stages import Tracker


class FakeSession:
    """Boots as it is told and answers uname."""

    def __init__(self, side: FakeSide, clock: Clock, run: RunDirectory) -> None:
        self.side, self.clock, self.machine = side, clock, SimpleNamespace(run=run)

    def __enter__(self) -> FakeSession:
        if self.side.boot_error is not None:
            raise self.side.boot_error
        self.side.log.append(f"{self.side.name} up")
        return self

    def __exit__(self, *ignored: object) -> None:
        self.side.log.append(f"{self.side.name} gone")

    def run(self, argv: list[str]) -> Done:
        return Done(0, f"{self.side.version}-quoll\n".encode(), b"")

    def check(self) -> None:
        pass

    def power_off(self) -> None:
        pass


class FakeSide:
    """Keeps a log of all sides."""

    log: ClassVar[list[str]] = []

    def __init__(self, name: str, boot_error: QuollError | None = None, version: str = "6.12.1") -> None:
        self.name, self.boot_error, self.version = name, boot_error, version

    def made(self, config: Path) -> Side:
        def session(disk: Path, clock: Clock, run: RunDirectory) -> Any:
            return FakeSession(self, clock, run)

        def in_memory(archive: Path, run: RunDirectory) -> Any:
            self.log.append(f"{self.name} in memory")
            return FakeSession(self, Clock.INSTRUCTIONS, run)

        return Side(self.name, session, in_memory, config)


def a_workload(name: str, tmp_path: Path, clocks: tuple[Clock, ...] = tuple(Clock)) -> Workload:
    (tmp_path / name).mkdir(exist_ok=True)
    metric = Metric(name="m", unit="time", better="lower")
    return Workload(name, tmp_path / name, Description(description="one", run="true", clocks=clocks, limit=1,
                                                       metrics=(metric,)))


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    FakeSide.log.clear()
    (tmp_path / "config").write_text("")
    monkeypatch.setattr(kit, "disk", lambda *ignored: tmp_path / "config")
    monkeypatch.setattr(kit, "pack", lambda *ignored: tmp_path / "config")
    monkeypatch.setattr(Bench, "build", lambda self, against: None)

    def run_once(session: FakeSession, workload: Workload, clock: Clock, packed: Path) -> list[Figure]:
        FakeSide.log.append(f"{session.side.name} {workload.name} {clock}")
        return [Figure("m", 100.0, "ns", "lower", {})]

    monkeypatch.setattr(execution, "run_once", run_once)
    made = Bench(ARCHES["x86_64"], Cache(tmp_path / "cache"), Store(tmp_path / "store"), Progress(quiet=True),
                 [a_workload("one", tmp_path), a_workload("two", tmp_path)], list(Clock), 3)
    made.sides = [FakeSide("guest").made(tmp_path / "config"), FakeSide("native").made(tmp_path / "config")]
    return made


def test_sides_take_turns_by_wall_time(bench: Bench) -> None:
    bench.clocks, bench.workloads = [Clock.WALL], bench.workloads[:1]
    record = bench.measure([])
    assert FakeSide.log == ["guest up", "native up", "guest one wall", "native one wall", "native one wall",
                            "guest one wall", "guest one wall", "native one wall", "native gone", "guest gone"]
    assert [(sample.side, sample.round) for sample in record.samples] == [
        ("guest", 0), ("native", 0), ("native", 1), ("guest", 1), ("guest", 2), ("native", 2)]
    assert record.outcome == "done"
    assert record.facts["conditions"]["Linux"] == "6.12.1"


def test_debian_has_the_modules_of_each_sides_own_kernel(bench: Bench, tmp_path: Path,
                                                         monkeypatch: pytest.MonkeyPatch) -> None:
    made = a_workload("one", tmp_path)
    bench.sides = [replace(side, modules=tmp_path / side.name) for side in bench.sides]
    monkeypatch.setattr(kit, "disk", lambda arch, cache, workload, modules: modules)
    debian = replace(made, description=made.description.model_copy(update={"rootfs": "debian"}))
    assert [bench.root(debian, Clock.WALL, side).name for side in bench.sides] == ["guest", "native"]
    assert [bench.root(made, Clock.WALL, side).name for side in bench.sides] == ["guest", "guest"]


def test_how_busy_the_host_was_is_kept(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    loads = iter([1.0, 9.0, 3.0])
    monkeypatch.setattr(os, "getloadavg", lambda: (next(loads), 0.0, 0.0))
    bench.clocks, bench.workloads = [Clock.WALL], bench.workloads[:1]
    assert bench.measure([]).facts[BUSIEST] == 9.0


def test_sides_are_counted_one_after_the_other(bench: Bench) -> None:
    bench.clocks, bench.workloads = [Clock.INSTRUCTIONS], bench.workloads[:1]
    bench.measure([])
    assert FakeSide.log == ["guest up", "guest one instructions", "guest gone",
                            "native up", "native one instructions", "native gone"]


def test_what_is_counted_in_memory_says_itself_what_it_runs_on(bench: Bench, tmp_path: Path,
                                                               monkeypatch: pytest.MonkeyPatch) -> None:
    made = a_workload("one", tmp_path)
    bench.workloads = [replace(made, description=made.description.model_copy(update={"counted_in": "memory"}))]
    monkeypatch.setattr(memory, "archive", lambda *ignored: tmp_path / "config")
    monkeypatch.setattr(memory, "run_once", lambda session, workload: (
        f"{session.side.version}-quoll", [Figure("m", 7.0, "instructions", "lower", {})]))
    bench.sides[1] = FakeSide("native", version="6.12.2").made(tmp_path / "config")
    bench.clocks = [Clock.INSTRUCTIONS]
    record = bench.measure([])
    assert FakeSide.log == ["guest in memory", "guest up", "guest gone", "native in memory", "native up", "native gone"]
    assert [(sample.side, sample.value) for sample in record.samples] == [("guest", 7.0)]
    assert "different versions of Linux" in record.failures[0].message
    assert record.facts["conditions"]["Linux"] == "6.12.1"
    # By wall time it has a disk, as every other.
    bench.clocks, bench.sides, bench.versions = [Clock.WALL], bench.sides[:1], {}
    FakeSide.log.clear()
    bench.measure([])
    assert "guest one wall" in FakeSide.log


def test_a_clock_that_a_workload_does_not_have_is_left_out(bench: Bench, tmp_path: Path) -> None:
    bench.workloads = [a_workload("one", tmp_path, (Clock.WALL,))]
    assert {sample.clock for sample in bench.measure([]).samples} == {"wall"}


@pytest.mark.parametrize("error", [WorkloadError("it hangs"), PanicError("it is lost")])
def test_the_rest_is_measured_when_a_workload_fails(bench: Bench, monkeypatch: pytest.MonkeyPatch,
                                                   error: QuollError) -> None:
    good = execution.run_once

    def run_once(session: Session, workload: Workload, clock: Clock, packed: Path) -> list[Figure]:
        if workload.name == "one" and session.side.name == "guest":  # type: ignore[attr-defined]
            raise error
        return good(session, workload, clock, packed)

    monkeypatch.setattr(execution, "run_once", run_once)
    record = bench.measure([])
    assert {(sample.workload, sample.side) for sample in record.samples} == {
        ("one", "native"), ("two", "guest"), ("two", "native")}
    # Once under each clock: what failed by wall time is not tried again in the next round.
    assert [(failure.workload, failure.side, failure.outcome) for failure in record.failures] == [
        ("one", "guest", error.outcome)] * 2
    decided = verdict(bench.errors)
    assert decided is not None and decided.exit_code == error.exit_code
    assert "guest: " in decided.message


@pytest.mark.parametrize("error", [HangError("stage 'Linux' did not end"), PanicError("Linux gave up")])
def test_a_native_kernel_that_does_not_boot_costs_its_own_figures_only(bench: Bench, tmp_path: Path,
                                                                      error: QuollError) -> None:
    bench.sides[1] = FakeSide("native", error).made(tmp_path / "config")
    record = bench.measure([])
    assert {sample.side for sample in record.samples} == {"guest"}
    # It is waited for once, not for each workload under each clock.
    assert [failure.message for failure in record.failures] == [
        error.message, *[f"{error.message} (not tried again)"] * 3]
    assert {failure.side for failure in record.failures} == {"native"}
    decided = verdict(bench.errors)
    assert decided is not None and decided.exit_code == error.exit_code
    assert decided.message == f"native: {error.message}"


def test_a_side_that_has_booted_is_tried_again(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.clocks, bench.sides = [Clock.INSTRUCTIONS], bench.sides[:1]
    boots = iter([None, HangError("stage 'Linux' did not end")])
    good = FakeSession.__enter__

    def enter(self: FakeSession) -> FakeSession:
        self.side.boot_error = next(boots)
        return good(self)

    monkeypatch.setattr(FakeSession, "__enter__", enter)
    bench.measure([])
    assert bench.unbootable == {}


def test_a_disk_that_cannot_be_made_costs_its_own_workload_only(bench: Bench, tmp_path: Path,
                                                               monkeypatch: pytest.MonkeyPatch) -> None:
    def disk(arch: object, cache: object, workload: Workload, modules: object) -> Path:
        if workload.name == "one":
            raise InfrastructureError("no network")
        return tmp_path / "config"

    monkeypatch.setattr(kit, "disk", disk)
    record = bench.measure([])
    assert {sample.workload for sample in record.samples} == {"two"}
    assert [failure.message for failure in record.failures] == ["no network"]


def test_different_versions_of_linux_are_not_compared(bench: Bench, tmp_path: Path) -> None:
    bench.sides[1] = FakeSide("native", version="6.12.2").made(tmp_path / "config")
    record = bench.measure([])
    assert {sample.side for sample in record.samples} == {"guest"}
    assert "different versions of Linux" in record.failures[0].message
    assert bench.unbootable == {}


def test_what_was_measured_before_an_interruption_is_kept(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    good = execution.run_once

    def run_once(session: Session, workload: Workload, clock: Clock, packed: Path) -> list[Figure]:
        if workload.name == "two":
            raise KeyboardInterrupt
        return good(session, workload, clock, packed)

    monkeypatch.setattr(execution, "run_once", run_once)
    with pytest.raises(KeyboardInterrupt):
        bench.measure([])
    stored = bench.store.load(bench.store.ids()[0])
    assert stored.outcome == runner.INTERRUPTED
    assert [(sample.workload, sample.side) for sample in stored.samples] == [("one", "guest"), ("one", "native")]


class TalkingSession:
    """A guest that answers the commands of one run; slow: its workload does not end."""

    def __init__(self, status: int = 0, free: int = 500000, slow: bool = False, deaf: bool = False) -> None:
        self.status, self.free, self.slow, self.deaf = status, free, slow, deaf
        self.commands: list[str] = []
        self.tracker = Tracker()

    def shell_run(self, command: str, source: object = None, limit: float = 0) -> Done:
        self.commands.append(command)
        if "setsid" in command:
            if self.slow:
                raise HangError("the command did not end")
            return Done(self.status, b"", b"")
        if command.startswith("kill") and self.deaf:
            raise HangError("the command did not end")
        text = b""
        if command.startswith("df"):
            text = f"/dev/root 700000 1 {self.free} 1% /\n".encode()
        elif command.startswith("cat"):
            text = b'{"metric": "m", "value": 5}\n'
        elif command.startswith("tail"):
            text = b"last words\n"
        elif " -cf - ." in command:
            text = b"\0" * 10240
        return Done(0, text, b"")

    def hang(self, stage: str, limit: float, why: str = "") -> HangError:
        return HangError(f"{stage} hangs")


def run_talking(session: TalkingSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    monkeypatch.undo()
    (tmp_path / "kit").write_bytes(b"")
    return execution.run_once(session, a_workload("one", tmp_path), Clock.WALL, tmp_path / "kit")  # type: ignore[arg-type]


def test_a_run_ends_with_figures_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    session = TalkingSession()
    assert [one.value for one in run_talking(session, tmp_path, monkeypatch)] == [5.0]
    assert session.commands[-1].startswith("rm -rf /var/tmp/bench")


@pytest.mark.parametrize(("session", "said"), [
    (TalkingSession(status=3), "failed with status 3"),
    (TalkingSession(slow=True), "did not end in 1 s"),
])
def test_a_workload_is_blamed(session: TalkingSession, said: str, tmp_path: Path,
                              monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(WorkloadError, match=f"one {said}") as caught:
        run_talking(session, tmp_path, monkeypatch)
    assert caught.value.details == ("last words",)
    assert caught.value.exit_code == 118


def test_a_full_disk_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    session = TalkingSession(status=1)
    good = session.shell_run

    def shell_run(command: str, source: object = None, limit: float = 0) -> Done:
        if "setsid" in command:
            session.free = 0
        return good(command, source, limit)

    session.shell_run = shell_run  # type: ignore[method-assign]
    with pytest.raises(WorkloadError, match="filled the guest's disk"):
        run_talking(session, tmp_path, monkeypatch)


def test_a_guest_that_hangs_with_its_workload_is_no_workload_s_failure(tmp_path: Path,
                                                                       monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(HangError, match="the workload one hangs"):
        run_talking(TalkingSession(slow=True, deaf=True), tmp_path, monkeypatch)


def test_too_small_a_disk_is_the_tool_s_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InfrastructureError, match="needs 16 MiB of disk, the guest has 1"):
        run_talking(TalkingSession(free=2000), tmp_path, monkeypatch)


def test_xen_is_refused_elsewhere_before_anything_is_built(tmp_path: Path) -> None:
    with pytest.raises(QuollError, match="x86_64 only"):
        sides.xen(ARCHES["aarch64"], Cache(tmp_path), Progress(quiet=True))


def test_verdicts_prefer_the_tool_s_failure() -> None:
    tool = BuildError("it does not build")
    assert verdict([WorkloadError("a"), tool, WorkloadError("b")]) is tool
