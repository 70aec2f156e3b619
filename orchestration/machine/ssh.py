# SPDX-License-Identifier: BSD-2-Clause
"""SSH into the guest: one connection with a pinned host key, and commands on it.

The client libraries are loaded by whoever needs them first, not by an import of this module: they take as long as a
machine takes to start from a snapshot, and can be loaded meanwhile (load()).
"""

from __future__ import annotations

import functools
import importlib
import logging
import os
import re
import secrets
import select
import shlex
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO, TypeAlias

from orchestration.base.errors import HangError, InfrastructureError, QuollError
from orchestration.base.limits import time_scale
from orchestration.base.threads import awaited
from orchestration.machine.stages import POWER_OFF_LIMIT
from orchestration.machine.streams import Buffer, Sink

if TYPE_CHECKING:
    import fabric
    import paramiko

    # To the guest behind a port of this host; a context manager.
    Connection: TypeAlias = fabric.Connection

CHUNK = 1 << 16
POLL = 0.1
HANDSHAKE_LIMIT = 60
# Seconds in which the machine may tell why a connection ended, before we ask whether it still answers.
LOSS_GRACE = 5.0
PROBE_LIMIT = 2.0
# Bytes of a command that the guest's server takes at once: dropbear's MAX_CMD_LEN is 9000.
COMMAND_MAX = 8000
# A file system in memory that every guest has.
SCRIPT = "/run/quoll-command-"
# Of ML-KEM the emulated guest's part takes 0.05 s; what never leaves this host need not be secret for decades.
DISABLED = {"kex": ["mlkem768x25519-sha256"]}
# paramiko's messages for a connection that ended, or timed out, before authentication was decided.
AUTH_CUT_OFF = re.compile("transport shut down|saw EOF|timeout", re.IGNORECASE)

# Raises when the machine is lost; tells whether it has switched itself off.
Check = Callable[[], bool]


class SwitchedOff(InfrastructureError):
    """The guest switched itself off, as it was told to, while something ran in it."""


class Overdue(HangError):
    """A command did not end within its limit; it may still run."""


@dataclass(frozen=True)
class Done:
    """How a command ended: exit status (128 + signal when one killed it), and its output."""

    status: int
    out: bytes
    err: bytes

    @property
    def text(self) -> str:
        """Return standard output as text, without the last line end."""
        return self.out.decode(errors="replace").rstrip("\n")


@functools.cache
def load() -> threading.Thread:
    """Load the client libraries in a thread, once; return it. Who needs them joins it first."""
    # Of two threads that import modules which import each other, one may find a module that is not complete.
    thread = threading.Thread(target=importlib.import_module, args=("fabric",), daemon=True, name="load")
    thread.start()
    return thread


def running() -> bool:
    """Return False: the Check of a machine whose messages nobody handles."""
    return False


def connect(port: int, client: paramiko.PKey, host: paramiko.PKey) -> Connection:
    """Return an open connection, or raise what paramiko raises (the guest may not be up yet)."""
    import fabric
    import paramiko

    # Failures before the guest is up are expected; paramiko would log their tracebacks.
    logging.getLogger("paramiko").setLevel(logging.CRITICAL)
    connection = fabric.Connection(
        "127.0.0.1", user="root", port=port, config=fabric.Config(lazy=True), connect_timeout=HANDSHAKE_LIMIT,
        connect_kwargs={"pkey": client, "look_for_keys": False, "allow_agent": False,
                        "disabled_algorithms": DISABLED, "banner_timeout": HANDSHAKE_LIMIT,
                        "auth_timeout": HANDSHAKE_LIMIT, "channel_timeout": HANDSHAKE_LIMIT})
    connection.client.set_missing_host_key_policy(paramiko.RejectPolicy())
    connection.client.get_host_keys().add(f"[127.0.0.1]:{port}", host.get_name(), host)
    try:
        connection.open()
    except BaseException:
        connection.client.close()
        raise
    return connection


def wait_until_open(port: int, client: paramiko.PKey, host: paramiko.PKey, limit: Callable[[], float], check: Check
                    ) -> Connection:
    """Connect, again and again until it works. limit returns the seconds left.

    dropbear turns away whoever comes while five others of one address have not logged in yet; all of us have the
    same address there.
    """
    import paramiko

    def look() -> None:
        if check():
            raise SwitchedOff("the guest switched itself off before anyone could log in")

    reason = "no try yet"
    while limit() > 0:
        look()
        try:
            return awaited(lambda: connect(port, client, host), look)
        except paramiko.AuthenticationException as error:
            if AUTH_CUT_OFF.search(str(error)):
                # A guest whose clock counts instructions may wait in vain for a host that is busy with other work.
                reason = str(error)
                continue
            raise InfrastructureError("the guest's SSH server refuses this run's key",
                                      "see console.log in the run's folder") from error
        except paramiko.BadHostKeyException as error:
            raise InfrastructureError("something else than this run's guest answers on the SSH port",
                                      "see who listens there: ss -ltnp") from error
        except (paramiko.SSHException, OSError, EOFError) as error:
            reason = str(error) or type(error).__name__
            if "banner" in reason or "No existing session" in reason:
                reason = "the port is open, but no SSH server answers"
        time.sleep(0.3)
    raise HangError(f"no SSH connection within its limit: {reason}")


def quote(argv: list[str]) -> str:
    """Return argv for the guest's shell. The exit keeps the shell alive, so that signals become 128 + n."""
    return f"{shlex.join(argv)}; exit $?"


@dataclass
class Input:
    """What a command reads: bytes, then what comes from a file descriptor if there is one."""

    descriptor: int | None = None
    first: bytes = b""


def pump_input(source: Input, channel: paramiko.Channel) -> None:
    """Copy source to the command's standard input until either ends. What cannot be read has no content."""
    from paramiko import SSHException

    with suppress(OSError, SSHException):
        channel.sendall(source.first)
        with suppress(OSError):
            while source.descriptor is not None and (data := os.read(source.descriptor, CHUNK)):
                channel.sendall(data)
        channel.shutdown_write()


def ended(channel: paramiko.Channel) -> bool:
    """Tell whether a command, or the connection, has ended, and all that it said has arrived."""
    return bool(channel.closed or (channel.exit_status_ready() and channel.eof_received)
                or not channel.get_transport().is_active())


def status(channel: paramiko.Channel) -> int | None:
    """Return the status of a command that has ended; None when the connection ended before."""
    return int(channel.exit_status) if channel.exit_status_ready() and channel.exit_status >= 0 else None


def start(connection: Connection, command: str, check: Check, limit: float = float("inf"),
          prepare: Callable[[paramiko.Channel], None] = lambda channel: None) -> paramiko.Channel:
    """Start a shell command and return its channel. prepare asks for what it needs, such as a terminal."""
    from paramiko import SSHException

    text = os.fsencode(command)
    if len(text) > COMMAND_MAX:
        text = deliver(connection, text, check)

    def work() -> paramiko.Channel:
        transport = connection.client.get_transport()
        if transport is None:
            raise EOFError
        channel = transport.open_session(timeout=HANDSHAKE_LIMIT)
        prepare(channel)
        channel.exec_command(text)
        return channel

    try:
        return awaited(work, check, limit, f"the command did not start in {limit:.0f} s: {shortened(command)}")
    except (SSHException, OSError, EOFError) as error:
        raise lost(connection, check) from error


def deliver(connection: Connection, command: bytes, check: Check) -> bytes:
    """Put a command that is too long for the guest's server into a file there; return the command that runs it."""
    name = f"{SCRIPT}{secrets.token_hex(8)}"
    err = Buffer()
    if run(connection, f"umask 077; cat > {name}; exit $?", out=err, err=err, check=check,
           source=f"rm -f {name}\n".encode() + command + b"\n"):
        raise InfrastructureError(f"the guest does not take a command of {len(command)} bytes: "
                                  f"{err.data.decode(errors='replace').strip()}")
    return f". {name}".encode()


def run(connection: Connection, command: str, *, out: Sink, err: Sink, source: BinaryIO | bytes | Input | None = None,
        limit: float = float("inf"), check: Check = running) -> int:
    """Run a shell command and return its status. limit in seconds."""
    channel = start(connection, command, check, limit)
    deadline = time.monotonic() + limit
    try:
        if source is not None:
            given = (source if isinstance(source, Input) else Input(first=source) if isinstance(source, bytes)
                     else Input(source.fileno()))
            threading.Thread(target=pump_input, args=(given, channel), daemon=True, name="input").start()
        else:
            channel.shutdown_write()
        while True:
            check()
            # Ask this before reading: no output arrives after the end.
            over = ended(channel)
            if not over and time.monotonic() > deadline:
                raise Overdue(f"the command did not end in {limit:.0f} s: {shortened(command)}")
            if channel.recv_ready():
                out.write(channel.recv(CHUNK))
            elif channel.recv_stderr_ready():
                err.write(channel.recv_stderr(CHUNK))
            elif over:
                break
            else:
                select.select([channel], [], [], POLL)
        result = status(channel)
    finally:
        channel.close()
    if result is None:
        raise lost(connection, check)
    return result


def shortened(text: str, length: int = 200) -> str:
    """Return the first length characters of a text, with dots if it is longer."""
    return text if len(text) <= length else f"{text[:length]}..."


def lost(connection: Connection, check: Check) -> QuollError:
    """Return the error for a connection that ended, unless check raises the reason why it did.

    A guest that goes down ends its connections long before it is off. One whose server still greets does not go down.
    """
    began = time.monotonic()
    limit = POWER_OFF_LIMIT * time_scale()
    while time.monotonic() < began + limit:
        if check():
            return SwitchedOff("the guest switched itself off before the command ended")
        if time.monotonic() > began + LOSS_GRACE and greets(connection.port):
            break
        time.sleep(POLL)
    else:
        return HangError(f"the SSH connection ended, and the guest neither answers nor is off after {limit:.0f} s",
                         "see console.log in the run's folder")
    return InfrastructureError("the SSH connection ended before the command did",
                               "the guest still runs, and its SSH server answers")


def greets(port: int) -> bool:
    """Tell whether an SSH server answers on a port."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=PROBE_LIMIT) as line:
            line.settimeout(PROBE_LIMIT)
            return line.recv(4) == b"SSH-"
    except OSError:
        return False
