# SPDX-License-Identifier: BSD-2-Clause
"""Offsets of fields from the DWARF that a compiler makes."""

from __future__ import annotations

import subprocess
from pathlib import Path

from orchestration.base.tools import program
from orchestration.inspect import debuginfo

SOURCE = """
enum colour { RED, GREEN = 5 };
struct inner { char a; long b; };
struct outer { int x; struct inner in; union { short u; char v; }; enum colour c; };
struct { int pad; struct outer o; } both;
struct outer single;
int main(void) { return single.x + both.pad + single.c; }
"""


def test_fields_values_and_variables(tmp_path: Path) -> None:
    (tmp_path / "a.c").write_text(SOURCE)
    subprocess.run([program("gcc"), "-g", "-O0", str(tmp_path / "a.c"), "-o", str(tmp_path / "a")], check=True)
    info = debuginfo.read(tmp_path / "a")
    assert info.structs["outer"] == {"x": 0, "in": 8, "in.a": 8, "in.b": 16, "u": 24, "v": 24, "c": 28}
    assert info.enums["colour"] == {0: "RED", 5: "GREEN"}
    assert info.variables["both"]["o.in.b"] == 24
    assert info.variables["single"]["c"] == 28
    assert info.symbols["single"]
    assert info.sizes["single"] == 32


def test_a_program_without_dwarf_has_symbols_only(tmp_path: Path) -> None:
    (tmp_path / "a.c").write_text(SOURCE)
    subprocess.run([program("gcc"), str(tmp_path / "a.c"), "-o", str(tmp_path / "a")], check=True)
    info = debuginfo.read(tmp_path / "a")
    assert not info.structs
    assert info.symbols["main"]
