# SPDX-License-Identifier: BSD-2-Clause
"""Checks that architectures stay in their folders, and that these folders offer the same names.

Sources are read without comments and strings. The patterns know the style that clang-format gives to C.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from itertools import chain
from pathlib import Path

from orchestration.base.arch import ARCHES
from orchestration.lint.core import Finding, Tree

SOURCES = ("*.c", "*.h", "*.S")
FOLDERS = ("kernel", "servers", "tests")
# Lines: of an architecture's kernel folder, and of its folder in the Linux port without comments and blank lines.
KERNEL_LINES, LINUX_LINES = 3000, 2350
# Fewer names than these mean that the patterns no longer fit the sources.
KERNEL_NAMES, PORT_FILES = 40, 20
COMMENT = re.compile(r"/\*.*?\*/|//[^\n]*|\"(?:\\.|[^\"\\\n])*\"", re.DOTALL)
# Identifiers that are used, members of structures aside.
USED = re.compile(r"(?<![\w.>])[A-Za-z_]\w*")
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


def plain(path: Path) -> str:
    """Return C or assembler source without comments and strings."""
    return COMMENT.sub(" ", path.read_text())


def defined(files: Iterable[Path]) -> set[str]:
    """Return the names that files offer to others: macros, types and functions of headers, global symbols."""
    return {name for path in files for pattern in DEFINED.get(path.suffix, ()) for name in pattern.findall(plain(path))}


def arch_folders(tree: Tree) -> list[str]:
    """Return the folders called arch that hold one folder for each architecture."""
    found = {path.parent.parent for name in ARCHES for folder in FOLDERS
             for path in (tree.root / folder).rglob(f"arch/{name}/*")}
    return sorted(tree.name(path) for path in found)


def lacking(folder: str, what: str, named: dict[str, set[str]]) -> list[Finding]:
    """Return what each architecture lacks of the names that another one has."""
    everything = set(chain.from_iterable(named.values()))
    return [Finding(f"{folder}/{arch}", 0, f"lacks the {what} {name}, which another architecture has")
            for arch, names in named.items() for name in sorted(everything - names)]


def same_files(tree: Tree, folder: str) -> list[Finding]:
    """Return the files that two architectures have and another has not. One that a single one has is its own affair."""
    found = {arch: {str(path.relative_to(tree.root / folder / arch)) for path in (tree.root / folder / arch).rglob("*")}
             for arch in ARCHES}
    times = Counter(chain.from_iterable(found.values()))
    return lacking(folder, "file", {arch: {name for name in names if times[name] > 1} for arch, names in found.items()})


def same_kernel_names(tree: Tree) -> list[Finding]:
    """Return what the kernel's other folders use of one architecture and another does not offer."""
    generic = [path for path in tree.files(*SOURCES, under=("kernel",))
               if not {"arch", "plat"} & set(path.relative_to(tree.root).parts)]
    used = set(USED.findall(" ".join(map(plain, generic))))
    offered = {arch: defined((tree.root / "kernel/arch" / arch).rglob("*")) & used for arch in ARCHES}
    few = [Finding(f"kernel/arch/{arch}", 0, f"offers {len(names)} names: the patterns no longer fit the sources")
           for arch, names in offered.items() if len(names) < KERNEL_NAMES]
    return lacking("kernel/arch", "name", offered) + few


def same_header_names(tree: Tree, folder: str) -> list[Finding]:
    """Return the names that one architecture's headers offer and another's do not.

    A name with the architecture's own in front is for the folder's own files.
    """
    offered = {arch: {name for name in defined((tree.root / folder / arch).rglob("*.h"))
                      if not name.startswith(f"{arch}_")} for arch in ARCHES}
    return lacking(folder, "name", offered)


def added(tree: Tree) -> dict[str, str]:
    """Return what the patches of the Linux port add, by file."""
    folder = tree.root / "l4linux-patches"
    found: dict[str, list[str]] = {}
    for patch in sorted((folder / "patches").glob("*.patch")):
        name = ""
        for line in patch.read_text().splitlines():
            if line.startswith("+++ b/"):
                name = line.removeprefix("+++ b/")
            elif line.startswith("+") and not line.startswith("+++ "):
                found.setdefault(name, []).append(line[1:])
    return {name: "\n".join(lines) for name, lines in found.items()}


def code_lines(text: str) -> int:
    """Return how many lines hold more than blanks and comments."""
    return sum(bool(line.strip()) for line in re.sub(r"/\*.*?\*/", "", text, flags=re.DOTALL).splitlines())


def small(tree: Tree, port: dict[str, str]) -> list[Finding]:
    """Return the architectures whose kernel folder or folder in the Linux port is too large."""
    found = []
    for arch in ARCHES:
        lines = sum(len(path.read_text().splitlines()) for path in (tree.root / "kernel/arch" / arch).rglob("*")
                    if path.is_file())
        code = sum(code_lines(text) for name, text in port.items() if name.startswith(f"arch/l4/cpu/{arch}/"))
        if lines > KERNEL_LINES:
            found.append(Finding(f"kernel/arch/{arch}", 0, f"{lines} lines; at most {KERNEL_LINES}"))
        if code > LINUX_LINES:
            found.append(Finding("l4linux-patches", 0, f"arch/l4/cpu/{arch}: {code} lines; at most {LINUX_LINES}"))
    return found


def isa_tests(name: str, text: str) -> list[Finding]:
    """Return the conditions on an architecture in a file that belongs to none."""
    if {"arch", "cpu"} & set(Path(name.removeprefix("arch/l4/")).parts):
        return []
    return [Finding(name, text.count("\n", 0, match.end()) + 1, f"tests for an architecture: {match[0].strip()}")
            for match in ISA_TEST.finditer(text)]


def complete(tree: Tree) -> list[Finding]:
    """Return the places that an architecture needs and has not."""
    return [Finding(place, 0, f"is missing: the orchestration boots {arch}") for arch in ARCHES for place in (
        f"kernel/arch/{arch}", f"servers/libl4/arch/{arch}", f"l4linux-patches/configs/{arch}.config",
        f"orchestration/build/cross/{arch}.ini") if not (tree.root / place).exists()]


def check(tree: Tree) -> list[Finding]:
    """Run all of these checks."""
    port = added(tree)
    found = complete(tree) + same_kernel_names(tree) + small(tree, port)
    if len(port) < PORT_FILES:
        found.append(Finding("l4linux-patches/patches", 0, f"adds {len(port)} files: the patches were not understood"))
    for folder in arch_folders(tree):
        found += same_files(tree, folder)
        if folder != "kernel/arch":
            found += same_header_names(tree, folder)
    for path in tree.files(*SOURCES, under=FOLDERS):
        found += isa_tests(tree.name(path), path.read_text())
    for name, text in port.items():
        if name.startswith("arch/l4/"):
            found += isa_tests(name, text)
    return found
