# SPDX-License-Identifier: BSD-2-Clause
"""Tests of kernel/abi/generate.py: layout rules, rejected sources, and output that a compiler accepts."""

from __future__ import annotations

import copy
import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

ABI_DIR = Path(__file__).resolve().parents[2] / "kernel" / "abi"
SOURCE = yaml.safe_load((ABI_DIR / "abi.yaml").read_text())
ARCHES = sorted(SOURCE["arch"])


def load_generator() -> ModuleType:
    """Import generate.py, which is a script and no package."""
    spec = importlib.util.spec_from_file_location("abi_generate", ABI_DIR / "generate.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules["abi_generate"] = module
    spec.loader.exec_module(module)
    return module


generate = load_generator()


def struct(fields: list[list[Any]], size: int = 64) -> Any:
    """Lay out a structure of the given fields, knowing one inner structure of 24 bytes."""
    inner = generate.build_struct({"name": "inner", "size": 24, "doc": "", "fields": [["a", "u64", ""]]}, {})
    return generate.build_struct({"name": "s", "size": size, "doc": "", "fields": fields}, {"inner": inner})


def run(folder: Path, *args: str) -> subprocess.CompletedProcess[str]:
    """Run the copy of the generator in folder on the abi.yaml beside it."""
    return subprocess.run([sys.executable, str(folder / "generate.py"), *args], capture_output=True, text=True,
                          check=False, timeout=60)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with its own generator, for sources of a test's own."""
    shutil.copy(ABI_DIR / "generate.py", tmp_path)
    return tmp_path


def write(folder: Path, change: dict[str, Any]) -> None:
    """Write the real source with some top-level keys replaced."""
    (folder / "abi.yaml").write_text(yaml.safe_dump(copy.deepcopy(SOURCE) | change, sort_keys=False))


def test_offsets_follow_natural_alignment() -> None:
    """Fields lie one after the other and arrays take count times their unit."""
    s = struct([["a", "u32", ""], ["b", "u16", 2, ""], ["c", "u64", ""], ["d", "inner", 2, ""]])
    assert [(f.name, f.offset, f.size) for f in s.fields] == [("a", 0, 4), ("b", 4, 4), ("c", 8, 8), ("d", 16, 48)]


def test_rest_becomes_a_pad() -> None:
    """What a structure does not use is one trailing pad."""
    pad = struct([["a", "u64", ""]], 32).fields[-1]
    assert (pad.name, pad.offset, pad.size) == ("pad", 8, 24)


@pytest.mark.parametrize(("fields", "text"), [
    ([["a", "u32", ""], ["b", "u64", ""]], "offset 4 is not aligned to 8"),
    ([["a", "u8", ""], ["b", "u16", ""]], "offset 1 is not aligned to 2"),
    ([["a", "u32", ""], ["b", "inner", ""]], "offset 4 is not aligned to 8"),
    ([["a", "u128", ""]], "unknown type u128"),
    ([["a", "u64", 9, ""]], "fields need 72 bytes, size is 64"),
])
def test_bad_layout_is_rejected(fields: list[list[Any]], text: str) -> None:
    """A layout that a compiler would pad, or that does not fit, is an error that names the field."""
    with pytest.raises(generate.AbiError, match=text):
        struct(fields)


@pytest.mark.parametrize("arch", ARCHES)
def test_names_are_names(arch: str) -> None:
    """YAML reads NULL, NO and ON as values; every name must survive as an identifier."""
    abi = generate.load(arch)
    names = [name for name, _, _ in abi.scalars()]
    assert all(name.isidentifier() and name == name.upper() for name in names)
    assert all(f.name.isidentifier() for s in abi.structs for f in s.fields)


@pytest.mark.parametrize("arch", ARCHES)
def test_structures_have_their_size(arch: str) -> None:
    """No overlap, no gap: the fields of every structure add up to its size."""
    for s in generate.load(arch).structs:
        end = 0
        for f in s.fields:
            assert f.offset == end, f"{s.name}.{f.name}"
            end = f.offset + f.size
        assert end == s.size


@pytest.mark.parametrize("arch", ARCHES)
def test_operations_are_dense(arch: str) -> None:
    """Kernel decoders are switches over 0..n-1; every listed error and type exists."""
    abi = generate.load(arch)
    errors = {name for name, _, _ in next(e for e in abi.enums if e["prefix"] == "ERR")["values"]}
    types = {name for name, _, _ in next(e for e in abi.enums if e["prefix"] == "TYPE")["values"]}
    for kind, operations in abi.invocations.items():
        assert kind in types
        assert [op[1] for op in operations] == list(range(len(operations)))
        assert all(set(op[4]) <= errors and len(op[2]) <= 6 and len(op[3]) <= 6 for op in operations)


def test_enums_are_dense() -> None:
    """Enumerations start at 0 and have no holes, except the two families of message labels."""
    for enum in SOURCE["enums"]:
        values = [value for _, value, _ in enum["values"]]
        first = 1 if enum["prefix"] in {"FAULT", "ROOT"} else 0
        assert values == list(range(first, first + len(values))), enum["name"]


@pytest.mark.parametrize("arch", ARCHES)
def test_header_compiles_for_c_and_assembler(arch: str, tmp_path: Path) -> None:
    """The header's own static assertions hold, and an assembler can use it."""
    compiler = shutil.which("gcc")
    if not compiler:
        pytest.skip("gcc is not installed")
    assert run(ABI_DIR, "--arch", arch, "--header", "--output", str(tmp_path / "abi.h")).returncode == 0
    (tmp_path / "t.c").write_text('#include "abi.h"\n#include "abi.h"\nint x = sizeof(struct l4_vcpu_page);\n')
    (tmp_path / "t.S").write_text('#include "abi.h"\n.quad L4_IMAGE_MAGIC, L4_VCPU_PAGE_OFF_kernel_frame\n')
    for name in ("t.c", "t.S"):
        subprocess.run([compiler, "-Wall", "-Werror", "-c", name, "-o", name + ".o"], cwd=tmp_path, check=True)


@pytest.mark.parametrize("arch", ARCHES)
def test_python_agrees_with_header(arch: str) -> None:
    """Both forms carry the same numbers."""
    abi = generate.load(arch)
    scope: dict[str, Any] = {}
    exec(generate.python(abi), scope)  # noqa: S102 - the text under test is a module
    defines = dict(line.split()[1:3] for line in generate.header(abi).splitlines()
                   if line.startswith("#define L4_") and len(line.split()) > 2 and "(x)" not in line)
    for name, value, _ in abi.scalars():
        assert scope[name] == value
        assert int(defines["L4_" + name].removeprefix("L4_U(").removesuffix(")"), 0) == value
    assert scope["STRUCTS"]["utcb"][1]["mr"] == (0, 512)


@pytest.mark.parametrize("arch", ARCHES)
def test_page_names_everything(arch: str) -> None:
    """The reference mentions every number and structure."""
    abi = generate.load(arch)
    text = generate.page(abi)
    assert all(f"`L4_{name}`" in text or f"| {name.split('_', 1)[-1]} |" in text or f"`{name}`" in text
               or f"`L4_{name}" in text for name, _, _ in abi.scalars())
    assert all(f"struct l4_{s.name}" in text for s in abi.structs)


def test_hash_depends_on_source_and_is_stable(folder: Path) -> None:
    """Two equal sources have one hash; a changed value has another; it fits a signed 64-bit word."""
    write(folder, {})
    first = generate.load(ARCHES[0], folder / "abi.yaml").hash
    assert first == generate.load(ARCHES[0]).hash
    assert 0 <= first < 1 << 63
    write(folder, {"version": 2})
    assert generate.load(ARCHES[0], folder / "abi.yaml").hash != first


def test_unknown_arch_exits_with_2() -> None:
    """The text names the known ones."""
    result = run(ABI_DIR, "--arch", "pdp11", "--header")
    assert result.returncode == 2
    assert ARCHES[0] in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_a_form_must_be_chosen() -> None:
    """Neither none nor two."""
    assert run(ABI_DIR, "--arch", ARCHES[0]).returncode == 2
    assert run(ABI_DIR, "--arch", ARCHES[0], "--header", "--page").returncode == 2


@pytest.mark.parametrize("change", [
    {"constants": [{"group": "g", "doc": "", "values": [["X", 1, ""], ["X", 2, ""]]}]},
    {"constants": [{"group": "g", "doc": "", "values": [["X", "one", ""]]}]},
    {"constants": [{"group": "g", "doc": "", "values": [["X"]]}]},
    {"structs": [{"name": "s", "size": 8, "doc": "", "fields": [["a", "u32", ""], ["b", "u64", ""]]}]},
    {"structs": [{"name": "s", "size": 8, "doc": "", "fields": [["a"]]}]},
    {"structs": [{"name": "s", "size": 8, "doc": "", "fields": [["a", "float", ""]]}]},
    {"structs": None},
    {"arch": {}},
    {"enums": 3},
])
def test_malformed_source_exits_with_2(folder: Path, change: dict[str, Any]) -> None:
    """One line on standard error, nothing on standard output, no traceback."""
    write(folder, change)
    result = run(folder, "--arch", ARCHES[0], "--header")
    assert result.returncode == 2, result.stderr
    assert result.stdout == ""
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("text", ["", "[]", "just words", "a: [", "arch: 3"])
def test_text_that_is_no_abi_exits_with_2(folder: Path, text: str) -> None:
    """The same for sources that are not even a mapping."""
    (folder / "abi.yaml").write_text(text)
    result = run(folder, "--arch", ARCHES[0], "--page")
    assert result.returncode == 2, result.stderr
    assert result.stdout == ""
    assert "Traceback" not in result.stderr


def test_equal_values_may_repeat(folder: Path) -> None:
    """A name given twice with one value is no contradiction."""
    write(folder, {"constants": [{"group": "g", "doc": "", "values": [["X", 1, ""], ["X", 1, ""]]}]})
    assert run(folder, "--arch", ARCHES[0], "--header").returncode == 0
