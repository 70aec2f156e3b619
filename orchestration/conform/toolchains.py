# SPDX-License-Identifier: BSD-2-Clause
"""Toolchains with runtimes of their own: each compiles a program, which runs; Go runs tests of its library as well.

Such runtimes ask for what C programs seldom do: signals that become exceptions or take the CPU from a thread, pages
whose rights stop threads, large reservations of addresses, stacks that move.
"""

from __future__ import annotations

import re
from pathlib import Path

from orchestration.base import tools
from orchestration.base.arch import Arch
from orchestration.base.cache import Cache, files_below, key_of, recipe
from orchestration.base.tree import ROOT
from orchestration.conform import outcome
from orchestration.conform.outcome import Outcome, Status
from orchestration.conform.suite import PACKED, Suite, Test

PACKAGES = ("default-jdk-headless", "gcc", "golang-go", "libc6-dev", "rustc")
SOURCES = ROOT / "tests/conform/toolchains"
PLACE = "/opt/toolchains"
# Packages are unpacked, not configured, so there are no alternatives: neither cc nor java.
SETUP = "for name in java javac; do ln -sf /usr/lib/jvm/default-java/bin/$name /usr/bin/; done"
PROGRAMS = {
    "c:program": "gcc -O2 -pthread -o /tmp/of-c main.c && /tmp/of-c",
    "rust:program": "rustc -O -C linker=gcc -o /tmp/of-rust main.rs && /tmp/of-rust",
    "go:program": "go build -o /tmp/of-go main.go && /tmp/of-go",
}
# The virtual machine by its garbage collectors, each of which has its own way to stop threads and to use addresses,
# and without its compiler.
MACHINES = {"serial": "-XX:+UseSerialGC", "parallel": "-XX:+UseParallelGC", "g1": "-XX:+UseG1GC",
            "shenandoah": "-XX:+UseShenandoahGC", "z": "-XX:+UseZGC -XX:+ZGenerational", "interpreter": "-Xint"}
# Packages of Go's library that are about Linux and threads. Others, such as net, want a network, or compile for long.
GO = ("context", "internal/poll", "os", "os/signal", "sync", "sync/atomic", "syscall", "time")
PACK_LIMIT, LIMIT = 60, 1800
# A line of go test -v; what is indented is a part of a part.
GO_LINE = re.compile(r"^ *--- (PASS|FAIL|SKIP): (\S+) \(", re.MULTILINE)
GO_LATE = "panic: test timed out after "
GO_WORDS = {"PASS": Status.PASS, "FAIL": Status.FAIL, "SKIP": Status.SKIP}


def build(arch: Arch, cache: Cache) -> Path:
    """Return a folder with the sources of the programs, packed."""
    def make(entry: Path) -> None:
        log = cache.root / "build" / "toolchains.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        tools.run(["tar", "-C", str(SOURCES), "--sort=name", "--mtime=@0", "--owner=0", "--group=0", "-czf",
                   str(entry / PACKED), "."], log, "packing the programs", PACK_LIMIT)

    return cache.get("toolchains", key_of(recipe(Path(__file__)), files=files_below(SOURCES), base=SOURCES), make)


def tests(folder: Path) -> list[Test]:
    """Return the tests: a program of each toolchain, and Go's own."""
    commands = PROGRAMS | {f"java:{name}": f"javac -d /tmp Machine.java && java -Xmx64m {words} -cp /tmp Machine"
                           for name, words in MACHINES.items()}
    commands |= {f"go:{name}": f"go test -short -v -vet=off -timeout {LIMIT / 2:g}s {name}" for name in GO}
    return [Test(name, f"cd {PLACE} && export HOME=/root && {words}", LIMIT) for name, words in commands.items()]


def read(output: bytes, status: int) -> Outcome:
    """Return what a program or a package of tests came to."""
    text = output.decode(errors="replace")
    parts = outcome.unique((match[2], GO_WORDS[match[1]]) for match in GO_LINE.finditer(text))
    if not parts:
        return outcome.tap(text, status)
    if status:
        return Outcome(Status.FAIL, f"exit={status}", parts, late=GO_LATE in text)
    return Outcome(Status.PASS, "", parts)


SUITE = Suite("toolchains", "a JVM, Go, Rust and C: programs that are compiled and run", PACKAGES, PLACE, build, tests,
              read, quick=(), setup=SETUP)
