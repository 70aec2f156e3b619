# SPDX-License-Identifier: BSD-2-Clause
"""Counters and trace of the kernel, as a guest and the monitor read them."""

from __future__ import annotations

from orchestration.base.rundir import RunDirectory
from orchestration.inspect import trace
from orchestration.machine import boot
from orchestration.machine.description import Description
from orchestration.machine.progress import Progress
from orchestration.machine.session import Session


def test_the_trace_tells_what_happens(made: boot.Artefacts, progress: Progress) -> None:
    """The guest and the monitor read the same counters; a system call adds two switches of address space."""
    with boot.prepare(Description(arch=made.arch.name, trace=True), made, progress, RunDirectory("traced")) as session:
        def counters() -> dict[str, int]:
            lines = session.shell_run("cat /sys/hypervisor/counters").text.splitlines()
            return {name: int(value) for name, value in (line.split() for line in lines)}

        before = counters()
        session.shell_run("i=0; while [ $i -lt 200 ]; do i=$((i+1)); umask > /dev/null; done")
        after = counters()
        assert session.machine.monitor is not None
        seen = trace.read(session.machine.monitor, session.machine.run.file("l4.log"))
        session.power_off()
    grown = {name: after[name] - before[name] for name in before}
    assert grown["guest-syscall"] > 400
    assert grown["space-switch"] >= 2 * grown["guest-syscall"] * 0.99
    assert list(seen.counts) == list(after)
    assert all(seen.counts[name] >= after[name] for name in after)
    assert seen.written == sum(seen.counts.values())
    assert seen.endpoints


def test_the_kernel_that_is_shipped_counts_nothing(guest: Session) -> None:
    assert guest.shell_run("cat /sys/hypervisor/counters").out == b""
