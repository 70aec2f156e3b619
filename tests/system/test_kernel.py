# SPDX-License-Identifier: BSD-2-Clause
"""The L4 kernel's own tests, which run in the root pager's place (each is a subtest here). No Linux is needed."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestration.base.arch import Arch
from orchestration.bench.sides import counted
from orchestration.bench.terms import Clock
from orchestration.build import quoll
from orchestration.machine import kernel_tests


@pytest.mark.parametrize("variant", [str, quoll.traced, quoll.checked],
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
            assert result.outcome == "pass", "\n".join(result.diagnostics)
    assert not report.problems, f"{report.problems}, see {folder}"
    assert report.results


# CPUs on which the kernel does something else than on the usual one, and what it says there: it switches the FPU at
# once, or saves it by FXSAVE; it restricts predictions; it has its timer from SBI.
OTHER_CPUS = {"x86_64": {"max,vendor=GenuineIntel,xsave=off": "FPU eager", "max,xsave=off": "FPU lazy"},
              "aarch64": {"max": "SPECRES on"}, "riscv64": {"rv64,sstc=off": "hart 0, Sv48"}}


def test_kernel_on_another_cpu(arch: Arch, bare: Path, subtests: pytest.Subtests) -> None:
    for cpu, told in OTHER_CPUS[arch.name].items():
        with subtests.test(cpu):
            report, folder = kernel_tests.run(arch, bare, extra=(*counted(arch, Clock.INSTRUCTIONS), "-cpu", cpu),
                                              variant=quoll.checked)
            assert report.passed, f"{report.problems}, see {folder}"
            assert told in (folder / "l4.log").read_text()
