# SPDX-License-Identifier: BSD-2-Clause
"""Workloads that are counted in memory: the archive, the result on the console, and who is blamed for what."""

from __future__ import annotations

import base64
import hashlib
import io
import subprocess
import tarfile
from pathlib import Path
from types import SimpleNamespace

import pytest

from orchestration.base.arch import ARCHES
from orchestration.base.cache import Cache
from orchestration.base.errors import HangError, InfrastructureError, WorkloadError
from orchestration.bench import execution, kit, memory
from orchestration.bench.terms import Clock
from orchestration.bench.workload import Description, Metric, Workload
from orchestration.build import initramfs, rootfs
from orchestration.machine.stages import Tracker

FIGURE = '{"metric": "m", "value": 5}\n'


def packed(**files: str) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for name, text in files.items():
            kit.add(archive, f"./{name.replace('_', '/')}", text.encode())
    return stream.getvalue()


def shown(data: bytes) -> list[str]:
    return [f"quoll: result of {len(data)} bytes, SHA-256 {hashlib.sha256(data).hexdigest()}",
            *base64.encodebytes(data).decode().splitlines(), "quoll: end of result"]


def console(status: int = 0, output: str = FIGURE) -> list[str]:
    return ["quoll: userland", *shown(packed(status=f"{status}\n", version="6.12.1\n", output=output,
                                             errors="last words\n", files_log="text")), "[ 9.0] reboot: Power down"]


def test_a_result_is_found() -> None:
    found = memory.result("\n".join(console()) + "\n")
    assert found == memory.Result(0, "6.12.1", FIGURE, "last words\n", {"log": "text"})


def test_what_linux_says_in_between_is_left_out() -> None:
    lines = console()
    lines.insert(4, "[    1.5] random: crng init done")
    assert memory.result("\r\n".join(lines)).version == "6.12.1"


@pytest.mark.parametrize(("change", "said"), [
    (lambda lines: lines[:1], "without a result"),
    (lambda lines: lines[:-6], "cut off"),
    (lambda lines: [*lines[:3], *lines[4:]], "damaged"),
    (lambda lines: [*lines[:3], "x" + lines[3][1:], *lines[4:]], "damaged"),
    (lambda lines: [*lines[:3], lines[3][:-1], *lines[4:]], "damaged"),
    (lambda lines: shown(packed(status="0")), "incomplete: 'version'"),
    (lambda lines: shown(packed(status="?", version="", output="", errors="")), "incomplete: invalid literal"),
])
def test_a_result_that_is_not_whole_is_told(change: object, said: str) -> None:
    with pytest.raises(InfrastructureError, match=said):
        memory.result("\n".join(change(console())))  # type: ignore[operator]


class FakeSession:
    """A machine that ends after so many waits; deaf ones do not end for being told to."""

    def __init__(self, folder: Path, lines: list[str], waits: float = 0, deaf: bool = False) -> None:
        (folder / "console.log").write_text("\n".join(lines))
        self.waits, self.deaf, self.typed = waits, deaf, b""
        self.tracker = Tracker()
        self.machine = SimpleNamespace(run=SimpleNamespace(file=lambda name: folder / name), send=self.send,
                                       last_lines=lambda: ())

    @property
    def ended(self) -> bool:
        return self.waits <= 0

    def wait(self, seconds: float) -> None:
        self.waits -= 1

    def send(self, data: bytes) -> None:
        self.typed += data
        self.waits = self.waits if self.deaf else 0

    def where(self) -> str:
        return "there"

    def hang(self, stage: str, limit: float) -> HangError:
        return HangError(f"{stage} hangs after {limit:.0f} s")


def one(folder: Path) -> Workload:
    return Workload("one", folder, Description(
        description="one", run="./go", clocks=(Clock.INSTRUCTIONS,), counted_in="memory", limit=0.01,
        metrics=(Metric(name="m", unit="time", better="lower"),)))


def run(session: FakeSession, folder: Path) -> tuple[str, list[float]]:
    version, figures = memory.run_once(session, one(folder))  # type: ignore[arg-type]
    return version, [figure.value for figure in figures]


def test_a_run_has_figures_and_a_version(tmp_path: Path) -> None:
    session = FakeSession(tmp_path, console(), waits=3)
    assert run(session, tmp_path) == ("6.12.1", [5.0])
    assert not session.typed


@pytest.mark.parametrize(("lines", "waits", "said"), [
    (console(status=3), 0, "one failed with status 3"),
    (console(status=137), 1e9, "one did not end in 0 s"),
    (console(output=""), 0, "did not report m"),
])
def test_a_workload_is_blamed(tmp_path: Path, lines: list[str], waits: float, said: str) -> None:
    session = FakeSession(tmp_path, lines, waits)
    with pytest.raises(WorkloadError, match=said) as caught:
        run(session, tmp_path)
    assert caught.value.exit_code == 118
    assert session.typed == (memory.STOP if waits else b"")


def test_a_machine_that_does_not_answer_hangs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(execution, "SMALL_LIMIT", 0.01)
    with pytest.raises(HangError, match="the workload one hangs"):
        run(FakeSession(tmp_path, console(), waits=1e9, deaf=True), tmp_path)


def test_a_machine_that_ends_without_a_result_is_the_tool_s_failure(tmp_path: Path) -> None:
    with pytest.raises(InfrastructureError, match="without a result") as caught:
        run(FakeSession(tmp_path, ["quoll: userland"]), tmp_path)
    assert caught.value.hint == "there"


def test_the_archive_is_the_same_for_the_same_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with tarfile.open(tmp_path / "packages.tar", "w") as archive:
        kit.add(archive, "./usr/bin/busybox", b"program")
    monkeypatch.setattr(rootfs, "packages", lambda *ignored: tmp_path / "packages.tar")

    def make(cache: str, content: bytes) -> bytes:
        with tarfile.open(tmp_path / "kit.tar", "w") as archive:
            kit.add(archive, "go", b"go")
        return initramfs.archive(ARCHES["x86_64"], Cache(tmp_path / cache), rootfs.Spec(), {"init": content},
                                 {"var/tmp/bench/one": tmp_path / "kit.tar"}).read_bytes()

    first = make("a", b"#!/bin/sh\n")
    assert first == make("b", b"#!/bin/sh\n")
    assert first != make("a", b"#!/bin/sh\nexit\n")
    assert first.startswith(b"070701")
    listed = subprocess.run(["cpio", "--list", "--numeric-uid-gid", "--verbose", "--quiet"], input=first, check=True,
                            capture_output=True, env={"TZ": "UTC", "LC_ALL": "C", "PATH": "/usr/bin:/bin"})
    entries = {line.split()[8]: line.split() for line in listed.stdout.decode().splitlines()}
    assert {"init", "usr/bin/busybox", "var/tmp/bench/one/go", "bin", "usr/bin/sh", "dev", "proc"} <= set(entries)
    assert {tuple(words[2:4]) for words in entries.values()} == {("0", "0")}
    assert {words[7] for words in entries.values()} == {"1970"}
    assert entries["init"][0] == entries["var/tmp/bench/one/go"][0] == "-rwxr-xr-x"
