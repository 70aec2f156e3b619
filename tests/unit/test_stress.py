# SPDX-License-Identifier: BSD-2-Clause
"""stress-ng beside verified workloads: the order of its stressors, what their script says, how long trials go on."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from orchestration.base.arch import ARCHES
from orchestration.base.errors import HangError
from orchestration.base.rundir import RunDirectory
from orchestration.faults import campaign, stress
from orchestration.faults.verified import SOURCES
from orchestration.machine.progress import Progress
from orchestration.machine.session import Session

LISTING = """class 'cpu' stressors: cpu atomic fork matrix
class 'vm' stressors: vm mmap fork
class 'device' stressors: dev null
"""


def test_each_stressor_comes_once_and_each_class_in_turn() -> None:
    names = stress.stressors(LISTING, 1)
    assert sorted(names) == ["atomic", "cpu", "fork", "matrix", "mmap", "null", "vm"]
    # dev is left out, so the third turn's is null; fork is of two classes.
    assert names[0] in {"cpu", "atomic", "fork", "matrix"}
    assert set(names[:3]) & {"vm", "mmap", "fork"}
    assert names == stress.stressors(LISTING, 1)
    assert len({tuple(stress.stressors(LISTING, seed)) for seed in range(20)}) > 1
    assert set(names) - set(stress.stressors(LISTING, 1, ("vm", "cpu"))) == {"vm", "cpu"}
    assert stress.stressors("stress-ng: no such thing\n", 1) == []


def test_a_machine_under_stress_is_debian_or_small() -> None:
    plain, full, small = (stress.Setting(4, *words).machine(ARCHES["riscv64"])
                          for words in ((), (True,), (True, True)))
    assert (plain.rootfs, plain.include, plain.cpus) == ("tiny", (), 4)
    assert (full.rootfs, full.include, full.cpus, full.arch) == ("debian", ("stress-ng",), 4, "riscv64")
    assert (small.rootfs, small.include) == ("tiny", ())
    assert full.memory == small.memory > plain.memory
    for stressed in (False, True):
        setting = stress.Setting(4, stressed, debug=("kcsan", "lockdep"))
        assert setting.machine(ARCHES["x86_64"]).debug == ("kcsan", "lockdep")


def test_the_limits_of_linux_are_scaled_as_all_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QUOLL_TIME_SCALE", "3")
    assert stress.patience() == "rcupdate.rcu_cpu_stall_timeout=63 sysctl.kernel.hung_task_timeout_secs=360"
    assert stress.Setting(4, stressed=True).machine(ARCHES["x86_64"]).append == stress.patience()
    assert stress.Setting(4).machine(ARCHES["x86_64"]).append == ""


@pytest.fixture
def stressed(tmp_path: Path) -> stress.Stress:
    def hang(stage: str, limit: float) -> HangError:
        return HangError(stage)

    session = SimpleNamespace(tracker=SimpleNamespace(scale=1.0), hang=hang,
                              machine=SimpleNamespace(run=RunDirectory("run", tmp_path)))
    return stress.Stress(cast("Session", session), 1, stress.Setting(4, stressed=True))


def test_what_stressors_came_to_is_kept(stressed: stress.Stress) -> None:
    for line in ("stressor vm", "ended vm 0", "ops 1", "stressor fork", "ended fork 2", "ops 2",
                 "wrong fork, status 2: stress-ng: fail: [1] fork: it did", "stressor rdrand", "ended rdrand 4",
                 "ops 3"):
        stressed.told(line)
    stressed.message("eth0: link becomes ready")
    stressed.message("WARNING: CPU: 1 PID: 7 at kernel/sched/core.c:1 x+0x1/0x2")
    log = stressed.session.machine.run.file(stress.LOG).read_text()
    assert [line.split(":")[0] for line in log.splitlines()] == ["eth0", "WARNING"]
    assert stressed.results == [("vm", 0), ("fork", 2), ("rdrand", 4)]
    assert stressed.check() == ["fork, status 2: stress-ng: fail: [1] fork: it did",
                                "while rdrand runs: WARNING: CPU: 1 PID: 7 at kernel/sched/core.c:1 x+0x1/0x2"]
    assert stressed.check() == []
    assert stress.describe(stressed.results) == ("stress-ng: 3 runs of 3 stressors, 4 s each: 1 passed, 1 failed, "
                                                 "1 not on this kernel")
    found = stress.summary(stressed.results, stressed.troubles())
    assert (found["failed"], found["not here"], found["runs"]) == (["fork 2"], ["rdrand"], 3)


def test_a_stressor_without_an_end_is_a_hang(stressed: stress.Stress, monkeypatch: pytest.MonkeyPatch) -> None:
    stressed.told("stressor vm")
    stressed.told("ops 1")
    assert stressed.check() == []
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now + stress.STRESSOR_LIMIT + 1)
    with pytest.raises(HangError, match="vm"):
        stressed.check()


def script(folder: Path, fake: str) -> Iterator[str]:
    """Run the stressors' script for a moment with a stress-ng of ours; return its lines."""
    (folder / "bin").mkdir()
    (folder / "bin/stress-ng").write_text(f"#!/bin/sh\n{fake}\n")
    (folder / "bin/stress-ng").chmod(0o755)
    (folder / "list").write_text("vm\nfork\n")
    text = (SOURCES / "stress.sh").read_text().replace("/var/tmp/stress", str(folder / "files"))
    (folder / "stress.sh").write_text(text)
    running = subprocess.Popen(["sh", str(folder / "stress.sh"), str(folder / "list"), "3", "2"], text=True,
                               env={"PATH": f"{folder / 'bin'}:/usr/bin:/bin"}, stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE)
    assert running.stdin is not None and running.stdout is not None
    for line in running.stdout:
        yield line.rstrip("\n")
        if line == "ops 3\n":
            running.stdin.close()
    assert running.wait(timeout=60) == 0


def test_the_script_runs_them_in_turn_until_its_input_ends(tmp_path: Path) -> None:
    lines = list(script(tmp_path, 'case $1 in --fork) echo "stress-ng: info: x"; echo "fail: $*"; exit 2;; esac; '
                                  "read -r line && exit 9; exit 0"))
    assert lines[:8] == [
        "stressor vm", "ended vm 0", "ops 1", "stressor fork", "ended fork 2", "ops 2",
        f"wrong fork, status 2: fail: --fork 2 --verify --timeout 3s --temp-path {tmp_path / 'files'}", "stressor vm"]
    assert lines[8:10] == ["ended vm 0", "ops 3"]
    assert lines[-1].startswith("final ")


def test_trials_go_on_for_minutes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = SimpleNamespace(arch=ARCHES["x86_64"])
    work = campaign.Campaign(made, ["net"], "kill", 1, Progress(quiet=True),  # type: ignore[arg-type]
                             RunDirectory("campaign", tmp_path))
    # A machine that does not come up ends them.
    assert list(work.numbers(30)) == [0]
    numbers = work.numbers(30)
    now = time.monotonic()
    work.since = now
    monkeypatch.setattr(time, "monotonic", lambda: now + 1799)
    assert [next(numbers) for _ in range(5)] == list(range(5))
    monkeypatch.setattr(time, "monotonic", lambda: now + 1801)
    assert list(numbers) == []
