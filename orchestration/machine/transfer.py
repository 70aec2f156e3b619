# SPDX-License-Identifier: BSD-2-Clause
"""Copies files and folders to and from a guest.

It is not trusted: of what comes from it, devices and links that leave the folder stay out.
"""

from __future__ import annotations

import os
import re
import shlex
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from backports import tarfile

from orchestration.base.errors import InfrastructureError, UsageError
from orchestration.machine import guest_archive, ssh, streams

# What stat prints of a file's mode.
MODE = re.compile(r"[0-7]{1,4}")


@contextmanager
def explained() -> Iterator[None]:
    """Make an InfrastructureError of what files and archives raise."""
    try:
        yield
    except (OSError, tarfile.TarError) as error:
        raise InfrastructureError(str(error)) from error


def run(connection: ssh.Connection, command: str, source: BinaryIO | bytes | None = None,
        out: streams.Sink | None = None, check: ssh.Check = ssh.running) -> bytes:
    """Run a command of ours; return its output, or write it to out; raise InfrastructureError when it fails."""
    kept, err = streams.Buffer(), streams.Buffer()
    if ssh.run(connection, f"{command}\nexit $?", out=out or kept, err=err, source=source, check=check):
        raise InfrastructureError(err.data.decode(errors="replace").strip() or "the guest refused")
    return kept.data


@explained()
def upload(connection: ssh.Connection, sources: list[Path], target: str, check: ssh.Check = ssh.running) -> None:
    """Send a tar file of the sources; a single source may be renamed by a target that is no folder."""
    for source in sources:
        if not source.exists():
            raise UsageError(f"{source} does not exist")
        if not (source.is_file() or source.is_dir()):
            raise UsageError(f"{source} is neither a file nor a folder")
    quoted = shlex.quote(target)
    is_folder = run(connection, f"test -d {quoted} && echo yes || :", check=check).strip() == b"yes"
    if not is_folder and (len(sources) > 1 or target.endswith("/")):
        raise UsageError(f"{target} is no folder of the guest")
    place = quoted if is_folder else shlex.quote(str(Path(target).parent))
    with tempfile.TemporaryFile() as stream:
        with tarfile.open(fileobj=stream, mode="w", format=tarfile.GNU_FORMAT) as packed:
            for source in sources:
                packed.add(source.resolve(), source.resolve().name if is_folder else Path(target).name)
        stream.seek(0)
        os.lseek(stream.fileno(), 0, os.SEEK_SET)
        run(connection, f"tar -C {place} -o -xf -", stream, check=check)


@explained()
def download(connection: ssh.Connection, source: str, target: Path, check: ssh.Check = ssh.running) -> Path:
    """Fetch a file, or a folder as a tar file, and return where it is; a link that is named itself is followed."""
    quoted = shlex.quote(source)
    kind = run(connection, f"test -d {quoted} && echo folder && exit; test -f {quoted} && stat -L -c %a {quoted} && "
                           f"exit; test -e {quoted} && echo other || echo none", check=check).decode().strip()
    if kind in ("none", "other"):
        raise UsageError(f"{source} {'does not exist' if kind == 'none' else 'is neither a file nor a folder'} "
                         "in the guest")
    name = Path(source).name.removeprefix("..")
    place = target / name if target.is_dir() else target
    if not place.parent.is_dir():
        raise UsageError(f"{place.parent} is no folder")
    if kind != "folder":
        if not MODE.fullmatch(kind):
            raise InfrastructureError(f"the guest says {kind!r} of {source}")
        with place.open("wb") as stream:
            run(connection, f"cat {quoted}", out=stream, check=check)
        # As tarfile's filter for data: no set-user-ID bit of a guest, and nobody else may write.
        place.chmod(int(kind, 8) & 0o755)
        return place
    with tempfile.TemporaryFile() as stream:
        run(connection, f"tar -C {quoted} -cf - .", out=stream, check=check)
        stream.seek(0)
        unpack(stream, place)
    return place


def is_plain(place: Path, name: str) -> bool:
    """Return whether a name below a folder is reached by real folders alone, and is no link itself."""
    way = place
    for part in Path(name.lstrip("/")).parts:
        way /= part
        if way.is_symlink():
            return False
    return True


def fault(place: Path, member: tarfile.TarInfo) -> str:
    """Return why a member of a guest's archive is left out whatever tarfile's filter says, or an empty string.

    The filter follows links by their names, and takes a path that is too long for the system for one without links. It
    does not look at what a hard link to a missing file has tarfile make in its place. A folder as tar reads it never
    has either.
    """
    if not is_plain(place, member.name):
        return f"{member.name!r} is reached through a link"
    if member.islnk() and not (is_plain(place, member.linkname) and (place / member.linkname.lstrip("/")).is_file()):
        return f"{member.name!r} is a hard link to what is no file of the folder, {member.linkname!r}"
    return ""


def unpack(stream: BinaryIO, place: Path) -> None:
    """Unpack a guest's folder; raise an error that names what was left out: devices, and what could reach out of it."""
    place.mkdir(exist_ok=True)
    # A relative path may be short enough for the system where the absolute one, which the filter looks at, is not.
    place = place.resolve()
    left = []
    with guest_archive.opened(stream) as members:
        for member in members:
            reason = fault(place, member)
            try:
                if not reason:
                    members.extract(member, place, filter="data")
            except tarfile.FilterError as error:
                reason = str(error)
            if reason:
                left.append(reason)
    if left:
        raise InfrastructureError(f"copied all but {len(left)}", details=tuple(left[:20]))
