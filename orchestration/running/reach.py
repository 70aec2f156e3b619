# SPDX-License-Identifier: BSD-2-Clause
"""What the commands attach, ssh, cp, gdb and stop do with a machine that another orchestrator keeps."""

from __future__ import annotations

import json
import os
import shlex
import signal
import sys
import time
from base64 import b64decode
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path

from paramiko.ed25519key import Ed25519Key
from paramiko.ssh_exception import SSHException

from orchestration.base import arch as arches
from orchestration.base import doctor
from orchestration.base.errors import HangError, InfrastructureError, PanicError, QuollError, UsageError
from orchestration.base.limits import time_scale
from orchestration.base.tools import program
from orchestration.base.tree import ROOT
from orchestration.build import image, quoll, system
from orchestration.inspect.machine_code import CODES
from orchestration.machine import attached, registry, ssh, streams, transfer
from orchestration.machine.stages import POWER_OFF_LIMIT, SSH_LIMIT
from orchestration.machine.terminal import serve

# Seconds that a machine's orchestrator takes at most from QEMU's end to the result of the run.
RESULT_LIMIT = 10.0
# What gdb's script needs of the ABI beside layouts.
ABI_VALUES = ("SERVER_INFO_VADDR", "BOOT_MAGIC", "SERVERS_HASH", "RESOURCE_QUEUES", "GUEST_DEVICE_GPA", "PAGE_SIZE")
GDB_SCRIPT = ROOT / "orchestration" / "running" / "gdb_servers.py"


def connect(entry: registry.Entry, check: ssh.Check, limit: float = SSH_LIMIT) -> ssh.Connection:
    """Return an SSH connection with the machine's own keys; try for limit seconds (scaled), as long as a boot does."""
    folder = Path(entry.sockets)
    if folder.is_dir() and not (folder / registry.KEY).exists():
        raise InfrastructureError(f"{entry.name} has no SSH: its root file system has no server for it",
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
    print(f"attached to {entry.name}; {attached.LEAVE} leaves it running", file=sys.stderr)
    return attached.attach(Path(entry.sockets), log)


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
    servers = image.servers_of(abi, Path(entry.run) / "boot.img")
    facts = {"files": {name: str(bare / program) for name, program in system.by_name(servers).items()},
             "servers": [asdict(server) for server in servers], "path": str(ROOT),
             "abi": {name: getattr(abi, name) for name in ABI_VALUES}
             | {"STRUCTS": {name: abi.STRUCTS[name] for name in ("server_info", "resource")}}}
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
    """Power the guest off; end the orchestrator if that does not come to an end, or without SSH to ask by."""
    if not (Path(entry.sockets) / registry.KEY).exists():
        os.kill(entry.pid, signal.SIGTERM)
        print(f"{entry.name} has no SSH by which to power off: it was ended", file=sys.stderr)
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
