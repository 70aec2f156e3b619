# SPDX-License-Identifier: BSD-2-Clause
"""The Linux Test Project: built from a source of the user's, or as its own `make install` left it in a folder.

Its runner, kirk, reads which tests there are and what each came to. kirk cannot start a machine on L4 again after a
test has lost it, and boots no second one beside it, so the machines are ours (runner.py).
"""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import libkirk.data
import libkirk.ltp
import libkirk.results

from orchestration.base.arch import Arch
from orchestration.base.cache import Cache
from orchestration.base.errors import MissingError
from orchestration.conform import ltpclone, ltpdisk, outcome
from orchestration.conform.ltpdisk import COLLECTIONS, LIST, NAME, PLACE
from orchestration.conform.outcome import Status
from orchestration.conform.suite import NotHereError, Suite, Test

# What its tests and their scripts call, and the libraries that they may be linked with.
PACKAGES = ("bash", "bc", "coreutils", "e2fsprogs", "gawk", "iproute2", "iputils-ping", "keyutils", "kmod", "libacl1",
            "libaio1t64", "libcap2", "libkeyutils1", "libnuma1", "mount", "net-tools", "procps", "quota", "util-linux")
# Accounts that tests run as; Debian's package base-passwd has them, and its scripts do not run in this guest.
SETUP = """\
for one in daemon:1 bin:2 sys:3; do
    grep -q "^${one%:*}:" /etc/passwd || echo "${one%:*}:*:${one#*:}:${one#*:}:x:/:/usr/sbin/nologin" >> /etc/passwd
    grep -q "^${one%:*}:" /etc/group || echo "${one%:*}:x:${one#*:}:" >> /etc/group
done
grep -q '^users:' /etc/group || echo 'users:x:100:' >> /etc/group
mkdir -p /var/tmp /opt/ltp/testcases && chmod 1777 /var/tmp && mount -o ro /dev/vdb /opt/ltp/testcases
modprobe loop 2> /dev/null
true"""
# Tests write into the folder that they start in. They ask for options of Linux, which the small kernels do not tell;
# Debian's kernel has them beside its modules.
# Their times are of a real CPU; the machines are emulated, two of them at the same time. That they are virtual, LTP
# would find out by a program of systemd.
BEFORE = (f"cd /var/tmp && if [ ! -e /proc/config.gz ] && [ ! -e /lib/modules/$(uname -r)/config ]; then "
          f"export KCONFIG_SKIP_CHECK=1; fi && LTPROOT={PLACE} TMPDIR=/var/tmp LTP_COLORIZE_OUTPUT=n "
          f"LTP_VIRT_OVERRIDE=other LTP_TIMEOUT_MUL=10 LTP_RUNTIME_MUL=0.2 PATH=$PATH:{PLACE}/testcases/bin")
# Seconds, more than a test's own limit: 30 s where it names none, times LTP_TIMEOUT_MUL, which kirk sets alike.
LIMIT = 900.0
# A line of a test: FILE:LINE: TPASS: WORDS. Its place in the source is what both sides have in common.
PART = re.compile(r"^([\w.-]+:\d+): T(PASS|FAIL|CONF|BROK):", re.MULTILINE)
LEGACY = re.compile(r"^[\w.-]+ +(\d+) +T(PASS|FAIL|CONF|BROK) +:", re.MULTILINE)
# What LTP says of a test that it has ended at the test's own limit.
TIMEOUT = "Test killed! (timeout?)"
STATUS = {"PASS": Status.PASS, "FAIL": Status.FAIL, "BROK": Status.FAIL, "CONF": Status.SKIP}


class Folder:
    """The channel by which kirk reads an installed LTP: a folder of the host in the place of the guest's PLACE."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, name: str) -> Path:
        """Return where a path of the guest is; kirk takes LTP's place from the environment."""
        return self.folder / Path(name).relative_to(os.environ.get("LTPROOT", PLACE))

    async def run_command(self, command: str, **ignored: Any) -> dict[str, Any]:
        """Answer what kirk asks before it reads a file: whether it is there."""
        words = command.split()
        there = words[0] != "test" or self.path(words[-1]).exists()
        return {"command": command, "returncode": int(not there), "stdout": "", "exec_time": 0.0}

    async def fetch_file(self, target_path: str) -> bytes:
        """Return a file."""
        return self.path(target_path).read_bytes()


def framework() -> libkirk.ltp.LTPFramework:
    """Return kirk's knowledge of LTP."""
    return libkirk.ltp.LTPFramework()


def tests(folder: Path) -> list[Test]:
    """Return the tests of the lists, as kirk reads them."""
    known, channel = framework(), Folder(folder)
    found = []
    for name in COLLECTIONS:
        if not (folder / LIST / name).exists():
            continue
        suite: libkirk.data.Suite = asyncio.run(known.find_suite(channel, name))
        found += [Test(f"{name}:{one.name}", f"{BEFORE} {one.full_command}", LIMIT)
                  for one in suite.tests if one.name not in LEFT_OUT]
    return found


def read(output: bytes, status: int) -> outcome.Outcome:
    """Return what a test came to: the whole as kirk judges it, parts by their place in the test's source."""
    text = output.decode(errors="replace")
    test = libkirk.data.Test(name=NAME, cmd=NAME)
    whole: libkirk.results.TestResults = asyncio.run(framework().read_result(test, text, status, 0.0))
    kinds = libkirk.results.ResultStatus
    came_to = {kinds.PASS: Status.PASS, kinds.CONF: Status.SKIP}.get(whole.status, Status.FAIL)
    why = "" if came_to is not Status.FAIL else first_failure(text) or f"exit={status}"
    found = PART.findall(text) or LEGACY.findall(text)
    return outcome.Outcome(came_to, why, outcome.unique((place, STATUS[kind]) for place, kind in found),
                           late=TIMEOUT in text)


def first_failure(text: str) -> str:
    """Return what the first line that tells of a failure says."""
    match = re.search(r"T(?:FAIL|BROK) *: *(.*)", text)
    return match[1].strip() if match else ""


# Tests that end the machine, as they should, that load it for long, or whose verdict is the host's speed.
LEFT_OUT = {
    "clock_gettime04": "judges how far apart readings of a clock are, which under emulation is the host's load",
    "epoll01": "runs for more than ten minutes under emulation",
    "hackbench01": "has 2,000 processes exchange messages, for more than ten minutes under emulation",
    "hackbench02": "the same with 800 threads",
    "reboot01": "changes what Ctrl-Alt-Del does, and may restart the machine",
    "reboot02": "the same",
    "sched_football": "is of LTP's realtime suite, which judges latencies",
}


def build(arch: Arch, cache: Cache, folder: Path | None) -> Path:
    """Return a folder with what ltpdisk.build() makes of a user's LTP, or of the release that is cloned."""
    if folder is not None:
        return ltpdisk.build(arch, cache, folder)
    source = ltpclone.archive(cache)
    try:
        return ltpdisk.build(arch, cache, source)
    except MissingError as error:
        raise NotHereError(error.message, error.hint) from error


def suite(folder: Path | None) -> Suite:
    """Return the suite of an LTP, its source or an installed one; None: the release that is cloned."""
    made: Callable[[Arch, Cache], Path] = partial(build, folder=folder)
    return Suite(NAME, "the Linux Test Project", PACKAGES, PLACE, made, tests, read, quick=(), setup=SETUP,
                 release=ltpdisk.release)
