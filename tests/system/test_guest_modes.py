# SPDX-License-Identifier: BSD-2-Clause
"""The privilege of the guest's kernel on x86_64: beside its programs where mode above does not hold, as under QEMU."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from orchestration.base.arch import GuestMode
from orchestration.base.errors import QuollError
from orchestration.base.rundir import RunDirectory
from orchestration.machine import boot
from orchestration.machine.description import Description
from orchestration.machine.progress import Progress
from quoll import Guest

pytestmark = pytest.mark.guest(arch="x86_64")
BESIDE = "root: linux runs beside its programs"
ABOVE = "root: linux runs above its programs, as the boot image says, and could break out on this machine"
# QEMU's machines on which L4 finds a reason against mode above, and what it says.
LACKING = {
    "hypervisor": (("-cpu", "max,tcg-cpuid=off"), "this hypervisor is not known to run CPL 1"),
    "meltdown": (("-cpu", "max,vendor=GenuineIntel"), "this CPU does not rule out Meltdown"),
    "several CPUs": (("-smp", "2"), "several CPUs would share its gate"),
}
# They go through all ways in and out of the guest's kernel: system calls, signals, faults, debug traps, registers.
PROGRAMS = ("fork_exec", "signals", "registers", "threads", "memory", "trace", "page_rights", "arch/x86_64/steps",
            "arch/x86_64/faults", "arch/x86_64/xstate_frames")

Boot = Callable[..., AbstractContextManager[Guest]]


def log(folder: Path) -> list[str]:
    """Return the lines of L4's log."""
    return (folder / "l4.log").read_text(errors="replace").splitlines()


@pytest.fixture
def booted(made: boot.Artefacts, progress: Progress, tmp_path: Path) -> Boot:
    """Boot a machine whose guest is to run in a mode, with more arguments for QEMU."""

    @contextmanager
    def booted(mode: GuestMode | None, extra: tuple[str, ...] = ()) -> Iterator[Guest]:
        description = Description(arch="x86_64").model_copy(update={"guest_mode": mode})
        session = boot.prepare(description, made, progress, RunDirectory("modes", tmp_path), extra=extra)
        with session:
            yield Guest(session)
            session.power_off()

    return booted


def test_a_guest_runs_beside_its_programs_where_mode_above_does_not_hold(booted: Boot) -> None:
    """QEMU's emulation gives ring 1 the privilege of ring 0 for a null SS: who has mended that, mends this test."""
    with booted("beside") as guest:
        assert f"{BESIDE}, as the boot image says" in log(guest.folder)
    with booted(None) as guest:
        said = log(guest.folder)
        assert any(line.startswith("l4: guest mode above does not hold: ") for line in said)
        assert f"{BESIDE}, since it could break out of mode above on this machine" in said


def test_programs_run_in_mode_above(booted: Boot, compile_program: Callable[[str], Path], subtests: pytest.Subtests
                                    ) -> None:
    with booted("above") as guest:
        assert ABOVE in log(guest.folder)
        for name in PROGRAMS:
            with subtests.test(name):
                place = f"/var/tmp/{Path(name).name}"
                guest.push(compile_program(name), place)
                done = guest.run([place], timeout=300)
                assert (done.returncode, done.text) == (0, "ok"), done.stderr


@pytest.mark.parametrize("lacking", LACKING)
def test_a_machine_without_mode_above_says_so_and_runs(booted: Boot,
                                                       lacking: str) -> None:
    extra, why = LACKING[lacking]
    with booted(None, extra) as guest:
        said = log(guest.folder)
        assert f"l4: no guest mode above: {why}" in said
        assert f"{BESIDE}, since this machine has no mode above" in said
        assert guest.run(["uname", "-m"]).text == "x86_64"


@pytest.mark.parametrize("lacking", LACKING)
def test_a_guest_that_must_run_above_is_refused_without_it(booted: Boot, lacking: str,
                                                           tmp_path: Path) -> None:
    with pytest.raises(QuollError), booted("above", LACKING[lacking][0]):
        pass
    said = [line for path in tmp_path.rglob("l4.log") for line in log(path.parent)]
    assert "root: error: linux cannot run above its programs: this machine has no such mode" in said
