# SPDX-License-Identifier: BSD-2-Clause
"""A disk that survives its machine: data, size and keys; a machine that is killed while it writes."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestration.base.errors import UsageError
from orchestration.base.rundir import RunDirectory
from orchestration.build.userland import Image
from orchestration.machine import boot, persistent
from orchestration.machine.description import Description
from orchestration.machine.progress import Progress
from orchestration.machine.qemu import MIB
from orchestration.machine.session import Session

pytestmark = pytest.mark.elsewhere_nightly
# Writes files of a known content for ever, each of them synced before the next begins, and tells each on the console.
WRITER = ("i=0; while true; do i=$((i+1)); yes file $i | head -c 100000 > /root/file$i; sync /root/file$i /root; "
          "echo kept $i > /dev/console; done")


@pytest.fixture
def wanted(description: Description, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Description:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    return description.model_copy(update={"persist": "work", "disk_size": 900 * MIB})


def test_what_was_written_is_there_again(wanted: Description, made: boot.Artefacts, progress: Progress,
                                         tmp_path: Path) -> None:
    """Data of a machine that was switched off, and of one that was killed in the midst of a write."""
    kept: list[int] = []

    def start(name: str) -> Session:
        return boot.prepare(wanted, made, progress, RunDirectory(name, tmp_path))

    first = start("first")
    with first:
        first.shell_run("echo from the first > /root/note; sync")
        first.power_off()
    second = start("second")
    assert second.keys is not None and first.keys is not None
    assert second.keys.client_line != first.keys.client_line
    with second:
        assert second.shell_run("cat /root/note").text == "from the first"
        total = second.shell_run("df -m / | awk 'END {print $2}'").text
        assert 820 < int(total) <= 900
        with pytest.raises(UsageError, match="persistent disk 'work' is in use by machine"):
            start("refused")
        second.machine.on_line = lambda line: kept.extend(
            int(line.text.split()[1]) for _ in [0] if line.text.startswith("kept "))
        second.shell_run(f"({WRITER}) > /dev/null 2>&1 &")
        while len(kept) < 20:
            second.wait(1.0)
        assert second.machine.process is not None
        second.machine.process.kill()
    disk = persistent.find("work")
    assert disk is not None
    assert Image(disk.image).unfinished
    with start("third") as third:
        assert third.shell_run("cat /root/note").text == "from the first"
        last = max(kept)
        for number in (1, last // 2, last):
            want = (f"file {number}\n" * 20000)[:100000]
            assert third.shell_run(f"cat /root/file{number}").out.decode() == want, number
        assert "EXT4-fs error" not in third.run(["dmesg"]).text
        third.power_off()
    assert not Image(disk.image).unfinished
    assert disk.user() == ""
