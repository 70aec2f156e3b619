# SPDX-License-Identifier: BSD-2-Clause
"""LTP from its source: a folder or a tar file of the user's, built for the guest's Debian on any host.

Headers and libraries are those of the guest's Debian, not the host's: every host builds the same programs.
"""

from __future__ import annotations

import lzma
import os
import shutil
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from orchestration.base import tools
from orchestration.base.arch import Arch
from orchestration.base.cache import Cache, hash_file, key_of, recipe
from orchestration.base.errors import BuildError, MissingError, UsageError
from orchestration.build import linux, quoll, rootfs

# What tells LTP's source from all else, and the file with its release.
MARKS, VERSION = ("configure.ac", "include/mk/env_pre.mk", "include/tst_test.h", "runtest/syscalls"), "VERSION"
# It is there in a source that somebody has configured, and its objects may be of any architecture.
CONFIGURED = "include/mk/config.mk"
# Its folders with the programs of the lists that run, and with the commands that tests in sh call.
FOLDERS = ("testcases/lib", "tools/apicmds", *(f"testcases/kernel/{name}" for name in (
    "containers", "controllers", "fs", "ipc", "mem", "pty", "sched", "security", "syscalls")), "testcases/cve")
# Packages of the guest's Debian that its programs are compiled and linked with.
LIBRARIES = ("libacl1-dev", "libaio-dev", "libattr1-dev", "libc6-dev", "libcap-dev", "libkeyutils-dev", "libnuma-dev")
# A checkout has no configure; its releases have.
GENERATORS = ("autoconf", "automake", "pkg-config")
PLACE = "/opt/ltp"
UNPACK_LIMIT, CONFIGURE_LIMIT, BUILD_LIMIT = 600, 1200, 5400


def is_source(folder: Path) -> bool:
    """Tell whether a folder is LTP's source."""
    return all((folder / name).is_file() for name in MARKS)


def top(archive: Path) -> str | None:
    """Return the folder of a tar file in which LTP's source is; None when there is none."""
    try:
        with tarfile.open(archive) as packed:
            names = {member.name.removeprefix("./") for member in packed}
    except (tarfile.TarError, OSError, EOFError, lzma.LZMAError) as error:
        # What follows in tarfile's own words is a line for each way to pack.
        why = str(error).partition("\n")[0].rstrip(":")
        raise UsageError(f"--ltp {archive}: it is neither a folder nor a tar file that can be read ({why})",
                         "give LTP's release, its git checkout, or a folder where it is installed") from error
    tops = {name.removesuffix(MARKS[0]) for name in names if name.count("/") <= 1 and name.endswith(MARKS[0])}
    return next((one for one in sorted(tops) if all(f"{one}{name}" in names for name in MARKS)), None)


def files(folder: Path) -> list[Path]:
    """Return the files of a checkout without git's own."""
    return [path for path in sorted(folder.rglob("*"))
            if path.is_file() and ".git" not in path.relative_to(folder).parts]


def key(source: Path, arch: Arch) -> str:
    """Return what a build of a source depends on: all its content, the compiler, the libraries, these steps."""
    content = (key_of(files=files(source), base=source) if source.is_dir() else hash_file(source))
    return key_of(content, arch.name, quoll.compiler_version(arch.compiler), rootfs.SUITE, *LIBRARIES, *FOLDERS,
                  recipe(Path(__file__)))


def check(source: Path) -> None:
    """Raise UsageError that says why a source cannot be built, MissingError that names what it needs."""
    if source.is_dir():
        if (source / CONFIGURED).exists():
            raise UsageError(f"--ltp {source}: it was configured there, and what is built in it may be for another "
                             "architecture", "run `make distclean` in it, or give a fresh checkout or a release")
        ready = (source / "configure").exists()
    else:
        found = top(source)
        if found is None:
            raise UsageError(f"--ltp {source}: the tar file is not LTP's source",
                             f"it has no folder with {', '.join(MARKS)}")
        with tarfile.open(source) as packed:
            ready = f"{found}configure" in {member.name.removeprefix("./") for member in packed}
    missing = [] if ready else [name for name in GENERATORS if shutil.which(name) is None]
    if missing:
        raise MissingError(f"--ltp {source}: it has no configure, and {', '.join(missing)} is missing, which makes it",
                           f"install {' '.join(GENERATORS)}, or give a release (ltp-full-*.tar.xz), which has it")


def copy(source: Path, tree: Path, log: Path) -> Path:
    """Copy or unpack a source into the new folder tree; return the folder with its Makefile."""
    if source.is_dir():
        shutil.copytree(source, tree, symlinks=True, ignore=shutil.ignore_patterns(".git"))
        return tree
    tree.mkdir()
    inner = top(source)
    assert inner is not None
    tools.run(["tar", "--force-local", "-C", str(tree), "--no-same-owner", "-xf", str(source)], log,
              f"unpacking {source.name}", UNPACK_LIMIT)
    return tree / inner


def libraries(arch: Arch, cache: Cache, root: Path, log: Path) -> None:
    """Unpack headers and libraries of the guest's Debian into the new folder root, as --sysroot wants them."""
    archive = rootfs.packages(arch, cache, rootfs.Spec(extra=LIBRARIES))
    root.mkdir()
    tools.run(["tar", "-C", str(root), "--no-same-owner", "--wildcards", "-xf", str(archive), "./usr/include",
               "./usr/lib*"], log, "unpacking libraries", UNPACK_LIMIT)
    for old, target in rootfs.MERGED.items():
        if (root / target).exists():
            (root / old).symlink_to(target)
    # A link to a place in the guest would be one to the host's library.
    for path in (root / "usr/lib").rglob("*.so*"):
        if path.is_symlink() and (place := path.readlink()).is_absolute():
            path.unlink()
            path.symlink_to(os.path.relpath(root / place.relative_to("/"), path.parent))


@contextmanager
def built(arch: Arch, cache: Cache, source: Path, known: str) -> Iterator[tuple[Path, str]]:
    """Build and install LTP into a folder that is there for the block; give that folder and LTP's release.

    known: the source's key. The copy is of what has it, or UsageError is raised.
    """
    linux.check_path(cache.root)
    log = cache.root / "build" / f"ltp-{arch.name}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_text("")
    # Always the same paths, by which ccache knows its objects again.
    folder = cache.root / "build" / f"ltp-{arch.name}"
    with cache.lock(f"ltp-build-{arch.name}"):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        try:
            tree = copy(source, folder / "source", log)
            if key(source, arch) != known:
                raise UsageError(f"--ltp {source}: somebody has changed it meanwhile", "run the command again")
            libraries(arch, cache, folder / "root", log)
            make(arch, cache, tree, folder, log)
            release = (tree / VERSION).read_text().strip() if (tree / VERSION).exists() else ""
            yield Path(f"{folder}/installed{PLACE}"), release
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def make(arch: Arch, cache: Cache, tree: Path, folder: Path, log: Path) -> None:
    """Configure, build and install a source tree. A program that does not build is left out; its test then fails."""
    root = folder / "root"
    # pkg-config would answer for the host.
    env = {"CCACHE_DIR": str(cache.root / "ccache"), "CCACHE_MAXSIZE": "2G", "PKG_CONFIG_SYSROOT_DIR": str(root),
           "PKG_CONFIG_LIBDIR": os.pathsep.join(map(str, sorted((root / "usr/lib").glob("*/pkgconfig"))))}
    ccache = "ccache " if shutil.which("ccache") else ""

    def run(what: str, limit: int, *argv: str) -> None:
        tools.run(argv, log, what, limit, cwd=tree, env=env, tell=cache.doing)

    if not (tree / "configure").exists():
        run("making LTP's configure", CONFIGURE_LIMIT, "make", "autotools")
    triple = arch.prefix.rstrip("-")
    # Compilers look into folders beside themselves before those of --sysroot: these options come before both.
    places = (f"--sysroot={root} -B{root}/usr/lib/{triple} -isystem {root}/usr/include/{triple} "
              f"-isystem {root}/usr/include")
    run("LTP's configure", CONFIGURE_LIMIT, "sh", "./configure", f"--host={triple}", f"--prefix={PLACE}",
        "--without-tirpc", "--disable-metadata", f"CC={ccache}{arch.compiler} {places}", "CFLAGS=-O2", "LDFLAGS=-s")
    jobs = f"-j{os.cpu_count() or 1}"
    for name in ("lib", "libs"):
        run("the build of LTP's library", BUILD_LIMIT, "make", jobs, "-C", name)
    for name in FOLDERS:
        if (tree / name).is_dir():
            with suppress(BuildError):
                run(f"the build of LTP's {name}", BUILD_LIMIT, "make", "-k", jobs, "-C", name)
            with suppress(BuildError):
                run(f"installing LTP's {name}", BUILD_LIMIT, "make", "-k", "-C", name,
                    f"DESTDIR={folder / 'installed'}", "install")
    run("installing LTP's lists", CONFIGURE_LIMIT, "make", "-C", "runtest", f"DESTDIR={folder / 'installed'}",
        "install")
    if not any(Path(f"{folder}/installed{PLACE}/testcases/bin").glob("*")):
        raise BuildError("no test of LTP was built", f"see {log}", tools.tail(log))
