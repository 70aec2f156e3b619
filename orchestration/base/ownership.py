# SPDX-License-Identifier: BSD-2-Clause
"""Locks, and temporary folders that a later process removes when their owner is dead.

Both are flocks of open files. tools.run hands these files down, so a lock is held until the last program that was
started under it has ended, whatever became of the orchestrator.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType, TracebackType

from orchestration.base.errors import EXIT_INTERRUPTED, INTERRUPTED, InfrastructureError

# The descriptors that programs inherit, and from which number on they are: shells know descriptors of one digit only,
# and mmdebstrap relies on there being some of those.
HELD: set[int] = set()
# Held while a program is started with them, and while one of them is taken out: other threads start programs, too, and
# a descriptor that is closed between the two cannot be inherited.
HANDING = threading.Lock()
FIRST_HELD = 100
# How the names of temporary folders begin that are nowhere in the cache.
PREFIX = "quoll-run-"
# Bytes that the path of a temporary folder's parent may have: an address of AF_UNIX has 107, and the folder's own name
# and the longest one of a socket in it come after that.
PARENT_LENGTH = 107 - len(f"/{PREFIX}12345678/monitor")


def leave(number: int, frame: FrameType | None) -> None:
    """Handle a signal while nothing needs a clean-up: end this process at once."""
    os.write(2, f"{INTERRUPTED}\n".encode())
    os._exit(EXIT_INTERRUPTED)


def temporary() -> Path:
    """Return the folder for temporary folders: TMPDIR, or where that is too long for a socket, another one."""
    places = [tempfile.gettempdir(), os.environ.get("XDG_RUNTIME_DIR", ""), "/tmp"]
    for place in places:
        if place and len(os.fsencode(place)) <= PARENT_LENGTH and os.access(place, os.W_OK | os.X_OK):
            return Path(place)
    raise InfrastructureError(f"no folder for the machine's sockets among {', '.join(filter(None, places))}",
                              f"set TMPDIR to a folder whose path has at most {PARENT_LENGTH} bytes")


def open_high(path: Path, flags: int, mode: int = 0o666) -> int:
    """Open a file under a high descriptor number, which inheriting programs do not use themselves."""
    low = os.open(path, flags, mode)
    try:
        return fcntl.fcntl(low, fcntl.F_DUPFD_CLOEXEC, FIRST_HELD)
    finally:
        os.close(low)


@contextmanager
def lock(path: Path, waiting: Callable[[], None] = lambda: None, *, shared: bool = False) -> Iterator[None]:
    """Hold the lock of a file (flock), alone or shared; waiting() is called once if another process is in the way."""
    kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
    descriptor = open_high(path, os.O_RDWR | os.O_CREAT)
    try:
        try:
            fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            waiting()
            fcntl.flock(descriptor, kind)
        HELD.add(descriptor)
        yield
    finally:
        give_back(descriptor)


def keep_back(descriptor: int) -> None:
    """Let no more programs inherit a descriptor; then it may be closed."""
    with HANDING:
        HELD.discard(descriptor)


def give_back(descriptor: int) -> None:
    """Let no more programs inherit a descriptor, and close it: its lock ends with the last program that has it."""
    keep_back(descriptor)
    os.close(descriptor)


def same_place(descriptor: int, path: Path) -> bool:
    """Say whether a path still names the open folder."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.lstat())
    except OSError:
        return False


class OwnFolder:
    """A new temporary folder that only this user can enter; removed at the end of the block or by close()."""

    def __init__(self, parent: Path, prefix: str) -> None:
        """Make it in parent; its name begins with prefix."""
        while True:
            self.path = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
            # Before it is locked, another process may take its owner for dead and remove it.
            try:
                self.descriptor = open_high(self.path, os.O_RDONLY | os.O_DIRECTORY)
            except FileNotFoundError:
                continue
            fcntl.flock(self.descriptor, fcntl.LOCK_EX)
            if same_place(self.descriptor, self.path):
                break
            os.close(self.descriptor)
        HELD.add(self.descriptor)

    def close(self) -> None:
        """Remove the folder, if it still has its name."""
        if self.descriptor >= 0:
            if same_place(self.descriptor, self.path):
                shutil.rmtree(self.path, ignore_errors=True)
            give_back(self.descriptor)
            self.descriptor = -1

    def __enter__(self) -> Path:
        """Return the path."""
        return self.path

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        """Remove it."""
        self.close()


def sweep(parent: Path, pattern: str) -> None:
    """Remove the folders of parent that fit pattern, are this user's, and have no owner any more."""
    found: list[Path] = []
    # Another process may remove parent meanwhile.
    with suppress(FileNotFoundError, NotADirectoryError):
        found = list(parent.glob(pattern))
    for path in found:
        with suppress(OSError):
            descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            try:
                if os.fstat(descriptor).st_uid == os.geteuid():
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    shutil.rmtree(path, ignore_errors=True)
            finally:
                os.close(descriptor)
