# SPDX-License-Identifier: BSD-2-Clause
"""The dossier of a machine: what hang.txt holds, and that the machine runs on."""

from __future__ import annotations

import re

from quoll import Guest
from tests.system.processes import end


def test_the_dossier_names_threads_and_places(guest: Guest) -> None:
    # Its kernel is busy: most samples meet it.
    guest.run("dd if=/dev/zero of=/dev/null bs=1M count=1000000 >/dev/null 2>&1 & echo $! > /tmp/busy")
    busy = guest.session.dossier()
    # Linux is idle below.
    guest.run(end("/tmp/busy"))
    assert any(re.search(" samples in (CPU ., )?Linux: ", line) for line in busy), busy
    summary = guest.session.dossier()
    text = (guest.folder / "hang.txt").read_text()
    for name in ("registers", "where it is", "stack of ", "CPUs of L4", "threads of L4", "log of L4",
                 "guest's console"):
        assert f"== {name}" in text
    assert re.search("^== stack of (CPU ., )?L4$", text, re.MULTILINE)
    section = text.split("== threads of L4")[1].split("\n\n")[0]
    threads = dict(line.split(maxsplit=1) for line in section.splitlines()[1:])
    vcpus = int(guest.run("nproc").text)
    named = [f"vcpu{number}" for number in range(vcpus)] if vcpus > 1 else ["guest"]
    assert set(threads) == {"root", "console", "block", "net", *named}
    assert re.search(r"recv on endpoint \d+ \(root's\), priority 254.*<messages_receive", threads["root"])
    assert re.search(r"wait on notification \d+ \(block's\), priority 200.*<front_serve", threads["block"])
    kept = text.split("== log as L4 keeps it\n")[1].split("\n\n")[0]
    assert re.search("^(guest|root): ", kept, re.MULTILINE), kept
    stacks = [part for part in text.split("\n\n") if part.startswith("== stack of Linux")]
    # Linux mostly waits in its idle loop; its stack is read although it does not run. One of several may have its tick.
    waiting = [name for name in named if vcpus == 1 or not threads[name].endswith("(runs)")]
    assert [part.splitlines()[0].removeprefix("== stack of Linux").removeprefix(" on ") for part in stacks] == [
        name if vcpus > 1 else "" for name in waiting]
    assert len(waiting) >= vcpus / 2
    # What it writes back and such has stacks that begin where all its threads but the idle ones do.
    assert all(re.search(r"<(cpu_startup_entry|l4_fork_tail)\+", stack) for stack in stacks), stacks
    assert len(re.findall("^== registers of Linux(?: on vcpu.)?, as L4 saved them", text, re.MULTILINE)) == vcpus
    assert summary
    assert guest.run(["echo", "alive"]).text == "alive"


def test_the_dossier_of_programs_that_only_compute(guest: Guest) -> None:
    """A machine is stopped in user mode then on each CPU, where not every architecture lets memory of L4 be read."""
    vcpus = int(guest.run("nproc").text)
    files = [f"/tmp/computes{number}" for number in range(vcpus)]
    for file in files:
        guest.run(f"(while :; do :; done) >/dev/null 2>&1 & echo $! > {file}")
    try:
        guest.session.dossier()
    finally:
        guest.run("; ".join(end(file) for file in files))
    section = (guest.folder / "hang.txt").read_text().split("== threads of L4")[1].split("\n\n")[0]
    found = section.splitlines()[1:]
    assert {line.split()[0] for line in found} >= {"root", "console", "block", "net"}, section
    assert any("(runs)" in line for line in found), section
    assert guest.run(["echo", "alive"]).text == "alive"
