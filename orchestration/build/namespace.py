# SPDX-License-Identifier: BSD-2-Clause
"""Runs a command as root of a user namespace of its own, where programs of other architectures run under QEMU.

usage: namespace.py [--emulate NAME MACHINE INTERPRETER]... -- COMMAND...

MACHINE is the ELF number of the architecture, INTERPRETER a static qemu-user. The namespace has its own binfmt_misc
(Linux 6.7), so nothing is registered on the host. Its user ids are the host's for root, and for others themselves as
root with the range of /etc/subuid. It ends with its processes when this program does. Exit status: the command's, or
REFUSED with a line that begins with REASON when the host does not let us.

A program of its own, run by path: standard library only, nothing of this package.
"""

from __future__ import annotations

import ctypes
import errno
import os
import pwd
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

REFUSED, REASON = 90, "namespace: "
NEWNS, NEWUTS, NEWIPC, NEWUSER, NEWPID = 0x00020000, 0x04000000, 0x08000000, 0x10000000, 0x20000000
MS_BIND, MS_MOVE, MS_REC, MS_PRIVATE = 0x1000, 0x2000, 0x4000, 0x40000
PR_SET_PDEATHSIG = 1
LIBC = ctypes.CDLL(None, use_errno=True)
# Ids that a Debian system needs beside root's.
IDS = 65535
FORMATS = "/proc/sys/fs/binfmt_misc"
# Depth that no chroot's folder has.
DEEP = 256


class RefusedError(Exception):
    """The host does not let us; the text says what and what would mend it."""


def call(name: str, *arguments: object) -> None:
    """Call a function of libc; raise OSError when it fails."""
    if getattr(LIBC, name)(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")


def mount(source: str, target: str, kind: str | None, flags: int) -> None:
    """Mount."""
    call("mount", source.encode(), target.encode(), kind.encode() if kind else None, ctypes.c_ulong(flags), None)


def leave_chroot() -> None:
    """Make the root folder of a chroot the root of a new mount namespace: a process in a chroot gets no user namespace.

    Root only. Nothing outside the chroot is reachable afterwards, as before.
    """
    call("unshare", NEWNS)
    inside = os.open("/", os.O_RDONLY | os.O_DIRECTORY)
    # The working folder stays outside of a root that is below it, so that ".." leads up to the namespace's own root.
    os.chdir("/")
    os.chroot("proc")
    for _ in range(DEEP):
        os.chdir("..")
    os.chroot(".")
    mount("none", "/", None, MS_REC | MS_PRIVATE)
    os.fchdir(inside)
    os.close(inside)
    place = str(Path.cwd())
    mount(place, place, None, MS_BIND | MS_REC)
    os.chdir(place)
    mount(".", "/", None, MS_MOVE)
    os.chroot(".")
    os.chdir("/")


def enter() -> None:
    """Enter new namespaces; raise RefusedError where the host has none for us."""
    flags = NEWUSER | NEWNS | NEWPID | NEWUTS | NEWIPC
    try:
        try:
            call("unshare", flags)
        except OSError as error:
            if error.errno != errno.EPERM or os.geteuid() != 0:
                raise
            leave_chroot()
            call("unshare", flags)
    except OSError as error:
        raise RefusedError(f"no user namespace for this user ({error.strerror}): a chroot, a container or "
                           "user.max_user_namespaces forbids it; run as root, or outside of it") from error


def first_id(path: str) -> int:
    """Return the start of this user's range in /etc/subuid or /etc/subgid; raise RefusedError without one."""
    user = str(os.getuid())
    with suppress(KeyError):
        user = pwd.getpwuid(os.getuid()).pw_name
    with suppress(OSError):
        for line in Path(path).read_text().splitlines():
            name, _, rest = line.partition(":")
            start, _, count = rest.partition(":")
            if name in (user, str(os.getuid())) and count.isdigit() and int(count) >= IDS:
                return int(start)
    raise RefusedError(f"{path} has no range of {IDS} ids for {user}: "
                       f"sudo usermod --add-subuids 100000-165535 --add-subgids 100000-165535 {user}")


def give_ids(process: int) -> None:
    """Write the id maps of a process in a new user namespace."""
    if os.geteuid() == 0:
        for kind in ("uid", "gid"):
            # Those that we have ourselves, which in a container may be few.
            have = [line.split() for line in Path(f"/proc/self/{kind}_map").read_text().splitlines()]
            if sum(int(count) for _, _, count in have) <= IDS:
                raise RefusedError(f"root has less than {IDS + 1} {kind}s in this container; give it more, or run "
                                   "outside of it")
            Path(f"/proc/{process}/{kind}_map").write_text(
                "".join(f"{first} {first} {count}\n" for first, _, count in have))
        return
    for kind, own in (("uid", os.getuid()), ("gid", os.getgid())):
        command = [f"new{kind}map", str(process), "0", str(own), "1", "1", str(first_id(f"/etc/sub{kind}")), str(IDS)]
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False)
        except FileNotFoundError as error:
            raise RefusedError(f"new{kind}map is missing: sudo apt-get install uidmap") from error
        if done.returncode:
            raise RefusedError(f"{' '.join(command)}: {done.stderr.strip()}")


def escaped(data: bytes) -> str:
    """Return bytes as binfmt_misc reads them."""
    return "".join(f"\\x{byte:02x}" for byte in data)


def emulate(name: str, machine: int, interpreter: str) -> None:
    """Let 64-bit little-endian ELF programs of a machine run under an interpreter.

    It is opened now (F); programs have their own credentials (C) and first argument (P).
    """
    # e_ident: class, order and version; OSABI and padding are any. e_type: EXEC or DYN.
    magic = b"\x7fELF\x02\x01\x01" + bytes(9) + b"\x02\x00" + machine.to_bytes(2, "little")
    mask = b"\xff" * 7 + bytes(1) + b"\xff" * 8 + b"\xfe\xff\xff\xff"
    text = f":quoll-{name}:M::{escaped(magic)}:{escaped(mask)}:{interpreter}:POCF"
    try:
        Path(FORMATS, "register").write_text(text)
    except OSError as error:
        raise RefusedError(f"binfmt_misc does not take {interpreter} ({error.strerror})") from error


def host_runs(name: str) -> bool:
    """Return whether the host runs an architecture's programs in a chroot, too: enabled, its interpreter open (F)."""
    try:
        lines = Path(FORMATS, f"qemu-{name}").read_text().splitlines()
    except OSError:
        return False
    return lines[:1] == ["enabled"] and any(line.startswith("flags:") and "F" in line for line in lines)


def prepare(formats: list[tuple[str, int, str]]) -> None:
    """Mount what the command sees, as process 1 of the namespace."""
    # What the host runs is seen in its /proc alone.
    known = all(host_runs(name) for name, _, _ in formats)
    mount("none", "/", None, MS_REC | MS_PRIVATE)
    # A container may forbid it; then /proc is the one outside, which mmdebstrap can do with.
    with suppress(OSError):
        mount("proc", "/proc", "proc", 0)
    if formats:
        try:
            mount("binfmt_misc", FORMATS, "binfmt_misc", 0)
        except OSError as error:
            if known:
                # The host's hold here, as in any namespace that has none of its own.
                return
            raise RefusedError(
                f"no binfmt_misc of its own for a user namespace ({error.strerror}): it takes Linux 6.7, and this is "
                f"{os.uname().release}; otherwise the host must run such programs: sudo apt-get install "
                "qemu-user-static") from error
        for one in formats:
            emulate(*one)


def main(arguments: list[str]) -> int:
    """Run the command; return its status."""
    formats = []
    while arguments[:1] == ["--emulate"]:
        formats.append((arguments[1], int(arguments[2]), arguments[3]))
        arguments = arguments[4:]
    command = arguments[1:] if arguments[:1] == ["--"] else arguments
    ready_out, ready_in = os.pipe()
    go_out, go_in = os.pipe()
    child = os.fork()
    if child == 0:
        os._exit(inside(command, formats, ready_in, go_out, go_in))
    os.close(ready_in)
    os.close(go_out)
    try:
        if os.read(ready_out, 1):
            give_ids(child)
            os.write(go_in, b"x")
    except (RefusedError, OSError) as error:
        print(f"{REASON}{error}", file=sys.stderr)
        os.close(go_in)
        os.waitpid(child, 0)
        return REFUSED
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def first_process(command: list[str], formats: list[tuple[str, int, str]]) -> int:
    """Be process 1 of the namespace: run the command, wait for what it leaves behind, return its status."""
    call("prctl", PR_SET_PDEATHSIG, signal.SIGKILL)
    prepare(formats)
    runner = os.fork()
    if runner == 0:
        try:
            os.execvp(command[0], command)
        except OSError as error:
            print(f"{REASON}{command[0]}: {error.strerror}", file=sys.stderr)
            os._exit(127)
    while True:
        ended, status = os.wait()
        if ended == runner:
            # Everything else in the namespace ends with this process.
            code = os.waitstatus_to_exitcode(status)
            return code if code >= 0 else 128 - code


def inside(command: list[str], formats: list[tuple[str, int, str]], ready: int, go: int, other: int) -> int:
    """Enter the namespaces, wait for the ids, and run the command below a process 1; return its status."""
    os.close(other)
    try:
        enter()
        os.write(ready, b"x")
        if not os.read(go, 1):
            return REFUSED
        os.setgroups([])
        os.setgid(0)
        os.setuid(0)
        # After the last change of credentials, which clears it.
        call("prctl", PR_SET_PDEATHSIG, signal.SIGKILL)
        first = os.fork()
        if first == 0:
            try:
                os._exit(first_process(command, formats))
            except (RefusedError, OSError) as error:
                print(f"{REASON}{error}", file=sys.stderr)
                os._exit(REFUSED)
        return abs(os.waitstatus_to_exitcode(os.waitpid(first, 0)[1]))
    except (RefusedError, OSError) as error:
        print(f"{REASON}{error}", file=sys.stderr)
        return REFUSED


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
