# SPDX-License-Identifier: BSD-2-Clause
"""The folder that every run leaves behind: argv, hashes, console, events, result."""

from __future__ import annotations

import json
import os
import shutil
import time
from datetime import datetime
from pathlib import Path
from typing import Any

from orchestration import doctor

KEPT_RUNS = 40


class RunDirectory:
    """One run's folder. Files: argv, hashes.json, console.raw, console.log, l4.log, events.jsonl, result.json."""

    def __init__(self, name: str, parent: Path | None = None) -> None:
        """Create a new folder for a run called name."""
        parent = parent or doctor.cache_root() / "runs"
        parent.mkdir(parents=True, exist_ok=True)
        prune(parent)
        self.started = time.monotonic()
        stamp = datetime.now().strftime("%Y%m%d-%H%M%S-%f")[:-3]
        self.path = parent / f"{stamp}-{os.getpid()}-{name}"
        self.path.mkdir()

    @classmethod
    def existing(cls, path: Path) -> RunDirectory:
        """Return the folder of a run that someone else made."""
        run = cls.__new__(cls)
        run.started, run.path = time.monotonic(), path
        return run

    def file(self, name: str) -> Path:
        """Return the path of a file of this run."""
        return self.path / name

    def write_json(self, name: str, value: Any) -> None:
        """Store a value."""
        self.file(name).write_text(json.dumps(value, indent=1, default=str) + "\n")

    def event(self, kind: str, **fields: Any) -> None:
        """Append one event with its time in seconds since the run began."""
        seconds = round(time.monotonic() - self.started, 3)
        with self.file("events.jsonl").open("a") as stream:
            stream.write(json.dumps({"seconds": seconds, "event": kind, **fields}, default=str) + "\n")


def in_use(path: Path) -> bool:
    """Say whether a run has no result yet and its orchestrator, whose process id is in the name, still runs."""
    words = path.name.split("-")
    if len(words) < 4 or not words[3].isdigit() or (path / "result.json").exists():
        return False
    try:
        os.kill(int(words[3]), 0)
    except ProcessLookupError:
        return False
    except OSError:
        pass
    return True


def prune(parent: Path) -> None:
    """Remove the oldest runs beyond KEPT_RUNS, but none that goes on."""
    runs = sorted(path for path in parent.iterdir() if path.is_dir() and not in_use(path))
    for path in runs[: max(0, len(runs) - KEPT_RUNS)]:
        shutil.rmtree(path, ignore_errors=True)
