# SPDX-License-Identifier: BSD-2-Clause
"""The bench on real machines: figures that repeat to the digit, and workloads and peers that fail."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from orchestration import boot
from orchestration.arch import Arch
from orchestration.bench import execution, gate, kit, sides
from orchestration.bench.cli import MICRO
from orchestration.bench.runner import Bench, counted_run, verdict
from orchestration.bench.sides import Side
from orchestration.bench.tables import GUEST
from orchestration.bench.workload import FOLDER, Clock, Workload, load
from orchestration.cache import Cache
from orchestration.errors import HangError, InfrastructureError, PanicError, WorkloadError
from orchestration.progress import Progress
from orchestration.rundir import RunDirectory
from orchestration.session import Session
from orchestration.store import Store

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
# A few of the suite, so that the test is short. Those of the guest only are among what native Linux does not repeat to
# the digit (docs/usage.md, "What repeats").
OPERATIONS = ("getppid", "read", "stat", "open-close", "signal-install", "fault-anonymous", "mprotect-twice-touch")
OF_GUEST = ("pipe", "futex-handoff", "udp")
# By architecture: how many instructions the step of the guest's clock leaves open.
CLOCK_STEP = {"x86_64": 0, "riscv64": 1, "aarch64": 1}


def workload(folder: Path, run: str, limit: int = 60) -> Workload:
    name = folder.name
    (folder / "workload.toml").write_text(DESCRIPTION.format(name=name, run=run, limit=limit))
    return load(name, folder.parent)


@pytest.fixture
def packed(arch: Arch, cache: Cache, tmp_path: Path) -> Path:
    """What workloads that are one command take along."""
    return kit.pack(arch, cache, workload(tmp_path, "true"))


def test_a_workload_runs(guest: Session, packed: Path, tmp_path: Path) -> None:
    one = workload(tmp_path, """echo "{\\"metric\\": \\"value\\", \\"value\\": $((6 * 7))}"; echo x > "$OUT/file" """)
    assert [found.value for found in execution.run_once(guest, one, Clock.WALL, packed)] == [42]
    assert guest.shell_run("ls /var/tmp/bench").status


@pytest.mark.parametrize(("run", "limit", "said"), [
    ("echo cannot >&2; exit 3", 60, "failed with status 3"),
    ("kill -SEGV $$", 60, "failed with status 139"),
    ("sleep 1000 & sleep 1000", 5, "did not end in"),
    ("dd if=/dev/zero of=data bs=1M", 120, "filled the guest's disk"),
    ("true", 60, "did not report value"),
])
def test_a_workload_fails_and_the_guest_does_not(guest: Session, packed: Path, tmp_path: Path, run: str, limit: int,
                                                 said: str) -> None:
    before = execution.free_kib(guest)
    with pytest.raises(WorkloadError, match=said):
        execution.run_once(guest, workload(tmp_path, run, limit), Clock.WALL, packed)
    # Neither processes nor files are left.
    assert guest.shell_run("pidof sleep dd").status
    guest.shell_run("sync")
    assert abs(execution.free_kib(guest) - before) < 4096


def test_counts_repeat_to_the_digit(arch: Arch, cache: Cache, progress: Progress, made: boot.Artefacts,
                                    tmp_path: Path) -> None:
    folder = tmp_path / "short"
    shutil.copytree(FOLDER / "micro", folder)
    run = " ".join(["./short", *OPERATIONS, *OF_GUEST])
    text = (folder / "workload.toml").read_text().replace('"./micro"', f'"{run}"')
    (folder / "workload.toml").write_text(text)
    found = []
    for _ in range(2):
        bench = Bench(arch, cache, Store(tmp_path / "store"), progress, [load("short", tmp_path)],
                      [Clock.INSTRUCTIONS], 1)
        record = bench.measure(["native"])
        assert verdict(bench.errors) is None
        found.append({(sample.side, sample.metric): sample.value for sample in record.samples
                      if sample.side == GUEST or sample.metric in OPERATIONS})
    assert set(found[0]) == {(GUEST, name) for name in (*OPERATIONS, *OF_GUEST)} | {
        ("native", name) for name in OPERATIONS}
    differing = {name: (value, found[1][name]) for name, value in found[0].items()
                 if abs(value - found[1][name]) > CLOCK_STEP[arch.name]}
    assert not differing


def test_the_gate_is_kept(arch: Arch, cache: Cache, progress: Progress, made: boot.Artefacts, tmp_path: Path) -> None:
    limits = gate.read(gate.GATE)
    record = counted_run(arch, cache, Store(tmp_path / "store"), progress, [MICRO])
    try:
        gate.check(record, limits, [MICRO])
    except gate.ElsewhereError as error:
        # Another emulator, compiler or Linux counts otherwise; that is nobody's regression.
        pytest.skip(error.message)


def test_a_peer_that_does_not_boot_costs_its_own_figures(arch: Arch, cache: Cache, progress: Progress,
                                                         monkeypatch: pytest.MonkeyPatch, made: boot.Artefacts,
                                                         tmp_path: Path) -> None:
    """A kernel that is none; what QEMU makes of it is its business, but it must not last, and the guest is measured."""
    kernel = tmp_path / "kernel"
    kernel.write_bytes(b"no kernel" * 1000)

    def broken(arch: Arch, cache: Cache, progress: Progress) -> Side:
        def session(disk: Path, clock: Clock, run: RunDirectory) -> Session:
            made = boot.prepare_native(arch, kernel, disk, progress, run)
            made.tracker.stages = tuple(replace(stage, limit=10) for stage in made.tracker.stages)
            return made

        return Side("native", session, made.linux / "config")

    monkeypatch.setitem(sides.PEERS, "native", broken)
    folder = tmp_path / "one"
    folder.mkdir()
    one = workload(folder, "./timed value 1 true")
    bench = Bench(arch, cache, Store(tmp_path / "store"), progress, [one], [Clock.WALL], 2)
    record = bench.measure(["native"])
    assert [(sample.side, sample.round) for sample in record.samples] == [("guest", 0), ("guest", 1)]
    error = verdict(bench.errors)
    assert isinstance(error, InfrastructureError | PanicError | HangError)
    assert error.message.startswith("native: ")
