# SPDX-License-Identifier: BSD-2-Clause
"""A booted machine: boots it through its stages, runs commands in it, powers it off, writes its result."""

from __future__ import annotations

import os
import secrets
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

from orchestration.base.errors import HangError, InfrastructureError, QuollError, printable
from orchestration.machine import attached, registry, shares, ssh, streams, terminal
from orchestration.machine.follower import Follower
from orchestration.machine.keys import RunKeys
from orchestration.machine.stages import POWER_OFF_LIMIT, SYSTEMD_LIMIT

SERVICES = "services"
# Seconds that a line of Linux' log may take to the console, behind all that is there already.
CONSOLE_LIMIT = 60.0
# Prints the state of the system when its boot is over, then the units that failed. systemctl waits by D-Bus only, which
# not every system has.
WAIT_FOR_SERVICES = """[ ! -S /run/dbus/system_bus_socket ] || systemctl is-system-running --wait > /dev/null
while case "$(systemctl is-system-running)" in initializing | starting) ;; *) false ;; esac; do sleep 1; done
systemctl is-system-running
systemctl list-units --failed --plain --no-legend --no-pager | cut -d ' ' -f 1"""


@dataclass
class Session(Follower):
    """One boot. Use as a context manager: whatever happens, QEMU is gone afterwards.

    A machine without keys has no SSH: it is booted when its stages have ended, and has no connection.
    """

    keys: RunKeys | None = None
    connection: ssh.Connection | None = None
    registered: Path | None = None
    name: str | None = None
    """Of the machine; None: the register chooses one."""
    mounts: bool = True
    """Whether the guest mounts the folders of the host; QEMU stores no state while it does."""
    held: int | None = None
    """Descriptor of a lock that others respect until the machine has ended."""

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
        # A panic of Linux ends in a power-off; QEMU then pauses so that the panic can be read.
        self.machine.stands_at_end = self.linux_symbols is not None
        self.machine.start()
        if self.keys is not None:
            ssh.load()
        self.registered = registry.add(self.machine, self.keys, self.kernel_symbols, self.linux_symbols,
                                       self.name)
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
        if self.stage_name() == SERVICES:
            self.wait_for_services()
        if self.machine.config.shares and self.mounts:
            self.mount_shares(self.machine.config.shares)
        self.progress.stop()

    def wait_for_services(self) -> None:
        """Wait until systemd has started everything; tell what failed, with which the guest is as good as it is."""
        self.progress.doing(SERVICES)
        try:
            done = self.shell_run(WAIT_FOR_SERVICES, limit=SYSTEMD_LIMIT)
        except HangError as error:
            raise self.hang(SERVICES, SYSTEMD_LIMIT * self.tracker.scale) from error
        self.tracker.finish(SERVICES)
        self.report([SERVICES])
        state, *failed = done.text.splitlines() or ["unknown"]
        if state != "running":
            self.progress.say(f"  systemd is {printable(state)}: {printable(' '.join(failed)) or 'no unit failed'}")

    def connect(self, run_keys: RunKeys) -> None:
        """Wait for the guest's SSH."""
        self.progress.doing("ssh")
        ssh.load().join()
        try:
            self.connection = ssh.wait_until_open(self.machine.port, run_keys.client, run_keys.host,
                                                  self.tracker.left, self.check)
        except HangError as error:
            raise self.hang("ssh", 0, error.message) from error
        self.tracker.finish("ssh")
        self.report(["ssh"])

    def mount_shares(self, wanted: tuple[shares.Share, ...]) -> None:
        """Have the guest mount folders of the host."""
        if self.connection is None:
            self.progress.say("  no way into the guest: it mounts its folders itself, by their tags share0, share1 ...")
            return
        done = self.shell_run(shares.mounting(wanted))
        if done.status:
            raise InfrastructureError(f"the guest cannot {shares.failed(wanted, done.status)}: "
                                      f"{printable(done.err.decode(errors='replace').strip())}",
                                      "GUESTDIR must be free for a folder, and the guest's Linux needs 9P")

    def shell_run(self, command: str, source: BinaryIO | bytes | None = None, limit: float = 120.0) -> ssh.Done:
        """Run a shell command in the guest and return its status and output."""
        assert self.connection is not None
        out, err = streams.Buffer(), streams.Buffer()
        status = ssh.run(self.connection, f"{command}\nexit $?", out=out, err=err, source=source,
                         limit=limit * self.tracker.scale, check=self.check)
        return ssh.Done(status, out.data, err.data)

    def run(self, argv: list[str], **more: float) -> ssh.Done:
        """Run one program in the guest, its arguments exactly as given."""
        return self.shell_run(ssh.quote(argv), **more)  # type: ignore[arg-type]

    def hear_out(self) -> None:
        """Return when all that Linux has printed until now has been handled.

        A line of our own goes through the same log to the same console, and with the highest level, so that no setting
        of the console hides it.
        """
        mark = self.awaited = f"heard until here: {secrets.token_hex(8)}"
        done = self.shell_run(f"echo '<0>{mark}' > /dev/kmsg", limit=CONSOLE_LIMIT)
        if done.status:
            raise InfrastructureError("the guest's log takes no line: "
                                      f"{printable(done.err.decode(errors='replace').strip())}", self.where())
        deadline = time.monotonic() + CONSOLE_LIMIT * self.tracker.scale
        while self.awaited:
            if self.ended or (left := deadline - time.monotonic()) < 0:
                raise InfrastructureError("what Linux prints does not reach its console", self.where(),
                                          self.machine.last_lines())
            self.wait(min(left, 1.0))

    def serve(self, argv: list[str], wanted: bool = False) -> int:
        """Run argv or a shell in the guest (terminal.serve()), then end the machine; return the status.

        A guest without SSH has its console only, and is not powered off by us.
        """
        if self.connection is None:
            self.progress.say(f"no SSH server on the disk: this is the guest's console; {attached.LEAVE} ends the "
                              "machine as a power failure would")
            return attached.attach(self.machine.sockets, False, self.check)
        if not argv and terminal.shell_is_interactive():
            self.progress.say(f"the guest is ready; leave the shell to switch it off ({terminal.ESCAPES})")
        status = terminal.serve(self.connection, argv, self.check, wanted=wanted, idle=self.say_ready)
        if self.ended:
            self.progress.say("the guest restarted, which ends the machine" if self.restarts
                              else "the guest switched itself off")
        self.leave()
        self.check_reports(status)
        return status

    def leave(self) -> None:
        """Power the guest off, or, if it started from a snapshot, let finish() end it as it is: its disk goes with it.

        Before that, folders of the host get what the guest has not written yet.
        """
        if self.machine.config.incoming is None:
            self.power_off()
        elif not self.ended and any(share.writable for share in self.machine.config.shares):
            # What ran in the guest may have switched it off, which writes everything, too.
            with suppress(ssh.SwitchedOff):
                self.shell_run("sync", limit=POWER_OFF_LIMIT)

    @staticmethod
    def say_ready() -> int:
        """Print ready: the command when standard input is empty and no terminal."""
        streams.standard_output()[0].write(b"ready\n")
        return 0

    def push(self, local: Path, remote: str, mode: str = "755") -> None:
        """Copy a file into the guest."""
        done = self.shell_run(f"cat > {remote} && chmod {mode} {remote}", source=local.read_bytes())
        if done.status:
            raise InfrastructureError(f"cannot copy {local.name} to the guest: {done.err.decode(errors='replace')}")

    def power_off(self) -> None:
        """Power the guest off and wait until the machine is gone."""
        self.progress.doing("power off")
        if self.connection is not None and not self.ended:
            try:
                self.shell_run("poweroff", limit=POWER_OFF_LIMIT)
            except (InfrastructureError, HangError):
                if self.lost_reason is not None:
                    raise
                # The guest may power off before the status of the command arrives; wait_for() below decides.
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
        if self.held is not None:
            os.close(self.held)
            self.held = None
        outcome = "done" if error is None else error.outcome if isinstance(error, QuollError) else type(error).__name__
        result = {
            "arch": self.machine.arch.name, "accel": self.machine.config.accel, "outcome": outcome,
            "message": str(error) if error else "", "stage": self.stage_name(), "stages": self.tracker.times,
            "power_off_status": self.power_off_status, "shutdown_reason": self.shutdown_reason,
            "server_deaths": self.deaths, "reports": self.reports if self.watches else None,
            "linux_symbols": self.linux_symbols}
        try:
            self.machine.run.write_json("result.json", result)
        except OSError:
            # The error that ended the session says more, such as that the disk is full.
            if error is None:
                raise
