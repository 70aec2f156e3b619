# SPDX-License-Identifier: BSD-2-Clause
"""Counters and trace of the kernel, as a guest and the monitor read them."""

from __future__ import annotations

import pytest

import quoll
from orchestration.base.arch import Arch


def test_the_trace_tells_what_happens(arch: Arch) -> None:
    """The guest and the monitor read the same counters; a system call adds two switches of address space."""
    with quoll.boot(arch.name, files=False, trace=True) as guest:
        def counters() -> dict[str, int]:
            lines = guest.run("cat /sys/hypervisor/counters").text.splitlines()
            return {name: int(value) for name, value in (line.split() for line in lines)}

        before = counters()
        guest.run("i=0; while [ $i -lt 200 ]; do i=$((i+1)); umask > /dev/null; done")
        after = counters()
        seen = guest.trace()
        guest.power_off()
    grown = {name: after[name] - before[name] for name in before}
    assert grown["guest-syscall"] > 400
    assert grown["space-switch"] >= 2 * grown["guest-syscall"] * 0.99
    assert list(seen.counts) == list(after)
    assert all(seen.counts[name] >= after[name] for name in after)
    # The machine may have been stopped between the count of an event and its entry.
    assert sum(seen.counts.values()) - seen.written in (0, 1)
    assert seen.endpoints


def test_the_kernel_that_is_shipped_counts_nothing(guest: quoll.Guest) -> None:
    assert guest.run("cat /sys/hypervisor/counters").stdout == ""
    with pytest.raises(quoll.UsageError, match="counts nothing"):
        guest.counters()
