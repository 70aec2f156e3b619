# SPDX-License-Identifier: BSD-2-Clause
"""Tests of kernel/abi/generate.py: layout rules, rejected sources, and output that a compiler accepts."""

from __future__ import annotations

import copy
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from itertools import groupby
from pathlib import Path
from typing import Any

import abi_model
import generate
import pytest
import yaml
from abi_types import AbiError

from orchestration.base.arch import ARCHES as ARCHITECTURES
from orchestration.build import linux, quoll

# abi_invoke.h calls it; libl4 has it.
INVOKE = """#include <stddef.h>
unsigned long l4_invoke(unsigned long, unsigned long, unsigned long, unsigned long, unsigned long, unsigned long,
                        unsigned long, unsigned long, unsigned long *);
"""
ABI_DIR = Path(__file__).resolve().parents[2] / "kernel" / "abi"
SOURCE = yaml.safe_load((ABI_DIR / "abi.yaml").read_text())
ARCHES = sorted(SOURCE["arch"])


def struct(fields: list[list[Any]], size: int = 64) -> Any:
    """Lay out a structure of the given fields, knowing one inner structure of 24 bytes."""
    raw = {"name": "inner", "part": "core", "size": 24, "doc": "", "fields": [["a", "u64", ""]]}
    inner = abi_model.build_struct(raw, {})
    return abi_model.build_struct({"name": "s", "part": "core", "size": size, "doc": "", "fields": fields},
                                  {"inner": inner})


def run(folder: Path, *args: str) -> subprocess.CompletedProcess[str]:
    """Run the copy of the generator in folder on the abi.yaml beside it."""
    return subprocess.run([sys.executable, str(folder / "generate.py"), *args], capture_output=True, text=True,
                          check=False, timeout=60)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with its own generator, for sources of a test's own."""
    for path in ABI_DIR.glob("*.py"):
        shutil.copy(path, tmp_path)
    shutil.copytree(ABI_DIR / "templates", tmp_path / "templates")
    return tmp_path


def write(folder: Path, change: dict[str, Any]) -> None:
    """Write the real source with some top-level keys replaced."""
    (folder / "abi.yaml").write_text(yaml.safe_dump(copy.deepcopy(SOURCE) | change, sort_keys=False))


def test_offsets_follow_natural_alignment() -> None:
    """Fields lie one after the other and arrays take count times their unit."""
    s = struct([["a", "u32", ""], ["b", "u16", 2, ""], ["c", "u64", ""], ["d", "inner", 2, ""]])
    assert [(f.name, f.offset, f.size) for f in s.fields] == [("a", 0, 4), ("b", 4, 4), ("c", 8, 8), ("d", 16, 48)]


def test_rest_becomes_a_pad() -> None:
    """The unused rest of a structure is one pad at its end."""
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
    with pytest.raises(AbiError, match=text):
        struct(fields)


@pytest.mark.parametrize("arch", ARCHES)
def test_names_are_names(arch: str) -> None:
    """YAML reads NULL, NO and ON as values; every name must survive as an identifier."""
    abi = abi_model.load(arch)
    names = [number.name for number in abi.numbers()]
    assert all(name.isidentifier() and name == name.upper() for name in names)
    assert all(f.name.isidentifier() for s in abi.structs for f in s.fields)


@pytest.mark.parametrize("arch", ARCHES)
def test_structures_have_their_size(arch: str) -> None:
    """No overlap, no gap: the fields of every structure add up to its size."""
    for s in abi_model.load(arch).structs:
        end = 0
        for f in s.fields:
            assert f.offset == end, f"{s.name}.{f.name}"
            end = f.offset + f.size
        assert end == s.size


@pytest.mark.parametrize("arch", ARCHES)
def test_operations_are_dense(arch: str) -> None:
    """Kernel decoders are switches over 0..n-1; every listed error and type exists."""
    abi = abi_model.load(arch)
    errors = {number.name for enum in abi.enums if enum.prefix == "ERR" for number in enum.values}
    for kind, operations in groupby(abi.operations, key=lambda operation: operation.kind):
        assert abi.type_number(kind)
        for expected, operation in enumerate(operations):
            assert operation.number == expected
            assert set(operation.errors) <= errors
            assert len(operation.arguments) <= 6
            assert len(operation.results) <= 6


def test_enums_are_dense() -> None:
    """Enumerations start at 0, message labels at 1, and have no holes; two may share a prefix and its numbers."""
    found: dict[str, list[int]] = {}
    for enum in SOURCE["enums"]:
        values = [value for _, value, _ in enum["values"]]
        assert values == sorted(values), enum["name"]
        found.setdefault(enum["prefix"], []).extend(values)
    for prefix, values in found.items():
        first = 1 if prefix in {"FAULT", "ROOT"} else 0
        assert sorted(values) == list(range(first, first + len(values))), prefix


@pytest.mark.parametrize("arch", ARCHES)
def test_headers_compile_for_c_and_assembler(arch: str, tmp_path: Path) -> None:
    """The headers' own static assertions hold, and an assembler can use those of the parts."""
    compiler = shutil.which("gcc")
    if not compiler:
        pytest.skip("gcc is not installed")
    assert run(ABI_DIR, "--arch", arch, "--headers", str(tmp_path)).returncode == 0
    parts = {part.header for part in abi_model.load(arch).parts}
    names = sorted(path.name for path in tmp_path.iterdir())
    assert parts < set(names)
    for name in names:
        # Each stands alone and may come twice; those with inline assembler are for a compiler of their architecture.
        (tmp_path / "t.c").write_text(f"{INVOKE}#include <{name}>\n#include <{name}>\n")
        check = ["-fsyntax-only"] if name != "abi_call.h" else ["-E", "-o", "/dev/null"]
        subprocess.run([compiler, "-std=gnu11", "-Wall", "-Wextra", "-Werror", "-I.", *check, "t.c"], cwd=tmp_path,
                       check=True)
    text = "".join(f"#include <{name}>\n" for name in sorted(parts))
    (tmp_path / "t.S").write_text(f"{text}.quad L4_IMAGE_MAGIC, L4_VCPU_PAGE_OFF_kernel_frame, L4_SERVERS_HASH\n")
    subprocess.run([compiler, "-I.", "-c", "t.S", "-o", "t.o"], cwd=tmp_path, check=True)


@pytest.mark.parametrize("arch", ARCHES)
def test_python_agrees_with_header(arch: str) -> None:
    """Both forms carry the same numbers; Python has those that every architecture has."""
    abi = abi_model.load(arch)
    python = quoll.abi(ARCHITECTURES[arch])
    defines = dict(line.split()[1:3] for text in generate.headers(abi).values() for line in text.splitlines()
                   if line.startswith("#define L4_") and len(line.split()) > 2 and "(x)" not in line)
    numbers = {number.name: number.value for number in abi.numbers()}
    others = [{number.name for number in other.numbers()} for other in abi_model.load_all()]
    for name, value in {**numbers, "ABI_HASH": abi.hash, "SERVERS_HASH": abi.servers_hash}.items():
        common = name not in numbers or all(name in names for names in others)
        assert getattr(python, name, None) == (value if common else None)
        assert int(defines["L4_" + name].removeprefix("L4_U(").removesuffix(")"), 0) == value
    assert python.STRUCTS["utcb"].fields["mr"] == (0, 512)
    assert python.STRUCTS["frame"].size == len(python.STRUCTS["frame"].fields) * 8


def test_mypy_checks_names_of_constants(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("from quoll_abi import ABI\n\nTOP: int = ABI['x86_64'].USER_TOP\n"
                                   "SIZE: str = ABI['x86_64'].PAGE_SIZE\nWRONG = ABI['x86_64'].PAGE_SIZZ\n")
    done = subprocess.run([sys.executable, "-m", "mypy", "--strict", "--cache-dir", "cache", "a.py"], cwd=tmp_path,
                          env={**os.environ, "MYPYPATH": str(quoll.abi_folder())}, capture_output=True, text=True,
                          check=False, timeout=120)
    assert [line.split(": ")[0] for line in done.stdout.splitlines()[:-1]] == ["a.py:4", "a.py:5"], done.stdout


def test_who_may_not_write_into_the_checkout_has_the_module_in_the_cache(monkeypatch: pytest.MonkeyPatch,
                                                                         tmp_path: Path) -> None:
    usual = (quoll.abi_folder() / "quoll_abi.py").read_text()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    module = quoll.abi_folder() / "quoll_abi.py"
    assert module.is_relative_to(tmp_path)
    assert module.read_text() == usual
    made = module.stat()
    assert made.st_mode & 0o777 == 0o644
    assert quoll.abi_folder() == module.parent
    assert module.stat().st_ino == made.st_ino
    assert list(module.parent.iterdir()) == [module]


@pytest.mark.parametrize("arch", ARCHES)
def test_page_names_everything(arch: str) -> None:
    """The reference mentions every number, structure and register, and arguments with their units."""
    abi = abi_model.load(arch)
    text = generate.page(abi)
    assert all(f"`L4_{number.name}`" in text for number in abi.numbers())
    assert all(register in text for register in abi.registers.inputs + abi.registers.outputs)
    assert "sched_cap (slot), budget_us (us), period_us (us)" in text
    assert all(f"struct l4_{s.name}" in text for s in abi.structs)


def test_hash_depends_on_source_and_is_stable(folder: Path) -> None:
    """Two equal sources have one hash; a changed value has another; it fits a signed 64-bit word."""
    write(folder, {})
    first = abi_model.load(ARCHES[0], folder / "abi.yaml").hash
    assert first == abi_model.load(ARCHES[0]).hash
    assert 0 <= first < 1 << 63
    write(folder, {"version": 2})
    assert abi_model.load(ARCHES[0], folder / "abi.yaml").hash != first


def changed(folder: Path, change: Callable[[dict[str, Any]], None], arch: str = ARCHES[0]) -> tuple[bool, bool]:
    """Say whether a change of the source changes ABI_HASH, and SERVERS_HASH."""
    source = copy.deepcopy(SOURCE)
    change(source)
    (folder / "abi.yaml").write_text(yaml.safe_dump(source, sort_keys=False))
    new, old = abi_model.load(arch, folder / "abi.yaml"), abi_model.load(arch)
    return new.hash != old.hash, new.servers_hash != old.servers_hash


def swap_arguments(source: dict[str, Any]) -> None:
    arguments = source["invocations"]["CONTROL"][0][2]
    assert arguments[1:3] == ["budget_us", "period_us"]
    arguments[1:3] = reversed(arguments[1:3])


def swap_results(source: dict[str, Any]) -> None:
    source["invocations"]["FRAME"][1][3].reverse()


def change_unit(source: dict[str, Any]) -> None:
    next(word for word in source["words"] if word[0] == "budget_us")[1] = "ms"


def swap_registers(source: dict[str, Any]) -> None:
    words = source["arch"][ARCHES[0]]["registers"]["words"]
    words[0], words[1] = words[1], words[0]


def change_error(source: dict[str, Any]) -> None:
    next(enum for enum in source["enums"] if enum["prefix"] == "ERR")["values"][2][1] = 99


def change_guest_field(source: dict[str, Any]) -> None:
    source["vcpu_page"]["fields"][0][0] = "irq_disabled"


@pytest.mark.parametrize("change", [swap_arguments, swap_results, change_unit, swap_registers, change_error,
                                    change_guest_field])
def test_hash_covers_the_interface_of_the_kernel(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    assert changed(folder, change) == (True, True)


def change_docs(source: dict[str, Any]) -> None:
    source["constants"][0]["doc"] = "other text"
    source["invocations"]["CONTROL"][0][5] = "other text"


def test_hash_does_not_cover_the_text(folder: Path) -> None:
    assert changed(folder, change_docs) == (False, False)


def change_server_info(source: dict[str, Any]) -> None:
    next(struct for struct in source["structs"] if struct["name"] == "server_info")["fields"][1][0] = "ticks_hz"


def test_protocols_of_servers_are_none_of_linux_business(folder: Path) -> None:
    """A change of server_info changes SERVERS_HASH, and no header that Linux includes."""
    assert changed(folder, change_server_info) == (False, True)
    old, new = (generate.headers(abi_model.load(ARCHES[0], path / "abi.yaml")) for path in (ABI_DIR, folder))
    assert {name for name in old if old[name] != new[name]} == {"abi_servers.h"}
    assert "abi_servers.h" not in linux.ABI_HEADERS


def test_a_register_outside_the_frame_is_rejected(folder: Path) -> None:
    source = copy.deepcopy(SOURCE)
    source["arch"][ARCHES[0]]["registers"]["reply"] = "r99"
    (folder / "abi.yaml").write_text(yaml.safe_dump(source, sort_keys=False))
    with pytest.raises(AbiError, match="register r99 is not in the frame"):
        abi_model.load(ARCHES[0], folder / "abi.yaml")


@pytest.mark.parametrize("arch", ARCHES)
def test_headers_are_written_only_when_they_change(arch: str, tmp_path: Path) -> None:
    abi = abi_model.load(arch)
    generate.write_headers(abi, tmp_path)
    (tmp_path / "abi.h").write_text("old")
    before = {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    generate.write_headers(abi, tmp_path)
    after = {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    assert {name for name in after if after[name] != before[name]} == {"abi.h"}


def test_unknown_arch_exits_with_2() -> None:
    """The message lists the names that are known."""
    result = run(ABI_DIR, "--arch", "pdp11", "--page")
    assert result.returncode == 2
    assert ARCHES[0] in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_a_form_must_be_chosen() -> None:
    """Exactly one form must be asked for."""
    assert run(ABI_DIR, "--arch", ARCHES[0]).returncode == 2
    assert run(ABI_DIR, "--page").returncode == 2
    assert run(ABI_DIR, "--arch", ARCHES[0], "--python", "--page").returncode == 2


@pytest.mark.parametrize("change", [
    {"constants": [{"group": "g", "part": "core", "doc": "", "values": [["X", 1, ""], ["X", 2, ""]]}]},
    {"constants": [{"group": "g", "part": "core", "doc": "", "values": [["X", "one", ""]]}]},
    {"constants": [{"group": "g", "part": "core", "doc": "", "values": [["X"]]}]},
    {"structs": [{"name": "s", "part": "core", "size": 8, "doc": "", "fields": [["a", "u32", ""], ["b", "u64", ""]]}]},
    {"structs": [{"name": "s", "part": "core", "size": 8, "doc": "", "fields": [["a"]]}]},
    {"structs": [{"name": "s", "part": "core", "size": 8, "doc": "", "fields": [["a", "float", ""]]}]},
    {"structs": None},
    {"arch": {}},
    {"enums": 3},
])
def test_malformed_source_exits_with_2(folder: Path, change: dict[str, Any]) -> None:
    """One line on standard error, nothing on standard output, no traceback."""
    write(folder, change)
    result = run(folder, "--arch", ARCHES[0], "--python")
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
    write(folder, {"constants": [{"group": "g", "part": "core", "doc": "", "values": [["X", 1, ""], ["X", 1, ""]]}]})
    assert run(folder, "--arch", ARCHES[0], "--python").returncode == 0
