# SPDX-License-Identifier: BSD-2-Clause
"""Looks into an ext4 image: which program is its init, for which architecture, and which SSH server it has.

debugfs of e2fsprogs reads it, without mounting and without root. The image may be anybody's: what it says is checked,
and a link leads nowhere but into the image.
"""

from __future__ import annotations

import re
import subprocess
import threading
import time
from collections import deque
from dataclasses import dataclass, replace
from pathlib import Path

from orchestration.base import tools
from orchestration.base.arch import ARCHES, Arch
from orchestration.base.errors import InfrastructureError, UsageError

# Superblock: Linux' Documentation/filesystems/ext4, "Super Block". The flag is of a journal that has to be replayed.
SUPERBLOCK, SUPERBLOCK_SIZE = 1024, 1024
MAGIC, EXT_MAGIC = 56, 0xEF53
INCOMPATIBLE, NEEDS_RECOVERY = 96, 4
PARTITIONS_AT, PARTITIONS = 510, b"\x55\xaa"
LOOK_LIMIT = 60
# Bytes that are read of one answer at most: files and folders of an image are as large as their writer likes.
READ_LIMIT = 1 << 20
HEAD, TARGET = 4096, 4096
LINKS_MAX = 40
# Names of an image that are looked at, each by a run of debugfs; a system needs a few dozen.
LOOKS_MAX = 1000
# What Linux starts, in this order, where no init= names it. (It ends with a shell, which would serve nobody.)
INITS = ("/sbin/init", "/etc/init", "/bin/init")
KIND = re.compile(r"^Inode: \d+\s+Type: (\w[\w ]*?)\s+Mode:\s+(\d+)", re.MULTILINE)
FAST_LINK = re.compile(r'^Fast link dest: "(.*)"', re.MULTILINE)
# What debugfs would not take as one path.
PATH = re.compile(r'[^\s"\\]+')


@dataclass(frozen=True)
class Login:
    """An SSH server, and where it finds the run's keys."""

    program: str
    host_key: str
    openssh: bool
    """The form of the host key."""
    authorized: str = "/root/.ssh/authorized_keys"
    rereads: bool = False
    """Whether it reads its key again for each connection; if not, a new key needs a new start (SIGHUP)."""


OPENSSH = Login("/usr/sbin/sshd", "/etc/ssh/ssh_host_ed25519_key", openssh=True)
DROPBEAR = Login("/usr/sbin/dropbear", "/etc/dropbear/dropbear_ed25519_host_key", openssh=False)
LOGINS = (OPENSSH, DROPBEAR)


@dataclass(frozen=True)
class Userland:
    """What an image has, as far as a boot depends on it."""

    login: Login | None
    """None: the console is the only way in."""
    systemd: bool
    marks: bool = False
    """It tells the console when it runs (machine/console.py)."""
    bootargs: str = ""
    """Boot arguments for Linux, such as where init is."""


# The init of Debian's static busybox goes by the name of linuxrc; its dropbear executes itself for each connection.
TINY = Userland(replace(DROPBEAR, rereads=True), systemd=False, marks=True, bootargs="init=/usr/bin/linuxrc")
# What rootfs/debian/packages installs.
DEBIAN = Userland(OPENSSH, systemd=True, marks=True)


class Image:
    """The files of an ext4 image."""

    def __init__(self, path: Path) -> None:
        """Take an image; raise UsageError when it is none."""
        self.path = path
        with path.open("rb") as stream:
            head = stream.read(SUPERBLOCK + SUPERBLOCK_SIZE)
        self.superblock = head[SUPERBLOCK:]
        if len(self.superblock) < SUPERBLOCK_SIZE or self.number(MAGIC, 2) != EXT_MAGIC:
            parts = head[PARTITIONS_AT:PARTITIONS_AT + 2] == PARTITIONS
            raise UsageError(f"{path} holds no ext4 file system" + (" but partitions" if parts else ""),
                             "give the partition alone, as a file" if parts else
                             "give an ext4 image or a tar file, such as of: docker export, mmdebstrap, mkfs.ext4")
        self.known: dict[str, tuple[str, int, str]] = {}

    def number(self, at: int, size: int = 4) -> int:
        """Return a number of the superblock."""
        return int.from_bytes(self.superblock[at:at + size], "little")

    @property
    def unfinished(self) -> bool:
        """Return whether there is a journal to replay: whoever used the file system did not come to unmount it."""
        return bool(self.number(INCOMPATIBLE) & NEEDS_RECOVERY)

    def ask(self, request: str, most: int = READ_LIMIT) -> bytes:
        """Return what debugfs prints for a request, cut off after so many bytes."""
        deadline = time.monotonic() + LOOK_LIMIT
        with subprocess.Popen([tools.program("debugfs"), "-c", "-R", request, str(self.path)], stdout=subprocess.PIPE,
                              stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            assert process.stdout is not None
            timer = threading.Timer(LOOK_LIMIT, process.kill)
            timer.start()
            try:
                answer = process.stdout.read(most)
            finally:
                timer.cancel()
                process.kill()
        if time.monotonic() > deadline:
            raise InfrastructureError(f"debugfs does not read {self.path} in {LOOK_LIMIT} s")
        return answer

    def look(self, name: str) -> tuple[str, int, str]:
        """Return type (empty: not there), mode and target of a name, whose folders are no links."""
        if name not in self.known:
            if len(self.known) >= LOOKS_MAX:
                raise UsageError(f"{self.path}: what a boot needs there leads through more than {LOOKS_MAX} names",
                                 "look at the symbolic links in its /sbin, /bin, /usr and /etc")
            text = self.ask(f"stat {name}").decode(errors="replace") if PATH.fullmatch(name) else ""
            found = KIND.search(text)
            kind, mode = (found.group(1), int(found.group(2), 8)) if found else ("", 0)
            target = ""
            if kind == "symlink":
                fast = FAST_LINK.search(text)
                target = fast.group(1) if fast else self.ask(f"cat {name}", TARGET).decode(errors="replace")
            self.known[name] = kind, mode, target
        return self.known[name]

    def resolve(self, name: str) -> str:
        """Return the path that a path leads to, or nothing."""
        at: list[str] = []
        parts, links = deque(name.split("/")), 0
        while parts:
            part = parts.popleft()
            if part in {"", "."}:
                continue
            if part == "..":
                at = at[:-1]
                continue
            kind, _, target = self.look("/" + "/".join([*at, part]))
            if not kind:
                return ""
            if kind == "symlink":
                links += 1
                if links > LINKS_MAX:
                    return ""
                at = [] if target.startswith("/") else at
                parts.extendleft(reversed(target.split("/")))
            else:
                at = [*at, part]
        return "/" + "/".join(at)

    def program(self, name: str) -> str:
        """Return where a program is, or nothing when it is none."""
        real = self.resolve(name)
        kind, mode, _ = self.look(real) if real else ("", 0, "")
        return real if kind == "regular" and mode & 0o111 else ""


def machine(image: Image, name: str) -> int:
    """Return the ELF number of a program's architecture, of a script's that of its interpreter; 0: unknown."""
    for _ in range(4):
        head = image.ask(f"cat {name}", HEAD)
        if head.startswith(b"\x7fELF"):
            return int.from_bytes(head[18:20], "little")
        words = head[2:].split(b"\n")[0].decode(errors="replace").split() if head.startswith(b"#!") else []
        name = image.program(words[0]) if words else ""
        if not name:
            break
    return 0


def described(image: Image) -> Userland:
    """Return what an image has, unchecked."""
    login = next((one for one in LOGINS if image.program(one.program)), None)
    return Userland(login, systemd=Path(image.program(INITS[0])).name == "systemd")


def look(path: Path, arch: Arch, name: str = "") -> Userland:
    """Return what an image has; raise UsageError without an init, or with one of another architecture.

    name: what the user calls it.
    """
    name = name or str(path)
    image = Image(path)
    init = next((real for one in INITS if (real := image.program(one))), "")
    if not init:
        raise UsageError(f"{name} has no init: none of {', '.join(INITS)} is a program",
                         "install one, such as Debian's systemd-sysv")
    from elftools.elf.enums import ENUM_E_MACHINE

    wanted = ENUM_E_MACHINE[arch.elf_machine]
    found = machine(image, init)
    if found not in {0, wanted}:
        other = next((one.name for one in ARCHES.values() if ENUM_E_MACHINE[one.elf_machine] == found), "")
        theirs = other or f"ELF machine {found}"
        raise UsageError(f"the programs of {name} are for {theirs}, not for {arch.name}: {init}",
                         f"boot it with: ./orchestrate boot {other} --rootfs {name}" if other else "")
    return described(image)


def check_command(has: Userland, name: str) -> None:
    """Raise UsageError when no command can be run in a guest; name: what the user calls its root file system."""
    if has.login is None:
        raise UsageError(f"{name} has no SSH server to run a command by: only its console is there",
                         "boot it without a command, or install openssh-server or dropbear in it")
