# SPDX-License-Identifier: BSD-2-Clause
"""What the commands attach, ssh, cp, gdb and stop do with a machine that another orchestrator keeps."""

from __future__ import annotations

import json
import os
import select
import shlex
import signal
import socket
import sys
import time
from base64 import b64decode
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path

from paramiko.ed25519key import Ed25519Key
from paramiko.ssh_exception import SSHException

from orchestration.base import arch as arches
from orchestration.base import doctor
from orchestration.base.errors import HangError, InfrastructureError, PanicError, QuollError, UsageError
from orchestration.base.tools import program
from orchestration.base.tree import ROOT
from orchestration.build import quoll
from orchestration.inspect.machine_code import CODES
from orchestration.machine import registry, ssh, streams, tee, transfer
from orchestration.machine.console import Channel, Splitter
from orchestration.machine.stages import POWER_OFF_LIMIT, SSH_LIMIT, time_scale
from orchestration.machine.terminal import INPUT, Terminal, serve

# Seconds that a machine's orchestrator takes at most from QEMU's end to the result of the run.
RESULT_LIMIT = 10.0
DETACH = 0x1D  # Ctrl-], as telnet has it
GDB_SCRIPT = ROOT / "orchestration" / "running" / "gdb_servers.py"


def connect(entry: registry.Entry, check: ssh.Check, limit: float = SSH_LIMIT) -> ssh.Connection:
    """Return an SSH connection with the machine's own keys; try for limit seconds (scaled), as long as a boot does."""
    folder = Path(entry.sockets)
    if folder.is_dir() and not (folder / registry.KEY).exists():
        raise InfrastructureError(f"{entry.name} has no SSH: it runs one workload of the bench by itself",
                                  f"see its console: ./orchestrate attach {entry.name}")
    try:
        client = Ed25519Key.from_private_key_file(str(folder / registry.KEY))
        host = Ed25519Key(data=b64decode((folder / registry.HOST_KEY).read_text().split()[1]))
    except (OSError, ValueError, IndexError, SSHException) as error:
        raise InfrastructureError(f"{entry.name} ended just now") from error
    deadline = time.monotonic() + limit * time_scale()
    try:
        return ssh.wait_until_open(entry.port, client, host, lambda: deadline - time.monotonic(), check)
    except HangError as error:
        raise InfrastructureError(f"{entry.name} refuses SSH: {error.message}",
                                  f"see its console: ./orchestrate attach {entry.name}") from error


def watch(entry: registry.Entry) -> ssh.Check:
    """Return the Check of a machine that another orchestrator keeps: its register while it runs, then its result."""
    ended_at: list[float] = []

    def check() -> bool:
        if registry.alive(entry):
            return False
        ended_at.append(time.monotonic())
        try:
            result = json.loads((Path(entry.run) / "result.json").read_text())
        except (OSError, ValueError):
            # Its orchestrator writes that when QEMU is gone.
            if time.monotonic() < ended_at[0] + RESULT_LIMIT:
                return False
            raise InfrastructureError(f"{entry.name} ended with its orchestrator", f"its logs are in {entry.run}"
                                      ) from None
        if result["outcome"] == "done":
            return True
        kind = {one.outcome: one for one in (PanicError, HangError)}.get(result["outcome"], InfrastructureError)
        raise kind(f"{entry.name} ended: {result['message'] or result['outcome']}", f"its logs are in {entry.run}")

    return check


def attach(entry: registry.Entry, log: bool) -> int:
    """Join the terminal with the guest's console until Ctrl-] or the machine's end."""
    line = socket.socket(socket.AF_UNIX)
    try:
        line.connect(str(Path(entry.sockets) / tee.NAME))
    except OSError as error:
        raise InfrastructureError(f"{entry.name} ended just now") from error
    print(f"attached to {entry.name}; Ctrl-] leaves it running", file=sys.stderr)
    terminal = os.isatty(INPUT)
    try:
        with Terminal() if terminal else nullcontext() as raw:
            converse(line, raw, log)
    except streams.OutputClosed:
        return 128 + signal.SIGPIPE
    except OSError:
        return 0
    finally:
        line.close()
        print(file=sys.stderr)
    return 0


def converse(line: socket.socket, terminal: Terminal | None, log: bool) -> None:
    """Show what comes from a machine's tee, send what is typed, until Ctrl-] or either's end."""
    split = Splitter()
    out = streams.standard_output()[0]
    waiting: list[socket.socket | int] = [line, INPUT]
    while True:
        if terminal is not None:
            terminal.tend()
        ready = select.select(waiting, [], [], ssh.POLL)[0]
        if line in ready:
            data = line.recv(65536)
            if not data:
                return
            for channel, run in split.feed(data):
                show(out, channel, run, log, terminal is not None)
        if INPUT in ready:
            typed = os.read(INPUT, 4096)
            if not typed and terminal is None:
                waiting.remove(INPUT)
            elif not typed or DETACH in typed:
                return
            line.sendall(typed)


def show(out: streams.Sink, channel: Channel, run: bytes, log: bool, terminal: bool) -> None:
    """Write one channel's bytes: the guest's as they are, the log dimmed where it is wanted."""
    if channel is Channel.GUEST:
        out.write(run)
    elif log:
        text = run.replace(b"\n", b"\r\n") if terminal else run
        out.write(b"\x1b[2m" + text + b"\x1b[0m" if terminal else text)


def shell(entry: registry.Entry, command: list[str], wanted: bool = False) -> int:
    """Run a command in the guest on our standard streams, or a login shell; wanted as in terminal.serve()."""
    check = watch(entry)
    with connect(entry, check) as connection:
        return serve(connection, command, check, wanted=wanted)


def parse_place(text: str) -> tuple[str | None, str] | None:
    """Return (machine or None, path) of MACHINE:PATH or :PATH; None for a path of the host."""
    head, colon, path = text.partition(":")
    return (head or None, path or ".") if colon and "/" not in head else None


def guest(name: str | None) -> ssh.Connection:
    """Return a connection to the machine of a name, or to the only one."""
    entry = registry.find(name)
    return connect(entry, watch(entry))


@contextmanager
def named() -> Iterator[None]:
    """Put the command's name before the message of an error."""
    try:
        yield
    except QuollError as error:
        raise type(error)(f"cp: {error.message}", error.hint, error.details) from error


def copy(sources: list[str], target: str) -> int:
    """Copy files and folders to or from a guest, as scp -r does; one side is MACHINE:PATH or :PATH."""
    if not all([*sources, target]):
        raise UsageError("cp: an empty name")
    into = parse_place(target)
    away = [parse_place(source) for source in sources]
    if into is not None and not any(away):
        with guest(into[0]) as connection, named():
            transfer.upload(connection, [Path(source) for source in sources], into[1])
            return 0
    if into is None and len(away) == 1 and away[0] is not None:
        with guest(away[0][0]) as connection, named():
            transfer.download(connection, away[0][1], Path(target))
            return 0
    raise UsageError("cp goes from here to a guest or from one guest to here; name the guest's side MACHINE:PATH or "
                     ":PATH")


def gdb(entry: registry.Entry, arguments: list[str]) -> int:
    """Replace this process by gdb, connected to the machine (which stops), with symbols of L4, servers and Linux."""
    if not entry.kernel:
        raise UsageError(f"{entry.name} does not run L4: it is Linux on the bare machine")
    doctor.ensure_packages(["gdb-multiarch"])
    arch = arches.find(entry.arch)
    abi = quoll.abi(arch)
    bare = Path(entry.kernel).parent
    info = abi.STRUCTS["server_info"]
    facts = {"servers": {name: str(bare / name) for name in quoll.SERVERS}, "info": abi.SERVER_INFO_VADDR,
             "info_size": info[0], "program": info[1]["program"], "hash": abi.SERVERS_HASH,
             "boot_magic": abi.BOOT_MAGIC,
             "guest": [abi.GUEST_RAM_VADDR, abi.GUEST_RAM_VADDR + (1 << 32)]}
    facts_file = Path(entry.sockets) / "gdb.json"
    facts_file.write_text(json.dumps(facts))
    argv = [program("gdb-multiarch"), "-q", "-ex", "set confirm off", "-ex", "set pagination off",
            "-ex", f"set architecture {CODES[arch.name].gdb}", "-ex", f"file {shlex.quote(entry.kernel)}"]
    if Path(entry.linux).exists():
        argv += ["-ex", f"add-symbol-file {shlex.quote(entry.linux)}"]
    argv += ["-ex", f"python QUOLL_FACTS = {str(facts_file)!r}", "-x", str(GDB_SCRIPT),
             "-ex", f"target remote {entry.sockets}/gdb", *arguments]
    os.execv(argv[0], argv)


def stop(entry: registry.Entry) -> int:
    """Power the guest off; end the orchestrator if that does not come to an end."""
    deadline = time.monotonic() + POWER_OFF_LIMIT * time_scale()
    check = watch(entry)
    with suppress(QuollError), connect(entry, check, POWER_OFF_LIMIT) as connection:
        ssh.run(connection, "poweroff", out=streams.Buffer(), err=streams.Buffer(), limit=10.0, check=check)
    while registry.alive(entry):
        if time.monotonic() > deadline:
            os.kill(entry.pid, signal.SIGTERM)
            raise InfrastructureError(f"{entry.name} did not power off and was ended", f"its logs are in {entry.run}")
        time.sleep(0.1)
    return 0
