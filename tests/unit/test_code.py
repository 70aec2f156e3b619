# SPDX-License-Identifier: BSD-2-Clause
"""The linters, as tests: ruff, mypy, shellcheck, and the repository's own rules."""

from __future__ import annotations

import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import pytest

from orchestration.base.arch import ARCHES
from orchestration.base.cache import key_of
from orchestration.base.doctor import cache_root
from orchestration.build import linux

KERNEL_LINES, LINUX_LINES = 3000, 2000
COMMENT = re.compile(r"/\*.*?\*/|//[^\n]*|\"(?:\\.|[^\"\\\n])*\"", re.DOTALL)
# Identifiers, members of structures aside.
USED = re.compile(r"(?<![\w.>])[A-Za-z_]\w*")
# In the style that clang-format gives all sources.
DEFINED = {
    ".h": (re.compile(r"^#define (\w+)", re.MULTILINE),
           re.compile(r"^(?:struct|union|enum) (\w+) \{", re.MULTILINE),
           re.compile(r"^[a-z][\w \t*]*?\b(\w+)\([^;{}]*?\)[^;{}()]*(?:\(\([^)]*\)\))?\s*[;{]", re.MULTILINE),
           re.compile(r"^(?:extern|typedef) [^;(]*?\b(\w+)(?:\[[^]]*\])*;", re.MULTILINE)),
    ".c": (re.compile(r"^(?!static|typedef|extern)[a-z][\w \t*]*?\b(\w+)\([^;{}]*?\)[^;{}()]*\{", re.MULTILINE),
           re.compile(r"^(?!static|typedef|extern|return)[a-z][\w \t*]*?\b(\w+)(?:\[[^]]*\])*(?: = [^;]*)?;",
                      re.MULTILINE)),
    ".S": (re.compile(r"^\s*\.globl\s+(\w+)", re.MULTILINE),),
}
ISA_TEST = re.compile(r"^\s*#\s*(?:el)?if.*(?:__x86_64|__i386|__aarch64|__riscv|CONFIG_X86|CONFIG_ARM64|CONFIG_RISCV"
                      r"|CONFIG_L4_CPU_(?:X86_64|RISCV64|AARCH64))", re.MULTILINE)


def run(root: Path, *argv: str) -> str:
    """Return what a linter says when it is not content; one that dies without a word says its status."""
    done = subprocess.run(argv, cwd=root, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    return f"{done.stdout}status {done.returncode}" if done.returncode else ""


def source_files(root: Path) -> list[Path]:
    skipped = {".git", ".venv", "__pycache__", ".mypy_cache", ".ruff_cache"}
    return [path for path in root.rglob("*") if path.is_file() and not skipped & set(path.parts)]


def test_ruff(root: Path) -> None:
    assert not run(root, sys.executable, "-m", "ruff", "check", "--no-cache", "orchestration", "tests", "orchestrate")


def test_a_linter_that_dies_is_not_content(root: Path) -> None:
    assert run(root, "sh", "-c", "kill -KILL $$") == "status -9"
    assert not run(root, "true")


def test_mypy(root: Path) -> None:
    # It notes there what it has checked, and checks what has changed since; everything takes some 20 s.
    place = cache_root() / "mypy" / key_of(str(root), sys.version)
    assert not run(root, sys.executable, "-m", "mypy", "--cache-dir", str(place))


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


def plain(path: Path) -> str:
    """Return C or assembler source without comments and strings."""
    return COMMENT.sub(" ", path.read_text())


def defined(files: Iterable[Path]) -> set[str]:
    """Return the names that files offer to others: macros, types and functions of headers, global symbols."""
    return {name for path in files for pattern in DEFINED.get(path.suffix, ()) for name in pattern.findall(plain(path))}


def differences(named: dict[str, set[str]]) -> dict[str, set[str]]:
    """Return what each architecture lacks of the others' names."""
    everything = set().union(*named.values())
    return {name: everything - names for name, names in named.items() if everything - names}


def test_kernel_architectures_offer_the_same_names(root: Path) -> None:
    """Whatever the rest of the kernel uses of one architecture, every other has as well."""
    folders = ("kernel/src", "kernel/include", "common")
    generic = [path for folder in folders for path in (root / folder).rglob("*.[chS]")]
    used = set(USED.findall(" ".join(plain(path) for path in generic)))
    offered = {name: defined((root / "kernel/arch" / name).rglob("*.[chS]")) & used for name in ARCHES}
    assert not differences(offered)
    assert len(offered["x86_64"]) > 40


@pytest.mark.parametrize("folder", ["servers/libl4/arch", "tests/kernel/arch", "tests/system/guest/arch"])
def test_headers_of_architectures_offer_the_same_names(root: Path, folder: str) -> None:
    # A name with the architecture's own in front is for the folder's own files.
    offered = {name: {word for word in defined((root / folder / name).rglob("*.h")) if not word.startswith(f"{name}_")}
               for name in ARCHES}
    assert not differences(offered)
    assert all(offered.values())


@pytest.mark.parametrize("folder", ["kernel/arch", "servers/libl4/arch", "tests/kernel/arch",
                                    "tests/system/guest/arch"])
def test_files_of_architectures_have_the_same_names(root: Path, folder: str) -> None:
    """What two architectures have, all have; a file that one alone has is a peculiarity of it."""
    found = {name: {str(path.relative_to(root / folder / name)) for path in (root / folder / name).rglob("*")}
             for name in ARCHES}
    times = Counter(name for names in found.values() for name in names)
    assert not differences({name: {file for file in names if times[file] > 1} for name, names in found.items()})


def code_lines(text: str) -> int:
    """Return how many lines hold more than blanks and comments."""
    return sum(bool(line.strip()) for line in re.sub(r"/\*.*?\*/", "", text, flags=re.DOTALL).splitlines())


def added(patches: Iterable[Path]) -> dict[str, str]:
    """Return what patches add, by file."""
    found: dict[str, list[str]] = {}
    for patch in patches:
        name = ""
        for line in patch.read_text().splitlines():
            if line.startswith("+++ b/"):
                name = line.removeprefix("+++ b/")
            elif line.startswith("+") and not line.startswith("+++ "):
                found.setdefault(name, []).append(line[1:])
    return {name: "\n".join(lines) for name, lines in found.items()}


@pytest.mark.parametrize("name", ARCHES)
def test_an_architecture_is_small(root: Path, name: str) -> None:
    kernel = [path for path in (root / "kernel/arch" / name).rglob("*") if path.is_file()]
    assert sum(len(path.read_text().splitlines()) for path in kernel) <= KERNEL_LINES
    port = {file: text for file, text in added(linux.series()).items() if file.startswith(f"arch/l4/cpu/{name}/")}
    assert sum(code_lines(text) for text in port.values()) <= LINUX_LINES


def test_no_architecture_tests_outside_arch_folders(root: Path) -> None:
    sources = {str(path.relative_to(root)): path.read_text()
               for folder in ("common", "kernel", "servers", "tests") for path in (root / folder).rglob("*.[chS]")}
    sources |= {file: text for file, text in added(linux.series()).items() if file.startswith("arch/l4/")}
    assert len(sources) > 200
    for file, text in sources.items():
        if not {"arch", "cpu"} & set(Path(file.removeprefix("arch/l4/")).parts):
            assert not ISA_TEST.search(text), f"{file} tests for an architecture"
