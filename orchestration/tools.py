# SPDX-License-Identifier: BSD-2-Clause
"""Running other programs: output in a log, a time limit, and nothing left behind."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from orchestration.errors import BuildError, InfrastructureError, MissingError

TAIL = 15


def tail(path: Path, count: int = TAIL) -> tuple[str, ...]:
    """Return the last lines of a file."""
    try:
        return tuple(path.read_text(errors="replace").splitlines()[-count:])
    except OSError:
        return ()


def program(name: str) -> str:
    """Return the path of a program, or raise MissingError that names it."""
    found = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    if found is None:
        raise MissingError(f"the program {name} is missing", "run: ./orchestrate doctor --install")
    return found


def run(argv: Sequence[str], log: Path, what: str, limit: float, cwd: Path | None = None,
        env: Mapping[str, str] | None = None) -> None:
    """Run argv with its output appended to log; raise BuildError with the log's end if it fails."""
    log.parent.mkdir(parents=True, exist_ok=True)
    command = [program(argv[0]), *argv[1:]]
    with log.open("a") as stream:
        stream.write(f"$ {' '.join(argv)}\n")
        stream.flush()
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=stream, stderr=subprocess.STDOUT,
                                   cwd=cwd, env={**os.environ, **(env or {})}, start_new_session=True)
        try:
            status = process.wait(limit)
        except subprocess.TimeoutExpired as error:
            raise InfrastructureError(f"{what} did not end in {limit:.0f} s", f"see {log}", tail(log)) from error
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
    if status:
        lines = tail(log)
        if any("No space left on device" in line for line in lines):
            raise InfrastructureError(f"{what}: no space left on device", "make room, or set XDG_CACHE_HOME", lines)
        raise BuildError(f"{what} failed with status {status}", f"see {log}", lines)
