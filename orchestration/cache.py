# SPDX-License-Identifier: BSD-2-Clause
"""The cache of what was built or fetched: entries are folders named by the hash of what they are made from.

An entry is used only after every file in it has matched the hash that was noted when it was stored; one
that does not match is thrown away and made again. Entries appear by one rename, under a lock per entry.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from orchestration import doctor
from orchestration.errors import InfrastructureError

MANIFEST = "manifest.json"
CHUNK = 1 << 20


def hash_file(path: Path) -> str:
    """Return the SHA-256 of a file's content, in hex."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def key_of(*parts: str, files: Iterable[Path] = (), base: Path | None = None) -> str:
    """Return a key made from strings and from the names (below base) and contents of files, wherever they are."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part.encode() + b"\0")
    for name, path in sorted((str(path.relative_to(base)) if base else path.name, path) for path in files):
        digest.update(f"{name}\0{hash_file(path)}\0".encode())
    return digest.hexdigest()[:32]


def files_below(*folders: Path) -> list[Path]:
    """Return the regular files below folders, without what Python leaves behind."""
    return [path for folder in folders for path in sorted(folder.rglob("*"))
            if path.is_file() and "__pycache__" not in path.parts]


class Cache:
    """A folder of entries, by kind and key."""

    def __init__(self, root: Path | None = None, say: Callable[[str], None] = lambda text: None) -> None:
        """Use root, or the user's cache folder; say is told when an entry had to be thrown away."""
        self.root = root or doctor.cache_root()
        self.say = say
        try:
            self.root.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InfrastructureError(f"cannot create {self.root}: {error.strerror}",
                                      "set XDG_CACHE_HOME to a folder you may write to") from error

    @contextmanager
    def lock(self, name: str) -> Iterator[None]:
        """Keep other orchestrators out of what name stands for."""
        folder = self.root / "locks"
        folder.mkdir(exist_ok=True)
        with (folder / name.replace("/", "-")).open("w") as stream:
            fcntl.flock(stream, fcntl.LOCK_EX)
            yield

    def folder(self, kind: str, key: str) -> Path:
        """Return where an entry lives."""
        return self.root / kind / key

    def fault(self, entry: Path) -> str:
        """Return why an entry cannot be used, or an empty string."""
        try:
            noted = json.loads((entry / MANIFEST).read_text())
            for name, digest in noted.items():
                if hash_file(entry / name) != digest:
                    return f"{name} has changed"
        except (OSError, ValueError, AttributeError) as error:
            return str(error)
        return ""

    def get(self, kind: str, key: str, make: Callable[[Path], None]) -> Path:
        """Return the entry's folder; when it is not there or damaged, have make fill a new one."""
        entry = self.folder(kind, key)
        with self.lock(f"{kind}-{key}"):
            if entry.exists():
                fault = self.fault(entry)
                if not fault:
                    return entry
                self.say(f"cache entry {kind}/{key[:8]} is damaged ({fault}): making it again")
                shutil.rmtree(entry)
            entry.parent.mkdir(parents=True, exist_ok=True)
            fresh = Path(tempfile.mkdtemp(prefix=".new-", dir=entry.parent))
            try:
                make(fresh)
                noted = {str(path.relative_to(fresh)): hash_file(path) for path in files_below(fresh)}
                (fresh / MANIFEST).write_text(json.dumps(noted, indent=1))
                fresh.rename(entry)
            except OSError as error:
                if error.errno == errno.ENOSPC:
                    raise InfrastructureError(f"no space left while making {kind} in {self.root}",
                                              "make room, or set XDG_CACHE_HOME") from error
                raise
            finally:
                shutil.rmtree(fresh, ignore_errors=True)
            return entry
