# SPDX-License-Identifier: BSD-2-Clause
"""Rules of this repository: licences and sizes."""

from __future__ import annotations

from orchestration.lint.core import Finding, Tree

TAG = "SPDX-License-Identifier: "
GPL, BSD = "GPL-2.0-only", "BSD-2-Clause"
# What may carry a comment.
LICENSED = ("*.py", "*.c", "*.h", "*.S", "*.ld", "*.dts", "*.sh", "*.toml", "*.yaml", "*.yml", "*.ini", "meson.build",
            "orchestrate")
# The licence of C and assembler by folder or file, the first that fits. tests/system has both: some runs as a server.
BY_FOLDER = {"kernel/abi": BSD, "kernel/lib": BSD, "kernel": GPL, "servers/libl4": BSD,
             "servers/lib/class/serial.h": GPL, "servers/lib": BSD, "servers/fronts/lib": BSD, "servers": GPL,
             "tests/kernel": GPL}
C_SOURCES = (".c", ".h", ".S")
# Lines of a file, by folder and by the end of its name. A longer one wants to be two.
SIZES = (("", (".c", ".h", ".S"), 600), ("orchestration", (".py",), 300), ("quoll", (".py",), 300),
         ("kernel", (".py",), 300), ("tests", (".py",), 500))
# Lines of a C function.
FUNCTION = 75
# Files that may be longer, by name, and how long: they have one subject, or are not split yet.
LONGER: dict[str, int] = {}


def licences(tree: Tree) -> list[Finding]:
    """Return the files that do not begin with the licence of their folder."""
    found = []
    for path in tree.files(*LICENSED):
        name = tree.name(path)
        first = path.read_text().splitlines()[:2]
        tagged = [line.partition(TAG)[2].split()[0] for line in first if TAG in line]
        valid = [BSD] if path.suffix == ".py" else [GPL, BSD]
        if path.suffix in C_SOURCES:
            valid = [licence for place, licence in BY_FOLDER.items() if f"{name}/".startswith(f"{place}/")][:1] or valid
        if tagged[:1] not in [[one] for one in valid]:
            said = f"the licence is {tagged[0]}" if tagged else "no licence"
            found.append(Finding(name, 1, f"{said} in the first two lines; wanted: {TAG}{' or '.join(valid)}"))
    return found


def long_functions(tree: Tree) -> list[Finding]:
    """Return the C functions that are too long: what stands between braces at the beginning of a line."""
    found = []
    for path in tree.files("*.c", "*.h"):
        first, lines = 0, path.read_text().splitlines()
        for number, line in enumerate(lines, 1):
            if line.startswith("{"):
                first = number
            elif line.startswith("}") and first:
                if (length := number - first - 1) > FUNCTION:
                    found.append(tree.finding(path, first - 1, f"a function of {length} lines; at most {FUNCTION}"))
                first = 0
    return found


def sizes(tree: Tree) -> list[Finding]:
    """Return the files and functions that are too long."""
    found = long_functions(tree)
    for folder, ends, limit in SIZES:
        for path in tree.files(*(f"*{end}" for end in ends), under=(folder,)):
            lines = len(path.read_text().splitlines())
            if lines > (most := max(limit, LONGER.get(path.name, 0))):
                found.append(tree.finding(path, 0, f"{lines} lines; at most {most}: split it by subject"))
    return found
