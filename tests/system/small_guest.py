# SPDX-License-Identifier: BSD-2-Clause
"""A small guest of our own in Linux's place (servers/guest.c), and servers that crash or attack: fixtures of tests."""

from __future__ import annotations

import queue
import re
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

import pytest

from orchestration.base.arch import Arch
from orchestration.base.limits import time_scale
from orchestration.base.rundir import RunDirectory
from orchestration.base.tree import ROOT
from orchestration.build import dtb, image, quoll, system
from orchestration.inspect.dossier import Dossier
from orchestration.machine.console import Channel
from orchestration.machine.description import Disk
from orchestration.machine.qemu import MIB, Config, Machine
from orchestration.machine.shares import Share

HERE = Path(__file__).with_name("servers")
SERVERS = ROOT / "servers"
LIBL4, LIB = SERVERS / "libl4", SERVERS / "lib"
RAM = 256 * MIB
BLOCKS = 2048
SLOW = "throttling.iops-total=8"
"""A disk whose requests take an eighth of a second each."""
ATTACKS = 13
"""Attacks that servers/hostile.c has."""
LIVES = 2
"""Lives of a server that attack: after a third death the root pager pauses."""
LIMIT = 60.0
SOURCES = {"block": ["fronts/lib/*.c", "fronts/block/*.c", "drivers/lib/*.c", "drivers/block/virtio/*.c"],
           "net": ["fronts/lib/*.c", "fronts/net/*.c", "drivers/lib/*.c", "drivers/net/virtio/*.c"],
           "console": ["services/console/*.c", "drivers/serial/*/*.c"],
           "9p": ["fronts/lib/*.c", "fronts/9p/*.c", "drivers/9p/virtio/*.c"]}
VIRTIO_IDS = {"block": 2, "9p": 9}
PASSED = ["ok device tree", "ok block write and read", "ok blocks in flight", "ok packets out and in",
          "ok bad request refused", "ok disk after a reset"]


@dataclass
class Outcome:
    """The output of a machine until its end."""

    log: list[str] = field(default_factory=list)
    guest: list[str] = field(default_factory=list)
    ended: bool = False

    def died(self, name: str) -> int:
        return sum(line.startswith(f"root: server {name} died: ") for line in self.log)

    def deaths(self) -> dict[str, int]:
        """Count deaths of each server, without those by which it may refuse a bad request (backend_break())."""
        return {name: self.died(name) - sum(f"device {VIRTIO_IDS.get(name)}: " in line and
                                            line.endswith("or so it seems") for line in self.log) for name in SOURCES}


def runtime() -> list[Path]:
    """Return the sources that every program on L4 is linked with, but for its start."""
    return [*sorted(LIBL4.glob("*.c")), *sorted(LIB.glob("base/*.c"))]


@pytest.fixture(scope="module")
def compile_bare(arch: Arch, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Compile a program for L4 from sources, with options for compiler and linker."""
    folder = tmp_path_factory.mktemp("bare")
    quoll.generate("--arch", arch.name, "--headers", str(folder))
    own = re.findall(r"'(-m[^']*)'", (LIBL4 / "arch" / arch.name / "meson.build").read_text())

    def compile_one(name: str, script: Path, sources: list[Path], *options: str) -> Path:
        target = folder / name
        subprocess.run([arch.compiler, "-std=gnu11", "-O2", "-g", "-Wall", "-Wextra", "-Werror",
                        "-Wno-unused-parameter", "-ffreestanding", "-nostdlib", "-static", "-no-pie", "-fno-pic",
                        "-fno-strict-aliasing", "-fno-stack-protector", "-fno-tree-loop-distribute-patterns",
                        *own, "-I", folder, "-I", LIBL4 / "include", "-I", LIBL4 / "arch" / arch.name, "-I", LIB,
                        "-ffunction-sections", "-Wl,--gc-sections",
                        "-Wl,--build-id=none", "-Wl,-z,noexecstack", "-Wl,--no-warn-rwx-segments",
                        "-Wl,-z,max-page-size=0x1000", f"-Wl,-T,{script}", *options, *sources, "-o", target],
                       check=True, timeout=120)
        return target

    return compile_one


@pytest.fixture(scope="module")
def compile_guest(arch: Arch, compile_bare: Callable[..., Path]) -> Callable[..., Path]:
    def make(name: str, *options: str) -> Path:
        sources = [HERE / arch.name / "start.S", HERE / "guest.c", *runtime(), LIB / "virtio/virtqueue.c"]
        return compile_bare(name, HERE / "guest.ld", sources, *options)

    return make


@pytest.fixture(scope="module")
def test_guest(compile_guest: Callable[..., Path]) -> Path:
    return compile_guest("linux")


@pytest.fixture(scope="module")
def compile_server(arch: Arch, compile_bare: Callable[..., Path]) -> Callable[..., Path]:
    """Build a server with one more source file, which takes a function's place by --wrap."""

    def make(target: str, name: str, source: str, wrapped: str, *options: str) -> Path:
        sources = [path for pattern in SOURCES[name] for path in sorted(SERVERS.glob(pattern))]
        sources += [LIBL4 / "arch" / arch.name / "start.S", *runtime(), *sorted(LIB.glob("virtio/*.c")), HERE / source]
        return compile_bare(target, LIBL4 / "program.ld", sources, f"-Wl,--wrap={wrapped}", *options)

    return make


@pytest.fixture(scope="module")
def crashing(compile_server: Callable[..., Path]) -> Callable[..., Path]:
    """Build a server that dies at every nth request that it gives back, or hangs."""

    def make(name: str, every: int, hangs: bool = False, lives: int = 1 << 30) -> Path:
        return compile_server(f"{name}-{every}-{hangs}-{lives}", name, "crash.c", "backend_push",
                              f"-DCRASH_EVERY={every}", f"-DCRASH_HANGS={int(hangs)}", f"-DCRASH_LIVES={lives}")

    return make


@pytest.fixture(scope="module")
def hostile(compile_server: Callable[..., Path]) -> Callable[..., Path]:
    """Build a server that attacks the root pager and the other servers in its first lives."""

    def make(name: str, first: int) -> Path:
        return compile_server(f"{name}-hostile-{first}", name, "hostile.c", "l4_server_ready",
                              f"-DHOSTILE_FIRST={first}", f"-DHOSTILE_LIVES={LIVES}", f"-DHOSTILE_ATTACKS={ATTACKS}")

    return make


@pytest.fixture
def run(arch: Arch, bare: Path, test_guest: Path, tmp_path: Path) -> Callable[..., Outcome]:
    """Boot the small guest. type_line is typed after its tests; a value of answers when it prints that key.

    on_line gets each line of the machine.
    """

    def boot(type_line: str = "q", servers: dict[str, Path] | None = None, ram: int = RAM,
             change: Callable[[Config], Config] = lambda config: config, archive: bytes = b"",
             answers: Mapping[str, str] = MappingProxyType({}), guest: Path = test_guest,
             on_line: Callable[[Machine, str], None] = lambda machine, text: None,
             more: tuple[Disk, ...] = (), shares: int = 0, folder: Path | None = None, vcpus: int = 1) -> Outcome:
        abi = quoll.abi(arch)
        directory = RunDirectory("servers", tmp_path)
        disk, initrd = tmp_path / "disk", directory.file("boot.img")
        disk.write_bytes(b"".join(n.to_bytes(4, "little").ljust(4096, b"\0") for n in range(BLOCKS)))
        programs = {name: bare / name for name in quoll.SERVERS} | (servers or {}) | {"linux": guest}
        folders = (Share(folder, "/mnt"),) if folder else ()
        described = system.servers(disks=len(more), shares=shares or len(folders))
        tree = dtb.compile_tree(abi, "", ram, bytes(64), servers=described, vcpus=vcpus)
        blobs = {"dtb": tree} | ({image.INITRD: archive} if archive else {})
        initrd.write_bytes(image.pack(arch, abi, programs, blobs, ram, described, vcpus=vcpus))
        machine = Machine(arch, change(Config(kernel=bare / arch.kernel, initrd=initrd, disk=disk, disks=more,
                                             shares=folders)),
                          directory)
        outcome = Outcome()
        deadline = time.monotonic() + LIMIT * time_scale()
        machine.start()
        try:
            while not outcome.ended:
                try:
                    message = machine.messages.get(timeout=max(0.01, deadline - time.monotonic()))
                except queue.Empty:
                    told = Dossier(machine, bare / quoll.KERNEL, guest, abi).collect()
                    # All but its first section, the registers.
                    pytest.fail(f"not done in time: {outcome}\n{told[told.index('== ', 1):]}")
                outcome.ended = message.ended
                if message.line is not None:
                    text = message.line.text
                    (outcome.log if message.line.channel is Channel.LOG else outcome.guest).append(text)
                    on_line(machine, text)
                    if text.startswith("l4: end of panic"):
                        return outcome
                    if text == "done":
                        machine.send(f"hello\n{type_line}\n".encode())
                    if text in answers:
                        machine.send(answers[text].encode())
        finally:
            machine.close()
        return outcome

    return boot


def results(outcome: Outcome) -> list[str]:
    return [line for line in outcome.guest if line.startswith(("ok ", "not ok "))]
