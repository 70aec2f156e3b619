# SPDX-License-Identifier: BSD-2-Clause
"""LTP as a suite's files: the lists of its tests, and a disk of its programs that both machines read.

They are 400 MB: a disk takes no time in each machine. How the tests run is no part of an entry's key (ltp.py).
"""

from __future__ import annotations

from pathlib import Path

from elftools.common.exceptions import ELFError
from elftools.elf.elffile import ELFFile

from orchestration.base import tools
from orchestration.base.arch import ARCHES, Arch
from orchestration.base.cache import Cache, files_below, key_of, recipe
from orchestration.base.errors import UsageError
from orchestration.conform import ltpsource
from orchestration.conform.suite import DISK

NAME, PLACE = "ltp", ltpsource.PLACE
# Files of its folder runtest, each a list of tests.
COLLECTIONS = ("syscalls", "mm", "sched", "syscalls-ipc", "pty", "containers")
LIST, RELEASE = "runtest", "release"
PACK_LIMIT = 600
# KiB beside the files: tables of the file system.
ROOM = 16 << 10


def installed(folder: Path, arch: Arch) -> Path:
    """Return where in a user's folder LTP is installed for an architecture; raise UsageError when it is not."""
    places = [folder / name / inner for name in (arch.name, ".") for inner in (".", PLACE.lstrip("/"))]
    found = next((one for one in places if (one / "runtest").is_dir() and (one / "testcases/bin").is_dir()), None)
    if found is None:
        raise UsageError(f"--ltp {folder}: no LTP is there, neither its source nor an installed one"
                         if folder.is_dir() else f"--ltp {folder}: there is no such folder and no such file",
                         "give LTP's release, its git checkout, or what its `make install` made for "
                         f"{arch.name}, with runtest and testcases/bin")
    for path in sorted((found / "testcases/bin").iterdir()):
        machine = elf_machine(path)
        if machine is None:
            continue
        if machine != arch.elf_machine:
            other = next((one.name for one in ARCHES.values() if one.elf_machine == machine), machine)
            raise UsageError(f"--ltp {folder}: its programs are for {other}, not for {arch.name}",
                             f"put one for each architecture into {folder}/ARCH")
        return found
    raise UsageError(f"--ltp {folder}: testcases/bin has no program", "see whether LTP's `make install` ended well")


def elf_machine(path: Path) -> str | None:
    """Return pyelftools' name of a program's architecture; None when it is no program."""
    try:
        with path.open("rb") as stream:
            return str(ELFFile(stream)["e_machine"])
    except (ELFError, OSError):
        return None


def build(arch: Arch, cache: Cache, folder: Path) -> Path:
    """Return a folder with a disk of the programs and the lists of tests; of a source, built if need be."""
    if folder.is_file() or ltpsource.is_source(folder):
        ltpsource.check(folder)
        known = ltpsource.key(folder, arch)

        def make(entry: Path) -> None:
            with ltpsource.built(arch, cache, folder, known) as (made, release):
                pack(installed(made, arch), entry, cache, arch)
                (entry / RELEASE).write_text(release)

        return cache.get(NAME, key_of(known, recipe(Path(__file__))), make)
    source = installed(folder, arch)
    lists = runtests(source)
    if not lists:
        raise UsageError(f"--ltp {folder}: runtest has none of {', '.join(COLLECTIONS)}")
    key = key_of(arch.name, *COLLECTIONS, recipe(Path(__file__)),
                 files=[*lists, *files_below(source / "testcases")], base=source)
    return cache.get(NAME, key, lambda entry: pack(source, entry, cache, arch))


def runtests(source: Path) -> list[Path]:
    """Return the lists of an installed LTP that run here."""
    return [source / LIST / name for name in COLLECTIONS if (source / LIST / name).is_file()]


def pack(source: Path, entry: Path, cache: Cache, arch: Arch) -> None:
    """Fill a cache entry with the lists of an installed LTP and a disk of its programs."""
    log = cache.root / "build" / f"ltp-disk-{arch.name}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_text("")
    (entry / LIST).mkdir()
    for path in runtests(source):
        (entry / LIST / path.name).write_bytes(path.read_bytes())
    size = sum(path.stat().st_size for path in files_below(source / "testcases"))
    tools.run(["mke2fs", "-q", "-t", "ext4", "-d", str(source / "testcases"), "-m", "0", "-O", "^has_journal",
               "-E", "root_owner=0:0,lazy_itable_init=0", str(entry / DISK), f"{(size * 5 // 4 >> 10) + ROOM}k"],
              log, "making a disk of LTP", PACK_LIMIT)


def release(folder: Path) -> str:
    """Return which LTP a built folder holds; nothing where only its programs are known."""
    path = folder / RELEASE
    return f"LTP {path.read_text()}" if path.exists() and path.read_text() else ""
