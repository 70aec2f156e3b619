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
    assert any(" samples in Linux: " in line for line in busy), busy
    summary = guest.session.dossier()
    text = (guest.folder / "hang.txt").read_text()
    for name in ("registers", "where it is", "stack of L4", "CPUs of L4", "threads of L4", "log of L4",
                 "guest's console"):
        assert f"== {name}" in text
    section = text.split("== threads of L4")[1].split("\n\n")[0]
    threads = dict(line.split(maxsplit=1) for line in section.splitlines()[1:])
    assert set(threads) == {"root", "console", "block", "net", "guest"}
    assert re.search(r"recv on endpoint \d+ \(root's\), priority 254.*<messages_receive", threads["root"])
    assert re.search(r"wait on notification \d+ \(block's\), priority 200.*<front_serve", threads["block"])
    assert "== registers of Linux, as L4 saved them" in text
    # Linux waits in its idle loop; its stack is read although it does not run.
    assert "<cpu_startup_entry+" in text.split("== stack of Linux")[1].split("\n\n")[0]
    assert summary
    assert guest.run(["echo", "alive"]).text == "alive"
