# SPDX-License-Identifier: BSD-2-Clause
"""Results of tests, kept in the cache as they come: a run that was cut off goes on from them.

A side has a file for what it ran with (kernels, root disk, suite, QEMU), so the results of one kernel are never taken
for another's. A line is a test; of two lines the later one counts, and one that was cut off does not.
"""

from __future__ import annotations

import inspect
import json
import time
from collections.abc import Iterable
from pathlib import Path

from orchestration.base.arch import Arch
from orchestration.base.cache import MANIFEST, Cache, hash_file, key_of, noted_hash, recipe
from orchestration.conform import outcome
from orchestration.conform.outcome import Outcome, Status
from orchestration.conform.suite import Suite, Test

FOLDER = "conform"
# Files of other kernels that stay: a few MB in all.
FILES_MAX = 60


def content(folder: Path, *names: str) -> str:
    """Return a hash of what a cache entry holds, or of its files of some names, whatever it was made from."""
    if not names:
        return hash_file(folder / MANIFEST)
    return key_of(*(part for name in sorted(names) for part in (name, noted_hash(folder / name))))


def command_key(test: Test) -> str:
    """Return a hash of how a test is run."""
    return key_of(test.command, str(test.limit))


class Kept:
    """The results of a side."""

    def __init__(self, path: Path) -> None:
        """Use a file, which need not be there yet."""
        self.path = path
        self.days: set[str] = set()
        """Days of the results that were read or noted."""

    @classmethod
    def find(cls, cache: Cache, arch: Arch, suite: Suite, folder: Path, side: str, runs_with: Iterable[str]) -> Kept:
        """Return the results of a suite built in a folder, on a side that runs with what is named."""
        key = key_of(content(folder), *runs_with, recipe(Path(outcome.__file__), Path(inspect.getfile(suite.read))))
        return cls(cache.root / FOLDER / f"{arch.name}-{suite.name}-{side}-{key}.jsonl")

    def read(self, tests: Iterable[Test]) -> dict[str, Outcome]:
        """Return what is there of some tests, by name; a test whose command has changed is not."""
        commands = {test.name: command_key(test) for test in tests}
        found = {}
        for line in self.path.read_text().splitlines() if self.path.exists() else ():
            try:
                one = json.loads(line)
                if commands.get(one["test"]) == one["command"]:
                    parts = {name: Status(status) for name, status in one["parts"].items()}
                    found[one["test"]] = Outcome(Status(one["status"]), one["why"], parts, one["lost"], one["late"],
                                                 one.get("report", ""))
                    self.days.add(one["day"])
            # Cut off, or of another version.
            except (ValueError, LookupError, TypeError, AttributeError):
                continue
        return found

    def note(self, test: Test, came_to: Outcome, seconds: float) -> None:
        """Append a result. What never ran has none."""
        if came_to.status is Status.ABSENT:
            return
        day = time.strftime("%Y-%m-%d")
        self.days.add(day)
        line = json.dumps({"test": test.name, "command": command_key(test), "status": came_to.status.value,
                           "why": came_to.why, "parts": {name: one.value for name, one in came_to.parts.items()},
                           "lost": came_to.lost, "late": came_to.late, "report": came_to.report, "day": day,
                           "seconds": round(seconds, 1)})
        self.path.parent.mkdir(parents=True, exist_ok=True)
        if not self.path.exists():
            self.make_room()
        with self.path.open("a") as stream:
            # The line before may have been cut off.
            stream.write(f"\n{line}\n")

    def make_room(self) -> None:
        """Remove the oldest files of the folder beyond FILES_MAX."""
        files = sorted(self.path.parent.glob("*.jsonl"), key=lambda path: path.stat().st_mtime)
        for path in files[:max(len(files) - FILES_MAX + 1, 0)]:
            path.unlink(missing_ok=True)
