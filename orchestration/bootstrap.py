# SPDX-License-Identifier: BSD-2-Clause
"""From a bare python3 to the command line in .venv.

Standard library only. The .venv is complete when it holds the stamp of the current requirements; the stamp
is written last, under a lock, so an interrupted set-up is done again.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

from orchestration import doctor
from orchestration.arch import ARCHES
from orchestration.errors import InfrastructureError, QuollError

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
REQUIREMENTS = ROOT / "orchestration" / "requirements.txt"
DOCTOR_WORDS = ("--install", "--help", *ARCHES)
# Seconds for all of pip's work.
PIP_LIMIT = 1200


def stamp() -> Path:
    """Return the file that marks a .venv made from these requirements by this Python."""
    digest = hashlib.sha256(REQUIREMENTS.read_bytes() + sys.version.encode()).hexdigest()[:16]
    return VENV / f"quoll-{digest}"


def make_venv() -> None:
    """Create .venv with the pinned packages, unless it is there."""
    with (ROOT / ".venv.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        mark = stamp()
        if mark.exists():
            return
        print("making .venv with the pinned Python packages", file=sys.stderr, flush=True)
        shutil.rmtree(VENV, ignore_errors=True)
        steps = ([sys.executable, "-m", "venv", str(VENV)],
                 [str(VENV / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check",
                  "-r", str(REQUIREMENTS)])
        for step in steps:
            try:
                done = subprocess.run(step, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                                      check=False, timeout=PIP_LIMIT)
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
    if "--help" in arguments:
        print(f"usage: orchestrate doctor [ARCH...] [--install]\n\nSay what this machine lacks for the architectures "
              f"(all: {' '.join(ARCHES)}) and the command\nthat mends it; with --install, run it. "
              "Exit code 3: something is missing.")
        return 0
    return doctor.report("--install" in arguments, [ARCHES[name] for name in arguments if name in ARCHES]
                         or ARCHES.values())


def main(arguments: list[str]) -> int:
    """Run doctor here, or replace this process by the real command line."""
    try:
        if arguments[:1] == ["doctor"]:
            return run_doctor(arguments[1:])
        if not stamp().exists():
            doctor.ensure_packages(doctor.FIRST)
            make_venv()
    except QuollError as error:
        print("\n".join(error.lines()), file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    python = str(VENV / "bin" / "python")
    environment = dict(os.environ, PYTHONPATH=str(ROOT), PYTHONDONTWRITEBYTECODE="1")
    return os.execve(python, [python, "-m", "orchestration", *arguments], environment)
