# SPDX-License-Identifier: BSD-2-Clause
"""Names of addresses: which symbols of an ELF file count."""

from __future__ import annotations

import subprocess
from pathlib import Path

from orchestration.inspect.symbols import Symbols, functions

SOURCE = """
__asm__(".pushsection .debug_other,\\"\\",@progbits\\n.quad 0\\nno_address: .quad 0\\n.popsection\\n"
	"absolute = 0x1234\\n"
	".pushsection .text\\nlabel: nop\\n.popsection");
int data;
int main(void) { return data; }
"""


def test_functions_and_labels_have_addresses_and_other_symbols_none(tmp_path: Path) -> None:
    (tmp_path / "one.c").write_text(SOURCE)
    subprocess.run(["gcc", "-static", "-nostdlib", "-Wl,-emain", "-o", "one", "one.c"], cwd=tmp_path, check=True)
    found = {name: address for address, _, name in functions(tmp_path / "one")}
    assert {"main", "label"} <= set(found)
    assert not {"no_address", "absolute", "data"} & set(found)
    symbols = Symbols(tmp_path / "one")
    assert symbols.name(found["main"] + 1) == "main+0x1"
    assert not symbols.name(8)
