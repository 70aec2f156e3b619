# SPDX-License-Identifier: BSD-2-Clause
"""A booted guest: commands, files, consoles, counters, and its end."""

from __future__ import annotations

import os
import re
import secrets
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from orchestration.base.errors import HangError, QuollError, UsageError
from orchestration.build import quoll as build
from orchestration.inspect import dossier, placement, trace
from orchestration.machine import boot, ssh, streams, transfer
from orchestration.machine.console import Channel
from orchestration.machine.session import Session
from quoll.console import Console
from quoll.errors import CommandError, CommandTimeout

# Seconds in which a guest kills a command that did not end.
KILL_LIMIT = 60.0
# Variable by which the processes of a command are found: its shell, and programs of a BusyBox that are forks of the
# shell, have it in their arguments, other programs in their environment.
MARK = "QUOLL_COMMAND"
# The pattern's last character is in brackets, so that the arguments of the shell that runs this do not match.
KILL = ("for place in $(grep -ls '{mark}[{last}]' /proc/[0-9]*/environ /proc/[0-9]*/cmdline); do "
        'kill -9 "$(basename "${{place%/*}}")"; done')
VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

Word = str | bytes | os.PathLike[str]


@dataclass(frozen=True)
class Completed:
    """How a command ended, with the names of subprocess.CompletedProcess."""

    args: str | Sequence[Word]
    returncode: int
    """128 + n: killed by signal n."""
    stdout_bytes: bytes
    stderr_bytes: bytes

    @property
    def stdout(self) -> str:
        """Return standard output as text; bytes that are no UTF-8 are replaced."""
        return self.stdout_bytes.decode(errors="replace")

    @property
    def stderr(self) -> str:
        """Return standard error as text; bytes that are no UTF-8 are replaced."""
        return self.stderr_bytes.decode(errors="replace")

    @property
    def text(self) -> str:
        """Return standard output without the line ends after its last line."""
        return self.stdout.rstrip("\n")

    def check_returncode(self) -> None:
        """Raise CommandError unless the status is 0."""
        if self.returncode:
            raise CommandError(shown(self.args), self.returncode, self.stdout, self.stderr)


def script(command: str | Sequence[Word]) -> str:
    """Return a command as text for the guest's shell: a string is that already, a list is one program's words."""
    if isinstance(command, str):
        return command
    return shlex.join(os.fsdecode(word) for word in command)


def shown(command: str | Sequence[Word]) -> str:
    """Return a command for a message."""
    return ssh.shortened(script(command))


def setting(env: Mapping[str, str]) -> str:
    """Return shell text that sets variables; raise UsageError for a name that a shell does not take."""
    for name in env:
        if not VARIABLE.fullmatch(name):
            raise UsageError(f"{name!r} is no name of a variable of the environment")
    return "".join(f"export {name}={shlex.quote(os.fsdecode(value))}\n" for name, value in env.items())


class Guest:
    """A guest that runs. Made by quoll.boot(); close() or the end of its with statement ends the machine."""

    def __init__(self, session: Session, persistent: bool = False) -> None:
        """Take a session that is not open yet. persistent: its disk survives the run."""
        self.session, self.persistent = session, persistent
        scale = session.tracker.scale
        self.console = Console("the guest's console", self.check, session.machine.send, scale)
        """The guest's console."""
        self.log = Console("the log of L4", self.check, None, scale)
        """What the kernel, the root pager and the drivers print."""
        self.closed = False
        session.machine.on_data = self.take

    def take(self, channel: Channel, data: bytes) -> None:
        """Take bytes of the serial line."""
        (self.console if channel is Channel.GUEST else self.log).feed(data)

    @property
    def arch(self) -> str:
        """Return the name of the architecture."""
        return self.session.machine.arch.name

    @property
    def name(self) -> str:
        """Return the machine's name, for ./orchestrate ssh, attach, gdb and the like."""
        return self.session.registered.stem if self.session.registered is not None else ""

    @property
    def folder(self) -> Path:
        """Return the folder of the run, with its logs (docs/usage.md)."""
        return self.session.machine.run.path

    @property
    def alive(self) -> bool:
        """Tell whether the machine runs: it has not switched itself off, panicked or lost its QEMU."""
        try:
            return not self.closed and not self.check()
        except QuollError:
            return False

    def check(self) -> bool:
        """Handle what the machine has said; return whether it is off; raise the error by which it was lost, each time.

        The session raises that once, and whoever asks next would wait for a machine that does not answer.
        """
        if self.session.lost_reason is not None:
            raise self.session.lost_reason
        return self.session.check()

    def run(self, command: str | Sequence[Word], *, check: bool = False, timeout: float | None = 120.0,
            input: str | bytes | None = None, env: Mapping[str, str] | None = None,  # noqa: A002 - subprocess.run's
            cwd: str | None = None) -> Completed:
        """Run a command as root and return how it ended: a list is a program with its arguments, a string a script.

        check: raise CommandError unless the status is 0. timeout: seconds, multiplied by QUOLL_TIME_SCALE, after which
        the command and its children are killed and CommandTimeout is raised; None: no limit. input: its standard
        input, which is empty otherwise. env: variables beside those that the guest's shell has. cwd: its folder.
        """
        connection = self.connection()
        token = secrets.token_hex(8)
        text = setting({**(env or {}), MARK: token})
        if cwd is not None:
            text += f"cd {shlex.quote(cwd)} || exit\n"
        text += f"{script(command)}\nexit $?"
        out, err = streams.Buffer(), streams.Buffer()
        limit = float("inf") if timeout is None else timeout * self.session.tracker.scale
        given = input.encode() if isinstance(input, str) else input
        try:
            status = ssh.run(connection, text, out=out, err=err, source=given, limit=limit, check=self.check)
        except ssh.Overdue:
            self.kill(token, command, limit)
            raise CommandTimeout(shown(command), limit, out.data.decode(errors="replace"),
                                 err.data.decode(errors="replace")) from None
        done = Completed(command, status, out.data, err.data)
        if check:
            done.check_returncode()
        return done

    def kill(self, token: str, command: str | Sequence[Word], limit: float) -> None:
        """Kill the processes of a command; raise HangError with a dossier when the guest does not even do that."""
        try:
            self.session.shell_run(KILL.format(mark=f"{MARK}={token[:-1]}", last=token[-1]), limit=KILL_LIMIT)
        except HangError as error:
            raise self.session.hang("command", limit, f"neither the command ended in {limit:g} s nor a second one "
                                    f"that kills it: {shown(command)}") from error

    def push(self, local: str | os.PathLike[str], remote: str | os.PathLike[str] = "/root/") -> None:
        """Copy a file or folder into the guest: into remote if that is a folder or ends with /, else to that name."""
        transfer.upload(self.connection(), [Path(local)], os.fspath(remote), self.check)

    def pull(self, remote: str | os.PathLike[str], local: str | os.PathLike[str] = ".") -> Path:
        """Copy a file or folder out of the guest, into local if that is a folder, else to that name; return its path.

        Devices, and links that leave the folder, are left out, and InfrastructureError names them at the end.
        """
        return transfer.download(self.connection(), os.fspath(remote), Path(local), self.check)

    def connection(self) -> ssh.Connection:
        """Return the connection; raise the error by which the machine was lost, or UsageError when there is none."""
        if self.closed or self.check():
            raise UsageError("the machine has ended")
        if self.session.connection is None:
            raise UsageError("the guest has no SSH server: its console is the only way in")
        return self.session.connection

    def counters(self) -> dict[str, int]:
        """Return what L4 has counted since it started, by name; the machine must have been booted with trace=True."""
        return self.trace().counts

    def trace(self) -> trace.Trace:
        """Return counters, messages by endpoint and the last events of L4, as counters() does."""
        monitor = self.session.machine.monitor
        if self.closed or monitor is None:
            raise UsageError("the machine has ended")
        try:
            return trace.read(monitor, self.session.machine.run.file("l4.log"))
        except trace.NoTrace as error:
            raise UsageError("this machine's L4 counts nothing", "boot it with trace=True") from error

    def place(self, places: Mapping[str, int]) -> None:
        """Have servers and vCPUs, by their names (block, vcpu0), run on other CPUs from the next second on."""
        machine = self.session.machine
        if self.closed or machine.monitor is None or self.session.ended:
            raise UsageError("the machine has ended")
        placement.move(machine, machine.run, build.abi(machine.arch), places)

    def dossier(self) -> str:
        """Return what the machine is doing: registers, threads of L4, stacks, last lines. It runs on."""
        machine = self.session.machine
        if self.closed or machine.monitor is None or self.session.ended:
            raise UsageError("the machine has ended")
        found = dossier.Dossier(machine, self.session.kernel_symbols, self.session.linux_symbols,
                                build.abi(machine.arch))
        text = found.collect() + "\n"
        machine.run.file("dossier.txt").write_text(text)
        return text

    def power_off(self) -> None:
        """Switch the guest off in order, and wait until the machine is gone."""
        self.session.power_off()
        self.close()

    def close(self, error: BaseException | None = None) -> None:
        """End the machine. One with a disk that survives the run is switched off in order; other disks are thrown away.

        error: what the run failed by; its folder then keeps disk and boot image, for ./orchestrate repro.
        """
        if self.closed:
            return
        try:
            # A guest that hangs would hang once more, and one without SSH cannot be told to go.
            if (self.persistent and self.session.connection is not None and not isinstance(error, HangError)
                    and self.alive):
                self.session.power_off()
        except QuollError as failure:
            if error is None:
                error = failure
                raise
        finally:
            self.closed = True
            self.session.finish(error)
            if error is None:
                boot.discard_large_files(self.session.machine.run)

    def __enter__(self) -> Guest:
        """Return itself."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace_back: TracebackType | None) -> None:
        """End the machine."""
        self.close(error)


