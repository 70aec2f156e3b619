# SPDX-License-Identifier: BSD-2-Clause
"""From a bare python3 to the command line in .venv.

Standard library only. The .venv is complete when it holds the stamp of the current requirements; the stamp
is written last, under a lock, so an interrupted set-up is done again.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys

from orchestration.base import doctor, ownership, tools
from orchestration.base.arch import ARCHES
from orchestration.base.errors import EXIT_INTERRUPTED, INTERRUPTED, INTERRUPTS, InfrastructureError, QuollError
from orchestration.base.tree import REQUIREMENTS, ROOT, VENV, is_ready, stamp, version

DOCTOR_WORDS = ("--install", "--help", "-h", "--version", *ARCHES)
# Seconds for all of pip's work.
PIP_LIMIT = 1200


def make_venv() -> None:
    """Create .venv with the pinned packages, unless it is there."""
    VENV.parent.mkdir(parents=True, exist_ok=True)
    with ownership.lock(VENV.parent / f"{VENV.name}.lock"):
        mark = stamp()
        if is_ready():
            return
        print(f"making {VENV} with the pinned Python packages", file=sys.stderr, flush=True)
        shutil.rmtree(VENV, ignore_errors=True)
        steps = ([sys.executable, "-m", "venv", str(VENV)],
                 [str(VENV / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check",
                  "-r", str(REQUIREMENTS)])
        for step in steps:
            try:
                with tools.group() as group:
                    done = subprocess.run(step, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                          stderr=subprocess.STDOUT, text=True, check=False, timeout=PIP_LIMIT,
                                          process_group=group, pass_fds=tuple(ownership.HELD))
            except subprocess.TimeoutExpired as error:
                raise InfrastructureError(f"{' '.join(step[1:4])} did not end in {PIP_LIMIT} s",
                                          "see whether pip reaches its package index") from error
            if done.returncode:
                raise InfrastructureError(f"{' '.join(step[1:4])} failed",
                                          "see whether pip reaches its package index, then try again",
                                          tuple(done.stdout.splitlines()[-8:]))
        mark.touch()


def run_doctor(arguments: list[str]) -> int:
    """Handle `orchestrate doctor [ARCH...] [--install]`."""
    for argument in arguments:
        if argument not in DOCTOR_WORDS:
            print(f"orchestrate: doctor: unknown argument {argument}; valid: {' '.join(DOCTOR_WORDS)}",
                  file=sys.stderr)
            return 2
    if "--version" in arguments:
        print(version())
        return 0
    if "--help" in arguments or "-h" in arguments:
        print(f"usage: orchestrate doctor [ARCH...] [--install]\n\nSay what this machine lacks for the architectures "
              f"(all: {' '.join(ARCHES)}) and the command\nthat mends it; with --install, run it. "
              "Exit code 3: something is missing.")
        return 0
    return doctor.report("--install" in arguments, [ARCHES[name] for name in arguments if name in ARCHES]
                         or ARCHES.values())


def open_standard_streams() -> None:
    """Put something in the place of a standard stream that is closed, before another file gets its number.

    What is read there ends at once, and what is written to the output fails, as it would without this.
    """
    for number, mode in ((0, os.O_RDONLY), (1, os.O_RDONLY), (2, os.O_WRONLY)):
        try:
            os.fstat(number)
        except OSError:
            nowhere = os.open(os.devnull, mode)
            if nowhere != number:
                os.dup2(nowhere, number)
                os.close(nowhere)
            os.set_inheritable(number, True)
            if number == 1:
                sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115 - it stays


def prepared(arguments: list[str]) -> int | None:
    """Do what needs no .venv and return its exit code, or see to the .venv."""
    try:
        if arguments[:1] == ["doctor"]:
            status = run_doctor(arguments[1:])
            sys.stdout.flush()
            return status
        if not is_ready():
            doctor.ensure_packages(doctor.FIRST)
            make_venv()
    except QuollError as error:
        print("\n".join(error.lines()), file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print(INTERRUPTED, file=sys.stderr)
        return EXIT_INTERRUPTED
    except OSError as error:
        said = doctor.refused(error) if error.filename else None
        print("\n".join(said.lines() if said is not None else [
            f"orchestrate: cannot write to standard output: {error.strerror}"]), file=sys.stderr)
        # What is still to be printed would fail once more.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return InfrastructureError.exit_code
    return None


def main(arguments: list[str]) -> int:
    """Run doctor here, or replace this process by the real command line."""
    open_standard_streams()
    if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    status = prepared(arguments)
    if status is not None:
        return status
    python = str(VENV / "bin" / "python")
    environment = dict(os.environ, PYTHONPATH=str(ROOT))
    if sys.pycache_prefix is not None:
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        environment["PYTHONPYCACHEPREFIX"] = sys.pycache_prefix
    # Until __main__.py is ready for them: Python's own start would show a traceback.
    signal.pthread_sigmask(signal.SIG_BLOCK, INTERRUPTS)
    return os.execve(python, [python, "-m", "orchestration", *arguments], environment)
