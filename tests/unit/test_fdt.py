# SPDX-License-Identifier: BSD-2-Clause
"""The device tree reader of kernel and root pager, compiled for the host: against a source, and damaged."""

from __future__ import annotations

import subprocess
from pathlib import Path

import fdt
import pytest

HERE = Path(__file__).parent
TOP = HERE.parents[1]


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("fdt")
    subprocess.run(["gcc", "-std=gnu11", "-O1", "-g", "-Wall", "-Wextra", "-Werror", "-fsanitize=address,undefined",
                    "-fno-sanitize-recover=all", "-I", TOP / "kernel/lib/fdt", HERE / "device_tree/fdt_test.c",
                    TOP / "kernel/lib/fdt/fdt.c", "-o", folder / "fdt_test"], check=True)
    return folder / "fdt_test"


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tree") / "board.dtb"
    path.write_bytes(fdt.parse_dts((HERE / "device_tree/board.dts").read_text()).to_dtb(version=17))
    return path


def test_answers_are_those_of_the_source(program: Path, tree: Path) -> None:
    subprocess.run([program, "good", tree], check=True, timeout=60)


@pytest.mark.parametrize("seed", range(4))
def test_a_damaged_tree_is_never_read_beyond_its_end(program: Path, tree: Path, seed: int) -> None:
    subprocess.run([program, "noise", tree, str(seed)], check=True, timeout=120)
