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
# The process id of an orchestrator that is not the one that began the run.
KEEPER = "keeper"


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

    def adopt(self) -> None:
        """Note that this process goes on with the run that its parent began."""
        self.file(KEEPER).write_text(f"{os.getpid()}\n")

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
    """Say whether a run has no result yet and its orchestrator, known by its process id, still runs."""
    words = path.name.split("-")
    pid = (path / KEEPER).read_text().strip() if (path / KEEPER).exists() else words[3] if len(words) > 3 else ""
    if not pid.isdigit() or (path / "result.json").exists():
        return False
    try:
        os.kill(int(pid), 0)
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
