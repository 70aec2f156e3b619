# SPDX-License-Identifier: BSD-2-Clause
"""The way into the guest: one SSH connection with a pinned host key, commands and a shell on it."""

from __future__ import annotations

import logging
import os
import re
import select
import shlex
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import BinaryIO, Protocol

import fabric
import paramiko
from invoke.exceptions import UnexpectedExit

from orchestration.errors import HangError, InfrastructureError
from orchestration.keys import RunKeys

CHUNK = 1 << 16
POLL = 0.1
HANDSHAKE_LIMIT = 60
# Seconds in which the console may tell why a connection ended.
LOSS_GRACE = 5.0
# paramiko's words for a connection that ended, or a server that was silent, before the key was judged.
AUTH_CUT_OFF = re.compile("transport shut down|saw EOF|timeout", re.IGNORECASE)


class Sink(Protocol):
    """Where output goes."""

    def write(self, data: bytes, /) -> object:
        """Take bytes."""


@dataclass
class Buffer:
    """A sink that keeps what it gets."""

    data: bytes = b""

    def write(self, data: bytes, /) -> None:
        """Take bytes."""
        self.data += data


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


def connect(port: int, client: paramiko.PKey, host: paramiko.PKey) -> fabric.Connection:
    """Return an open connection, or raise what paramiko raises (the guest may not be up yet)."""
    # What fails before the guest answers is expected; the tracebacks would only confuse.
    logging.getLogger("paramiko").setLevel(logging.CRITICAL)
    connection = fabric.Connection(
        "127.0.0.1", user="root", port=port, config=fabric.Config(lazy=True), connect_timeout=HANDSHAKE_LIMIT,
        connect_kwargs={"pkey": client, "look_for_keys": False, "allow_agent": False,
                        "banner_timeout": HANDSHAKE_LIMIT, "auth_timeout": HANDSHAKE_LIMIT,
                        "channel_timeout": HANDSHAKE_LIMIT})
    connection.client.set_missing_host_key_policy(paramiko.RejectPolicy())
    connection.client.get_host_keys().add(f"[127.0.0.1]:{port}", host.get_name(), host)
    connection.open()
    return connection


def wait_until_open(port: int, keys: RunKeys, limit: Callable[[], float], check: Callable[[], None]
                    ) -> fabric.Connection:
    """Try until the guest lets us in. limit gives the seconds left; check raises when the machine is lost."""
    reason = "no try yet"
    while limit() > 0:
        check()
        try:
            return connect(port, keys.client, keys.host)
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


def pump_input(source: BinaryIO, channel: paramiko.Channel) -> None:
    """Copy source to the command's standard input until either ends."""
    with suppress(OSError, ValueError):
        while data := os.read(source.fileno(), CHUNK):
            channel.sendall(data)
        channel.shutdown_write()


def run(connection: fabric.Connection, command: str, *, out: Sink, err: Sink, source: BinaryIO | bytes | None = None,
        limit: float = float("inf"), check: Callable[[], None] = lambda: None) -> int:
    """Run a shell command and return its status. limit in seconds; check raises when the machine is lost."""
    try:
        transport = connection.client.get_transport()
        if transport is None:
            raise EOFError
        channel = transport.open_session(timeout=HANDSHAKE_LIMIT)
        channel.exec_command(command)
    except (paramiko.SSHException, OSError, EOFError) as error:
        raise lost(check) from error
    deadline = time.monotonic() + limit
    try:
        if isinstance(source, bytes):
            threading.Thread(target=lambda: send_all(channel, source), daemon=True).start()
        elif source is not None:
            threading.Thread(target=pump_input, args=(source, channel), daemon=True).start()
        else:
            channel.shutdown_write()
        while True:
            if channel.recv_ready():
                out.write(channel.recv(CHUNK))
            elif channel.recv_stderr_ready():
                err.write(channel.recv_stderr(CHUNK))
            elif channel.exit_status_ready() and (channel.eof_received or channel.closed):
                status = int(channel.recv_exit_status())
                if status < 0:
                    raise lost(check)
                return status
            elif channel.closed or not transport.is_active():
                raise lost(check)
            else:
                check()
                if time.monotonic() > deadline:
                    raise HangError(f"the command did not end in {limit:.0f} s: {command}")
                select.select([channel], [], [], POLL)
    finally:
        channel.close()


def lost(check: Callable[[], None]) -> InfrastructureError:
    """Return the error for a connection that ended, unless check soon raises the reason why it did."""
    deadline = time.monotonic() + LOSS_GRACE
    while time.monotonic() < deadline:
        check()
        time.sleep(POLL)
    return InfrastructureError("the SSH connection ended before the command did",
                               "the guest still runs, as far as its console tells")


def send_all(channel: paramiko.Channel, data: bytes) -> None:
    """Send data as the command's whole standard input."""
    with suppress(OSError):
        channel.sendall(data)
        channel.shutdown_write()


def shell(connection: fabric.Connection, check: Callable[[], None]) -> int:
    """Give the user's terminal to a login shell in the guest; return its status. check as in run()."""
    try:
        result = connection.shell()
    except UnexpectedExit as error:
        result = error.result
    except (paramiko.SSHException, OSError, EOFError) as error:
        raise lost(check) from error
    if result.exited < 0:
        raise lost(check)
    return int(result.exited)


def standard_output() -> tuple[Sink, Sink]:
    """Return this process' standard output and error, written through at once."""

    class Direct:
        """An unbuffered stream."""

        def __init__(self, stream: BinaryIO) -> None:
            self.stream = stream

        def write(self, data: bytes, /) -> None:
            """Write and flush."""
            self.stream.write(data)
            self.stream.flush()

    return Direct(sys.stdout.buffer), Direct(sys.stderr.buffer)
