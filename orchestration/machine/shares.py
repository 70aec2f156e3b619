# SPDX-License-Identifier: BSD-2-Clause
"""Folders of this host that a guest sees: what --share means, QEMU's options for them, and how the guest mounts them.

What the guest may do is decided outside of it. QEMU itself refuses to write to a folder that is shared read-only, takes
no name with a slash or "..", and follows no link: the guest reads a link and follows it among its own files. So a link
that leaves the folder leads into the guest.

A folder that the guest may write to is what the user of QEMU may do there, inside of that folder: QEMU's security model
"none". Root could also make devices and programs that run as root, so for root it is "mapped-xattr": owners, modes,
links and devices of the guest are kept in attributes of plain files, which the host does not act on.
"""

from __future__ import annotations

import os
import posixpath
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

# Bytes of the longest message: Linux' own default. A folder is read by pieces of this size, each one piece of memory.
MESSAGE_SIZE = 1 << 17
# cache=mmap: as close to the host's files as without a cache (they are looked at anew when a file is opened), and
# programs may map files to write to them. What the host calls a device or a set-user-ID program is none here.
MOUNT_OPTIONS = f"trans=virtio,version=9p2000.L,msize={MESSAGE_SIZE},cache=mmap,nosuid,nodev"
FAILED = 64
MODES = {"ro": False, "rw": True}
# The guest's shell command that loads 9P's modules: tiny's Linux loads none by itself, it has no /sbin/modprobe. Where
# they are built in, modprobe finds none, which is no error.
LOADING = "[ -d /sys/module/9p ] || modprobe -q 9p; [ -d /sys/module/9pnet_virtio ] || modprobe -q 9pnet_virtio"
# Places of the guest's own, which a folder would hide.
TAKEN = ("/", "/dev", "/proc", "/run", "/sys")


@dataclass(frozen=True)
class Share:
    """A folder of this host, where it is in the guest, and whether the guest may write to it."""

    folder: Path
    target: str
    writable: bool = False

    def __str__(self) -> str:
        """Return it as an option has it, with nothing left out."""
        return f"{self.folder}:{self.target}:{'rw' if self.writable else 'ro'}"

    @classmethod
    def from_text(cls, text: str, base: Path = Path()) -> Share:
        """Return the share that HOSTDIR[:GUESTDIR][:ro|:rw] means, HOSTDIR as seen from base.

        Raise ValueError where it means none. What is left when the words behind are taken is HOSTDIR, colons and all.
        """
        rest, colon, mode = text.rpartition(":")
        if not colon or mode not in MODES:
            rest, mode = text, "ro"
        host, colon, target = rest.rpartition(":")
        if not colon:
            host, target = rest, ""
        elif not target.startswith("/"):
            raise ValueError(f"'{text}' is no HOSTDIR[:GUESTDIR][:ro|:rw]: GUESTDIR is an absolute path in the guest, "
                             f"and '{target}' is none")
        if not host:
            raise ValueError(f"'{text}' names no folder of this host")
        folder = Path(base, Path(host).expanduser()).resolve()
        # A place with a colon could not be told from a folder's name when the option is read again.
        if not target and (not folder.name or ":" in folder.name):
            raise ValueError(f"'{text}' needs a folder in the guest, such as {host}:/mnt/host")
        return cls(folder, guest_folder(target or f"/mnt/{folder.name}"), MODES[mode])


def guest_folder(target: str) -> str:
    """Return an absolute path of the guest without detours; raise ValueError where no folder can be put."""
    plain = posixpath.normpath("/" + target.lstrip("/"))
    if ".." in target.split("/") or plain in TAKEN or "\0" in target or "\n" in target:
        raise ValueError(f"'{target}' is no place in the guest for a folder")
    return plain


def apart(shares: tuple[Share, ...]) -> tuple[Share, ...]:
    """Return shares of which no two have the same place in the guest."""
    for number, one in enumerate(shares):
        if any(one.target == other.target for other in shares[:number]):
            raise ValueError(f"two folders are to be {one.target} in the guest; give one of them another GUESTDIR")
    return shares


def security_model(share: Share) -> str:
    """Return QEMU's model of who owns what the guest makes."""
    return "mapped-xattr" if share.writable and os.geteuid() == 0 else "none"


def arguments(shares: Sequence[Share]) -> list[str]:
    """Return QEMU's options: a device with a tag for each folder."""
    argv: list[str] = []
    for number, share in enumerate(shares):
        path = str(share.folder).replace(",", ",,")
        mode = "" if share.writable else ",readonly=on"
        argv += ["-fsdev", f"local,id=share{number},path={path},security_model={security_model(share)},"
                           f"multidevs=remap{mode}",
                 "-device", f"virtio-9p-pci,fsdev=share{number},mount_tag=share{number},disable-legacy=on"]
    return argv


def mounting(shares: Sequence[Share]) -> str:
    """Return the guest's shell command that mounts all, outer folders first; status FAILED + n: number n failed."""
    commands = [LOADING]
    for number, share in sorted(enumerate(shares), key=lambda item: item[1].target.count("/")):
        place, mode = shlex.quote(share.target), "" if share.writable else ",ro"
        commands.append(f"mkdir -p {place} && mount -t 9p -o {MOUNT_OPTIONS}{mode} share{number} {place} || "
                        f"exit {FAILED + number}")
    return "; ".join([*commands, "exit 0"])


def failed(shares: Sequence[Share], status: int) -> str:
    """Return what a status of mounting() tells of."""
    number = status - FAILED
    return f"mount {shares[number].folder} at {shares[number].target}" if 0 <= number < len(shares) else "mount folders"
