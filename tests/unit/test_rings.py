# SPDX-License-Identifier: BSD-2-Clause
"""libl4's virtio rings, compiled for the host: both sides against each other, and against a hostile guest."""

from __future__ import annotations

import platform
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
TOP = HERE.parents[1]


SKIPPED = 77
"""Exit status of a program that cannot test here."""


def compiled(folder: Path, main: str, *libraries: str, front: tuple[str, ...] = ()) -> Path:
    """Compile a program of virtio/ with parts of lib/virtio, and of what every front has, for the host."""
    if platform.machine() not in ("x86_64", "aarch64", "riscv64"):
        pytest.skip("the ABI is 64-bit, little-endian")
    header = [sys.executable, str(TOP / "kernel/abi/generate.py"), "--arch", "x86_64", "--headers", str(folder)]
    subprocess.run(header, check=True)
    subprocess.run(["gcc", "-std=gnu11", "-O1", "-g", "-Wall", "-Wextra", "-Werror", "-Wno-unused-parameter",
                    "-fsanitize=undefined", "-fno-sanitize-recover=all", "-fno-sanitize=alignment",
                    "-fno-strict-aliasing", "-pthread", "-I", HERE / "virtio", "-I", TOP / "servers/libl4/include",
                    "-I", TOP / "servers/lib", "-I", folder, HERE / f"virtio/{main}.c",
                    *(TOP / f"servers/lib/virtio/{name}.c" for name in libraries),
                    *(TOP / f"servers/fronts/lib/{name}.c" for name in front), "-o", folder / main], check=True)
    return folder / main


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compiled(tmp_path_factory.mktemp("rings"), "rings", "backend", "backend_queue", "virtqueue")


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compiled(tmp_path_factory.mktemp("kept"), "kept", "kept_queue")


@pytest.fixture(scope="module")
def lives(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compiled(tmp_path_factory.mktemp("lives"), "lives", "backend", "backend_queue", "virtqueue")


@pytest.mark.parametrize("name", ["calls", "unshown", "instructions", "changed"])
def test_a_driver_goes_on_where_its_last_life_ended(kept: Path, name: str) -> None:
    done = subprocess.run([kept, name, "1"], check=False, timeout=100)
    if done.returncode == SKIPPED:
        pytest.skip("no single steps here")
    assert not done.returncode


@pytest.mark.parametrize("seed", range(2))
def test_the_guest_finds_whole_packets_wherever_a_back_end_dies(lives: Path, seed: int) -> None:
    done = subprocess.run([lives, str(seed)], check=False, timeout=100)
    if done.returncode == SKIPPED:
        pytest.skip("no single steps here")
    assert not done.returncode


@pytest.mark.parametrize("queue", range(2))
def test_a_guest_that_posts_ever_more_keeps_no_front_from_its_messages(tmp_path: Path, queue: int) -> None:
    """Work, or empty buffers."""
    program = compiled(tmp_path, "front", "backend", "backend_queue", "virtqueue", front=("front", "watch"))
    subprocess.run([program, str(queue), "5000"], check=True, timeout=60)


@pytest.mark.parametrize("name", ["round_trip", "restart", "batch", "wild_end", "features", "interrupts", "event_index",
                                  "indirect", "tables", "changed", "sealed"])
def test_rings(program: Path, name: str) -> None:
    subprocess.run([program, name], check=True, timeout=60)


@pytest.mark.parametrize("seed", range(4))
def test_hostile_guest_reaches_only_its_ram(program: Path, seed: int) -> None:
    subprocess.run([program, "noise", str(seed)], check=True, timeout=60)
