# SPDX-License-Identifier: BSD-2-Clause
"""Compiles the guest program that makes a machine from a snapshot one of its own (rootfs/resume)."""

from __future__ import annotations

import subprocess
from pathlib import Path

from orchestration.base.arch import Arch
from orchestration.base.cache import Cache, key_of
from orchestration.base.errors import BuildError
from orchestration.base.tools import program
from orchestration.build.rootfs import FOLDER

SOURCE = FOLDER / "resume/resume.c"
# Static: it runs in any root file system.
FLAGS = ("-static", "-O2", "-s", "-Wall", "-Wextra", "-Werror", "-D_GNU_SOURCE")
COMPILE_LIMIT = 120


def compiled(arch: Arch, cache: Cache) -> Path:
    """Return the program for an architecture."""
    compiler = program(arch.compiler)
    version = subprocess.run([compiler, "--version"], capture_output=True, text=True, check=True,
                             timeout=COMPILE_LIMIT).stdout

    def make(entry: Path) -> None:
        done = subprocess.run([compiler, *FLAGS, str(SOURCE), "-o", str(entry / SOURCE.stem)], capture_output=True,
                              text=True, check=False, timeout=COMPILE_LIMIT)
        if done.returncode:
            raise BuildError(f"{SOURCE.name} does not compile for {arch.name}", "",
                             tuple(done.stderr.splitlines()[-8:]))

    return cache.get("resume", key_of(arch.name, version, *FLAGS, files=[SOURCE]), make) / SOURCE.stem
