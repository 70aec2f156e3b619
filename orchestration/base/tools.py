# SPDX-License-Identifier: BSD-2-Clause
"""Runs programs of the host: output to a log, a time limit, no process left behind. Standard library only."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from orchestration.base.errors import BuildError, InfrastructureError, MissingError
from orchestration.base.limits import time_scale
from orchestration.base.ownership import HANDING, HELD

TAIL, TAIL_BYTES = 15, 1 << 20
# Seconds in which an interrupted program may remove what it has not finished.
GRACE = 10.0
# Seconds between two looks at a log of which somebody wants the last line.
TELL = 1.0
# Kills its process group when its standard input ends.
LEADER = "trap '' INT TERM HUP; read -r _; kill -KILL 0"


def tail(path: Path, count: int = TAIL) -> tuple[str, ...]:
    """Return the last lines of a file, of a large one at most those at its end: a guest writes as much as it wants."""
    try:
        with path.open("rb") as stream:
            stream.seek(max(0, stream.seek(0, os.SEEK_END) - TAIL_BYTES))
            return tuple(stream.read().decode(errors="replace").splitlines()[-count:])
    except OSError:
        return ()


def program(name: str) -> str:
    """Return the path of a program, or raise MissingError that names it."""
    found = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    if found is None:
        raise MissingError(f"the program {name} is missing", "run: ./orchestrate doctor --install")
    return found


@contextmanager
def group() -> Iterator[int]:
    """Give the number of a process group that is killed at the end of the block, and when this process dies.

    The group's leader reads a pipe of which this process alone has the other end. (PR_SET_PDEATHSIG reaches one
    process, and not what that has started.)
    """
    with subprocess.Popen(["/bin/sh", "-c", LEADER], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
                          stderr=subprocess.DEVNULL, process_group=0) as leader:
        try:
            yield leader.pid
        finally:
            os.killpg(leader.pid, signal.SIGKILL)


def wait(process: subprocess.Popen[bytes], limit: float, log: Path, tell: Callable[[str], None] | None) -> None:
    """Wait for a process; raise subprocess.TimeoutExpired after limit seconds."""
    deadline = time.monotonic() + limit
    while tell is not None and (left := deadline - time.monotonic()) > TELL:
        with suppress(subprocess.TimeoutExpired):
            process.wait(min(TELL, left))
            return
        tell("".join(tail(log, 1)))
    process.wait(max(deadline - time.monotonic(), 0))


def run(argv: Sequence[str], log: Path, what: str, limit: float, cwd: Path | None = None,
        env: Mapping[str, str] | None = None, unfinished: Path | None = None,
        tell: Callable[[str], None] | None = None) -> None:
    """Run argv with its output appended to log; raise BuildError with the log's end if it fails.

    limit: seconds on an idle machine; QUOLL_TIME_SCALE multiplies them.

    tell is given the last line of the log from time to time.

    The file unfinished is there while the program runs, and afterwards when it was killed: what it was writing may
    then be there in part.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    command = [program(argv[0]), *argv[1:]]
    limit *= time_scale()
    if unfinished is not None:
        unfinished.touch()
    with log.open("a") as stream, group() as leader:
        stream.write(f"$ {' '.join(argv)}\n")
        stream.flush()
        with HANDING:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=stream, stderr=subprocess.STDOUT,
                                       cwd=cwd, env={**os.environ, **(env or {})}, process_group=leader,
                                       pass_fds=tuple(HELD))
        try:
            wait(process, limit, log, tell)
        except subprocess.TimeoutExpired as error:
            raise InfrastructureError(f"{what} did not end in {limit:.0f} s", f"see {log}", tail(log)) from error
        finally:
            if process.poll() is None:
                os.killpg(leader, signal.SIGTERM)
                with suppress(subprocess.TimeoutExpired):
                    process.wait(GRACE)
            if process.poll() is None:
                process.kill()
                process.wait()
            if unfinished is not None and process.returncode != -signal.SIGKILL:
                unfinished.unlink(missing_ok=True)
    if process.returncode:
        lines = tail(log)
        if any("No space left on device" in line for line in lines):
            raise InfrastructureError(f"{what}: no space left on device", "make room, or set XDG_CACHE_HOME", lines)
        raise BuildError(f"{what} failed with status {process.returncode}", f"see {log}", lines)
