# SPDX-License-Identifier: BSD-2-Clause
"""What the root pager makes of a machine's device tree (servers/platform/virt.c), compiled for the host."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import fdt
import pytest

HERE = Path(__file__).parent
TOP = HERE.parents[1]

TOLD = {
    "plic": ["clock at 101000", "time 4294967301", "registers at 10000000", "takes line 10 level",
             "serial line of kind 4, level", "PCI at 30000000, buses 0 to 255",
             "window 40000000 at 40000000 of 40000000", "window 400000000 at 400000000 of 400000000",
             "slot 0 pin 1: line 32 level", "slot 0 pin 2: line 33 level", "slot 1 pin 1: line 33 level",
             "slot 2 pin 1: line 34 level", "slot 3 pin 4: line 34 level", "slot 4 pin 1: line 32 level",
             "slot 4 pin 2: line 33 level", "slot 5 pin 1: line 33 level", "takes line 11 level",
             f"alarm 1 {5 + 10**9} 1 1"],
    "gic": ["clock at 9010000", "time 5000000000", "registers at 9000000", "takes line 33 edge",
            "serial line of kind 5, edge", "PCI at 4010000000, buses 0 to 0",
            "window 80000000 at 10000000 of 1000000", "slot 0 pin 1: line 35 level", "slot 1 pin 1: line 36 level",
            "slot 4 pin 1: line 35 level", "slot 5 pin 1: line 36 level", "takes line 34 level", "alarm 6 0 0 1"],
}

# Change of the source, and the last line that is told of it.
FAULTS = {
    "no clock": ("google,goldfish-rtc", "other", "error: device tree: no real-time clock"),
    "clock without registers": ("reg = <0 0x101000 0 0x1000>;", "",
                                "error: device tree: rtc@101000 has no registers"),
    "clock without interrupt": ("interrupts = <11>;", "", "error: device tree: rtc@101000 has no interrupt"),
    "no serial line": ('stdout-path = "/soc/serial@10000000";', "",
                       "error: device tree: no serial line in /chosen stdout-path"),
    "serial line elsewhere": ('stdout-path = "/soc/serial@10000000"', 'stdout-path = "/nowhere"',
                              "error: device tree: no serial line in /chosen stdout-path"),
    "other serial line": ("ns16550a", "other", "error: device tree: no driver for serial line serial@10000000"),
    "registers inside a page": ("reg = <0 0x10000000 0 0x100>", "reg = <0 0x10000100 0 0x100>",
                                "error: device tree: serial@10000000 has no registers at the start of a page"),
    "registers apart": ("interrupts = <10>;", "reg-shift = <2>;",
                        "error: device tree: registers of serial@10000000 are not a byte apart"),
    "no line of the serial line": ("interrupts = <10>;", "", "error: device tree: serial@10000000 has no interrupt"),
    "no PCI": ("pci-host-ecam-generic", "other", "no PCI"),
    "no configuration space": ("reg = <0 0x30000000 0 0x10000000>;", "",
                               "error: device tree: PCI has no configuration space"),
    "too many buses": ("reg = <0 0x30000000 0 0x10000000>", "reg = <0 0x30000000 0 0x100000>",
                       "error: device tree: PCI has buses 0 to 255 in 1048576 bytes"),
    "no window": ("0x2000000 0 0x40000000 0 0x40000000 0 0x40000000\n\t\t\t\t  0x3000000 4 0 4 0 4 0", "",
                  "error: device tree: PCI has no window for memory"),
    "window around the end": ("0x3000000 4 0 4 0 4 0", "0x3000000 4 0 4 0 0xffffffff 0",
                              "error: device tree: PCI window at 400000000 of ffffffff00000000 bytes makes no sense"),
    "no controller": ("0 0 0 2 3 33", "0 0 0 2 9 33", "error: device tree: interrupt-map of PCI is damaged"),
}


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("board")
    header = [sys.executable, str(TOP / "kernel/abi/generate.py"), "--arch", "x86_64", "--headers", str(folder)]
    subprocess.run(header, check=True)
    subprocess.run(["gcc", "-std=gnu11", "-O1", "-g", "-Wall", "-Wextra", "-Werror", "-Wno-unused-parameter",
                    "-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-I", HERE / "board", "-I", folder,
                    "-I", TOP / "servers/libl4/include", "-I", TOP / "servers/lib",
                    "-I", TOP / "servers", "-I", TOP / "kernel/lib", HERE / "board/board_test.c",
                    TOP / "servers/platform/virt.c", TOP / "servers/platform/resource.c", TOP / "kernel/lib/fdt/fdt.c",
                    "-o", folder / "board_test"], check=True)
    return folder / "board_test"


def tell(program: Path, folder: Path, source: str) -> list[str]:
    tree = folder / "board.dtb"
    tree.write_bytes(fdt.parse_dts(source).to_dtb(version=17))
    done = subprocess.run([program, "tell", tree], check=True, timeout=60, stdout=subprocess.PIPE, text=True)
    return done.stdout.splitlines()


@pytest.mark.parametrize("name", TOLD)
def test_a_board_is_what_its_tree_says(program: Path, tmp_path: Path, name: str) -> None:
    assert tell(program, tmp_path, (HERE / f"board/{name}.dts").read_text()) == TOLD[name]


@pytest.mark.parametrize("name", FAULTS)
def test_what_a_tree_lacks_is_named(program: Path, tmp_path: Path, name: str) -> None:
    old, new, last = FAULTS[name]
    source = (HERE / "board/plic.dts").read_text()
    assert source.count(old) == 1
    assert tell(program, tmp_path, source.replace(old, new))[-1] == last


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("name", TOLD)
def test_a_damaged_tree_ends_in_an_error_at_most(program: Path, tmp_path: Path, name: str, seed: int) -> None:
    tree = tmp_path / "board.dtb"
    tree.write_bytes(fdt.parse_dts((HERE / f"board/{name}.dts").read_text()).to_dtb(version=17))
    subprocess.run([program, "noise", tree, str(seed)], check=True, timeout=120)
