# SPDX-License-Identifier: BSD-2-Clause
"""What a workload takes into the guest, packed: its scripts, its compiled program, and the timed of all workloads."""

from __future__ import annotations

import hashlib
import io
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from orchestration.base import tools
from orchestration.base.arch import Arch
from orchestration.base.cache import Cache, key_of, noted_hash, recipe
from orchestration.base.errors import InfrastructureError, QuollError, UsageError
from orchestration.base.roots import DEBIAN
from orchestration.base.tree import ROOT
from orchestration.bench.workload import FOLDER, Workload
from orchestration.build import debian, quoll, rootfs, source
from orchestration.build import disk as disks
from orchestration.machine import guest_archive

TIMED = FOLDER / "timed.c"
COMPILE_LIMIT = 300
FLAGS = ("-static", "-O2", "-Wall", "-Wextra", "-D_GNU_SOURCE", "-pthread")
PACKED, SOURCE = "kit.tar", "source.tar"
# What apt says of a package that the release does not have.
NO_PACKAGE = ("Unable to locate package", "has no installation candidate", "Couldn't find any package")


def digest(arch: Arch, cache: Cache, workload: Workload) -> str:
    """Return a key of a workload's own sources and of the packages that it asks for: equal keys, equal work.

    The compiler is among a run's conditions, and what else is on the disk is part of what is measured.
    """
    packages = ""
    if workload.description.rootfs == DEBIAN:
        packages = content(debian.archive(arch, cache, workload.description.packages))
    elif workload.description.packages:
        packages = content(rootfs.packages(arch, cache, rootfs.Spec(extra=workload.description.packages)))
    return key_of_sources(workload, packages, *FLAGS)


def key_of_sources(workload: Workload, *parts: str) -> str:
    """Return a key of strings and of a workload's own sources, with their places in its folder."""
    return key_of(*parts, files=[*workload.files(), TIMED],
                  base=FOLDER if workload.folder.is_relative_to(FOLDER) else None)


def content(archive: Path) -> str:
    """Return a key of the programs in a tar file, by whomever and whenever it was packed."""
    parts = []
    with tarfile.open(archive) as packed:
        for entry in packed:
            stream = packed.extractfile(entry) if entry.isreg() and "/usr/" in f"/{entry.name}" else None
            if stream is not None:
                parts.append(f"{Path(entry.name)} {hashlib.sha256(stream.read()).hexdigest()}")
    return key_of(*sorted(parts))


def pack(arch: Arch, cache: Cache, workload: Workload) -> Path:
    """Return a tar file of what goes into the workload's folder in the guest."""

    def make(entry: Path) -> None:
        log = cache.root / "build" / f"workload-{workload.name}-{arch.name}.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_text("")
        programs = {"timed": [TIMED]}
        if workload.sources:
            programs[workload.name] = workload.sources
        with tarfile.open(entry / PACKED, "w") as archive:
            for name, sources in programs.items():
                program = entry / name
                tools.run([arch.compiler, *FLAGS, *map(str, sources), "-o", str(program), "-lm"], log,
                          f"compiling the workload {workload.name}", COMPILE_LIMIT)
                add(archive, name, program.read_bytes())
                program.unlink()
            if upstream is not None:
                add(archive, SOURCE, upstream.read_bytes())
            for path in workload.scripts():
                add(archive, str(path.relative_to(workload.folder)), path.read_bytes())

    upstream = source.archive(cache, workload.description.source) if workload.description.source else None
    key = key_of_sources(workload, noted_hash(upstream) if upstream else "", arch.name,
                         quoll.compiler_version(arch.compiler), *FLAGS, workload.name, recipe(Path(__file__)))
    return cache.get("workload", key, make) / PACKED


def add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    """Add a file that says nothing of when and by whom it was made."""
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(content), 0o755
    archive.addfile(entry, io.BytesIO(content))


def unpack(data: bytes) -> dict[str, str]:
    """Return the regular files of a guest's tar file by name, as text; raise InfrastructureError when it is none."""
    found = {}
    try:
        with guest_archive.opened(io.BytesIO(data)) as members:
            for entry in members:
                # One with holes: they would be in memory.
                if entry.size > len(data):
                    raise InfrastructureError(f"a file of the guest's tar file has more bytes than were sent: "
                                              f"{entry.size}")
                stream = members.extractfile(entry) if entry.isreg() else None
                if stream is not None:
                    found[str(Path(entry.name))] = stream.read().decode(errors="replace")
    except guest_archive.Error as error:
        raise InfrastructureError(f"what the guest sent is no tar file: {error}") from error
    return found


def disk(arch: Arch, cache: Cache, workload: Workload, modules: Path | None) -> Path:
    """Return the image that a workload runs on; raise UsageError that names a package which does not exist."""
    if workload.description.rootfs == DEBIAN:
        assert modules is not None
        return disks.find(arch, cache, DEBIAN, workload.description.packages, modules).image
    with known_packages(arch, cache, workload):
        return rootfs.base_image(arch, cache, rootfs.Spec(extra=workload.description.packages), modules)


@contextmanager
def known_packages(arch: Arch, cache: Cache, workload: Workload) -> Iterator[None]:
    """Raise UsageError that names a package which does not exist, when that is why making something fails."""
    try:
        yield
    except QuollError as error:
        log = cache.root / "build" / f"rootfs-{arch.name}.log"
        said = [line for line in (*error.details, *tools.tail(log, 60)) if any(text in line for text in NO_PACKAGE)]
        unknown = [name for name in workload.description.packages
                   if any(f" {name}" in f"{line} ".replace("'", " ").replace('"', " ") for line in said)]
        if not unknown:
            raise
        raise UsageError(f"the workload {workload.name} wants {', '.join(unknown)}, which Debian {rootfs.SUITE} does "
                         f"not have for {arch.debian}", f"mend its workload.toml in {FOLDER.relative_to(ROOT)}",
                         tuple(dict.fromkeys(said))) from error

