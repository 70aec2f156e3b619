# SPDX-License-Identifier: BSD-2-Clause
"""How a session interprets lines and events of its machine, without a machine."""

from __future__ import annotations

import json
import re
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from orchestration.base.arch import ARCHES
from orchestration.base.errors import HangError, InfrastructureError, PanicError, QuollError, ReportError
from orchestration.base.rundir import RunDirectory
from orchestration.machine import follower, registry, ssh, terminal
from orchestration.machine.console import Channel, Line
from orchestration.machine.progress import Progress
from orchestration.machine.qemu import Config, Machine, Message
from orchestration.machine.session import Session
from orchestration.machine.shares import Share
from orchestration.machine.stages import BOOT_STAGES, NATIVE_STAGES, Stage, Tracker


def session(folder: Path, stages: tuple[Stage, ...] = BOOT_STAGES, booted: bool = True) -> Session:
    made = Session(Machine(ARCHES["x86_64"], Config(kernel=folder / "k"), RunDirectory("test", folder)),
                   Tracker(stages), Progress(quiet=True))
    made.dossier = list  # type: ignore[method-assign]
    if booted:
        made.tracker.finish("ssh")
    return made


def says(made: Session, channel: Channel, *lines: str) -> None:
    for line in lines:
        made.machine.messages.put(Message(line=Line(channel, line)))


def ends(made: Session, reason: str) -> None:
    made.shutdown_reason = reason
    made.machine.messages.put(Message(ended=True))


def test_text_that_looks_like_an_end_is_text(tmp_path: Path) -> None:
    made = session(tmp_path)
    says(made, Channel.GUEST, "Kernel panic - not syncing: x", "root: guest powers off, status 0",
         "root: guest restarts", "root: server block died: x", "l4: PANIC: x")
    assert not made.check()
    assert (made.power_off_status, made.restarts, made.deaths) == (None, False, [])


def test_a_panic_has_what_the_guest_said_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Linux calls the root pager at the end of its panic, when all of it is on the console."""
    monkeypatch.setattr(follower, "PANIC_GRACE", 0.1)
    made = session(tmp_path)
    says(made, Channel.GUEST, "Kernel panic - not syncing: sysrq triggered crash", "Call Trace: x")
    says(made, Channel.LOG, "root: guest panic: sysrq triggered crash")
    with pytest.raises(PanicError, match="Linux gave up in stage 'running': sysrq triggered crash") as caught:
        made.check()
    text = made.machine.run.file("panic.txt").read_text()
    assert text.splitlines() == ["Kernel panic - not syncing: sysrq triggered crash", "Call Trace: x",
                                 "sysrq triggered crash"]
    assert "Call Trace: x" in caught.value.details


@pytest.mark.parametrize(("line", "reason"), [("root: guest powers off, status 0", "guest-shutdown"),
                                              ("root: guest restarts", "guest-reset")])
def test_power_off_and_restart_are_no_failures(tmp_path: Path, line: str, reason: str) -> None:
    made = session(tmp_path)
    says(made, Channel.LOG, line)
    ends(made, reason)
    assert made.check()


@pytest.mark.parametrize("booted", [True, False])
def test_a_reset_that_nobody_asked_for_is_a_panic(tmp_path: Path, booted: bool) -> None:
    """A restart during boot is a panic too, which Linux could not report."""
    made = session(tmp_path, booted=booted)
    if not booted:
        says(made, Channel.LOG, "root: linux started", "root: guest restarts")
    ends(made, "guest-reset")
    with pytest.raises(PanicError, match="the machine reset itself"):
        made.check()


def test_a_panic_of_linux_on_the_bare_machine_is_its_reset(tmp_path: Path) -> None:
    made = session(tmp_path, NATIVE_STAGES)
    says(made, Channel.GUEST, "Kernel panic - not syncing: x")
    assert not made.check()
    ends(made, "guest-reset")
    with pytest.raises(PanicError):
        made.check()
    assert "not syncing: x" in made.machine.run.file("panic.txt").read_text()


def test_qemus_end_during_power_off_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = session(tmp_path)
    made.connection = object()
    ends(made, "host-error")

    def shell_run(command: str, **more: object) -> None:
        made.check()

    monkeypatch.setattr(made, "shell_run", shell_run)
    with pytest.raises(InfrastructureError, match="QEMU ended"):
        made.power_off()


@pytest.mark.parametrize(("incoming", "writable", "told"), [
    (False, True, ["poweroff"]), (True, False, []), (True, True, ["sync"])])
def test_a_machine_of_a_snapshot_is_ended_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, incoming: bool,
                                                   writable: bool, told: list[str]) -> None:
    """Its disk goes with it; what it wrote to a folder of the host does not."""
    made = session(tmp_path)
    made.connection = object()
    made.machine.config = replace(made.machine.config, incoming=tmp_path if incoming else None,
                                  shares=(Share(tmp_path, "/mnt/a"), Share(tmp_path, "/mnt/b", writable)))
    ran: list[str] = []
    monkeypatch.setattr(made, "shell_run", lambda command, **more: ran.append(command))
    monkeypatch.setattr(made, "wait_for", lambda condition, what, limit: ran.append(what))
    monkeypatch.setattr(terminal, "serve", lambda *given, **more: 7)
    assert made.serve(["true"]) == 7
    assert ran == told + ["power off"] * (not incoming)


def test_a_command_may_switch_a_machine_of_a_snapshot_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is on its way when its folders are to be written: the command's status counts. No other loss is hidden."""
    made = session(tmp_path)
    made.connection = object()
    made.machine.config = replace(made.machine.config, incoming=tmp_path, shares=(Share(tmp_path, "/mnt/b", True),))
    error: QuollError = ssh.SwitchedOff("the guest switched itself off before the command ended")

    def shell_run(command: str, **more: object) -> None:
        raise error

    monkeypatch.setattr(made, "shell_run", shell_run)
    monkeypatch.setattr(terminal, "serve", lambda *given, **more: 7)
    assert made.serve(["true"]) == 7
    for error in (InfrastructureError("QEMU ended"), HangError("sync")):
        with pytest.raises(type(error), match=str(error)):
            made.serve(["true"])


def test_a_machine_that_is_off_before_it_is_up_is_no_hang(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = session(tmp_path, booted=False)
    monkeypatch.setattr(made.machine, "start", lambda: None)
    monkeypatch.setattr(registry, "add", lambda *described: tmp_path / "entry")
    says(made, Channel.LOG, "l4: Quoll", "root: started", "root: guest powers off, status 0")
    ends(made, "guest-shutdown")
    with pytest.raises(InfrastructureError, match="switched itself off in stage"):
        made.boot()
    assert [json.loads(line)["event"] for line in made.machine.run.file("events.jsonl").read_text().splitlines()]


def test_a_terminal_that_has_hung_up_keeps_no_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = session(tmp_path)
    full = open("/dev/full", "w", buffering=1)  # noqa: SIM115 - closed below
    made.progress = Progress()
    made.progress.console = Console(file=full, force_terminal=True)
    closed = []
    monkeypatch.setattr(made.machine, "close", lambda: closed.append(True))
    made.progress.doing("x")
    made.progress.say("x")
    made.progress.done("x", 1)
    made.finish(None)
    assert closed
    assert made.machine.run.file("result.json").exists()
    monkeypatch.setattr(full, "flush", lambda: None)
    with suppress(OSError):
        full.close()


def test_a_guests_words_do_nothing_to_a_terminal() -> None:
    assert PanicError("x", details=("a\x1b[6n\x9b0cä\t\r",)).lines()[0] == "  | a\ufffd[6n\ufffd0cä\t\ufffd"
    assert PanicError("a\x1b[6n\nb \udcff", "see \x9b").lines() == [
        "orchestrate: a\ufffd[6n", "b \udcff", "  hint: see \ufffd"]


def test_a_drivers_words_do_nothing_to_a_terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = session(tmp_path)
    said: list[str] = []
    monkeypatch.setattr(made.progress, "say", said.append)
    says(made, Channel.LOG, "root: server net died: a\x1b]0;b\x07", "root: server net waits: \x9b6n")
    made.check()
    assert said == ["  root pager: server net died: a\ufffd]0;b\ufffd", "  root pager: server net waits: \ufffd6n"]


KASAN = "BUG: KASAN: slab-use-after-free in f+0x1/0x2"


def reporting(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Session:
    """A machine in which a command runs with status 7, and meanwhile Linux reports a bug; then it switches itself off.
    """
    made = session(folder)
    made.connection = object()
    monkeypatch.setattr(made, "leave", made.check)
    monkeypatch.setattr(terminal, "serve", lambda *_, **__: 7)
    says(made, Channel.GUEST, "[    1.000000] x", f"[    2.000000] {KASAN}", KASAN)
    says(made, Channel.LOG, "root: guest powers off, status 0")
    ends(made, "guest-shutdown")
    return made


def test_what_a_check_reports_is_the_end_of_a_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = reporting(tmp_path, monkeypatch)
    made.watches = True
    with pytest.raises(ReportError, match=f"1 bug, beside the status 7: {re.escape(KASAN)}") as caught:
        made.serve(["x"])
    made.connection = None
    made.finish(caught.value)
    result = json.loads(made.machine.run.file("result.json").read_text())
    assert (result["outcome"], result["reports"]) == ("report", [KASAN])


def test_without_checks_nothing_is_a_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = reporting(tmp_path, monkeypatch)
    assert (made.serve(["x"]), made.reports) == (7, [])


def logs(made: Session, monkeypatch: pytest.MonkeyPatch, *after: str, status: int = 0) -> list[str]:
    """Have the guest's console show lines after what a command writes to Linux' log; return those commands."""
    seen: list[str] = []

    def execute(command: str, **ignored: object) -> ssh.Done:
        seen.append(command)
        says(made, Channel.GUEST, *(line.format(re.findall("<0>(.*)'", command)[0]) for line in after))
        return ssh.Done(status, b"", b"sh: /dev/kmsg: x\n")

    monkeypatch.setattr(made, "shell_run", execute)
    return seen


def test_what_linux_printed_before_a_line_of_ours_is_handled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = session(tmp_path)
    made.watches = True
    seen = logs(made, monkeypatch, f"[    2.000000] {KASAN}", "[    3.000000] {}", "[    4.000000] BUG: later")
    made.hear_out()
    assert made.reports == [KASAN]
    made.hear_out()
    assert made.reports == [KASAN, "BUG: later", KASAN]
    assert len(set(seen)) == 2, "each line is another"


def test_a_console_that_shows_nothing_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = session(tmp_path)
    logs(made, monkeypatch, "[    3.000000] another line")
    made.tracker.scale = 0.001
    with pytest.raises(InfrastructureError, match="does not reach its console"):
        made.hear_out()
    logs(made, monkeypatch, status=1)
    with pytest.raises(InfrastructureError, match="takes no line: sh: /dev/kmsg: x"):
        made.hear_out()
    logs(made, monkeypatch)
    made.ended = True
    made.tracker.scale = 1000.0
    with pytest.raises(InfrastructureError, match="does not reach its console"):
        made.hear_out()
