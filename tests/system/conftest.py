# SPDX-License-Identifier: BSD-2-Clause
"""Fixtures of the system tests: a Linux that many tests share, programs for it, a writer of its memory."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from weakref import WeakKeyDictionary

import pytest

from orchestration.base import tools
from orchestration.base.arch import Arch
from orchestration.machine.qemu import value
from quoll import Guest
from tests.system.small_guest import (  # noqa: F401 - fixtures
    compile_bare,
    compile_guest,
    compile_server,
    crashing,
    hostile,
    run,
    test_guest,
)

PROGRAMS = Path(__file__).with_name("guest")
# Programs that a guest has already.
PUSHED: WeakKeyDictionary[Guest, set[str]] = WeakKeyDictionary()


@pytest.fixture(scope="session")
def compile_program(arch: Arch, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Compile a program of tests/system/guest for the guest, statically."""
    folder = tmp_path_factory.mktemp("programs")
    built: dict[str, Path] = {}

    def compile_one(name: str) -> Path:
        if name not in built:
            target = folder / Path(name).name
            subprocess.run([arch.compiler, "-static", "-O2", "-Wall", "-Wextra", "-Werror", "-D_GNU_SOURCE", "-pthread",
                            f"-I{PROGRAMS / 'arch' / arch.name}", f"-I{PROGRAMS}", str(PROGRAMS / f"{name}.c"),
                            "-o", str(target), "-lm"], check=True, timeout=120)
            built[name] = target
        return built[name]

    return compile_one


@pytest.fixture
def program(guest: Guest, compile_program: Callable[[str], Path]) -> Callable[[str], str]:
    """Put a test program into the shared guest and return its path there."""

    def put(name: str) -> str:
        path = f"/var/tmp/{Path(name).name}"
        pushed = PUSHED.setdefault(guest, set())
        if name not in pushed:
            guest.push(compile_program(name), path)
            pushed.add(name)
        return path

    return put


class Writer:
    """A machine's RAM in a file, and programs of the host that rewrite pages of it (attack/writer.c)."""

    def __init__(self, program: Path, ram: Path) -> None:
        self.program, self.ram = program, ram
        self.writing: dict[int, subprocess.Popen[str]] = {}

    def options(self, size: int) -> tuple[str, ...]:
        """Return QEMU's options that put size bytes of RAM into the file."""
        return ("-object", f"memory-backend-file,id=ram0,size={size},mem-path={value(self.ram)},share=on",
                "-machine", "memory-backend=ram0")

    def start(self, kind: int) -> None:
        """Start a writer, which waits for a page with this kind's mark."""
        self.writing[kind] = subprocess.Popen(
            [tools.program("setpriv"), "--pdeathsig", "KILL", str(self.program), str(self.ram), str(kind)],
            stdout=subprocess.PIPE, text=True)

    def stop(self, kind: int) -> bool:
        """End the program; return whether it has written."""
        process = self.writing.pop(kind)
        process.kill()
        return process.communicate(timeout=30)[0] == "writing\n"


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[Writer]:
    program, ram = tmp_path / "writer", tmp_path / "ram"
    subprocess.run(["cc", "-O2", "-Wall", "-Wextra", "-Werror", "-D_GNU_SOURCE",
                    str(Path(__file__).with_name("attack") / "writer.c"), "-o", str(program)], check=True, timeout=60)
    made = Writer(program, ram)
    yield made
    for kind in list(made.writing):
        made.stop(kind)
    ram.unlink(missing_ok=True)
