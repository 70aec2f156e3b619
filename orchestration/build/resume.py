# SPDX-License-Identifier: BSD-2-Clause
"""Compiles the guest program that makes a machine from a snapshot one of its own (rootfs/resume)."""

from __future__ import annotations

import subprocess
from pathlib import Path

from orchestration.base.arch import Arch
from orchestration.base.cache import Cache, key_of
from orchestration.base.errors import BuildError
from orchestration.base.tools import program
from orchestration.build.quoll import compiler_version
from orchestration.build.rootfs import FOLDER

SOURCE = FOLDER / "resume/resume.c"
# Static: it runs in any root file system.
FLAGS = ("-static", "-O2", "-s", "-Wall", "-Wextra", "-Werror", "-D_GNU_SOURCE")
COMPILE_LIMIT = 120


def compiled(arch: Arch, cache: Cache) -> Path:
    """Return the program for an architecture."""

    def make(entry: Path) -> None:
        done = subprocess.run([program(arch.compiler), *FLAGS, str(SOURCE), "-o", str(entry / SOURCE.stem)],
                              capture_output=True, text=True, check=False, timeout=COMPILE_LIMIT)
        if done.returncode:
            raise BuildError(f"{SOURCE.name} does not compile for {arch.name}", "",
                             tuple(done.stderr.splitlines()[-8:]))

    key = key_of(arch.name, compiler_version(arch.compiler), *FLAGS, files=[SOURCE])
    return cache.get("resume", key, make) / SOURCE.stem
