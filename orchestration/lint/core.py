# SPDX-License-Identifier: BSD-2-Clause
"""What all linters share: a tree of files, findings, and programs that report findings."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from orchestration.base.errors import MissingError

# Seconds after which a linter that is a program counts as hung.
LIMIT = 600
# The last lines of a program that failed and named no place.
TAIL = 12
# Folders that hold nothing of ours.
FOREIGN = {".git", ".venv", "__pycache__", ".mypy_cache", ".ruff_cache", ".pytest_cache", ".hypothesis"}
PLACE = re.compile(r"(?P<path>[^\s:][^:\n]*):(?P<line>\d+):(?:\d+:)? (?P<text>.*)")


@dataclass(frozen=True, order=True)
class Finding:
    """What a linter objects to, and where."""

    path: str
    """Relative to the root; empty where no file is to blame."""
    line: int
    """Counted from 1; 0 where the whole file is meant."""
    text: str

    def __str__(self) -> str:
        """Return the line that is printed."""
        place = f"{self.path}:{self.line}: " if self.line else f"{self.path}: " if self.path else ""
        return place + self.text


class Tree:
    """The files below a root."""

    def __init__(self, root: Path) -> None:
        """Note the root; the files are looked up when they are asked for."""
        self.root = root

    def files(self, *patterns: str, under: Iterable[str] = ("",)) -> list[Path]:
        """Return the files whose name matches one of the patterns ("*.c"), below the folders named, in order."""
        found = []
        for folder in under:
            for place, folders, names in os.walk(self.root / folder):
                folders[:] = [name for name in folders if name not in FOREIGN]
                found += [path for name in names if (path := Path(place, name)).is_file()
                          and (not patterns or any(path.match(pattern) for pattern in patterns))]
        return sorted(set(found))

    def name(self, path: Path) -> str:
        """Return how a path is shown: relative to the root."""
        return str(path.relative_to(self.root))

    def finding(self, path: Path, line: int, text: str) -> Finding:
        """Return a finding at a line of a file."""
        return Finding(self.name(path), line, text)


@dataclass(frozen=True)
class Linter:
    """One check of the tree."""

    name: str
    what: str
    """One line for --list."""
    check: Callable[[Tree], list[Finding]]
    mend: Callable[[Tree], None] | None = None
    """What --fix does; None where only a person can mend."""


def program(name: str) -> str:
    """Return the path of a program: of the .venv, or else of PATH."""
    own = Path(sys.executable).parent / name
    found = str(own) if own.exists() else shutil.which(name)
    if found is None:
        raise MissingError(f"the program {name} is missing", "run: ./orchestrate doctor --install")
    return found


def parsed(tree: Tree, output: str) -> list[Finding]:
    """Return the findings in a program's output: its lines that begin with a file of the tree and a number."""
    found = []
    for match in map(PLACE.fullmatch, output.splitlines()):
        if match is not None:
            path = Path(tree.root, match["path"])
            name = os.path.relpath(path, tree.root)
            if path.is_file() and not name.startswith(".."):
                found.append(Finding(name, int(match["line"]), match["text"]))
    return found


def ask(tree: Tree, argv: Sequence[str], tail: int = TAIL, env: Mapping[str, str] | None = None) -> list[Finding]:
    """Run a linter that is a program; return what it reports.

    A program that fails is a finding in any case: its status and its last lines, as many as tail, where it named no
    place, and one that a signal or the limit ended even if it had named some.
    """
    name = Path(argv[0]).name
    try:
        done = subprocess.run(argv, cwd=tree.root, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, errors="replace", check=False, timeout=LIMIT,
                              env={**os.environ, **(env or {})})
    except subprocess.TimeoutExpired:
        return [Finding("", 0, f"{name} did not end in {LIMIT} s")]
    if not done.returncode:
        return []
    found = parsed(tree, done.stdout)
    if not found or done.returncode < 0:
        last = "".join(f"\n  {line}" for line in done.stdout.splitlines()[-tail:])
        found.append(Finding("", 0, f"{name} failed with status {done.returncode}{last}"))
    return found
