# SPDX-License-Identifier: BSD-2-Clause
"""Linux with the checks of --debug: programs run without a report, and a planted bug is reported.

One kernel has all checks but KCSAN, which does not go with KASAN and needs several CPUs; a second one has that.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from orchestration.base.arch import CHECKS
from orchestration.base.errors import ReportError
from orchestration.cli import main as cli
from orchestration.machine.reports import found
from quoll import Guest
from tests.system.test_guest import GUEST_PROGRAMS, PROGRAMS

TOGETHER = [check for check in CHECKS if check != "kcsan"]
pytestmark = [pytest.mark.nightly, pytest.mark.guest(arch="x86_64", debug=TOGETHER)]

# For each check a command that makes a module of Linux itself do what the check is about, and the report. A report of
# KASAN switches lockdep off, so it comes last.
PLANTED = {
    # Takes the lock of an address space inside that of a file's mappings. mmap() takes them in the other order.
    "lockdep": ("modprobe test_lockup file_path=/etc/passwd lock_mapping=1 lock_mmap_sem=1 time_secs=0 time_nsecs=1",
                "WARNING: possible circular locking dependency detected"),
    "ubsan": ("modprobe test_ubsan", "UBSAN: shift-out-of-bounds in "),
    "kasan": ("modprobe lkdtm && mount -t debugfs none /sys/kernel/debug && "
              "echo READ_AFTER_FREE > /sys/kernel/debug/provoke-crash/DIRECT", "BUG: KASAN: slab-use-after-free in "),
}


def test_programs_run_without_a_report_and_planted_bugs_are_reported(guest: Guest, program: Callable[[str], str]
                                                                     ) -> None:
    own = sorted(f"arch/x86_64/{path.stem}" for path in (GUEST_PROGRAMS / "arch" / "x86_64").glob("*.c"))
    for name in (*PROGRAMS, *own):
        done = guest.run([program(name)], timeout=300)
        assert (done.returncode, done.text) == (0, "ok"), f"{name}: {done.stderr}"
    assert found(guest.console.text) == []
    assert set(PLANTED) == set(TOGETHER)
    for command, report in PLANTED.values():
        before = len(guest.console.text)
        guest.run(command)
        guest.console.expect(re.escape(report), timeout=60)
        assert [line for line in found(guest.console.text[before:]) if line.startswith(report)]


def test_a_command_with_a_report_ends_with_its_code(capfd: pytest.CaptureFixture[str]) -> None:
    command, report = PLANTED["ubsan"]
    options = [word for check in TOGETHER for word in ("--debug", check)]
    assert cli.main(["boot", "x86_64", "--no-config", *options, "--", "sh", "-c", command]) == ReportError.exit_code
    assert report in capfd.readouterr().err


RACE = "BUG: KCSAN: data-race in test_kernel_read [kcsan_test] / test_kernel_write [kcsan_test]"


@pytest.mark.guest(arch="x86_64", debug=["kcsan"], cpus=4)
def test_no_cpu_races_with_another_and_a_planted_race_is_reported(guest: Guest, program: Callable[[str], str]) -> None:
    for name in PROGRAMS:
        done = guest.run([program(name)], timeout=300)
        assert (done.returncode, done.text) == (0, "ok"), f"{name}: {done.stderr}"
    assert found(guest.console.text) == []
    before = len(guest.console.text)
    done = guest.run("modprobe kunit filter_glob=kcsan.test_basic && modprobe kcsan_test", timeout=300)
    assert done.returncode == 0, done.stderr
    guest.console.expect(r"ok 1 kcsan", timeout=60)
    assert set(found(guest.console.text[before:])) == {RACE}
