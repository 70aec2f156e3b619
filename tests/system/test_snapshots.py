# SPDX-License-Identifier: BSD-2-Clause
"""Machines that start from one snapshot: each has its own keys, random numbers and disk, and the right time."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestration.base.cache import Cache
from orchestration.base.errors import InfrastructureError, PanicError
from orchestration.base.rundir import RunDirectory
from orchestration.faults import campaign, results
from orchestration.machine import boot, incoming, snapshot
from orchestration.machine.description import Description
from orchestration.machine.progress import Progress
from orchestration.machine.session import Session
from orchestration.machine.shares import Share
from orchestration.running import repro
from quoll import Guest

pytestmark = pytest.mark.elsewhere_nightly
Start = Callable[[str], Session]
# Of three kinds: the kernel's, those of a program through the vDSO, those of the kernel's own users.
RANDOM = ("head -c 16 /dev/urandom | xxd -p; cat /proc/sys/kernel/random/uuid; "
          "mktemp -u /tmp/XXXXXXXXXXXX; sh -c 'cat /proc/self/maps' | sed -n 's/ .*stack.*//p'")


@pytest.fixture
def start(arch: object, made: boot.Artefacts, cache: Cache, progress: Progress, tmp_path: Path) -> Start:
    description = Description(arch=made.arch.name, snapshot=True)
    return lambda name: snapshot.prepare(description, made, progress, RunDirectory(name, tmp_path), cache)


def test_two_of_one_snapshot_at_once_are_two_machines(made: boot.Artefacts, start: Start) -> None:
    assert made.userland.login is not None
    with start("one") as one, start("two") as two:
        assert one.keys != two.keys
        texts = [session.shell_run(RANDOM).text.splitlines() for session in (one, two)]
        assert len(texts[0]) == len(texts[1]) == 4
        assert [left for left, right in zip(*texts, strict=True) if left == right] == []
        hosts = [session.shell_run(f"md5sum < {made.userland.login.host_key}; cat /root/.ssh/authorized_keys").text
                 for session in (one, two)]
        for session, other, text in ((one, two, hosts[0]), (two, one, hosts[1])):
            assert session.keys is not None and other.keys is not None
            assert text.splitlines()[1:] == [f"{session.keys.client_line} quoll"]
            assert other.keys.client_line not in text
        assert hosts[0].splitlines()[0] != hosts[1].splitlines()[0]
        # What one writes, into memory and disk, the other does not see.
        one.shell_run("echo one > /root/mine; echo one > /tmp/mine; sync")
        assert two.shell_run("cat /root/mine /tmp/mine").status == 1
        one.power_off()
        assert two.run(["uname", "-s"]).text == "Linux"
        two.power_off()
    assert (one.power_off_status, two.power_off_status) == ("0", "0")
    with start("three") as three:
        assert three.shell_run("cat /root/mine").status == 1


def test_the_clock_is_right_and_goes_on(start: Start) -> None:
    """Within a second of the host's, which is read before and after; date cuts the fraction off."""
    with start("clock") as session:
        for _ in range(2):
            early = time.time()
            told = int(session.run(["date", "+%s"]).text)
            assert early - 2 < told <= time.time() + 1
            session.run(["sleep", "2"])
        first, last = (float(session.shell_run("read up rest < /proc/uptime; echo $up").text) for _ in range(2))
        assert first <= last


def test_the_guest_has_the_name_of_its_run(made: boot.Artefacts, cache: Cache, progress: Progress, tmp_path: Path,
                                           start: Start) -> None:
    """All start from one snapshot, in which the guest has the image's name."""
    description = Description(arch=made.arch.name, snapshot=True, name=f"named-{tmp_path.name}")
    named = snapshot.prepare(description, made, progress, RunDirectory("named", tmp_path), cache)
    unnamed = start("unnamed")
    assert named.machine.config.incoming == unnamed.machine.config.incoming
    for session, name in ((named, description.host_name), (unnamed, "quoll")):
        with session:
            assert session.run(["hostname"]).text == name


@pytest.mark.guest(snapshot=True)
def test_the_fixture_starts_from_a_snapshot(guest: Guest) -> None:
    assert "resume" in guest.session.tracker.times
    assert guest.run(["uname", "-s"]).stdout == "Linux\n"


def test_a_folder_of_the_host_is_there(made: boot.Artefacts, cache: Cache, progress: Progress, tmp_path: Path) -> None:
    """The snapshot was made with other folders, which no machine that starts from it sees."""
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text(name)
        description = Description(arch=made.arch.name, snapshot=True, shares=(Share(tmp_path / name, "/mnt/host"),))
        session = snapshot.prepare(description, made, progress, RunDirectory(name, tmp_path / "runs"), cache)
        with session:
            assert session.shell_run("cat /mnt/host/file").text == name


@pytest.mark.nightly
def test_a_killed_driver_restarts(made: boot.Artefacts, progress: Progress, tmp_path: Path, start: Start) -> None:
    class OnSnapshot(campaign.Campaign):
        """A campaign on a machine that starts from a snapshot."""

        def prepare(self, run: RunDirectory) -> Session:
            return start(run.path.name)

    work = OnSnapshot(made, ["block", "net", "console"], "kill", 20, progress, RunDirectory("campaign", tmp_path),
                      open=lambda name: RunDirectory(name, tmp_path))
    work.go([0], lambda trial: progress.say(results.describe(trial)))
    assert [trial.outcome for trial in work.trials] == ["recovered"] * 3, work.trials


def test_a_run_that_failed_can_be_repeated(start: Start, progress: Progress) -> None:
    session = start("panics")
    with pytest.raises(PanicError), session:
        session.shell_run("echo here > /root/mark; sync; echo c > /proc/sysrq-trigger", limit=60.0)
    again = repro.prepare(session.machine.run.path, progress)
    with again:
        assert again.shell_run("cat /root/mark").text == "here"


def test_a_state_that_qemu_refuses_is_named(start: Start) -> None:
    session = start("refused")
    broken = session.machine.run.file("state")
    assert session.machine.config.incoming is not None
    broken.write_bytes(session.machine.config.incoming.read_bytes()[:5000])
    session.machine.starter = lambda: incoming.load(session.machine.monitor, broken)  # type: ignore[arg-type]
    with pytest.raises(Exception, match="cannot load|ended at once"), session:
        pass


def test_a_message_that_cannot_be_written_is_named(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another magic than that of the guest's page, while QEMU works."""
    session = start("other-page")
    deliver = incoming.deliver
    monkeypatch.setattr(incoming, "deliver", lambda machine, page, magic, *more: deliver(
        machine, page, bytes(len(magic)), *more))
    with pytest.raises(InfrastructureError, match="has no page of ours"), session:
        pass
