# SPDX-License-Identifier: BSD-2-Clause
"""The linters of ./orchestrate lint, one test each."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestration.lint.core import Tree
from orchestration.lint.linters import LINTERS


@pytest.mark.parametrize("name", LINTERS)
def test_linter(root: Path, name: str) -> None:
    found = LINTERS[name].check(Tree(root))
    assert not found, "\n".join(map(str, found))
