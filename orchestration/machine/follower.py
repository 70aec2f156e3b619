# SPDX-License-Identifier: BSD-2-Clause
"""Handles a machine's messages through the stages of its boot, and makes the error when the machine is lost."""

from __future__ import annotations

import queue
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from orchestration.base import tools
from orchestration.base.errors import HangError, InfrastructureError, PanicError, QuollError, ReportError, printable
from orchestration.build import quoll
from orchestration.machine import reports
from orchestration.machine.console import Channel, Kind, interpret
from orchestration.machine.progress import Progress
from orchestration.machine.qemu import Machine, Message
from orchestration.machine.stages import Tracker

# Seconds in which the rest of a panic's text arrives, and in which what was said before the end does.
PANIC_GRACE, END_GRACE = 2.0, 0.5
# Lines of the guest's console that are kept for its panic, which it reports when it has said all about it.
GUEST_LINES, SHOWN_LINES = 120, 40


@dataclass
class Follower:
    """One machine's messages, and what they have told so far. Symbols are ELF files, of L4 and of Linux."""

    machine: Machine
    tracker: Tracker
    progress: Progress
    kernel_symbols: Path | None = None
    linux_symbols: Path | None = None
    power_off_status: str | None = None
    shutdown_reason: str | None = None
    restarts: bool = False
    """The guest asked the root pager for a restart, which ends a machine here."""
    ended: bool = False
    guest_lines: deque[str] = field(default_factory=lambda: deque(maxlen=GUEST_LINES))
    deaths: list[str] = field(default_factory=list)
    watches: bool = False
    """Linux has checks compiled in; what they report is collected."""
    reports: list[str] = field(default_factory=list)
    awaited: str = ""
    """Text that somebody waits for on the guest's console; nothing when it has come."""
    lost_reason: QuollError | None = None

    def report(self, names: list[str]) -> None:
        """Show and note stages that have ended."""
        for name in names:
            self.machine.run.event("stage", name=name, took=self.tracker.times[name])
            self.progress.stop()
            self.progress.done(name, self.tracker.times[name])

    def wait(self, seconds: float) -> None:
        """Handle the next message, or return after seconds."""
        try:
            message = self.machine.messages.get(timeout=max(seconds, 0.01))
        except queue.Empty:
            return
        self.handle(message)

    def check(self) -> bool:
        """Handle the messages that have arrived; return whether the machine has powered off; raise when it is lost.

        Not those that come meanwhile: a guest may print faster than lines are handled.
        """
        for _ in range(self.machine.messages.qsize()):
            try:
                message = self.machine.messages.get_nowait()
            except queue.Empty:
                break
            self.handle(message)
        return self.ended

    def handle(self, message: Message) -> None:
        """Handle one message; raise PanicError or InfrastructureError when it ends the machine, and keep that error."""
        try:
            self.take(message)
        except QuollError as error:
            self.lost_reason = error
            raise

    def take(self, message: Message) -> None:
        """Handle one message; handle() keeps the error that this raises."""
        if message.error is not None:
            raise InfrastructureError(f"the run's logs cannot be written: {message.error.strerror}", self.where())
        if message.event.get("event") == "BLOCK_IO_ERROR" and message.event["data"].get("action") == "stop":
            # QEMU pauses the machine when the host's disk is full; nothing would resume it.
            reason = message.event["data"].get("reason", "an error")
            raise InfrastructureError(f"the guest's disk cannot be written on this machine: {reason}", self.where())
        if message.event.get("event") == "SHUTDOWN" and self.shutdown_reason is None:
            self.shutdown_reason = str(message.event.get("data", {}).get("reason"))
            self.let_go()
        if message.line is not None and message.line.channel is Channel.GUEST:
            self.guest_lines.append(message.line.text)
            if self.awaited and self.awaited in message.line.text:
                self.awaited = ""
            if self.watches and not message.line.continued and (found := reports.first_line(message.line.text)):
                self.reports.append(found)
                self.progress.say(f"  Linux reports {printable(found)}")
        if message.line is not None and (meaning := interpret(message.line)) is not None:
            self.machine.run.event(meaning.kind.name.lower(), text=meaning.text)
            if meaning.kind in (Kind.KERNEL_PANIC, Kind.GUEST_PANIC, Kind.ROOT_ERROR):
                raise self.panic(meaning.kind, meaning.text)
            if meaning.kind is Kind.POWER_OFF:
                self.power_off_status = meaning.text
            if meaning.kind is Kind.RESTART:
                self.restarts = True
            if meaning.kind is Kind.SERVER_DIED:
                self.deaths.append(meaning.text)
            if meaning.kind in (Kind.SERVER_DIED, Kind.SERVER_WAITS):
                self.progress.say(f"  root pager: server {printable(meaning.text)}")
            self.report(self.tracker.see(meaning.kind))
        if message.ended:
            self.ended = True
            process = self.machine.process
            if self.shutdown_reason is None and process is not None and process.returncode == 0:
                # QEMU before 8.2 ends without an event when riscv64's test device powers off.
                self.shutdown_reason = "guest-shutdown"
            # Before user land runs, a restart is a panic that came too early to be reported.
            restarted = self.restarts and (self.tracker.current is None or self.tracker.current.ends_with is None)
            if self.power_off_status is None and self.shutdown_reason != "guest-shutdown" and not restarted:
                raise self.lost()

    def let_go(self) -> None:
        """Quit a QEMU that is paused at power-off, once a panic has had time to be reported."""
        deadline = time.monotonic() + END_GRACE
        while self.power_off_status is None and not self.ended and (left := deadline - time.monotonic()) > 0:
            self.wait(left)
        if self.machine.monitor is not None and not self.ended:
            with suppress(InfrastructureError):
                self.machine.monitor.execute("quit")

    def stage_name(self) -> str:
        """Return the name of the current stage, or 'running'."""
        return self.tracker.current.name if self.tracker.current is not None else "running"

    def where(self) -> str:
        """Return the hint of every error about this machine: where its logs are."""
        return f"the run's logs are in {self.machine.run.path}"

    def panic(self, kind: Kind, text: str) -> PanicError:
        """Collect the rest of a panic, name its addresses, and return the error."""
        lines = [*(self.guest_lines if kind is Kind.GUEST_PANIC else ()), text]
        deadline = time.monotonic() + PANIC_GRACE
        while (left := deadline - time.monotonic()) > 0:
            try:
                message = self.machine.messages.get(timeout=left)
            except queue.Empty:
                break
            if message.ended:
                self.ended = True
                break
            if message.event.get("event") == "SHUTDOWN":
                deadline = min(deadline, time.monotonic() + END_GRACE)
            if message.line is not None:
                meaning = interpret(message.line)
                if meaning is not None and meaning.kind is Kind.KERNEL_PANIC_END:
                    break
                lines.append(message.line.text)
        symbols = self.kernel_symbols if kind is Kind.KERNEL_PANIC else self.linux_symbols
        if symbols is not None and symbols.exists():
            # Takes a tenth of a second, and few machines fail.
            from orchestration.inspect.symbols import Symbols

            names = Symbols(symbols)
            lines = [names.annotate(line) for line in lines]
        self.machine.run.file("panic.txt").write_text("\n".join(lines) + "\n")
        if not self.ended:
            self.dossier()
        shown = lines[-SHOWN_LINES:] if kind is Kind.GUEST_PANIC else lines[:SHOWN_LINES]
        who = {Kind.KERNEL_PANIC: "the L4 kernel", Kind.GUEST_PANIC: "Linux", Kind.ROOT_ERROR: "the root pager"}[kind]
        return PanicError(f"{who} gave up in stage '{self.stage_name()}': {text}", self.where(), tuple(shown))

    def check_reports(self, status: int) -> None:
        """Raise ReportError when a check of Linux has reported something; status is that of what ran meanwhile."""
        if self.reports:
            raise ReportError(f"Linux reported {len(self.reports)} {'bugs' if len(self.reports) > 1 else 'bug'}, "
                              f"beside the status {status}: {self.reports[0]}",
                              f"each is in console.log; {self.where()}", tuple(self.reports[:SHOWN_LINES]))

    def lost(self) -> QuollError:
        """Return the error for a QEMU that ended by itself."""
        stage = self.stage_name()
        if self.shutdown_reason == "guest-reset":
            self.machine.run.file("panic.txt").write_text("\n".join(self.guest_lines) + "\n")
            return PanicError(f"the machine reset itself in stage '{stage}'", self.where(), self.machine.last_lines())
        status = self.machine.process.returncode if self.machine.process else None
        shown = self.machine.last_lines() + tools.tail(self.machine.run.file("qemu.log"), 4)
        return InfrastructureError(f"QEMU ended with status {status} in stage '{stage}'", self.where(), shown)

    def hang(self, stage: str, limit: float, why: str = "") -> HangError:
        """Write the dossier, and return the error."""
        lines = self.dossier()
        text = why or f"stage '{stage}' did not end in {limit:.0f} s"
        return HangError(text, f"{self.where()}; hang.txt tells what it was doing. "
                         "A slow machine: set QUOLL_TIME_SCALE=2", (*self.machine.last_lines(), *lines))

    def dossier(self) -> list[str]:
        """Write hang.txt, the dossier of the machine; return its summary, a few lines."""
        # Takes a tenth of a second, and few machines fail.
        from orchestration.inspect import dossier

        found = dossier.Dossier(self.machine, self.kernel_symbols, self.linux_symbols, quoll.abi(self.machine.arch))
        self.machine.run.file("hang.txt").write_text(found.collect() + "\n")
        return found.summary

    def wait_for(self, condition: Callable[[], bool], what: str, limit: float) -> None:
        """Handle messages until condition holds; raise HangError after limit seconds (scaled)."""
        deadline = time.monotonic() + limit * self.tracker.scale
        while not condition():
            if time.monotonic() > deadline:
                raise self.hang(what, limit * self.tracker.scale)
            self.wait(0.2)
