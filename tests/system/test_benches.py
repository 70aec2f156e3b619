# SPDX-License-Identifier: BSD-2-Clause
"""The bench on real machines: figures that repeat to the digit, and workloads and peers that fail."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from orchestration.base.arch import Arch
from orchestration.base.cache import Cache
from orchestration.base.errors import HangError, InfrastructureError, PanicError, QuollError, WorkloadError
from orchestration.base.rundir import RunDirectory
from orchestration.bench import execution, gate, kit, runner, scale
from orchestration.bench.runner import Bench, counted_run, verdict
from orchestration.bench.sides import Side
from orchestration.bench.store import Record, Store
from orchestration.bench.terms import MICRO, Clock
from orchestration.bench.workload import Workload, load
from orchestration.machine import boot
from orchestration.machine.progress import Progress
from orchestration.machine.session import Session
from quoll import Guest
from tests.system.processes import living

DESCRIPTION = """
description = "{name}"
run = '''{run}'''
clocks = ["wall"]
limit = {limit}
disk = 1
[[metrics]]
name = "value"
unit = "u"
better = "lower"
"""


def workload(folder: Path, run: str, limit: int = 60) -> Workload:
    name = folder.name
    (folder / "workload.toml").write_text(DESCRIPTION.format(name=name, run=run, limit=limit))
    return load(name, folder.parent)


@pytest.fixture
def packed(arch: Arch, cache: Cache, tmp_path: Path) -> Path:
    """The files of a workload that is one command."""
    return kit.pack(arch, cache, workload(tmp_path, "true"))


def test_a_workload_runs(guest: Guest, packed: Path, tmp_path: Path) -> None:
    one = workload(tmp_path, """echo "{\\"metric\\": \\"value\\", \\"value\\": $((6 * 7))}"; echo x > "$OUT/file" """)
    assert [found.value for found in execution.run_once(guest.session, one, Clock.WALL, packed)] == [42]
    assert guest.run("ls /var/tmp/bench").returncode


@pytest.mark.parametrize(("run", "limit", "said"), [
    ("echo cannot >&2; exit 3", 60, "failed with status 3"),
    ("kill -SEGV $$", 60, "failed with status 139"),
    ("sleep 1000 & sleep 1000", 5, "did not end in"),
    ("dd if=/dev/zero of=data bs=1M oflag=direct", 120, "filled the guest's disk"),
    ("true", 60, "did not report value"),
])
def test_a_workload_fails_and_the_guest_does_not(guest: Guest, packed: Path, tmp_path: Path, run: str, limit: int,
                                                 said: str) -> None:
    before = execution.free_kib(guest.session)
    with pytest.raises(WorkloadError, match=said):
        execution.run_once(guest.session, workload(tmp_path, run, limit), Clock.WALL, packed)
    # Neither processes nor files are left.
    assert not [line for line in living(guest) if line.split()[0] in ("sleep", "dd")]
    guest.run("sync")
    assert abs(execution.free_kib(guest.session) - before) < 4096


@pytest.fixture(scope="session")
def counted(arch: Arch, cache: Cache, progress: Progress, made: boot.Artefacts,
            tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Record]:
    """Count the micro suite in the guest, and in the peers that are named."""
    return lambda *peers: counted_run(arch, cache, Store(tmp_path_factory.mktemp("store")), progress, [MICRO], peers)


@pytest.mark.nightly
def test_counts_repeat_to_the_digit(counted: Callable[..., Record]) -> None:
    """Counts do not depend on what else the host does."""
    first = counted("native")
    with subprocess.Popen(["sha256sum", "/dev/zero"], stdout=subprocess.DEVNULL) as busy:
        try:
            again = counted("native")
        finally:
            busy.kill()
    found = [{(sample.side, sample.metric): sample.value for sample in record.samples} for record in (first, again)]
    guest, native = ([{metric: value for (side, metric), value in one.items() if side == name} for one in found]
                     for name in ("guest", "native"))
    assert len(guest[0]) == len(native[0]) == 25
    assert guest[0] == guest[1]
    # docs/limits.md, "Counting": native Linux takes some interrupts more or fewer.
    assert native[0] == pytest.approx(native[1], rel=0.02)


def test_the_gate_is_kept(counted: Callable[..., Record]) -> None:
    try:
        gate.check(counted(), gate.read(gate.GATE), [MICRO])
    except gate.ElsewhereError as error:
        # Counts of another emulator, compiler or Linux differ; that is no regression.
        pytest.skip(error.message)


@pytest.mark.nightly
def test_cpus_do_not_wait_for_each_other(arch: Arch, cache: Cache, progress: Progress, tmp_path: Path) -> None:
    """A system call and a fault cost the same instructions on four CPUs as on two, when all do so at once."""
    bench = Bench(arch, cache, Store(tmp_path / "store"), progress, [load("parallel")], [Clock.INSTRUCTIONS], 1,
                  cpus=[2, 4])
    record = bench.measure([])
    assert not bench.errors
    found = {(line.name, line.cpus): line.gains["guest"].median for line in scale.lines(record, Clock.INSTRUCTIONS)}
    names = ("getppid", "fault-anonymous", "stat")
    assert found.keys() == {(f"parallel/{name}", cpus) for name in names for cpus in (2, 4)}
    assert min(found.values()) >= scale.AIM


@pytest.mark.elsewhere_nightly
@pytest.mark.parametrize("peers", [[], pytest.param(["native"], marks=pytest.mark.nightly)],
                         ids=["guest", "guest and native Linux"])
@pytest.mark.parametrize(("run", "said", "error"), [
    ("echo '{\"metric\": \"value\", \"value\": 42}'; echo x > $OUT/file", "", None),
    ("echo cannot >&2; exit 3", "the workload one failed with status 3", WorkloadError),
    ("while :; do :; done", "the workload one did not end in", WorkloadError),
    ("true", "did not report value", WorkloadError),
    # On the bare machine a panic shows only by the reset that follows.
    ("echo c > /proc/sysrq-trigger", "gave up|reset itself", PanicError),
])
def test_a_machine_that_is_all_memory(arch: Arch, cache: Cache, progress: Progress, made: boot.Artefacts,
                                      tmp_path: Path, peers: list[str], run: str, said: str,
                                      error: type[QuollError] | None) -> None:
    (tmp_path / "one").mkdir()
    workload(tmp_path / "one", run, limit=5)
    path = tmp_path / "one" / "workload.toml"
    path.write_text(path.read_text().replace('clocks = ["wall"]', 'clocks = ["instructions"]\ncounted_in = "memory"'))
    bench = Bench(arch, cache, Store(tmp_path / "store"), progress, [load("one", tmp_path)], [Clock.INSTRUCTIONS], 1)
    record = bench.measure(peers)
    sides_run = 1 + len(peers)
    assert [sample.value for sample in record.samples] == ([] if error else [42] * sides_run)
    assert [type(one) for one in bench.errors] == ([error] * sides_run if error else [])
    assert all(re.search(said, one.message) for one in bench.errors)
    if error is WorkloadError and "cannot" in run:
        assert all("cannot" in one.details for one in bench.errors)


@pytest.mark.elsewhere_nightly
def test_a_peer_that_does_not_boot_costs_its_own_figures(arch: Arch, cache: Cache, progress: Progress,
                                                         monkeypatch: pytest.MonkeyPatch, made: boot.Artefacts,
                                                         tmp_path: Path) -> None:
    """The peer's kernel is no program. Its boot must fail soon, however QEMU treats it, and the guest is measured."""
    kernel = tmp_path / "kernel"
    kernel.write_bytes(b"no kernel" * 1000)

    def broken(arch: Arch, cache: Cache, progress: Progress, root: str) -> Side:
        def session(disk: Path, clock: Clock, run: RunDirectory) -> Session:
            made = boot.prepare_native(arch, kernel, disk, progress, run)
            made.tracker.stages = tuple(replace(stage, limit=10) for stage in made.tracker.stages)
            return made

        def in_memory(archive: Path, run: RunDirectory) -> Session:
            raise AssertionError("nothing is counted here")

        return Side("native", session, in_memory, made.linux / "config")

    monkeypatch.setitem(runner.PEERS, "native", broken)
    folder = tmp_path / "one"
    folder.mkdir()
    one = workload(folder, "./timed value 1 true")
    bench = Bench(arch, cache, Store(tmp_path / "store"), progress, [one], [Clock.WALL], 2)
    record = bench.measure(["native"])
    assert [(sample.side, sample.round) for sample in record.samples] == [("guest", 0), ("guest", 1)]
    error = verdict(bench.errors)
    assert isinstance(error, InfrastructureError | PanicError | HangError)
    assert error.message.startswith("native: ")
