# SPDX-License-Identifier: BSD-2-Clause
"""perl's own tests of what it asks of Linux: from Debian's source package, run by the perl of the guest's Debian.

Debian's packages of perl leave the tests out, so apt fetches the source of the same release and checks its hash.
"""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath

from orchestration.base.arch import Arch
from orchestration.base.cache import Cache
from orchestration.conform import debsource, outcome
from orchestration.conform.suite import Suite, Test

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


def build(arch: Arch, cache: Cache) -> Path:
    """Return a folder with the suite."""
    # Of a module all files: some tests read its README or makefile.
    return debsource.build(cache, "perl", Path(__file__), ("t", *MODULES), found,
                           left_out=("t/re", "t/uni", "t/porting"))


def found(tree: Path) -> list[str]:
    """Return the names of the tests in a source tree: FOLDER:TEST, the folder as perl has it."""
    names = [f"{group}:{name}" for group, names in CORE.items() for name in names
             if (tree / "t" / group / f"{name}.t").exists()]
    names += [f"{PurePosixPath(module).name}:{path.stem}" for module in MODULES
              for path in sorted((tree / module / "t").glob("*.t"))]
    return [name for name in names if not LEFT_OUT.match(name)]


def command(name: str) -> str:
    """Return how a test is run: as perl's own runner has it, with the switches that its first line names."""
    group, _, test = name.partition(":")
    if group in CORE:
        return f"cd {PLACE}/t && perl -I../lib {group}/{test}.t"
    module = next(one for one in MODULES if PurePosixPath(one).name == group)
    return (f"cd {PLACE}/{module} && PERL_CORE=1 "
            f"perl $(sed -n '1s/^#!.*perl.* \\(-[a-zA-Z][a-zA-Z]*\\).*/\\1/p' t/{test}.t) -I../../lib t/{test}.t")


def tests(folder: Path) -> list[Test]:
    """Return the tests of a built suite."""
    return debsource.tests(folder, command, LIMIT)


def read(output: bytes, status: int) -> outcome.Outcome:
    """Return what a test came to."""
    return outcome.tap(output.decode(errors="replace"), status)


SUITE = Suite("perl", "perl's own tests", PACKAGES, PLACE, build, tests, read, quick=(), setup=SETUP)
