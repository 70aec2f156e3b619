# SPDX-License-Identifier: BSD-2-Clause
"""Every linter finds what is planted for it, and a linter that dies is a failure."""

from __future__ import annotations

import platform
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestration.base.arch import ARCHES
from orchestration.base.errors import BuildError, MissingError
from orchestration.cli.main import main
from orchestration.lint import architectures, circles, core, documents, programs, rules, warnings
from orchestration.lint.core import Finding, Linter, Tree, ask
from orchestration.lint.linters import LINTERS, lint

BSD = "SPDX-License-Identifier: BSD-2-Clause"
GPL = "SPDX-License-Identifier: GPL-2.0-only"
Plant = Callable[[str, str], Path]


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    for folder in ("docs", "kernel/abi", "servers", "tests", "rootfs", "orchestration"):
        (tmp_path / folder).mkdir(parents=True)
    return Tree(tmp_path)


@pytest.fixture
def plant(tree: Tree) -> Plant:
    """Write a file of the tree."""

    def write(name: str, text: str) -> Path:
        path = tree.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    return write


def test_a_linter_that_dies_is_a_finding(tree: Tree) -> None:
    assert not ask(tree, ["true"])
    assert [str(one) for one in ask(tree, ["sh", "-c", "kill -KILL $$"])] == ["sh failed with status -9"]
    assert [str(one) for one in ask(tree, ["sh", "-c", "echo why; exit 3"])] == ["sh failed with status 3\n  why"]


def test_a_linter_that_dies_after_a_finding_is_one_more(tree: Tree, plant: Plant) -> None:
    plant("a.c", "")
    found = ask(tree, ["sh", "-c", "echo a.c:3:1: wrong; kill -KILL $$"])
    assert found[0] == Finding("a.c", 3, "wrong")
    assert found[1].text.startswith("sh failed with status -9")


def test_a_linter_that_hangs_is_a_finding(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(core, "LIMIT", 0.1)
    assert [one.text for one in ask(tree, ["sleep", "60"])] == ["sleep did not end in 0.1 s"]


def test_findings_are_lines_that_name_a_file_of_the_tree(tree: Tree, plant: Plant) -> None:
    plant("a.c", "")
    told = "a.c:3: one\\nb.c:4: of no file\\n" + f"{tree.root}/a.c:5:6: two\\nFound 2 errors."
    assert [str(one) for one in ask(tree, ["sh", "-c", f"printf '{told}'; exit 1"])] == ["a.c:3: one", "a.c:5: two"]


def test_clang_format(tree: Tree, plant: Plant, root: Path) -> None:
    shutil.copy(root / ".clang-format", tree.root)
    path = plant("kernel/a.c", "int  a;\n")
    assert [(one.path, one.line) for one in programs.clang_format(tree)] == [("kernel/a.c", 1)]
    programs.format_c(tree)
    assert path.read_text() == "int a;\n"
    assert not programs.clang_format(tree)


def test_ruff(tree: Tree, plant: Plant, root: Path) -> None:
    shutil.copy(root / "pyproject.toml", tree.root)
    plant("orchestrate", f'# {BSD}\n"""B."""\n')
    path = plant("orchestration/a.py", f'# {BSD}\n"""A."""\n\nimport os\n')
    assert [str(one) for one in programs.ruff(tree)] == ["orchestration/a.py:4: F401 [*] `os` imported but unused"]
    programs.mend_python(tree)
    assert "import os" not in path.read_text()


def test_mypy(tree: Tree, plant: Plant, root: Path) -> None:
    shutil.copy(root / "pyproject.toml", tree.root)
    plant("kernel/abi/b.py", "")
    plant("docs/c.py", "")
    plant("tests/e.py", "")
    plant("quoll/d.py", "")
    plant("orchestration/a.py", 'a: int = "text"\n')
    found = programs.mypy(tree)
    assert [(one.path, one.line) for one in found] == [("orchestration/a.py", 1)]
    assert "Incompatible types" in found[0].text


def test_imports(tree: Tree, plant: Plant, root: Path) -> None:
    for name in ("", "cli/", "machine/", "base/"):
        plant(f"orchestration/{name}__init__.py", "")
    plant("quoll/__init__.py", "")
    # The rooms' layers are a list of several lines.
    plant("pyproject.toml", re.sub(r"layers = \[\n.*?\]", 'layers = ["cli", "machine", "base"]',
                                   (root / "pyproject.toml").read_text(), flags=re.DOTALL))
    plant("orchestration/machine/qemu.py", "from orchestration.base import arch")
    plant("orchestration/base/arch.py", "")
    assert not programs.imports(tree)
    plant("orchestration/base/arch.py", "def late():\n    from orchestration.machine import qemu")
    found = programs.imports(tree)
    assert "orchestration.base is not allowed to import orchestration.machine" in found[0].text
    plant("orchestration/base/arch.py", "from orchestration.base import tools")
    plant("orchestration/base/tools.py", "from orchestration.base import arch")
    found = programs.imports(tree)
    assert "No cycles are allowed in orchestration.base" in found[0].text


def test_shellcheck(tree: Tree, plant: Plant) -> None:
    assert not programs.shellcheck(tree)
    plant("rootfs/script", "#!/bin/sh\necho $1\n")
    assert [(one.path, one.line, "SC2086" in one.text) for one in programs.shellcheck(tree)] == [
        ("rootfs/script", 2, True)]


def test_codespell(tree: Tree, plant: Plant) -> None:
    word = "reciev" + "e"
    plant("kernel/a.c", f"/* the hart that\n * {word}s it */\n")
    plant("tests/recorded.log", word)
    assert [(one.path, one.line) for one in programs.codespell(tree)] == [("kernel/a.c", 2)]


def test_warnings(tree: Tree, plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(warnings, "bare", lambda arch, cache: None)
    arch = ARCHES[platform.machine()]
    other = next(name for name in ARCHES if name != arch.name)
    plant("tests/system/guest/good.c", "int main(void) { return 0; }\n")
    plant(f"tests/system/guest/arch/{other}/bad.c", "int main(void) { return }\n")
    assert not warnings.compiled(tree, arch)
    plant("rootfs/workloads/a/bad.c", "int main(int count, char **words)\n{\n\treturn count;\n}\n")
    found = warnings.compiled(tree, arch)
    assert [(one.path, one.line) for one in found] == [("rootfs/workloads/a/bad.c", 1)]
    assert "unused parameter" in found[0].text


def test_warnings_of_a_build(tree: Tree, plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    def build(arch: object, cache: object) -> None:
        raise BuildError("the build failed", "see the log", ("../../any/kernel/a.c:7:2: error: unused variable",))

    monkeypatch.setattr(warnings, "bare", build)
    arch = ARCHES[platform.machine()]
    plant("tests/faults/good.c", "int main(void) { return 0; }\n")
    assert [str(one) for one in warnings.compiled(tree, arch)] == [
        "the build failed\n  see the log\n  ../../any/kernel/a.c:7:2: error: unused variable"]
    plant("kernel/a.c", "")
    assert [str(one) for one in warnings.compiled(tree, arch)] == ["kernel/a.c:7: error: unused variable"]


@pytest.mark.parametrize(("name", "text", "wrong"), [
    ("kernel/a.c", f"// {GPL}\n", False),
    ("kernel/a.c", f"// {BSD}\n", True),
    ("kernel/abi/a.py", f"# {BSD}\n", False),
    ("servers/libl4/a.S", f"/* {BSD} */\n", False),
    ("servers/libl4/a.S", f"/* {GPL} */\n", True),
    ("servers/lib/base/a.c", f"// {GPL}\n", True),
    ("servers/lib/class/serial.h", f"/* {GPL} */\n", False),
    ("servers/fronts/net/a.c", f"// {BSD}\n", True),
    ("servers/new/a.c", f"// {BSD}\n", True),
    ("orchestration/a.py", f"# {GPL}\n", True),
    ("orchestration/a.py", f"\n\n# {BSD}\n", True),
    ("rootfs/a.sh", f"#!/bin/sh\n# {BSD}\n", False),
    ("rootfs/a.sh", "", True),
])
def test_licences(tree: Tree, plant: Plant, name: str, text: str, wrong: bool) -> None:
    plant(name, text)
    assert [one.path for one in rules.licences(tree)] == [name] * wrong


def test_sizes(tree: Tree, plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rules, "LONGER", {"long.py": 310})
    for name, lines in (("kernel/a.c", 600), ("kernel/b.c", 601), ("orchestration/long.py", 310),
                        ("orchestration/short.py", 300), ("orchestration/c.py", 301)):
        plant(name, "\n" * lines)
    assert [str(one) for one in rules.sizes(tree)] == [
        "kernel/b.c: 601 lines; at most 600: split it by subject",
        "orchestration/c.py: 301 lines; at most 300: split it by subject"]


def test_sizes_of_functions(tree: Tree, plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rules, "LONGER", {})
    plant("kernel/a.c", "int a(void)\n{\n" + "\ta();\n" * 75 + "}\n\nint b(void)\n{\n" + "\tb();\n" * 76 + "}\n")
    assert [str(one) for one in rules.sizes(tree)] == ["kernel/a.c:80: a function of 76 lines; at most 75"]


def test_documents(tree: Tree, plant: Plant) -> None:
    plant("kernel/object.c", "")
    plant("tests/page.md", "# One `two`\n\n## Three: four\n\n## Three: four\n")
    plant("docs/page.md", "\n".join([
        "# Title", "",
        "[good](../tests/page.md#one-two) [good](../tests/page.md#three-four-1) [good](#title) [good](http://x/y)", "",
        "Text", "and [bad](../tests/none.md).", "", "[bad](../tests/page.md#three-four-2)", "",
        '<img src="none.svg">', "",
        "`kernel/object.c` `object.c` `kernel/*.c` `kernel/{object,gone}.c` `./tests` `a/b` `/dev/kvm` `x.raw`", "",
        "- `kernel/none.c`", "- `python3 gone.py -x`", "- `tests/none`", "", "x" * 121, "", "    `gone.c` listed",
        "## " + "x" * 121, "| " + "x" * 121 + " |", "", "    # " + "x" * 121]))
    assert [str(one) for one in documents.check(tree)] == [
        "docs/page.md:6: the link leads nowhere: ../tests/none.md",
        "docs/page.md:8: no heading has this anchor: ../tests/page.md#three-four-2",
        "docs/page.md:10: the link leads nowhere: none.svg",
        "docs/page.md:12: no such file or folder: kernel/{object,gone}.c",
        "docs/page.md:14: no such file or folder: kernel/none.c",
        "docs/page.md:15: no such file or folder: gone.py",
        "docs/page.md:16: no such file or folder: tests/none",
        "docs/page.md:18: 121 columns; at most 120", "docs/page.md:24: 127 columns; at most 120"]


def test_drawings(tree: Tree, plant: Plant) -> None:
    path = plant("docs/a.svg", "old\n")
    assert [one.text for one in documents.drawings(tree)] == ["has no source a.py beside it"]
    plant("docs/a.py", "print('new')\n")
    assert [one.path for one in documents.drawings(tree)] == ["docs/a.svg"]
    documents.draw(tree)
    assert path.read_text() == "new\n"
    assert not documents.drawings(tree)


@pytest.fixture
def ports(tree: Tree, plant: Plant, monkeypatch: pytest.MonkeyPatch) -> Tree:
    """Plant all that each architecture needs."""
    monkeypatch.setattr(architectures, "KERNEL_NAMES", 2)
    monkeypatch.setattr(architectures, "PORT_FILES", 1)
    plant("l4linux-patches/patches/1.patch", "+++ b/arch/l4/kernel/a.c\n+int a;\n")
    plant("kernel/src/a.c", "int a(void)\n{\n\treturn arch_one() + ARCH_TWO; /* arch_three */\n}\n")
    for name in ARCHES:
        plant(f"l4linux-patches/configs/{name}.config", "")
        plant(f"orchestration/build/cross/{name}.ini", "")
        plant(f"kernel/arch/{name}/a.c", "int arch_one(void)\n{\n\treturn 1;\n}\n")
        plant(f"kernel/arch/{name}/include/arch/a.h", "#define ARCH_TWO 2\nint arch_one(void);\n")
        plant(f"servers/libl4/arch/{name}/l4/arch.h", f"static inline int here(void) {{ return {name}_own; }}\n")
    return tree


def test_architectures_agree(ports: Tree) -> None:
    assert not architectures.check(ports)


@pytest.mark.parametrize(("name", "text", "finding"), [
    ("kernel/arch/x86_64/include/arch/a.h", "int arch_one(void);\n",
     "kernel/arch/x86_64: lacks the name ARCH_TWO, which another architecture has"),
    ("servers/libl4/arch/riscv64/l4/arch.h", "", "servers/libl4/arch/riscv64: lacks the name here, which another "
                                                 "architecture has"),
    ("servers/a.c", "\n#if defined(__x86_64__)\n#endif\n",
     "servers/a.c:2: tests for an architecture: #if defined(__x86_64"),
    ("l4linux-patches/patches/2.patch", "+++ b/arch/l4/mm/b.c\n+#ifdef CONFIG_RISCV\n",
     "arch/l4/mm/b.c:1: tests for an architecture: #ifdef CONFIG_RISCV"),
    ("kernel/arch/aarch64/big.S", "\n" * 3000, "kernel/arch/aarch64: 3006 lines; at most 3000"),
])
def test_an_architecture_differs(ports: Tree, plant: Plant, name: str, text: str, finding: str) -> None:
    plant(name, text)
    assert finding in [str(one) for one in architectures.check(ports)]


def test_an_architecture_lacks_files(ports: Tree) -> None:
    shutil.rmtree(ports.root / "kernel/arch/riscv64/include")
    (ports.root / "orchestration/build/cross/aarch64.ini").unlink()
    found = [str(one) for one in architectures.check(ports)]
    assert "kernel/arch/riscv64: lacks the file include/arch/a.h, which another architecture has" in found
    assert "orchestration/build/cross/aarch64.ini: is missing: the orchestration boots aarch64" in found


def test_circles(tree: Tree, plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(circles, "KNOWN", ())
    plant("kernel/src/a/one.c", "int one(void)\n{\n\treturn two();\n}\n")
    plant("kernel/src/b/two.c", "int two(void)\n{\n\treturn three();\n}\n")
    plant("kernel/src/b/three.c", "/* one() is no use of it */\nint three(void)\n{\n\treturn 3;\n}\n")
    assert not circles.check(tree)
    plant("kernel/src/b/three.c", "int three(void)\n{\n\treturn one();\n}\n")
    assert [str(one) for one in circles.check(tree)] == [
        "kernel/src/a/one.c: 3 need each other (kernel/src/a/one.c, kernel/src/b/three.c, kernel/src/b/two.c), such as "
        "kernel/src/a/one.c -> kernel/src/b/two.c -> kernel/src/b/three.c -> kernel/src/a/one.c"]
    monkeypatch.setattr(circles, "KNOWN", ((("kernel/src/a/*", "kernel/src/b/*"), "a reason"),))
    assert not circles.check(tree)


def test_a_dispatcher_closes_no_circle(tree: Tree, plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    plant("kernel/src/object/types.c", "int object_end(void)\n{\n\treturn thread_end();\n}\n")
    plant("kernel/src/object/thread.c", "int thread_end(void)\n{\n\treturn object_end();\n}\n")
    assert not circles.check(tree)
    monkeypatch.setattr(circles, "DISPATCH", ())
    assert [one.path for one in circles.check(tree)] == ["kernel/src/object/thread.c"]


def test_mending_comes_first(tree: Tree, plant: Plant) -> None:
    path = plant("a", "")

    def mend(_: Tree) -> None:
        path.write_text("mended")

    one = Linter("one", "", lambda _: [Finding("", 0, path.read_text())], mend)
    assert lint(tree, [one]) == [[Finding("", 0, "")]]
    assert lint(tree, [one], fix=True) == [[Finding("", 0, "mended")]]


def test_a_linter_that_cannot_run_does_not_hide_what_others_find(monkeypatch: pytest.MonkeyPatch,
                                                                 capsys: pytest.CaptureFixture[str]) -> None:
    def missing(_: Tree) -> list[Finding]:
        raise MissingError("the program cc is missing", "run: ./orchestrate doctor --install")

    monkeypatch.setitem(LINTERS, "sizes", Linter("sizes", "", missing))
    monkeypatch.setitem(LINTERS, "licences", Linter("licences", "", lambda _: [Finding("a.c", 1, "no licence")]))
    assert main(["lint", "sizes", "licences"]) == MissingError.exit_code
    said = capsys.readouterr()
    assert said.out == "a.c:1: no licence [licences]\n"
    assert "orchestrate: the program cc is missing\n" in said.err


def lint_command(root: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([root / "orchestrate", "lint", *words], capture_output=True, text=True, check=False,
                          timeout=120)


def test_the_command(root: Path) -> None:
    listed = lint_command(root, "--list")
    assert (listed.returncode, [line.split()[0] for line in listed.stdout.splitlines()]) == (0, list(LINTERS))
    done = lint_command(root, "licences", "sizes")
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr.startswith("lint: 2 linters, no findings, ")
    wrong = lint_command(root, "none")
    assert wrong.returncode == 2
    assert f"unknown linter 'none'; valid: {', '.join(LINTERS)}" in wrong.stderr
