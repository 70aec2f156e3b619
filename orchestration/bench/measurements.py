# SPDX-License-Identifier: BSD-2-Clause
"""./orchestrate measure: instruction counts and sizes, which repeat on any host.

Linux' operations come from a counted run of the bench, which the store keeps like any other; L4's own from the kernel's
benchmark by the same clock.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from orchestration.base.arch import ARCHES, Arch
from orchestration.base.cache import Cache
from orchestration.base.rundir import RunDirectory
from orchestration.base.tools import program
from orchestration.base.tree import ROOT
from orchestration.bench import tables
from orchestration.bench.runner import counted_run
from orchestration.bench.sides import counted, emulator_version, revision
from orchestration.bench.store import Store
from orchestration.bench.tables import Row
from orchestration.bench.terms import GUEST, MICRO, NATIVE, Clock
from orchestration.build import quoll
from orchestration.machine import boot, kernel_tests
from orchestration.machine.description import DEFAULT_MEMORY, Description
from orchestration.machine.progress import Progress
from orchestration.machine.qemu import MIB

PAGE = ROOT / "docs" / "measurements.md"
WORKLOADS, PEER = (MICRO, "gzip"), NATIVE
FOLDERS = {"kernel, generic": ("kernel/src", "kernel/include", "kernel/lib"), "kernel, boards": ("kernel/plat",),
           **{f"kernel, {name}": (f"kernel/arch/{name}",) for name in ARCHES},
           "servers, generic": ("servers",), **{f"servers, {name}": (f"servers/libl4/arch/{name}",) for name in ARCHES},
           "orchestration": ("orchestration",), "tests": ("tests",)}
SOURCES = {".c", ".h", ".S", ".py"}


@dataclass(frozen=True)
class Figures:
    """What was measured on one architecture. Operations are in instructions, stages in seconds."""

    operations: dict[str, Row]
    kernel: dict[str, int]
    stages: dict[str, float]
    load: float
    memory: str
    sizes: dict[str, str]


def operations(arch: Arch, cache: Cache, progress: Progress) -> dict[str, Row]:
    """Count the workloads on the guest and on native Linux; return their rows by name."""
    record = counted_run(arch, cache, Store(), progress, WORKLOADS, [PEER])
    return {row.name: row for row in tables.rows(record, Clock.INSTRUCTIONS)}


def kernel_figures(arch: Arch, bare: Path) -> dict[str, int]:
    """Run the kernel's benchmark; return instructions by name."""
    _, folder = kernel_tests.run(arch, bare, extra=counted(arch, Clock.INSTRUCTIONS), program=quoll.KERNEL_BENCH)
    pattern = re.compile(r"# bench (.+) (\d+)$", re.MULTILINE)
    return {name: int(value) for name, value in pattern.findall((folder / "l4.log").read_text())}


def lines_of(folders: tuple[str, ...]) -> int:
    """Return the lines of source below folders, without those for one architecture unless they were named."""
    return sum(len(path.read_text().splitlines()) for folder in folders for path in (ROOT / folder).rglob("*")
               if path.suffix in SOURCES and ("arch" in folder or "arch" not in path.relative_to(ROOT).parts))


def text_size(arch: Arch, path: Path) -> str:
    """Return text, data and bss of a program in bytes, as size prints them."""
    done = subprocess.run([program(f"{arch.prefix}size"), str(path)], capture_output=True, text=True, check=True)
    return " + ".join(done.stdout.splitlines()[1].split()[:3])


def measure(arch: Arch, cache: Cache, progress: Progress) -> Figures:
    """Measure everything on one architecture."""
    progress.say(arch.name)
    description = Description(arch=arch.name)
    made = boot.artefacts(description, cache, progress)
    with boot.prepare(description, made, progress, RunDirectory("measure-boot")) as session:
        load = os.getloadavg()[0]
        memory = session.shell_run("sed -n 's/^MemTotal: *//p' /proc/meminfo").text
        session.power_off()
    used = re.search(r"root: (\d+ KiB) of RAM used", (session.machine.run.path / "l4.log").read_text())
    boot.discard_large_files(session.machine.run)
    programs = [*(made.bare / name for name in (quoll.KERNEL, *quoll.SERVERS)), made.linux / "vmlinux"]
    return Figures(operations(arch, cache, progress), kernel_figures(arch, made.bare), session.tracker.times, load,
                   f"{used[1] if used else 'not told'}, {memory}",
                   {path.name: text_size(arch, path) for path in programs})


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> list[str]:
    """Return a table in Markdown."""
    return [f"| {' | '.join(head)} |", "|" + "---|" * len(head),
            *(f"| {' | '.join(str(cell) for cell in row)} |" for row in rows), ""]


def names_of(maps: Iterable[Mapping[str, object]]) -> list[str]:
    """Return the keys of all the maps, each once, in order."""
    return list(dict.fromkeys(name for one in maps for name in one))


def page(figures: Mapping[str, Figures]) -> str:
    """Return all figures as a page in Markdown, one column or a few for each architecture."""
    names, found = list(figures), list(figures.values())
    out = ["# Measurements", "",
           f"Written by `./orchestrate measure`. {emulator_version(ARCHES[names[0]])}, emulation (TCG), one CPU. "
           "Instructions are counted by `-icount shift=0,sleep=off`, user mode and all privileged work included. On "
           "x86_64 a string instruction counts once for each step, so the CPU is without its byte-wise ones. CPUs: "
           f"{', '.join(f'{name} `{ARCHES[name].counted_cpu}`' for name in names)}.", "",
           f"{datetime.now(UTC).date()}, revision `{revision()}`.", "",
           "## Linux on L4 against Linux on the bare machine", "",
           "The same 6.12 source and the same files; native is the architecture's own port with "
           "`orchestration/build/configs/native*.config`. What each operation does: `rootfs/workloads`; what L4 "
           "counts in it: [bench.md](bench.md).", ""]
    head = ["operation", *(f"{name} {what}" for name in names for what in ("native", "on L4", "ratio"))]
    out += table(head, ([name, *(cell for one in found for cell in (
        *(tables.quantity(one.operations[name].sides[side].median, one.operations[name].unit)
          for side in (PEER, GUEST)), f"{one.operations[name].ratios[PEER].median:.2f}"))]
        for name in names_of(one.operations for one in found)))
    out += ["## L4 itself", "", "Instructions, user stubs included (`tests/kernel/bench.c`).", ""]
    out += table(["operation", *names], ([name, *(one.kernel.get(name, "-") for one in found)]
                                         for name in names_of(one.kernel for one in found)))
    out += ["## Boot", "", f"Wall-clock seconds under emulation; guest RAM {DEFAULT_MEMORY // MIB} MiB. The host has "
            f"{os.cpu_count()} CPUs and had a load of {max(one.load for one in found):.0f}.", ""]
    out += table(["stage", *names], ([name, *(f"{one.stages.get(name, 0):.1f}" for one in found)]
                                     for name in names_of(one.stages for one in found)))
    out += ["Memory of the machine that is used beside the guest's, boot image and firmware included; and what the "
            "guest's Linux has for its programs (MemTotal):", ""]
    out += table(["", *names], [["beside the guest", *(one.memory.split(", ")[0] for one in found)],
                                ["for programs", *(one.memory.split(", ")[1] for one in found)]])
    out += ["## Sizes", "", "Bytes: text + data + bss.", ""]
    out += table(["program", *names], ([name, *(one.sizes[name] for one in found)]
                                       for name in names_of(one.sizes for one in found)))
    out += table(["part", "lines, blank ones and comments among them"],
                 ([part, lines_of(folders)] for part, folders in FOLDERS.items()))
    return "\n".join(out)


def write(arches: Sequence[Arch], progress: Progress) -> None:
    """Measure; with every architecture write docs/measurements.md, with some print the same page."""
    cache = Cache(say=progress.say)
    text = page({arch.name: measure(arch, cache, progress) for arch in arches})
    if len(arches) < len(ARCHES):
        print(text)
        return
    PAGE.write_text(text)
    progress.say(f"wrote {PAGE.relative_to(ROOT)}")
