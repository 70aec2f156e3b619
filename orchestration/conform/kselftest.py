# SPDX-License-Identifier: BSD-2-Clause
"""The kernel's selftests: built from the source that both Linuxes are built from, installed as kselftest_install does.

Programs are linked with libraries of the guest's Debian, so that every architecture is built alike on any host.
"""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from pathlib import Path

from orchestration.base import tools
from orchestration.base.arch import Arch
from orchestration.base.cache import Cache, key_of, recipe
from orchestration.base.errors import BuildError
from orchestration.build import flavours, linux, quoll, rootfs

# Folders of tools/testing/selftests; those of one CPU by the name that Linux has for it. Linux 6.12 has no folders
# fcntl, pipe and signal: filelock, splice, sigaltstack and the CPU's own have such tests. memfd is left out: one of its
# programs wants FUSE's library, and without it the folder installs none.
COLLECTIONS = ("acct", "breakpoints", "cachestat", "clone3", "core", "exec", "fchmodat2", "filelock", "filesystems",
               "futex", "ipc", "kcmp", "landlock", "membarrier", "mincore", "mm", "mount", "mount_setattr", "mqueue",
               "nsfs", "openat2", "pid_namespace", "pidfd", "prctl", "proc", "ptrace", "rlimits", "rseq", "rtc",
               "sched", "seccomp", "sigaltstack", "splice", "sync", "syscall_user_dispatch", "timens", "timers",
               "tmpfs", "tty", "vDSO")
# A folder whose tests are one program without a libc; its Makefile knows nothing of kselftest.
NOLIBC, NOLIBC_SOURCES = "nolibc", ("nolibc-test.c", "nolibc-test-linkage.c")
OF_CPU = {"x86_64": "x86", "aarch64": "arm64", "riscv64": "riscv"}
# Packages of the guest's Debian with the libraries that the tests are linked with, and the files taken from them.
LIBRARIES = ("libcap-dev", "libnuma-dev", "libpopt-dev")
HEADERS = ("sys/capability.h", "numa.h", "numacompat1.h", "numaif.h", "popt.h")
OBJECTS = ("libcap.so*", "libnuma.so*", "libpopt.so*")
HEADERS_LIMIT, BUILD_LIMIT = 600, 3600


def libraries(arch: Arch, cache: Cache, folder: Path, log: Path) -> list[str]:
    """Put headers and libraries of LIBRARIES into a folder; return the compiler's options for them."""
    archive = rootfs.packages(arch, cache, rootfs.Spec(extra=LIBRARIES))
    tree = folder / "packages"
    tree.mkdir(parents=True)
    tools.run(["tar", "-C", str(tree), "--no-same-owner", "-xf", str(archive), "./usr/include", "./usr/lib"], log,
              "unpacking libraries", HEADERS_LIMIT)
    include, lib = folder / "include", folder / "lib"
    lib.mkdir()
    for name in HEADERS:
        (include / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(tree / "usr/include" / name, include / name)
    for pattern in OBJECTS:
        for path in sorted((tree / "usr/lib").glob(f"*/{pattern}")):
            shutil.copy(path, lib / path.name, follow_symlinks=False)
    shutil.rmtree(tree)
    # The libraries want a newer libc than this host may have; the guest has it.
    return [f"-isystem {include}", f"-L{lib}", "-Wl,--allow-shlib-undefined"]


def collections(arch: Arch) -> tuple[str, ...]:
    """Return the folders that are built for an architecture."""
    return (*COLLECTIONS, OF_CPU[arch.name])


def nolibc(arch: Arch, tree: Path, objects: Path, installed: Path, log: Path) -> None:
    """Compile Linux' own small libc with its tests, and list that program as one test."""
    source, target = tree / "tools/testing/selftests" / NOLIBC, installed / NOLIBC / "nolibc-test"
    target.parent.mkdir(parents=True, exist_ok=True)
    tools.run([arch.compiler, "-Os", "-fno-ident", "-fno-stack-protector", "-nostdlib", "-static",
               "-isystem", str(objects / "usr/include"), "-include", str(tree / "tools/include/nolibc/nolibc.h"),
               *(str(source / name) for name in NOLIBC_SOURCES), "-lgcc", "-o", str(target)], log, "nolibc's tests",
              HEADERS_LIMIT)
    with (installed / "kselftest-list.txt").open("a") as listed:
        listed.write(f"{NOLIBC}:{target.name}\n")


def build(arch: Arch, cache: Cache) -> Path:
    """Return a folder with suite.tar.gz and kselftest-list.txt, built if need be."""
    flavour = flavours.native(arch)
    source = linux.source_key(flavour)

    def make(entry: Path) -> None:
        log = cache.root / "build" / f"kselftest-{arch.name}.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_text("")
        with cache.lock("linux-native"):
            tree = linux.unpack(cache, flavour, source, log)
            folder = tree.parent / f"kselftest-{arch.name}"
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            options = libraries(arch, cache, folder, log)
            objects, installed = folder / "objects", folder / "installed"
            ccache = "ccache " if shutil.which("ccache") else ""
            # A test in Debian's 6.12 uses KSFT_SKIP and does not include its header, kselftest.h.
            compiler = " ".join([f"{ccache}{arch.compiler}", *options, "-DKSFT_SKIP=4"])
            common = [f"O={objects}", f"ARCH={flavour.make_arch}", f"CROSS_COMPILE={arch.prefix}"]
            env = {**linux.REPRODUCIBLE, "CCACHE_DIR": str(cache.root / "ccache"), "CCACHE_MAXSIZE": "2G"}
            tools.run(["make", "-C", str(tree), *common, "headers"], log, "Linux' headers", HEADERS_LIMIT, env=env)
            # A test that does not build is left out of the list, and the others are built.
            with suppress(BuildError):
                tools.run(["make", "-k", f"-j{os.cpu_count() or 1}", "-C", str(tree / "tools/testing/selftests"),
                           *common, f"CC={compiler}", f"TARGETS={' '.join(collections(arch))}",
                           f"KSFT_INSTALL_PATH={installed}", "install"], log, "the build of the selftests",
                          BUILD_LIMIT, env=env)
            listed = installed / "kselftest-list.txt"
            if not listed.exists() or not listed.read_text().strip():
                raise BuildError("no selftest was built", f"see {log}", tools.tail(log))
            with suppress(BuildError):
                nolibc(arch, tree, objects, installed, log)
            for path in installed.rglob("*"):
                if path.is_file() and path.open("rb").read(4) == b"\x7fELF":
                    # What cannot be stripped, such as a program of another ABI, stays.
                    tools.run([f"{arch.prefix}strip", "--strip-debug", str(path)], log, "strip", HEADERS_LIMIT)
            shutil.copy(listed, entry / listed.name)
            tools.run(["tar", "-C", str(installed), "--sort=name", "--mtime=@0", "--owner=0", "--group=0", "-czf",
                       str(entry / "suite.tar.gz"), "."], log, "packing the selftests", BUILD_LIMIT)
            shutil.rmtree(folder)

    key = key_of(source, arch.name, quoll.compiler_version(arch.compiler), *collections(arch), *LIBRARIES,
                 recipe(Path(__file__)))
    return cache.get("kselftest", key, make)
