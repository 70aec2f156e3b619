# SPDX-License-Identifier: BSD-2-Clause
"""The linters, as tests: ruff, mypy, shellcheck, and the repository's own rules."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from orchestration.arch import ARCHES


def run(root: Path, *argv: str) -> str:
    done = subprocess.run(argv, cwd=root, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    return done.stdout if done.returncode else ""


def source_files(root: Path) -> list[Path]:
    skipped = {".git", ".venv", "__pycache__", ".mypy_cache", ".ruff_cache"}
    return [path for path in root.rglob("*") if path.is_file() and not skipped & set(path.parts)]


def test_ruff(root: Path) -> None:
    assert not run(root, sys.executable, "-m", "ruff", "check", "--no-cache", "orchestration", "tests", "orchestrate")


def test_mypy(root: Path, tmp_path: Path) -> None:
    assert not run(root, sys.executable, "-m", "mypy", "--cache-dir", str(tmp_path))


def test_shellcheck(root: Path) -> None:
    shebangs = (b"#!/bin/sh\n", b"#!/bin/bash\n", b"#!/usr/bin/env bash\n")
    scripts = [str(path) for path in source_files(root) if path.read_bytes().startswith(shebangs)]
    assert scripts
    assert not run(root, "shellcheck", *scripts)


@pytest.mark.parametrize("suffixes", [(".py",), (".c", ".h", ".S")])
def test_files_start_with_their_licence(root: Path, suffixes: tuple[str, ...]) -> None:
    for path in source_files(root):
        if path.suffix in suffixes:
            assert "SPDX-License-Identifier" in "".join(path.read_text().splitlines(keepends=True)[:2]), path


def test_architectures_agree(root: Path) -> None:
    """What the orchestration boots has a folder in the kernel, in libl4 and a configuration of Linux."""
    for name in ARCHES:
        assert (root / "kernel/arch" / name).is_dir()
        assert (root / "servers/libl4/arch" / name).is_dir()
        assert (root / "l4linux-patches/configs" / f"{name}.config").exists()


def test_no_architecture_tests_outside_arch_folders(root: Path) -> None:
    for path in [*(root / "kernel").rglob("*.[chS]"), *(root / "servers").rglob("*.[chS]")]:
        if "arch" not in path.parts:
            text = path.read_text()
            for name in ("__x86_64__", "__aarch64__", "__riscv"):
                assert name not in text, f"{path} tests for {name}"
