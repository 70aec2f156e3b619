# SPDX-License-Identifier: BSD-2-Clause
"""Wrong use, missing things and failures are one line, with the right exit code."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from orchestration import bootstrap, cli, doctor
from orchestration.arch import ARCHES
from orchestration.errors import BuildError, HangError, InfrastructureError, MissingError, PanicError, QuollError


@pytest.mark.parametrize(("arguments", "words"), [
    (["boot", "vax"], ["vax", *ARCHES]),
    (["boot"], ["ARCH", *ARCHES]),
    (["boot", "x86_64", "--fast"], ["--fast", "--accel", "--dry-run"]),
    (["boot", "x86_64", "--accel", "warp"], ["warp", "tcg", "kvm"]),
    (["bot"], ["bot", "boot", "test", "measure", "doctor"]),
    (["measure", "vax"], ["vax", *ARCHES]),
    (["build", "vax"], ["vax", *ARCHES]),
    (["build"], ["ARCH", *ARCHES]),
    (["test", "vax"], ["vax", *ARCHES]),
    (["test", "riscv64", "tests/none"], ["tests/none", *ARCHES]),
])
def test_wrong_use(arguments: list[str], words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert len(err.strip().splitlines()) == 1
    assert all(word in err for word in words)


def test_doctor_refuses_unknown_arguments(root: Path) -> None:
    done = subprocess.run([sys.executable, str(root / "orchestrate"), "doctor", "--mend"], capture_output=True,
                          text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.strip().splitlines() == [
        f"orchestrate: doctor: unknown argument --mend; valid: --install --help {' '.join(ARCHES)}"]


def test_doctor_without_root_or_sudo_says_what_to_run(monkeypatch: pytest.MonkeyPatch,
                                                      capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(doctor, "missing_packages", lambda wanted: ["qemu-system-x86", "flex"])
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(doctor.shutil, "which", lambda name: None)
    assert bootstrap.main(["doctor"]) == 3
    command = "sudo apt-get update && sudo apt-get install -y --no-install-recommends qemu-system-x86 flex"
    assert command in capsys.readouterr().out
    assert bootstrap.main(["doctor", "--install"]) == 3
    assert command in capsys.readouterr().err


def test_no_debian_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(MissingError, match="no Debian"):
        doctor.wanted_packages(ARCHES.values())
    with pytest.raises(MissingError, match="no Debian"):
        doctor.missing_packages(doctor.FIRST)


def test_an_architecture_needs_its_own_packages_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "native_architecture", lambda: "amd64")
    monkeypatch.setattr(doctor, "debian_version", lambda: "13")
    own = {name: set(doctor.wanted_packages([arch])) - set(doctor.wanted_packages([]))
           for name, arch in ARCHES.items()}
    assert own == {
        "x86_64": {"qemu-system-x86"},
        "riscv64": {"qemu-system-riscv", "opensbi", "gcc-riscv64-linux-gnu", "libc6-dev-riscv64-cross"},
        "aarch64": {"qemu-system-arm", "gcc-aarch64-linux-gnu", "libc6-dev-arm64-cross"}}
    monkeypatch.setattr(doctor, "debian_version", lambda: "12")
    assert "qemu-system-misc" in doctor.wanted_packages([ARCHES["riscv64"]])
    monkeypatch.setattr(doctor, "native_architecture", lambda: "arm64")
    assert {"gcc-x86-64-linux-gnu", "libc6-dev-amd64-cross"} <= set(doctor.wanted_packages([ARCHES["x86_64"]]))
    assert "gcc-aarch64-linux-gnu" not in doctor.wanted_packages([ARCHES["aarch64"]])

def test_exit_codes_are_distinct_and_documented(root: Path) -> None:
    classes: list[type[QuollError]] = [MissingError, InfrastructureError, BuildError, PanicError, HangError]
    codes = {kind.exit_code for kind in classes}
    assert len(codes) == len(classes)
    readme = (root / "README.md").read_text()
    for code in codes:
        assert f"| {code} |" in readme
        assert str(code) in cli.EPILOG


def test_a_failure_is_explained_not_traced(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def fail(arches: object) -> None:
        raise BuildError("it broke", "do this", ("last line",))

    monkeypatch.setattr(doctor, "ensure", fail)
    assert cli.main(["boot", "x86_64"]) == 121
    assert capsys.readouterr().err == "  | last line\norchestrate: it broke\n  hint: do this\n"


def test_ctrl_c_is_130(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(arches: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(doctor, "ensure", interrupt)
    assert cli.main(["boot", "x86_64"]) == 130


@pytest.mark.parametrize("value", ["0", "-1", "fast", "inf", "nan"])
def test_a_bad_time_scale_is_refused(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from orchestration.stages import time_scale

    monkeypatch.setenv("QUOLL_TIME_SCALE", value)
    with pytest.raises(QuollError, match="QUOLL_TIME_SCALE"):
        time_scale()
