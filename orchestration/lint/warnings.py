# SPDX-License-Identifier: BSD-2-Clause
"""Compiles all C with -Wall -Wextra -Werror, for each architecture whose compiler is installed.

Kernel, servers and the tests that run on L4 are built by Meson, as for a boot: meson.build has these options. Programs
for the guest are compiled as far as warnings need it.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from orchestration.base.arch import ARCHES, Arch
from orchestration.base.cache import Cache
from orchestration.base.errors import BuildError, MissingError
from orchestration.build.quoll import bare
from orchestration.lint.core import Finding, Tree, ask, parsed

OPTIONS = ("-fsyntax-only", "-Wall", "-Wextra", "-Werror", "-D_GNU_SOURCE", "-pthread")
PROGRAMS = ("tests/faults", "tests/system/guest", "rootfs/workloads")


def programs(tree: Tree, arch: Arch) -> list[Path]:
    """Return the C files of programs that run in the guest of this architecture."""
    others = {name for name in ARCHES if name != arch.name}
    return [path for path in tree.files("*.c", under=PROGRAMS) if not others & set(path.parts)]


def placed(tree: Tree, line: str) -> str:
    """Return a line of ninja's output with its file named from the root of the tree, not from the build folder."""
    path, colon, rest = line.partition(":")
    parts = Path(path).parts
    if parts[:1] == ("..",):
        path = next((tail for at in range(len(parts)) if (tree.root / (tail := "/".join(parts[at:]))).is_file()), path)
    return path + colon + rest


def compiled(tree: Tree, arch: Arch) -> list[Finding]:
    """Return the compiler's warnings."""
    includes = [f"-I{tree.root / 'tests/system/guest'}", f"-I{tree.root / 'tests/system/guest/arch' / arch.name}"]
    found = ask(tree, [arch.compiler, *OPTIONS, *includes, *map(str, programs(tree, arch))])
    try:
        bare(arch, Cache())
    except BuildError as error:
        found += parsed(tree, "\n".join(placed(tree, line) for line in error.details)) or [
            Finding("", 0, "\n  ".join([error.message, error.hint, *error.details]))]
    return found


def check(tree: Tree) -> list[Finding]:
    """Compile for each architecture; that of this machine must be among them."""
    present = [arch for arch in ARCHES.values() if shutil.which(arch.compiler)]
    if not present:
        raise MissingError("no C compiler is installed", "run: ./orchestrate doctor --install")
    return [finding for arch in present for finding in compiled(tree, arch)]
