# SPDX-License-Identifier: BSD-2-Clause
"""One run of one workload on a machine that waits for nothing: its files are in memory, and no packet reaches it.

Under a counting clock the time that a disk of the host takes is added to the guest's, and packets arrive when they do;
both change what Linux does next to the workload. Such a machine has no disk and no SSH. It runs the workload by itself
(rootfs/workloads/init), writes one piece of base64 to its console, and powers off:

    quoll: result of BYTES bytes, SHA-256 DIGEST
    ...
    quoll: end of result

It is a tar file: status, version (Linux'), output, errors, and what the workload left in $OUT below files.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
import time
from dataclasses import dataclass
from pathlib import Path

from orchestration.base.arch import Arch
from orchestration.base.cache import Cache
from orchestration.base.errors import InfrastructureError
from orchestration.bench import execution, kit
from orchestration.bench.figures import Figure, figures
from orchestration.bench.terms import Clock
from orchestration.bench.workload import FOLDER, Workload
from orchestration.build import initramfs, rootfs
from orchestration.machine.session import Session

INIT = FOLDER / "init"
COMMAND = "workload"
FILES = "files/"
BEGIN = re.compile(r"quoll: result of (\d+) bytes, SHA-256 ([0-9a-f]{64})")
END = "quoll: end of result"
# Lines of Linux in between are left out.
ENCODED = re.compile(r"[A-Za-z0-9+/]+={0,2}")
# Ends the workload as its limit does elsewhere; rootfs/workloads/init reads it.
STOP = b"stop\n"


@dataclass(frozen=True)
class Result:
    """What a machine says of its workload. files are texts by their name in $OUT."""

    status: int
    version: str
    output: str
    errors: str
    files: dict[str, str]


def archive(arch: Arch, cache: Cache, workload: Workload) -> Path:
    """Return the root file system of a machine that runs this workload."""
    place = f"{execution.PLACE}/{workload.name}"
    command = (f"mkdir {place}/out\n{execution.command(workload, place, {})}\nstatus=$?\n"
               f"mv {place}/out /run/result/{FILES.rstrip('/')}\nexit $status\n")
    packed = kit.pack(arch, cache, workload)
    with kit.known_packages(arch, cache, workload):
        return initramfs.archive(arch, cache, rootfs.Spec(extra=workload.description.packages),
                                 {"init": INIT.read_bytes(), COMMAND: command.encode()},
                                 {place.lstrip("/"): packed})


def piece(console: str) -> bytes:
    """Return the checked piece on a console; raise InfrastructureError when it is missing, cut off or damaged."""
    lines = [line.strip() for line in console.splitlines()]
    begins = [at for at, line in enumerate(lines) if BEGIN.fullmatch(line)]
    if not begins:
        raise InfrastructureError("the machine ended without a result of its workload")
    found = BEGIN.fullmatch(lines[begins[-1]])
    assert found is not None
    rest = lines[begins[-1] + 1:]
    if END not in rest:
        raise InfrastructureError("the result of the workload is cut off")
    encoded = "".join(line for line in rest[:rest.index(END)] if ENCODED.fullmatch(line))
    try:
        data = base64.b64decode(encoded, validate=True)
    except binascii.Error:
        data = b""
    if len(data) != int(found[1]) or hashlib.sha256(data).hexdigest() != found[2]:
        raise InfrastructureError(f"the result of the workload is damaged: {len(data)} bytes of {found[1]}")
    return data


def result(console: str) -> Result:
    """Return the result on a console; raise InfrastructureError when there is none that is whole."""
    texts = kit.unpack(piece(console))
    try:
        return Result(int(texts["status"]), texts["version"].strip(), texts["output"], texts["errors"],
                      {name.removeprefix(FILES): text for name, text in texts.items() if name.startswith(FILES)})
    except (KeyError, ValueError) as error:
        raise InfrastructureError(f"the result of the workload is incomplete: {error}") from error


def ended(session: Session, limit: float) -> bool:
    """Wait until a machine is gone; tell whether it was within the limit (seconds, scaled)."""
    deadline = time.monotonic() + limit * session.tracker.scale
    while not session.ended and time.monotonic() < deadline:
        session.wait(1.0)
    return session.ended


def run_once(session: Session, workload: Workload) -> tuple[str, list[Figure]]:
    """Wait for the end of a booted machine; return its version of Linux and the figures of its workload.

    Raise WorkloadError when the workload is to blame, another QuollError when it is not.
    """
    limit = workload.description.limit * execution.COUNTING_SCALE
    overdue = not ended(session, limit)
    if overdue:
        session.machine.send(STOP)
        if not ended(session, execution.SMALL_LIMIT):
            raise session.hang(f"the workload {workload.name}", limit * session.tracker.scale)
    try:
        found = result(session.machine.run.file("console.log").read_text())
    except InfrastructureError as error:
        raise InfrastructureError(error.message, session.where(), session.machine.last_lines()) from error
    said = (*found.output.splitlines()[-6:], *found.errors.splitlines()[-12:])
    if overdue:
        raise execution.overdue(workload, limit * session.tracker.scale, said)
    if found.status:
        raise execution.failed(workload, found.status, said)
    return found.version, figures(workload, Clock.INSTRUCTIONS, found.output, found.files)
