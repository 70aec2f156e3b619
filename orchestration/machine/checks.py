# SPDX-License-Identifier: BSD-2-Clause
"""What this host must be able to give to a machine that is described: checked before anything is built.

Between the check and the start somebody else may take a port, a name or a file; then QEMU or the register refuses, and
says the same.
"""

from __future__ import annotations

import errno
import json
import os
import socket
import stat
import tempfile
from pathlib import Path

from orchestration.base.arch import ARCHES, Arch
from orchestration.base.errors import UsageError
from orchestration.build import system
from orchestration.machine import persistent, registry
from orchestration.machine.description import Description, Disk, Port, show_size
from orchestration.machine.shares import Share, security_model

SECTOR = 512
QCOW2 = b"QFI\xfb"


def check(description: Description) -> None:
    """Raise UsageError that names the first thing which this host cannot give."""
    check_target(description)
    check_memory(description.memory)
    check_count(description.target, len(description.disks), len(description.shares))
    check_places(description)
    for share in description.shares:
        check_share(share)
    for number, disk in enumerate(description.disks):
        check_disk(disk)
        check_user(disk)
        for other in description.disks[:number]:
            if disk.file.samefile(other.file):
                raise UsageError(f"{disk.file} is given twice as a disk")
    for port in description.ports:
        check_port(port)
    if description.persist is not None:
        persistent.check(description.persist)
    if description.name is not None:
        registry.check_name(description.name)


def check_target(description: Description) -> None:
    """Raise UsageError for what no machine of this architecture has."""
    check_guest_mode(description)
    target = description.target
    for check in description.debug:
        if check not in target.checks:
            raise UsageError(f"--debug {check}: Linux has never run with it on {target.name}, only on "
                             f"{', '.join(arch.name for arch in ARCHES.values() if check in arch.checks)}",
                             f"to try it: --kernel-config l4linux-patches/configs/debug-{check}.config")
    if "kcsan" in description.debug and "kasan" in description.debug:
        raise UsageError("--debug kcsan and --debug kasan: Linux has one of the two", "boot one after the other")
    if "kcsan" in description.debug and description.cpus == 1:
        raise UsageError("--debug kcsan finds what several CPUs do at once, and the machine has one", "add --cpus 4")


def check_guest_mode(description: Description) -> None:
    """Raise UsageError for a guest mode that the machine certainly lacks."""
    target, wanted = description.target, description.guest_mode
    if wanted is None:
        return
    if wanted not in target.guest_modes:
        raise UsageError(f"--guest-mode {wanted}: {target.name} has only {', '.join(target.guest_modes)}",
                         "leave it out: the guest's kernel runs in the best mode that the machine has")
    if wanted == "above" and description.accel != "tcg":
        raise UsageError("--guest-mode above works under emulation only: L4 runs it under no other hypervisor",
                         "leave out one of --guest-mode and --accel")
    if wanted == "above" and description.cpus > 1:
        raise UsageError("--guest-mode above works with one CPU only: several CPUs would share L4's gate",
                         "leave out one of --guest-mode and --cpus")


def check_memory(size: int) -> None:
    """Raise UsageError for more memory than the host has."""
    host = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if size > host:
        raise UsageError(f"a memory of {show_size(size)} is more than this host has: {host >> 20}M")


def check_count(arch: Arch, disks: int, shares: int) -> None:
    """Raise UsageError when a machine of this kind has no place for so many devices."""
    pci = [server for server in system.servers(disks=disks, shares=shares) if server.device != "serial line"]
    if len(pci) > arch.pci_devices:
        most = disks + shares - (len(pci) - arch.pci_devices)
        what = " and ".join([*([f"{disks} more disks"] if disks else []), *([f"{shares} shares"] if shares else [])])
        raise UsageError(f"{what} are too many for {arch.name}: it has interrupts for {most}")


def check_places(description: Description) -> None:
    """Raise UsageError for a place of nobody, or on a CPU that the machine has not."""
    servers = system.servers(disks=len(description.disks), shares=len(description.shares))
    names = [*(one.name for one in servers), *(f"{system.VCPU}{number}" for number in range(description.cpus))]
    for place in description.places:
        if place.name not in names:
            raise UsageError(f"--place {place}: the machine has no {place.name}", f"it has {', '.join(names)}")
        if place.cpu >= description.cpus:
            raise UsageError(f"--place {place}: the machine has CPUs 0 to {description.cpus - 1}",
                             "more of them: --cpus N")


def check_share(share: Share) -> None:
    """Raise UsageError for a folder that cannot be shared in the way that is wanted."""
    try:
        mode = share.folder.stat().st_mode
    except OSError as error:
        raise UsageError(f"cannot share {share.folder}: {error.strerror}", "--share takes a folder of this host"
                         ) from error
    if not stat.S_ISDIR(mode):
        raise UsageError(f"cannot share {share.folder}: it is no folder",
                         f"share the one it is in: {share.folder.parent}")
    if not os.access(share.folder, os.R_OK | os.X_OK):
        raise UsageError(f"cannot share {share.folder}: you may not read it")
    if share.writable and not os.access(share.folder, os.W_OK):
        raise UsageError(f"cannot share {share.folder} with :rw: you may not write to it",
                         "without :rw it is to be read")
    if security_model(share) == "mapped-xattr":
        try:
            # A file without a name. To list attributes works on any file system.
            with tempfile.TemporaryFile(dir=share.folder) as probe:
                os.setxattr(probe.fileno(), "user.virtfs.mode", bytes(4))
        except OSError as error:
            raise UsageError(f"cannot share {share.folder} with :rw as root: its file system has no attributes, where "
                             "owners and modes of the guest would be kept", "run it as another user") from error


def check_disk(disk: Disk) -> None:
    """Raise UsageError for a file that cannot be a disk."""
    try:
        status = disk.file.stat()
        size = status.st_size
        if stat.S_ISBLK(status.st_mode) or stat.S_ISREG(status.st_mode):
            with open(disk.file, "rb" if disk.read_only else "r+b", buffering=0) as stream:
                size = stream.seek(0, os.SEEK_END)
                stream.seek(0)
                magic = stream.read(len(QCOW2))
        else:
            raise UsageError(f"disk {disk.file} is neither a file nor a block device")
    except FileNotFoundError as error:
        raise UsageError(f"there is no disk {disk.file}", f"make an empty one: truncate -s 1G {disk.file}") from error
    except OSError as error:
        hint = f"to read it only: --disk {disk.file},ro" if error.errno in (errno.EACCES, errno.EROFS) else ""
        raise UsageError(f"cannot use the disk {disk.file}: {error.strerror}", hint) from error
    if not size or size % SECTOR:
        raise UsageError(f"disk {disk.file} has {size} bytes, which are no number of sectors of {SECTOR}")
    if magic == QCOW2:
        raise UsageError(f"disk {disk.file} is a qcow2 image, and only raw ones are used",
                         f"make a raw one: qemu-img convert -O raw {disk.file} NEW")


def check_port(port: Port) -> None:
    """Raise UsageError for a port of the host that cannot be listened on."""
    with socket.socket() as probe:
        # As QEMU does, which may take a port whose last connections are not forgotten yet.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port.host))
            probe.listen(1)
        except PermissionError as error:
            raise UsageError(f"port {port.host} is for root only; choose one above 1023") from error
        except OSError as error:
            raise port.taken() from error


def check_user(disk: Disk) -> None:
    """Raise UsageError that names the machine which has a disk, unless both only read it. QEMU locks its files too."""
    for entry in registry.entries():
        try:
            listed = json.loads((Path(entry.run) / "config.json").read_text())["disks"]
            used = [other for other in map(Disk.from_text, listed) if other.file.samefile(disk.file)]
        except (OSError, ValueError, KeyError, TypeError):
            continue
        if any(not (other.read_only and disk.read_only) for other in used):
            raise disk.busy(f"machine {entry.name}")
