# SPDX-License-Identifier: BSD-2-Clause
"""An ext4 image that no guest uses at the moment: its size, its journal, a change of its size."""

from __future__ import annotations

import os
import re
import stat
import subprocess
from pathlib import Path

from orchestration.base import tools
from orchestration.base.errors import BuildError, InfrastructureError, UsageError
from orchestration.base.ownership import OwnFolder
from orchestration.build import disk as images
from orchestration.build.userland import INCOMPATIBLE, Image

# Seconds; a large image is read once.
LIMIT = 900
# More of the superblock than userland.py reads.
BLOCKS, BLOCK_SIZE_BITS, BLOCKS_HIGH = 4, 24, 336
WIDE = 0x80
# Blocks have 64 KiB at most.
MOST_BITS = 6
# A name that debugfs takes between quotes.
NAME = re.compile(r'[^"\\\x00-\x1f\x7f-\x9f\u2028\u2029\ufffd]+')
# A status of e2fsck below this: nothing was wrong, or all of it was mended.
CHECK = 'e2fsck -p "$@"; test $? -lt 4'
MIB = 1 << 20
# What a guest may have made below the folder of its modules: folders in each other, and in all.
DEEPEST, FOLDERS = 32, 4096


def block_size(image: Image) -> int:
    """Return the bytes of a block; raise InfrastructureError for more than ext4 has."""
    bits = image.number(BLOCK_SIZE_BITS)
    if bits > MOST_BITS:
        raise InfrastructureError(f"the superblock of {image.path} is damaged", f"mend it: e2fsck -f {image.path}")
    return 1024 << bits


def size(disk: Path) -> int:
    """Return the bytes of the file system."""
    image = Image(disk)
    blocks = image.number(BLOCKS)
    if image.number(INCOMPATIBLE) & WIDE:
        blocks |= image.number(BLOCKS_HIGH) << 32
    return blocks * block_size(image)


def check(disk: Path, log: Path, *, whole: bool = False) -> None:
    """Replay the journal, and mend what a guest has marked as damaged; whole: look at everything.

    Raise InfrastructureError for what cannot be mended without a decision.
    """
    options = ["-f"] if whole else []
    try:
        tools.run(["sh", "-c", CHECK, "e2fsck", *options, str(disk)], log, "checking the file system", LIMIT)
    except BuildError as error:
        raise InfrastructureError(f"the file system of {disk} is damaged", f"mend it by hand: e2fsck -f {disk}",
                                  error.details) from error


def least_size(disk: Path, log: Path) -> int:
    """Return the bytes below which the content does not fit; the file system has been checked."""
    done = subprocess.run([tools.program("resize2fs"), "-P", str(disk)], capture_output=True, text=True, check=False,
                          timeout=LIMIT, env={**os.environ, "LC_ALL": "C"})
    found = re.search(r"minimum size of the filesystem: (\d+)", done.stdout)
    if found is None:
        raise InfrastructureError(f"resize2fs does not tell the least size of {disk}", f"see {log}",
                                  tuple(done.stderr.splitlines()))
    return int(found[1]) * block_size(Image(disk))


def replace_modules(disk: Path, modules: Path, log: Path) -> None:
    """Replace the modules of Linux' release in an image by those of a tar file.

    What is there now is a guest's, names among it. No file of the host has a name from the image: debugfs' rdump would
    follow a link that it made itself.
    """
    with OwnFolder(disk.parent, "modules-") as folder:
        images.unpack_modules(modules, folder / "new", log)
        new = folder / "new/lib/modules"
        image = Image(disk)
        place = f"{image.resolve('/lib') or '/lib'}/modules"
        targets = {release: f"{place}/{release.name}" for release in sorted(new.iterdir())}
        write(disk, folder, [line for target in targets.values() for line in removal(image, target)], log)
        image = Image(disk)
        for target in targets.values():
            if image.look(target)[0]:
                raise irreplaceable(image, target)
        commands = [] if image.resolve(place) else [f"mkdir {place}"]
        for release, target in targets.items():
            commands += insertion(folder, release, target)
        write(disk, folder, commands, log)
        for path in sorted(new.rglob("*")):
            target = f"{place}/{path.relative_to(new)}"
            if path.is_file() and image.ask(f"cat {target}", path.stat().st_size + 1) != path.read_bytes():
                raise InfrastructureError(f"{target} of {disk} is not what was written there", f"see {log}",
                                          tools.tail(log))


def write(disk: Path, folder: Path, commands: list[str], log: Path) -> None:
    """Run commands of debugfs, for which folder is the current one. Their status says nothing of what they did."""
    # debugfs takes a path to its first space, so it gets names without that of the folder.
    (folder / "commands").write_text("".join(f"{line}\n" for line in commands))
    tools.run(["debugfs", "-w", "-f", "commands", str(disk)], log, "writing the modules", LIMIT, cwd=folder)


def irreplaceable(image: Image, top: str) -> InfrastructureError:
    """Return the error of a folder that cannot be removed."""
    return InfrastructureError(f"{top} of {image.path} cannot be replaced by the kernel's modules",
                               f"remove it: sudo mount -o loop {image.path} /mnt, then sudo rm -r /mnt{top}")


def removal(image: Image, top: str) -> list[str]:
    """Return debugfs' commands that remove what is there with all in it, if anything is.

    Raise InfrastructureError for a name that debugfs does not take, and for more folders than modules ever have.
    """
    kind = image.look(top)[0]
    if kind != "directory":
        return [f"rm {top}"] if kind else []
    commands, left, count = [], [(top, 0)], 0
    while left:
        path, depth = left.pop()
        commands.append(f'rmdir "{path}"')
        count += 1
        for line in image.ask(f'ls -p "{path}"').decode(errors="replace").splitlines():
            # /inode/mode/user/group/name/size/
            fields = line.split("/")
            name = fields[5] if len(fields) == 8 else ""
            if name in {".", ".."} or not line:
                continue
            if not NAME.fullmatch(name) or depth == DEEPEST or count + len(left) > FOLDERS:
                raise irreplaceable(image, top)
            if stat.S_ISDIR(int(fields[2], 8)):
                left.append((f"{path}/{name}", depth + 1))
            else:
                commands.append(f'rm "{path}/{name}"')
    # A folder is empty when all below it is gone.
    return commands[::-1]


def insertion(folder: Path, tree: Path, target: str) -> list[str]:
    """Return debugfs' commands that write a tree of the host, which is below folder, with all in it."""
    commands = [f"mkdir {target}"]
    for path in sorted(tree.iterdir()):
        if path.is_dir():
            commands += insertion(folder, path, f"{target}/{path.name}")
        else:
            commands.append(f"write {path.relative_to(folder)} {target}/{path.name}")
    return commands


def resize(disk: Path, wanted: int, log: Path) -> None:
    """Give an image's file system, and the file, so many bytes; raise UsageError when its content does not fit."""
    now = size(disk)
    if wanted == now:
        return
    check(disk, log, whole=True)
    if wanted < now:
        least = least_size(disk, log)
        if wanted < least:
            raise UsageError(f"a disk of {wanted // MIB}M is smaller than its content, which takes {-(-least // MIB)}M")
    else:
        try:
            os.truncate(disk, wanted)
        except (OSError, OverflowError) as error:
            raise UsageError(f"a disk of {wanted // MIB}M cannot be in {disk.parent}: "
                             f"{getattr(error, 'strerror', error)}") from error
    tools.run(["resize2fs", str(disk), f"{wanted >> 10}K"], log, "changing the size of the file system", LIMIT)
    os.truncate(disk, wanted)
