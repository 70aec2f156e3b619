# SPDX-License-Identifier: BSD-2-Clause
"""The cache of what was built or fetched: entries are folders named by the hash of what they are made from.

An entry is used only after every file in it has matched the hash that was noted when it was stored; one
that does not match is thrown away and made again. Entries appear by one rename, under a lock per entry. What an
orchestrator that was killed has left is removed by the next one.
"""

from __future__ import annotations

import ast
import errno
import functools
import hashlib
import json
import os
import shutil
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

from orchestration.base import doctor, ownership
from orchestration.base.errors import InfrastructureError
from orchestration.base.ownership import OwnFolder

MANIFEST = "manifest.json"
# The version of what keys are made of, in a file of the cache. Entries of an older one are not found by today's keys.
VERSION, VERSION_FILE = 2, "version"
CHUNK = 1 << 20
# Bytes from which on a file takes longer to be written than the clock of its status takes to go on.
LARGE = 64 << 20
# How the names of folders begin that become entries, and of those that hold a root file system's files meanwhile.
MAKING, TREE = ".making-", "quoll-tree-"
# Before the noted hash of a file with holes, which need not be read.
SPARSE = "sparse:"


def hash_file(path: Path) -> str:
    """Return the SHA-256 of a file's content, in hex."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def hash_sparse(path: Path) -> str:
    """Return a hash of a file's size and of what in it is not zero: holes cost nothing, and zeros count as holes."""
    digest = hashlib.sha256()
    buffer, zeros = bytearray(CHUNK), bytes(CHUNK)
    with path.open("rb") as stream:
        end = stream.seek(0, os.SEEK_END)
        digest.update(end.to_bytes(8, "little"))
        at = 0
        while at < end:
            try:
                at = os.lseek(stream.fileno(), at, os.SEEK_DATA) // CHUNK * CHUNK
            except OSError as error:
                if error.errno == errno.ENXIO:
                    break
                raise
            # Into the same memory each time: new memory for each part takes longer than the hash.
            size = os.preadv(stream.fileno(), [buffer], at)
            buffer[size:] = bytes(CHUNK - size)
            if buffer != zeros:
                digest.update(at.to_bytes(8, "little"))
                digest.update(memoryview(buffer)[:size])
            at += CHUNK
    return digest.hexdigest()


def note(path: Path) -> str:
    """Return the hash that the manifest keeps of a file."""
    found = path.stat()
    return SPARSE + hash_sparse(path) if found.st_blocks * 512 < found.st_size - CHUNK else hash_file(path)


def matches(path: Path, noted: str) -> bool:
    """Return whether a file has the noted hash."""
    return (SPARSE + hash_sparse(path) if noted.startswith(SPARSE) else hash_file(path)) == noted


def noted_hash(path: Path) -> str:
    """Return the hash of a file: from the manifest for a file of an entry (get() compared it), else by reading it."""
    manifest = path.parent / MANIFEST
    return str(json.loads(manifest.read_text())[path.name]) if manifest.exists() else hash_file(path)


@functools.lru_cache(maxsize=16)
def hash_once(path: Path, device: int, inode: int, size: int, changed: int) -> str:
    """Return hash_file() of a file, which this process reads once as long as its status is the same."""
    return hash_file(path)


# Who wants the hash of a large file while another thread reads it waits for that.
READING = threading.Lock()


def hash_input(path: Path) -> str:
    """Return hash_file() of a file that a key is made from. Linux' source, which is large, is in several keys."""
    found = path.stat()
    if found.st_size < LARGE:
        return hash_file(path)
    return hash_large(path)


def hash_large(path: Path) -> str:
    """Return hash_file() of a file that is wanted several times, or was read ahead."""
    found = path.stat()
    with READING:
        return hash_once(path, found.st_dev, found.st_ino, found.st_size, found.st_ctime_ns)


def hash_ahead(path: Path) -> None:
    """Begin to read a large file in a thread, for hash_large(), which also tells of what is wrong with it."""

    def work() -> None:
        with suppress(OSError):
            hash_large(path)

    threading.Thread(target=work, daemon=True, name="hash").start()


def key_of(*parts: str, files: Iterable[Path] = (), base: Path | None = None) -> str:
    """Return a key made from strings and from the names (below base) and contents of files, wherever they are."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part.encode() + b"\0")
    for name, path in sorted((str(path.relative_to(base)) if base else path.name, path) for path in files):
        digest.update(f"{name}\0{hash_input(path)}\0".encode())
    return digest.hexdigest()[:32]


# Python 3.11 counts the depth of all threads' syntax trees together and takes that for an error (SystemError).
PARSING = threading.Lock()


def recipe(*modules: Path) -> str:
    """Return a hash of what modules do: of their code without imports, docstrings and comments.

    As a part of a key it makes entries anew when the code that makes them changes, but not when a module moves or
    a comment is rewritten. What a module imports is not in it: where that decides what an entry holds, give it to
    key_of() as well. Releases of Python may print a syntax tree in different ways; then entries are made anew.
    """
    digest = hashlib.sha256()
    for module in modules:
        with PARSING:
            tree = ast.parse(module.read_text())
        for node in ast.walk(tree):
            for statement in list(getattr(node, "body", ())) if not isinstance(node, ast.Lambda | ast.IfExp) else ():
                text = statement.value if isinstance(statement, ast.Expr) else None
                if (isinstance(statement, ast.Import | ast.ImportFrom)
                        or (isinstance(text, ast.Constant) and isinstance(text.value, str))):
                    node.body.remove(statement)  # type: ignore[attr-defined]
        digest.update(ast.dump(tree).encode())
    return digest.hexdigest()


def files_below(*folders: Path) -> list[Path]:
    """Return the regular files below folders, without Python's __pycache__."""
    return [path for folder in folders for path in sorted(folder.rglob("*"))
            if path.is_file() and "__pycache__" not in path.parts]


class Cache:
    """A folder of entries, by kind and key."""

    def __init__(self, root: Path | None = None, say: Callable[[str], None] | None = None,
                 doing: Callable[[str], None] | None = None) -> None:
        """Use root, or the user's cache folder.

        say prints a line on a damaged entry, a wait, an older version; doing shows what a long build is at.
        """
        self.root = root or doctor.cache_root()
        self.say: Callable[[str], None] = say or (lambda text: None)
        self.doing: Callable[[str], None] = doing or (lambda text: None)
        try:
            self.root.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InfrastructureError(f"cannot create {self.root}: {error.strerror}",
                                      "set XDG_CACHE_HOME to a folder you may write to") from error
        if say is not None:
            self.check_version()
        ownership.sweep(self.root, f"{TREE}*")
        for kind in self.root.iterdir():
            ownership.sweep(kind, f"{MAKING}*")

    def check_version(self) -> None:
        """Note this version in the cache; tell of an older one, whose entries are made anew under other keys."""
        path = self.root / VERSION_FILE
        found = path.read_text().strip() if path.exists() else ""
        if found == str(VERSION):
            return
        if any(self.root.glob(f"*/*/{MANIFEST}")):
            self.say(f"the cache in {self.root} is of version {found or 1}: its entries are made anew, once; "
                     "Linux' objects are used again")
        path.write_text(f"{VERSION}\n")

    @contextmanager
    def lock(self, name: str, *, shared: bool = False) -> Iterator[None]:
        """Hold the lock called name, alone or shared with others that share it.

        Other orchestrators wait for it, also while only our programs live on.
        """
        folder = self.root / "locks"
        folder.mkdir(exist_ok=True)
        with ownership.lock(folder / name.replace("/", "-"),
                            lambda: self.say(f"waiting for another orchestrator, which is at {name}"), shared=shared):
            yield

    def folder(self, kind: str, key: str) -> Path:
        """Return where an entry lives."""
        return self.root / kind / key

    def fault(self, entry: Path, *, compare: bool = True) -> str:
        """Return the reason why an entry is damaged, or an empty string. compare=False: look at the manifest only."""
        try:
            noted: dict[str, str] = dict(json.loads((entry / MANIFEST).read_text()).items())
            # Hashes are computed outside Python's lock: two large files take as long as one.
            with ThreadPoolExecutor() as pool:
                same = pool.map(lambda name: not compare or matches(entry / name, noted[name]), noted)
                for name, unchanged in zip(noted, same, strict=True):
                    if not unchanged:
                        return f"{name} has changed"
        except (OSError, ValueError, AttributeError) as error:
            return str(error)
        return ""

    def settle(self, fresh: Path, entry: Path) -> None:
        """Rename a new entry to its place. Another one may be there in spite of the lock: lock files can be deleted."""
        try:
            fresh.rename(entry)
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
            if self.fault(entry):
                shutil.rmtree(entry)
                fresh.rename(entry)

    def get(self, kind: str, key: str, make: Callable[[Path], None], *, compare: bool = True) -> Path:
        """Return the entry's folder. If it is missing or damaged, call make(folder) to fill a new one.

        compare=False is for who uses the noted hashes alone and no file of the entry: the files are not read.
        """
        entry = self.folder(kind, key)
        with self.lock(f"{kind}-{key}"):
            if entry.exists():
                fault = self.fault(entry, compare=compare)
                if not fault:
                    return entry
                self.say(f"cache entry {kind}/{key[:8]} is damaged ({fault}): making it again")
                shutil.rmtree(entry)
            entry.parent.mkdir(parents=True, exist_ok=True)
            with OwnFolder(entry.parent, MAKING) as fresh:
                try:
                    make(fresh)
                    noted = {str(path.relative_to(fresh)): note(path) for path in files_below(fresh)}
                    (fresh / MANIFEST).write_text(json.dumps(noted, indent=1))
                    self.settle(fresh, entry)
                except OSError as error:
                    if error.errno == errno.ENOSPC:
                        raise InfrastructureError(f"no space left while making {kind} in {self.root}",
                                                  "make room, or set XDG_CACHE_HOME") from error
                    raise
            return entry
