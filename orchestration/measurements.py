# SPDX-License-Identifier: BSD-2-Clause
"""./orchestrate measure: what things cost, by a clock that anybody can repeat.

Under -icount shift=0,sleep=off the guest's clock counts executed instructions. Guest and native Linux are the
same source, run from the same disk; L4's own figures come from the kernel's benchmark.
"""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

from orchestration import boot, build, kernel_tests, linux
from orchestration.arch import Arch
from orchestration.bootstrap import ROOT
from orchestration.cache import Cache
from orchestration.progress import Progress
from orchestration.qemu import MIB
from orchestration.rundir import RunDirectory
from orchestration.session import Session
from orchestration.tools import program

PAGE = ROOT / "docs" / "measurements.md"
PROGRAM = ROOT / "tests" / "bench" / "operations.c"
LIMIT = 900.0
FOLDERS = {"kernel, generic": ("kernel/src", "kernel/include", "kernel/plat"),
           "kernel, x86_64": ("kernel/arch/x86_64",),
           "servers": ("servers",), "orchestration": ("orchestration",), "tests": ("tests",)}
SOURCES = {".c", ".h", ".S", ".py"}


def counted(arch: Arch) -> tuple[str, ...]:
    """Return QEMU's arguments for a clock that counts instructions."""
    return ("-icount", "shift=0,sleep=off", "-cpu", arch.counted_cpu)


def operations(session: Session, binary: Path) -> dict[str, int]:
    """Run the benchmark in a booted Linux; return instructions by operation."""
    session.push(binary, "/tmp/operations")
    found: dict[str, int] = {}
    done = session.run(["/tmp/operations"], limit=LIMIT)
    for line in done.text.splitlines():
        name, _, value = line.rpartition(" ")
        found[name] = int(value)
    session.shell_run("dd if=/dev/urandom of=/tmp/data bs=64k count=64 2>/dev/null")
    uptime = "cut -d' ' -f1 /proc/uptime"
    text = session.shell_run(f"{uptime}; gzip < /tmp/data > /dev/null; {uptime}", limit=LIMIT).text.split()
    found["gzip, 4 MiB"] = round((float(text[1]) - float(text[0])) * 1e9)
    return found


def measured(make: Callable[[], Session], binary: Path) -> tuple[dict[str, int], Session]:
    """Boot, measure, power off."""
    session = make()
    with session:
        found = operations(session, binary)
        session.power_off()
    boot.discard_large_files(session.machine.run)
    return found, session


def kernel_figures(arch: Arch, bare: Path) -> list[tuple[str, int]]:
    """Run the kernel's benchmark; return (name, instructions)."""
    _, folder = kernel_tests.run(arch, bare, extra=counted(arch), program=build.KERNEL_BENCH)
    pattern = re.compile(r"# bench (.+) (\d+)$", re.MULTILINE)
    return [(name, int(value)) for name, value in pattern.findall((folder / "l4.log").read_text())]


def lines_of(folders: tuple[str, ...]) -> int:
    """Return the lines of source below folders."""
    return sum(len(path.read_text().splitlines()) for folder in folders for path in (ROOT / folder).rglob("*")
               if path.suffix in SOURCES)


def text_size(path: Path) -> str:
    """Return text, data and bss of a program in bytes, as size prints them."""
    done = subprocess.run([program("size"), str(path)], capture_output=True, text=True, check=True)
    text, data, bss = done.stdout.splitlines()[1].split()[:3]
    return f"{text} | {data} | {bss}"


def write(arch: Arch, progress: Progress) -> None:
    """Measure everything and write docs/measurements.md."""
    cache = Cache(say=progress.say)
    made = boot.artefacts(arch, cache, progress)
    with progress.step("build native"):
        native = linux.linux(arch, cache, linux.native(arch))
    with tempfile.TemporaryDirectory(prefix="quoll-") as name:
        binary = Path(name) / "operations"
        subprocess.run([program(arch.compiler), "-static", "-O2", "-D_GNU_SOURCE", str(PROGRAM), "-o", str(binary)],
                       check=True)
        guest, _ = measured(lambda: boot.prepare(made, progress, RunDirectory("measure-guest"),
                                                extra=counted(arch)), binary)
        kernel = native / Path(arch.linux_image).name
        bare, _ = measured(lambda: boot.prepare_native(arch, kernel, made.disk, progress,
                                                       RunDirectory("measure-native"), counted(arch)), binary)
    with boot.prepare(made, progress, RunDirectory("measure-boot")) as session:
        memory = session.shell_run("head -3 /proc/meminfo").text
        session.power_off()
    used = re.search(r"root: (\d+ KiB of RAM used .*)", (session.machine.run.path / "l4.log").read_text())
    boot.discard_large_files(session.machine.run)
    qemu = subprocess.run([program(arch.qemu), "--version"], capture_output=True, text=True, check=True)
    out = ["# Measurements", "", f"Written by `./orchestrate measure {arch.name}`. {qemu.stdout.splitlines()[0]}, "
           "emulation (TCG), one CPU. Instructions are counted by `-icount shift=0,sleep=off`, user mode and all "
           "privileged work included; each figure is the least of nine rounds. "
           "A string instruction counts once for each step, so the CPU is without its byte-wise ones "
           f"(`-cpu {arch.counted_cpu}`).", "",
           "## Linux on L4 against Linux on the bare machine", "",
           "The same 6.12 source and the same disk; native is ARCH=" + arch.linux_arch + " with "
           f"`orchestration/configs/native-{arch.name}.config`.", "",
           "| operation | native | on L4 | ratio |", "|---|---|---|---|"]
    for operation, value in bare.items():
        if operation in guest:
            out.append(f"| {operation} | {value} | {guest[operation]} | {guest[operation] / value:.2f} |")
    out += ["", "## L4 itself", "", "Instructions, user stubs included (`tests/kernel/bench.c`).", "",
            "| operation | instructions |", "|---|---|"]
    out += [f"| {operation} | {value} |" for operation, value in kernel_figures(arch, made.bare)]
    out += ["", "## Boot", "", f"Wall-clock seconds under emulation; guest RAM {boot.GUEST_RAM // MIB} MiB.", "",
            "| stage | seconds |", "|---|---|"]
    out += [f"| {stage} | {seconds:.1f} |" for stage, seconds in session.tracker.times.items()]
    out += ["", f"Memory of the machine: {used[1] if used else 'not told'}.",
            "", "Memory after boot, as the guest sees it:", "", "```", memory, "```", "",
            "## Sizes", "", "| program | text | data | bss |", "|---|---|---|---|"]
    programs = [*(made.bare / name for name in (build.KERNEL, *build.SERVERS)), made.linux / "vmlinux"]
    out += [f"| {path.name} | {text_size(path)} |" for path in programs]
    out += ["", "| part | lines |", "|---|---|"]
    out += [f"| {part} | {lines_of(folders)} |" for part, folders in FOLDERS.items()]
    PAGE.write_text("\n".join(out) + "\n")
    progress.say(f"wrote {PAGE.relative_to(ROOT)}")
