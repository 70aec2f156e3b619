# SPDX-License-Identifier: BSD-2-Clause
"""The linters that are programs of others: clang-format, ruff, mypy, import-linter, shellcheck, codespell."""

from __future__ import annotations

import subprocess
import sys

from orchestration.base.cache import key_of
from orchestration.base.doctor import cache_root
from orchestration.build import quoll
from orchestration.lint.core import LIMIT, Finding, Tree, ask, program

C_FOLDERS = ("kernel", "servers", "tests", "rootfs")
PYTHON = ("orchestration", "quoll", "tests", "docs", "kernel/abi", "orchestrate")
SHEBANGS = (b"#!/bin/sh\n", b"#!/bin/bash\n", b"#!/usr/bin/env bash\n")
# Recorded output, licences, lists of packages: not our words. The Linux port's words are checkpatch's.
NO_PROSE = ("*.raw", "*.log", "*.patch", "packages", "applets", "LICENSES/*", "requirements.txt")
# Terms of the CPUs' manuals that the dictionary takes for misspellings.
TERMS = ("hart", "ist", "nd", "sie", "sme")


def c_files(tree: Tree) -> list[str]:
    """Return the C sources that clang-format formats."""
    return [tree.name(path) for path in tree.files("*.c", "*.h", under=C_FOLDERS)]


def clang_format(tree: Tree) -> list[Finding]:
    """Return where C differs from what .clang-format asks for, one finding a line."""
    found = ask(tree, [program("clang-format"), "--dry-run", "-Werror", *c_files(tree)])
    return list(dict.fromkeys(found))


def format_c(tree: Tree) -> None:
    """Format all C."""
    subprocess.run([program("clang-format"), "-i", *c_files(tree)], cwd=tree.root, check=False, timeout=LIMIT)


def ruff(tree: Tree) -> list[Finding]:
    """Return what ruff finds by the rules of pyproject.toml."""
    return ask(tree, [program("ruff"), "check", "--no-cache", "--output-format=concise", *PYTHON])


def mend_python(tree: Tree) -> None:
    """Let ruff mend what it can without changing what a program does."""
    subprocess.run([program("ruff"), "check", "--no-cache", "--quiet", "--fix-only", *PYTHON], cwd=tree.root,
                   check=False, timeout=LIMIT)


def mypy(tree: Tree) -> list[Finding]:
    """Return what mypy finds in strict mode. Its cache makes the next check one of what has changed."""
    place = cache_root() / "mypy" / key_of(str(tree.root), sys.version)
    return ask(tree, [program("mypy"), "--cache-dir", str(place), "--no-error-summary", "--no-pretty"],
               env={"MYPYPATH": str(quoll.abi_folder())})


def imports(tree: Tree) -> list[Finding]:
    """Return the imports that go against the layers of pyproject.toml, and the modules that need each other in circles.

    Imports in functions count.
    """
    return ask(tree, [program("lint-imports"), "--no-cache"], tail=60)


def shellcheck(tree: Tree) -> list[Finding]:
    """Return what shellcheck finds in shell scripts, which are told by their first line."""
    scripts = [tree.name(path) for path in tree.files() if path.read_bytes().startswith(SHEBANGS)]
    return ask(tree, [program("shellcheck"), "--format=gcc", *scripts]) if scripts else []


def codespell(tree: Tree) -> list[Finding]:
    """Return misspelt words."""
    files = [tree.name(path) for path in tree.files() if not any(path.match(one) for one in NO_PROSE)]
    return ask(tree, [program("codespell"), "--ignore-words-list", ",".join(TERMS), *files])
