# SPDX-License-Identifier: BSD-2-Clause
"""Memory that L4 shares with a guest, rewritten at full rate from outside the machine while the guest runs."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from orchestration.base.arch import Arch
from orchestration.build import quoll
from orchestration.machine import kernel_tests
from orchestration.machine.qemu import Config

if TYPE_CHECKING:
    from tests.system.conftest import Writer

KINDS = ("frame", "vcpu-page", "table", "utcb")


# With several CPUs a guest enters user mode and leaves it without the lock.
@pytest.mark.parametrize(("variant", "cpus"), [(str, 1), (quoll.checked, 1), (quoll.checked, 2)],
                         ids=["kernel", "checking", "checking on two CPUs"])
def test_what_others_write_is_not_believed(arch: Arch, bare: Path, subtests: pytest.Subtests, writer: Writer,
                                           variant: kernel_tests.Variant, cpus: int) -> None:
    written: list[bool] = []

    def on_line(line: str) -> None:
        """Stop the writer of the last page, and start one for the page that this line names."""
        told = re.match(r"# attack ([a-z-]+)$", line)
        if told:
            written.extend(writer.stop(kind) for kind in list(writer.writing))
            writer.start(KINDS.index(told[1]))

    extra = (*writer.options(Config.memory), "-smp", str(cpus))
    report, folder = kernel_tests.run(arch, bare, extra=extra, program=quoll.KERNEL_ATTACK,
                                      variant=variant, on_line=on_line)
    written.extend(writer.stop(kind) for kind in list(writer.writing))
    for result in report.results:
        with subtests.test(result.name):
            assert result.outcome == "pass", "\n".join(result.diagnostics)
    assert not report.problems, f"{report.problems}, see {folder}"
    assert written == [True] * len(KINDS)
