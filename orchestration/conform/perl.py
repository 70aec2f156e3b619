# SPDX-License-Identifier: BSD-2-Clause
"""perl's own tests of what it asks of Linux: from Debian's source package, run by the perl of the guest's Debian.

Debian's packages of perl leave the tests out, so apt fetches the source of the same release and checks its hash.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from orchestration.base import tools
from orchestration.base.arch import Arch
from orchestration.base.cache import Cache, key_of, recipe
from orchestration.base.errors import InfrastructureError
from orchestration.base.ownership import PREFIX, OwnFolder, temporary
from orchestration.build import rootfs, source
from orchestration.conform import outcome
from orchestration.conform.suite import NotHereError, Suite, Test

PLACE = "/opt/perl"
PACKAGES = ("libperl5.40", "perl", "perl-base", "perl-modules-5.40", "procps")
# Tests of the core, below t/: signals, processes, threads, time, files, sockets, System V's objects.
CORE = {"op": ("alarm", "chdir", "die_exit", "exec", "fork", "getpid", "getppid", "groups", "kill0", "lfs",
               "magic", "mkdir", "readline", "select", "sigdispatch", "sigsystem", "sleep", "sselect", "stat", "sysio",
               "threads", "time", "time_loop"),
        "io": ("argv", "dup", "eintr", "eintr_print", "errno", "fflush", "fs", "inplace", "iofile", "layers", "msg",
               "open", "openpid", "perlio", "pipe", "print", "read", "say", "sem", "shm", "socket", "socketpair",
               "tell")}
# Folders of modules, whose tests all run.
MODULES = ("cpan/IO-Socket-IP", "cpan/IPC-SysV", "cpan/Socket", "dist/IO", "dist/Thread-Queue",
           "dist/Thread-Semaphore", "dist/Time-HiRes", "dist/threads", "dist/threads-shared", "ext/IPC-Open3",
           "ext/POSIX")
# Tests of perl's documentation, and one that needs the Internet.
LEFT_OUT = re.compile(r".*:(pod|podcov|99pod|31nonblocking-connect-internet)$")
# The tests of the core look for their library beside them.
SETUP = f"""\
mkdir -p {PLACE}/lib {PLACE}/t
ln -sf /usr/bin/perl {PLACE}/t/perl
for one in /usr/share/perl/5.40 /usr/lib/*/perl/5.40 /usr/lib/*/perl-base; do
    cp -as $(readlink -f $one)/. {PLACE}/lib/ 2> /dev/null
done
true"""
LIMIT = 400.0
PACK_LIMIT = 120
LIST = "tests"


def build(arch: Arch, cache: Cache) -> Path:
    """Return a folder with suite.tar.gz and the names of the tests; the same for every architecture."""

    def make(entry: Path) -> None:
        log = cache.root / "build" / "conform-perl.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_text("")
        try:
            archive = source.archive(cache, "perl")
        except InfrastructureError as error:
            raise NotHereError(error.message, error.hint) from error
        with OwnFolder(temporary(), PREFIX) as folder:
            tree = folder / "tree"
            tree.mkdir()
            wanted = ["t", *(f"{name}/t" for name in MODULES)]
            tools.run(["tar", "-C", str(tree), "--no-same-owner", "--strip-components=1", "--wildcards",
                       "--no-wildcards-match-slash", "-xf",
                       str(archive), *(f"perl-*/{name}" for name in wanted)], log, "unpacking perl's tests", PACK_LIMIT)
            names = [name for name in found(tree) if not LEFT_OUT.match(name)]
            (entry / LIST).write_text("".join(f"{name}\n" for name in names))
            tools.run(["tar", "-C", str(tree), "--sort=name", "--mtime=@0", "--owner=0", "--group=0", "-czf",
                       str(entry / "suite.tar.gz"), "--exclude=t/re", "--exclude=t/uni", "--exclude=t/porting",
                       *sorted(path.name for path in tree.iterdir())], log, "packing perl's tests", PACK_LIMIT)

    modules = [*MODULES, *(f"{group}/{name}" for group, names in CORE.items() for name in names)]
    return cache.get("conform-perl", key_of(rootfs.RELEASE, *modules, recipe(Path(__file__))), make)


def found(tree: Path) -> Iterator[str]:
    """Return the names of the tests in a source tree: FOLDER:TEST, the folder as perl has it."""
    for group, names in CORE.items():
        yield from (f"{group}:{name}" for name in names if (tree / "t" / group / f"{name}.t").exists())
    for module in MODULES:
        yield from (f"{PurePosixPath(module).name}:{path.stem}" for path in sorted((tree / module / "t").glob("*.t")))


def command(name: str) -> str:
    """Return how a test is run."""
    group, _, test = name.partition(":")
    if group in CORE:
        return f"cd {PLACE}/t && perl -I../lib {group}/{test}.t"
    module = next(one for one in MODULES if PurePosixPath(one).name == group)
    return f"cd {PLACE}/{module} && perl t/{test}.t"


def tests(folder: Path) -> list[Test]:
    """Return the tests of a built suite."""
    return [Test(name, command(name), LIMIT) for name in (folder / LIST).read_text().split()]


def read(output: bytes, status: int) -> outcome.Outcome:
    """Return what a test came to."""
    return outcome.tap(output.decode(errors="replace"), status)


SUITE = Suite("perl", "perl's own tests", PACKAGES, PLACE, build, tests, read, quick=(), setup=SETUP)
