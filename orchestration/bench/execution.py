# SPDX-License-Identifier: BSD-2-Clause
"""One run of one workload in a booted Linux: copies it in, runs it, fetches its figures, and says what failed."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path

from orchestration.base.errors import HangError, InfrastructureError, WorkloadError
from orchestration.bench import kit
from orchestration.bench.figures import Figure, figures
from orchestration.bench.peer import peer
from orchestration.bench.terms import Clock
from orchestration.bench.workload import Workload
from orchestration.machine.session import Session
from orchestration.machine.ssh import Done

PLACE = "/var/tmp/bench"
# On tmpfs: writing them waits for no device.
OUTPUT, ERRORS, LEADER = "/run/bench.out", "/run/bench.err", "/run/bench.pid"
# The same in every Linux, however the session came to be: its size moves the stack of a program.
ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "LC_ALL": "C"}
# An emulator that counts instructions takes longer for each.
COUNTING_SCALE = 4
COPY_LIMIT, SMALL_LIMIT = 300.0, 60.0
FULL_KIB = 1024


def run_once(session: Session, workload: Workload, clock: Clock, packed: Path) -> list[Figure]:
    """Run a workload and return its figures.

    Raise WorkloadError when the workload is to blame (the guest is well then), another QuollError when it is not.
    """
    place = f"{PLACE}/{workload.name}"
    with peer(workload) as told:
        prepare(session, workload, place, packed)
        done = execute(session, workload, clock, place, told)
        try:
            return collect(session, workload, clock, place, done)
        finally:
            session.shell_run(f"rm -rf {PLACE} {OUTPUT} {ERRORS} {LEADER}", limit=COPY_LIMIT)


def free_kib(session: Session) -> int:
    """Return the free space of the guest's disk."""
    text = session.shell_run("df -k /var/tmp | tail -n 1", limit=SMALL_LIMIT).text.split()
    return int(text[3]) if len(text) > 3 and text[3].isdigit() else 0


def prepare(session: Session, workload: Workload, place: str, packed: Path) -> None:
    """Make the workload's folder in the guest."""
    done = session.shell_run(f"rm -rf {PLACE} && mkdir -p {place}/out && tar -C {place} -xf - && sync",
                             source=packed.read_bytes(), limit=COPY_LIMIT)
    if done.status:
        raise InfrastructureError(f"cannot copy {workload.name} to the guest: {done.err.decode(errors='replace')}")
    free = free_kib(session) // 1024
    if free < workload.description.disk:
        raise InfrastructureError(f"{workload.name} needs {workload.description.disk} MiB of disk, the guest has "
                                  f"{free}",
                                  "make the image larger: orchestration/build/rootfs.py")


def command(workload: Workload, place: str, told: Mapping[str, str]) -> str:
    """Return the shell command that runs a workload in a session of its own, so that all of it can be ended."""
    environment = ENVIRONMENT | {"OUT": f"{place}/out"} | dict(told)
    inner = f"echo $$ > {LEADER}; cd {place} && {workload.description.run}"
    words = " ".join(f"{name}={shlex.quote(value)}" for name, value in environment.items())
    # The second is for what the copy of the files left to do: the rest of its packets, the disk's journal.
    return (f"sleep 1; env -i {words} setsid /bin/sh -c {shlex.quote(inner)} "
            f"> {OUTPUT} 2> {ERRORS} < /dev/null")


def execute(session: Session, workload: Workload, clock: Clock, place: str, told: Mapping[str, str]) -> Done:
    """Run the workload to its end or its limit."""
    limit = workload.description.limit * (COUNTING_SCALE if clock is Clock.INSTRUCTIONS else 1)
    try:
        return session.shell_run(command(workload, place, told), limit=limit)
    except HangError as error:
        seconds = limit * session.tracker.scale
        try:
            session.shell_run(f"kill -KILL -$(cat {LEADER}); sleep 1", limit=SMALL_LIMIT)
        except (HangError, InfrastructureError) as silent:
            raise session.hang(f"the workload {workload.name}", seconds) from silent
        raise overdue(workload, seconds, said(session)) from error


def overdue(workload: Workload, seconds: float, lines: tuple[str, ...]) -> WorkloadError:
    """Return the error for a workload that went on for too long; lines are its last words."""
    return WorkloadError(f"the workload {workload.name} did not end in {seconds:.0f} s",
                         "its limit is in workload.toml; the guest itself still answers", lines)


def failed(workload: Workload, status: int, lines: tuple[str, ...]) -> WorkloadError:
    """Return the error for a workload that ended with another status than 0; lines are its last words."""
    return WorkloadError(f"the workload {workload.name} failed with status {status}",
                         f"its command: {workload.description.run}", lines)


def said(session: Session) -> tuple[str, ...]:
    """Return the last lines that a workload wrote."""
    text = session.shell_run(f"tail -n 6 {OUTPUT}; tail -n 12 {ERRORS}", limit=SMALL_LIMIT).text
    return tuple(text.splitlines())


def collect(session: Session, workload: Workload, clock: Clock, place: str, done: Done) -> list[Figure]:
    """Return the figures of a workload that has ended, or raise WorkloadError."""
    if free_kib(session) < FULL_KIB:
        raise WorkloadError(f"the workload {workload.name} filled the guest's disk (status {done.status})",
                            "bound what it writes", said(session))
    if done.status:
        raise failed(workload, done.status, said(session))
    output = session.shell_run(f"cat {OUTPUT}", limit=COPY_LIMIT).out.decode(errors="replace")
    files = session.shell_run(f"tar -C {place}/out -cf - .", limit=COPY_LIMIT).out
    return figures(workload, clock, output, kit.unpack(files))
