# SPDX-License-Identifier: BSD-2-Clause
"""Makes an ext4 image of a tar file with files of ours, and of Linux's modules. Owners and modes are the tar file's.

usage: pack.py PLAN, with PLAN as JSON (class Plan). Runs as root or below fakeroot, in one process, because fakeroot
knows owners only for as long as that lives. The tar file may be anybody's: no path of it is followed out of the tree.

A program of its own, run by path: standard library only, nothing of this package.
"""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
import sys
from collections import deque
from dataclasses import asdict, dataclass
from pathlib import Path

LINKS_MAX = 40
BLOCK = 4096
# Bytes of an inode with its share of tables, for each file.
INODE = 512
# Bytes for each inode that mke2fs makes where it is told no number.
RATIO = 16384
# What is in /dev, by the names that a tar file may give it.
DEVICES = ("./dev/*", "dev/*", "/dev/*")


@dataclass(frozen=True)
class Plan:
    """What goes into an image. Paths as text; sizes in bytes."""

    archive: str
    tree: str
    """Empty folder to unpack in."""
    image: str
    uuid: str
    least: int
    """The image has at least this size,"""
    room: int
    """and this much room beside its content."""
    overlay: str = ""
    """Folder with files that replace the archive's."""
    removed: tuple[str, ...] = ()
    masked: tuple[str, ...] = ()
    """Units of systemd."""
    folders: tuple[str, ...] = ()
    modules: str = ""
    """Folder with lib/modules."""
    epoch: int = 0
    """Time of the files of ours and of whatever is newer in the archive; 0: leave times alone."""

    def text(self) -> str:
        """Return the argument of the program."""
        return json.dumps(asdict(self))


def inside(tree: Path, name: str) -> Path:
    """Return where a path of the tree is in fact, with the tree as the root of every link."""
    at, parts, links = tree, deque(name.split("/")), 0
    while parts:
        part = parts.popleft()
        if part in {"", "."}:
            continue
        if part == "..":
            at = at.parent if at != tree else tree
            continue
        after = at / part
        if after.is_symlink():
            links += 1
            if links > LINKS_MAX:
                raise OSError(f"too many links in {name}")
            target = str(after.readlink())
            at = tree if target.startswith("/") else at
            parts.extendleft(reversed(target.split("/")))
        else:
            at = after
    return at


def folder(tree: Path, name: str) -> Path:
    """Return a folder of the tree, made where it is missing."""
    at = tree
    for part in Path(name).parts:
        at = inside(tree, f"{at.relative_to(tree)}/{part}")
        if not at.is_dir():
            at.mkdir()
            at.chmod(0o755)
    return at


def place(tree: Path, source: Path, name: str) -> None:
    """Put a file or link into the tree, in place of one that is there."""
    target = folder(tree, str(Path(name).parent)) / Path(name).name
    if target.is_symlink() or target.exists():
        target.unlink()
    if source.is_symlink():
        target.symlink_to(source.readlink())
        return
    shutil.copyfile(source, target)
    target.chmod(0o755 if source.stat().st_mode & 0o100 else 0o644)
    os.chown(target, 0, 0)


def unpack(plan: Plan, tree: Path) -> None:
    """Unpack the archive. /dev is left out: Linux makes it, and device nodes are not wanted on the host."""
    # fakeroot cannot give a file capabilities. Patterns are of whole names: home/user/dev is another folder.
    whole = [] if "FAKEROOTKEY" in os.environ else ["--xattrs", "--xattrs-include=*"]
    subprocess.run(["tar", "--force-local", "-C", str(tree), "--numeric-owner", "--same-owner", "-p", *whole,
                    "--anchored", *(f"--exclude={name}" for name in DEVICES), "-xf", plan.archive], check=True)
    for path in tree.rglob("*") if not whole else ():
        # A file that its owner may not read, such as Fedora's shadow, mke2fs cannot either; fakeroot, when it is asked
        # to give the file the mode that it has, lets it.
        mode = path.lstat().st_mode
        if stat.S_ISREG(mode) and not mode & stat.S_IRUSR:
            path.chmod(stat.S_IMODE(mode))


def forget_times(tree: Path, epoch: int) -> None:
    """Give what is newer than epoch that time."""
    for path in [tree, *tree.rglob("*")]:
        if path.lstat().st_mtime > epoch:
            os.utime(path, (epoch, epoch), follow_symlinks=False)


def needed(tree: Path) -> tuple[int, int]:
    """Return how many files a tree has, and the bytes that they take in a file system."""
    sizes = [path.lstat().st_size for path in [tree, *tree.rglob("*")]]
    return len(sizes), sum(-(-size // BLOCK) * BLOCK + INODE for size in sizes)


def fill(plan: Plan, tree: Path) -> None:
    """Put everything into the tree."""
    tree.chmod(0o755)
    unpack(plan, tree)
    for name in plan.removed:
        parent = inside(tree, str(Path(name).parent))
        for path in parent.glob(Path(name).name) if parent.is_dir() else ():
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    overlay = Path(plan.overlay)
    for path in sorted(overlay.rglob("*")) if plan.overlay else ():
        if path.is_symlink() or not path.is_dir():
            place(tree, path, str(path.relative_to(overlay)))
    for unit in plan.masked:
        link = folder(tree, "etc/systemd/system") / unit
        if not link.is_symlink():
            link.symlink_to("/dev/null")
    for name in ("dev", "proc", "sys", "run", "tmp", *plan.folders):
        folder(tree, name)
    if plan.modules:
        modules = Path(plan.modules)
        for path in sorted(modules.rglob("*")):
            if not path.is_dir():
                place(tree, path, str(path.relative_to(modules)))


def main(plan: Plan) -> int:
    """Make the image."""
    tree = Path(plan.tree)
    fill(plan, tree)
    if plan.epoch:
        forget_times(tree, plan.epoch)
    count, content = needed(tree)
    size = max(plan.least, content + plan.room)
    # Beside the tree's files, the room has place for as many as usual.
    inodes = max(size, count * RATIO + plan.room) // RATIO
    # Its own files, such as the journal and the table of inodes, are a part of the room.
    subprocess.run(["mke2fs", "-q", "-t", "ext4", "-d", str(tree), "-U", plan.uuid, "-L", "quoll", "-m", "0",
                    "-N", str(inodes), "-E", f"hash_seed={plan.uuid},lazy_itable_init=0,lazy_journal_init=0",
                    plan.image, f"{size >> 10}k"], check=True,
                   env={**os.environ, "E2FSPROGS_FAKE_TIME": str(plan.epoch or 1)})
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(Plan(**json.loads(sys.argv[1]))))
    except subprocess.CalledProcessError as failed:
        sys.exit(f"{failed.cmd[0]} ended with status {failed.returncode}")
    except OSError as failed:
        sys.exit(f"cannot make the tree: {failed}")
