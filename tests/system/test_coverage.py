# SPDX-License-Identifier: BSD-2-Clause
"""How many of the kernel's lines its tests execute."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from orchestration.base.arch import Arch

# Percent of the lines that have code; of the other architectures the report alone is made.
LEAST = {"x86_64": 95}


@pytest.mark.nightly
@pytest.mark.timeout(1800)
def test_the_kernels_lines_are_executed(root: Path, arch: Arch, bare: Path, tmp_path: Path) -> None:
    done = subprocess.run([str(root / "orchestrate"), "coverage", arch.name, f"--least={LEAST.get(arch.name, 0)}",
                           f"--output={tmp_path}"], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          check=False)
    # For the report of the nightly.
    print(done.stdout)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / f"kernel-{arch.name}.txt").read_text() in done.stdout
