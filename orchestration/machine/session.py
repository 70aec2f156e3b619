# SPDX-License-Identifier: BSD-2-Clause
"""A booted machine: follows it through its stages, runs commands in it, powers it off, explains its end."""

from __future__ import annotations

import queue
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

from orchestration.base import tools
from orchestration.base.errors import HangError, InfrastructureError, PanicError, QuollError
from orchestration.build import quoll
from orchestration.inspect import dossier
from orchestration.inspect.symbols import Symbols
from orchestration.machine import registry, ssh, terminal
from orchestration.machine.console import Channel, Kind, interpret
from orchestration.machine.keys import RunKeys
from orchestration.machine.progress import Progress
from orchestration.machine.qemu import Machine, Message
from orchestration.machine.stages import POWER_OFF_LIMIT, Tracker

# Seconds in which the rest of a panic's text arrives, and in which what was said before the end does.
PANIC_GRACE, END_GRACE = 2.0, 0.5
# Lines of the guest's console that are kept for its panic, which it reports when it has said all about it.
GUEST_LINES, SHOWN_LINES = 120, 40


@dataclass
class Session:
    """One boot. Use as a context manager: whatever happens, QEMU is gone afterwards.

    A machine without keys has no SSH: it is booted when its stages have ended, and has no connection.
    """

    machine: Machine
    keys: RunKeys | None
    tracker: Tracker
    progress: Progress
    kernel_symbols: Path | None = None
    linux_symbols: Path | None = None
    connection: ssh.Connection | None = None
    power_off_status: str | None = None
    shutdown_reason: str | None = None
    restarts: bool = False
    """The guest asked the root pager for a restart, which ends a machine here."""
    ended: bool = False
    guest_lines: deque[str] = field(default_factory=lambda: deque(maxlen=GUEST_LINES))
    deaths: list[str] = field(default_factory=list)
    lost_reason: QuollError | None = None
    registered: Path | None = None

    def open(self) -> None:
        """Boot up to a working SSH connection, where there is one; whoever opens a session calls finish()."""
        try:
            self.boot()
        except BaseException as error:
            self.finish(error)
            raise

    def __enter__(self) -> Session:
        """Open it."""
        self.open()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        """End the machine and write the result."""
        self.finish(error)

    def boot(self) -> None:
        """Start the machine and follow its stages."""
        # It may be the end of a panic.
        self.machine.stands_at_end = self.linux_symbols is not None
        self.machine.start()
        self.registered = registry.add(self.machine, self.keys, self.kernel_symbols, self.linux_symbols)
        self.tracker.restart()
        while self.tracker.current is not None and self.tracker.current.ends_with is not None:
            self.progress.doing(self.tracker.current.name)
            self.wait(min(self.tracker.left(), 1.0))
            if self.ended and self.tracker.current is not None and self.tracker.current.ends_with is not None:
                raise InfrastructureError(f"the machine switched itself off in stage '{self.stage_name()}'",
                                          self.where(), self.machine.last_lines())
            if self.tracker.current is not None and self.tracker.left() < 0:
                raise self.hang(self.tracker.current.name, self.tracker.current.limit * self.tracker.scale)
        if self.keys is not None:
            self.connect(self.keys)
        self.progress.stop()

    def connect(self, run_keys: RunKeys) -> None:
        """Wait for the guest's SSH."""
        self.progress.doing("ssh")
        try:
            self.connection = ssh.wait_until_open(self.machine.port, run_keys.client, run_keys.host,
                                                  self.tracker.left, self.check)
        except HangError as error:
            raise self.hang("ssh", 0, error.message) from error
        self.tracker.finish("ssh")
        self.report(["ssh"])

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
        """Handle what has arrived; raise when the machine is lost, tell whether it has switched itself off."""
        while True:
            try:
                message = self.machine.messages.get_nowait()
            except queue.Empty:
                return self.ended
            self.handle(message)

    def handle(self, message: Message) -> None:
        """Take one message; raise PanicError or InfrastructureError when it is an end, and remember it."""
        try:
            self.take(message)
        except QuollError as error:
            self.lost_reason = error
            raise

    def take(self, message: Message) -> None:
        """Take one message."""
        if message.error is not None:
            raise InfrastructureError(f"the run's logs cannot be written: {message.error.strerror}", self.where())
        if message.event.get("event") == "BLOCK_IO_ERROR" and message.event["data"].get("action") == "stop":
            # QEMU stops the machine when this machine's disk is full, and nobody would let it go on.
            reason = message.event["data"].get("reason", "an error")
            raise InfrastructureError(f"the guest's disk cannot be written on this machine: {reason}", self.where())
        if message.event.get("event") == "SHUTDOWN" and self.shutdown_reason is None:
            self.shutdown_reason = str(message.event.get("data", {}).get("reason"))
            self.let_go()
        if message.line is not None and message.line.channel is Channel.GUEST:
            self.guest_lines.append(message.line.text)
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
                self.progress.say(f"  root pager: server {meaning.text}")
            self.report(self.tracker.see(meaning.kind))
        if message.ended:
            self.ended = True
            process = self.machine.process
            if self.shutdown_reason is None and process is not None and process.returncode == 0:
                # QEMU before 8.2 just ends when riscv64's test device is told to power off.
                self.shutdown_reason = "guest-shutdown"
            # Before user land runs, a restart is a panic that came too early to be reported.
            restarted = self.restarts and (self.tracker.current is None or self.tracker.current.ends_with is None)
            if self.power_off_status is None and self.shutdown_reason != "guest-shutdown" and not restarted:
                raise self.lost()

    def let_go(self) -> None:
        """End a QEMU that stands still because the machine switched itself off, unless that was a panic."""
        deadline = time.monotonic() + END_GRACE
        while self.power_off_status is None and not self.ended and (left := deadline - time.monotonic()) > 0:
            self.wait(left)
        if self.machine.monitor is not None and not self.ended:
            with suppress(InfrastructureError):
                self.machine.monitor.execute("quit")

    def stage_name(self) -> str:
        """Return what was going on."""
        return self.tracker.current.name if self.tracker.current is not None else "running"

    def where(self) -> str:
        """Return the hint that every end of a machine carries."""
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
            names = Symbols(symbols)
            lines = [names.annotate(line) for line in lines]
        self.machine.run.file("panic.txt").write_text("\n".join(lines) + "\n")
        if not self.ended:
            self.dossier()
        shown = lines[-SHOWN_LINES:] if kind is Kind.GUEST_PANIC else lines[:SHOWN_LINES]
        who = {Kind.KERNEL_PANIC: "the L4 kernel", Kind.GUEST_PANIC: "Linux", Kind.ROOT_ERROR: "the root pager"}[kind]
        return PanicError(f"{who} gave up in stage '{self.stage_name()}': {text}", self.where(), tuple(shown))

    def lost(self) -> QuollError:
        """Return the error for a QEMU that has ended without being asked to."""
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
        """Write hang.txt: all that can be seen of a machine from outside. Return the few lines that say most."""
        found = dossier.Dossier(self.machine, self.kernel_symbols, self.linux_symbols, quoll.abi(self.machine.arch))
        self.machine.run.file("hang.txt").write_text(found.collect() + "\n")
        return found.summary

    def shell_run(self, command: str, source: BinaryIO | bytes | None = None, limit: float = 120.0) -> ssh.Done:
        """Run a shell command in the guest and return its status and output."""
        assert self.connection is not None
        out, err = ssh.Buffer(), ssh.Buffer()
        status = ssh.run(self.connection, f"{command}\nexit $?", out=out, err=err, source=source,
                         limit=limit * self.tracker.scale, check=self.check)
        return ssh.Done(status, out.data, err.data)

    def run(self, argv: list[str], **more: float) -> ssh.Done:
        """Run one program in the guest, its arguments exactly as given."""
        return self.shell_run(ssh.quote(argv), **more)  # type: ignore[arg-type]

    def serve(self, argv: list[str], wanted: bool = False) -> int:
        """Do what the user wants of the guest: run argv or a shell (terminal.serve()), and then power it off."""
        assert self.connection is not None
        if not argv and terminal.shell_is_interactive():
            self.progress.say(f"the guest is ready; leave the shell to switch it off ({terminal.ESCAPES})")
        status = terminal.serve(self.connection, argv, self.check, wanted=wanted, idle=self.say_ready)
        if self.ended:
            self.progress.say("the guest restarted, which ends the machine" if self.restarts
                              else "the guest switched itself off")
        self.power_off()
        return status

    @staticmethod
    def say_ready() -> int:
        """Tell that the guest is up, for whoever wants no more than that."""
        ssh.standard_output()[0].write(b"ready\n")
        return 0

    def push(self, local: Path, remote: str, mode: str = "755") -> None:
        """Copy a file into the guest."""
        done = self.shell_run(f"cat > {remote} && chmod {mode} {remote}", source=local.read_bytes())
        if done.status:
            raise InfrastructureError(f"cannot copy {local.name} to the guest: {done.err.decode(errors='replace')}")

    def wait_for(self, condition: Callable[[], bool], what: str, limit: float) -> None:
        """Handle messages until condition holds; raise HangError after limit seconds (scaled)."""
        deadline = time.monotonic() + limit * self.tracker.scale
        while not condition():
            if time.monotonic() > deadline:
                raise self.hang(what, limit * self.tracker.scale)
            self.wait(0.2)

    def power_off(self) -> None:
        """Power the guest off and wait until the machine is gone."""
        self.progress.doing("power off")
        if self.connection is not None and not self.ended:
            try:
                self.shell_run("poweroff", limit=POWER_OFF_LIMIT)
            except (InfrastructureError, HangError):
                if self.lost_reason is not None:
                    raise
                # The guest may be down before the command's status is through; waiting decides.
                self.machine.run.event("connection ended during power-off")
        self.wait_for(lambda: self.ended, "power off", POWER_OFF_LIMIT)

    def finish(self, error: BaseException | None) -> None:
        """End the machine, close everything, write result.json."""
        self.progress.stop()
        if self.registered is not None:
            self.registered.unlink(missing_ok=True)
        if self.connection is not None:
            self.connection.close()
            self.connection = None
        self.machine.close()
        outcome = "done" if error is None else error.outcome if isinstance(error, QuollError) else type(error).__name__
        result = {
            "arch": self.machine.arch.name, "accel": self.machine.config.accel, "outcome": outcome,
            "message": str(error) if error else "", "stage": self.stage_name(), "stages": self.tracker.times,
            "power_off_status": self.power_off_status, "shutdown_reason": self.shutdown_reason,
            "server_deaths": self.deaths, "linux_symbols": self.linux_symbols}
        try:
            self.machine.run.write_json("result.json", result)
        except OSError:
            # The error that is on its way says more, such as that the disk is full.
            if error is None:
                raise
