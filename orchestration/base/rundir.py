# SPDX-License-Identifier: BSD-2-Clause
"""The folder that every run leaves behind: argv, hashes, console, events, result."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any

from orchestration.base import doctor

# Of those that went well, and of those that did not.
KEPT_RUNS = 40
# Environment variable with another folder for run folders: the matrix sets it for each attempt.
RUNS_VARIABLE = "QUOLL_RUNS"
# File with the process id of a detached machine's orchestrator, which is not the process that began the run.
KEEPER = "keeper"


def runs_folder(kind: str = "runs") -> Path:
    """Return the folder that holds the run folders of a kind."""
    return Path(os.environ.get(RUNS_VARIABLE) or doctor.cache_root() / kind)


class RunDirectory:
    """One run's folder: argv, config.json, hashes.json, console.raw, console.log, l4.log, events.jsonl, result.json."""

    def __init__(self, name: str, parent: Path | None = None, *, existing: Path | None = None) -> None:
        """Create a new folder below parent for a run called name; or use an existing folder, which another run made."""
        self.started = time.monotonic()
        if existing is not None:
            self.path = existing
            return
        parent = parent or runs_folder()
        parent.mkdir(parents=True, exist_ok=True)
        prune(parent)
        stamp = datetime.now().strftime("%Y%m%d-%H%M%S-%f")[:-3]
        self.path = parent / f"{stamp}-{os.getpid()}-{name}"
        self.path.mkdir()

    @classmethod
    def existing(cls, path: Path) -> RunDirectory:
        """Return the folder of a run that another process made."""
        return cls(path.name, existing=path)

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


class Logs:
    """Files of a run that a thread appends to. The first failed write is reported; nothing is written after it.

    The thread goes on: whoever reads a machine's serial line may not stop at a full disk.
    """

    def __init__(self, run: RunDirectory, names: tuple[str, ...], tell: Callable[[OSError], None]) -> None:
        """Open the files; tell is told of a failure."""
        self.files = {name: run.file(name).open("ab", buffering=0) for name in names}
        self.tell: Callable[[OSError], None] | None = tell

    def append(self, name: str, data: bytes) -> None:
        """Write to the end of a file."""
        if self.tell is None:
            return
        try:
            self.files[name].write(data)
        except OSError as error:
            self.tell(error)
            self.tell = None

    def __enter__(self) -> Logs:
        """Return itself."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        """Close the files."""
        for stream in self.files.values():
            stream.close()


def in_use(path: Path) -> bool:
    """Return whether a run goes on: it has no result yet, and the process that keeps it lives."""
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


def went_well(path: Path) -> bool:
    """Return whether a run ended without a failure."""
    try:
        return bool(json.loads((path / "result.json").read_text())["outcome"] == "done")
    except (OSError, ValueError, KeyError, TypeError):
        return False


def prune(parent: Path) -> None:
    """Remove the oldest runs beyond KEPT_RUNS of each outcome. A run that goes on is kept."""
    runs = sorted(path for path in parent.iterdir() if path.is_dir() and not in_use(path))
    well = [path for path in runs if went_well(path)]
    for kind in (well, [path for path in runs if path not in well]):
        for path in kind[: max(0, len(kind) - KEPT_RUNS)]:
            shutil.rmtree(path, ignore_errors=True)
