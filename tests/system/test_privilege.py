# SPDX-License-Identifier: BSD-2-Clause
"""The claim the project stands on: Linux, its kernel included, runs at the CPU's user privilege."""

from __future__ import annotations

import re
import threading

import pytest
from elftools.elf.elffile import ELFFile

from orchestration import boot
from orchestration.session import Session

SAMPLES = 300


def kernel_text(made: boot.Artefacts) -> tuple[int, int]:
    """Return the guest kernel's executable addresses, [start, end)."""
    with (made.linux / "vmlinux").open("rb") as stream:
        parts = [(part["p_vaddr"], part["p_vaddr"] + part["p_memsz"]) for part in ELFFile(stream).iter_segments()
                 if part["p_type"] == "PT_LOAD" and part["p_flags"] & 1]
    return min(start for start, _ in parts), max(end for _, end in parts)


def test_guest_kernel_code_runs_at_cpl_3(guest: Session, made: boot.Artefacts) -> None:
    if made.arch.name != "x86_64":
        pytest.skip("the monitor's words for privilege are x86's")
    assert guest.machine.monitor is not None
    start, end = kernel_text(made)
    work = threading.Thread(target=guest.shell_run, daemon=True,
                            args=("dd if=/dev/zero of=/dev/null bs=64 count=3000000 2>/dev/null & sleep 20; "
                                  "kill $! 2>/dev/null; true",))
    work.start()
    levels: dict[str, set[int]] = {"guest kernel": set(), "elsewhere": set()}
    inside = 0
    for _ in range(SAMPLES):
        guest.machine.monitor.execute("stop")
        registers = guest.machine.monitor.human("info registers")
        guest.machine.monitor.execute("cont")
        rip = re.search(r"RIP=([0-9a-f]{16})", registers)
        level = re.search(r"CPL=(\d)", registers)
        assert rip is not None
        assert level is not None
        in_guest = start <= int(rip.group(1), 16) < end
        inside += in_guest
        levels["guest kernel" if in_guest else "elsewhere"].add(int(level.group(1)))
    work.join(60)
    assert inside >= 10, f"only {inside} of {SAMPLES} samples hit the guest kernel"
    assert levels["guest kernel"] == {3}
