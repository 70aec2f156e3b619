# SPDX-License-Identifier: BSD-2-Clause
"""The L4 kernel's own tests, which run in the root pager's place (each is a subtest here). No Linux is needed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from orchestration.base.arch import Arch
from orchestration.bench.sides import counted
from orchestration.bench.terms import Clock
from orchestration.build import quoll
from orchestration.machine import kernel_tests

RUNS = 20
"""Of what chance decides: how the host's threads meet."""


@pytest.mark.parametrize("variant", [str, pytest.param(quoll.traced, marks=pytest.mark.nightly), quoll.checked],
                         ids=["kernel", "counting", "checking"])
def test_kernel(arch: Arch, bare: Path, subtests: pytest.Subtests, variant: kernel_tests.Variant) -> None:
    # The clock counts instructions, so that time slices do not depend on how busy the host is.
    report, folder = kernel_tests.run(arch, bare, extra=counted(arch, Clock.INSTRUCTIONS),
                                      variant=variant)
    for result in report.results:
        with subtests.test(result.name):
            if result.outcome == "skip":
                pytest.skip("\n".join(result.diagnostics))
            assert result.outcome == "pass", "\n".join(result.diagnostics)
    assert not report.problems, f"{report.problems}, see {folder}"
    assert report.results


def test_kernel_on_four_cpus(arch: Arch, bare: Path) -> None:
    """All tests pass on four CPUs, which the emulator runs in turn; those of many CPUs are not left out."""
    report, folder = kernel_tests.run(arch, bare, extra=(*counted(arch, Clock.INSTRUCTIONS), "-smp", "4"),
                                      variant=quoll.checked)
    assert report.passed, f"{report.problems}, see {folder}"
    assert not [result.name for result in report.results
                if result.name.startswith("cpus_") and result.outcome != "pass"], folder


def test_random_calls(arch: Arch, bare: Path, subtests: pytest.Subtests) -> None:
    """Whatever a thread does with objects of every type, the kernel's invariants hold and all memory comes back."""
    report, folder = kernel_tests.run(arch, bare, extra=counted(arch, Clock.INSTRUCTIONS),
                                      program=quoll.KERNEL_FUZZ, variant=quoll.checked)
    for result in report.results:
        with subtests.test(result.name):
            if "_many_" in result.name and result.outcome == "skip":
                pytest.skip("it is for several CPUs: test_random_calls_on_four_cpus")
            assert result.outcome == "pass", "\n".join(result.diagnostics)
    assert not report.problems, f"{report.problems}, see {folder}"
    assert [result.name for result in report.results if result.outcome == "pass"]


@pytest.mark.elsewhere_nightly
def test_random_calls_on_four_cpus(arch: Arch, bare: Path) -> None:
    """The same of four threads, each on a CPU, with the same objects; CPUs are held up at random between two steps."""
    report, folder = kernel_tests.run(arch, bare, extra=(*counted(arch, Clock.INSTRUCTIONS), "-smp", "4"),
                                      program=quoll.KERNEL_FUZZ, variant=quoll.checked)
    assert report.passed, f"{report.problems}, see {folder}"
    assert [result.name for result in report.results if "_many_" in result.name and result.outcome == "pass"]


@pytest.mark.nightly
@pytest.mark.parametrize("cpus", [2, 4])
def test_random_calls_on_cpus_that_run_at_once(arch: Arch, bare: Path, cpus: int) -> None:
    """Without a count of instructions each CPU is a thread of the emulator's, and accesses have the host's order."""
    for _ in range(RUNS):
        report, folder = kernel_tests.run(arch, bare, extra=("-smp", str(cpus)), program=quoll.KERNEL_FUZZ)
        assert report.passed, f"{report.problems}, see {folder}"
        assert [result.name for result in report.results if "_many_" in result.name and result.outcome == "pass"]


# Tests of several CPUs that measure no time; the last one needs three of them.
BETWEEN_CPUS = ("cpus_call_and_reply", "cpus_passive_server_moves")


class EnoughError(Exception):
    """The test has seen what it waited for."""


LATE = b"HOLD LATE CPU:\0\0"
"""What is before the number of the CPU that comes too late in the checking kernel (kernel/src/debug/hold.c)."""


def test_a_cpu_that_comes_too_late_takes_nobodys_place(arch: Arch, bare: Path, tmp_path: Path) -> None:
    """Its number is the next one's by then, which has threads, is woken and is stopped as ever."""
    for program in bare.iterdir():
        (tmp_path / program.name).symlink_to(program)
    kernel = tmp_path / quoll.checked(arch.kernel)
    image = kernel.read_bytes()
    assert image.count(LATE) == 1
    at = image.index(LATE) + len(LATE)
    kernel.unlink()
    kernel.write_bytes(image[:at] + (2).to_bytes(4, "little") + image[at + 4:])
    log: list[str] = []

    def on_line(line: str) -> None:
        log.append(line)
        if re.fullmatch(rf"ok \d+ {BETWEEN_CPUS[-1]}", line):
            raise EnoughError

    # A second of the machine is soon over if instructions are slow, so what measures time may fail.
    with pytest.raises(EnoughError):
        kernel_tests.run(arch, tmp_path, extra=("-icount", "shift=6,sleep=off", "-smp", "4"), variant=quoll.checked,
                         on_line=on_line)
    text = "\n".join(log)
    assert "l4: CPU 2 of firmware's list does not start" in text
    assert "l4: 3 of 4 CPUs run" in text
    assert all(re.search(rf"^ok \d+ {name}$", text, re.MULTILINE) for name in BETWEEN_CPUS)


# CPUs on which the kernel does something else than on the usual one, and what it says there: it switches the FPU at
# once, or saves it by FXSAVE; it restricts predictions; it has its timer from SBI.
OTHER_CPUS = {"x86_64": {"max,vendor=GenuineIntel,xsave=off": "FPU eager", "max,xsave=off": "FPU lazy"},
              "aarch64": {"max": "SPECRES on"}, "riscv64": {"rv64,sstc=off": "hart 0, Sv48"}}


@pytest.mark.nightly
def test_kernel_on_another_cpu(arch: Arch, bare: Path, subtests: pytest.Subtests) -> None:
    for cpu, told in OTHER_CPUS[arch.name].items():
        with subtests.test(cpu):
            report, folder = kernel_tests.run(arch, bare, extra=(*counted(arch, Clock.INSTRUCTIONS), "-cpu", cpu),
                                              variant=quoll.checked)
            assert report.passed, f"{report.problems}, see {folder}"
            assert told in (folder / "l4.log").read_text()
