# SPDX-License-Identifier: BSD-2-Clause
"""The Linux series: what a maintainer would check of each patch (walk_series.py)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestration.base.arch import ARCHES
from orchestration.base.cache import Cache
from orchestration.base.errors import BuildError
from orchestration.build import flavours, linux
from tests.port import walk_series

# Patches at the end of the series: that are built one by one, and that checkpatch sees without the night.
LAST, CHECKED = 3, 10
KCONFIG = """\
config L4_CPU_X86_64
\tbool "x86_64"
\tselect L4_CPU_COUNTS_ZEROS

config L4_CPU_AARCH64
\tbool "aarch64"

config L4_CPU_COUNTS_ZEROS
\tbool
"""
PATCH = """\
Subject: [PATCH] l4: something

A reason.

Signed-off-by: Quoll developers <quoll@localhost>
---
--- a/arch/l4/kernel/time.c
+++ b/arch/l4/kernel/time.c
@@ -1,1 +1,2 @@
 /* one */
+        int a = 1;
"""


@pytest.fixture(scope="module")
def folder(cache: Cache) -> Iterator[Path]:
    """Return the folder of the walk, which keeps its objects for the next one."""
    with walk_series.locked(cache.root / "series"):
        yield cache.root / "series"


def test_the_cpus_on_offer_are_those_with_a_prompt() -> None:
    assert [arch.name for arch in walk_series.offered(KCONFIG)] == ["x86_64", "aarch64"]


def test_an_exception_needs_a_reason() -> None:
    assert walk_series.exceptions("# comment\n\nSPACING  assembly\n") == {"SPACING": "assembly"}
    with pytest.raises(BuildError, match="no reason for SPACING"):
        walk_series.exceptions("SPACING\n")


def test_an_option_that_is_not_set_is_named(tmp_path: Path) -> None:
    """Kconfig leaves out an option whose dependencies are not met, and says nothing."""
    objects = tmp_path / "objects-x86_64"
    objects.mkdir()
    (objects / "wanted.config").write_text("# small\nCONFIG_NET=y\nCONFIG_TIME_NS=y\n")
    (objects / ".config").write_text("CONFIG_NET=y\n# CONFIG_NAMESPACES is not set\n")
    assert walk_series.Walk(tmp_path).unset("x86_64") == ["CONFIG_TIME_NS=y"]


@pytest.mark.timeout(1800)
def test_checkpatch_finds_nothing_in_the_last_patches(cache: Cache, tmp_path: Path) -> None:
    """And it finds something in a patch that is wrong. The walk of the whole series checks the others.

    The tree is the one that kernels are built from, with the whole series: to unpack another one takes minutes.
    """
    flavour = flavours.guest(ARCHES["x86_64"])
    bad = tmp_path / "bad.patch"
    bad.write_text(PATCH)
    with linux.patched(cache, flavour, linux.source_key(flavour), tmp_path / "log") as tree:
        walk = walk_series.Walk(tree.parent)
        for patch in linux.series()[-CHECKED:]:
            walk.check(patch)
        with pytest.raises(BuildError, match=r"checkpatch on bad\.patch") as caught:
            walk.check(bad)
    assert any("CODE_INDENT" in line for line in caught.value.details)


@pytest.mark.nightly
@pytest.mark.timeout(3600)
def test_the_last_patches_build(folder: Path) -> None:
    """After the last one every CPU is on offer."""
    lines = walk_series.walk(folder, len(linux.series()) - LAST)
    assert len(lines) == LAST
    assert lines[-1].endswith(f"stock, {', '.join(ARCHES)}")


@pytest.mark.nightly
@pytest.mark.timeout(4 * 3600)
def test_every_patch_builds(folder: Path) -> None:
    """From the first to the last; the first bootable one offers one CPU."""
    lines = walk_series.walk(folder, 0)
    assert len(lines) == len(linux.series())
    assert lines[0].endswith("stock")
    assert any(line.endswith("stock, x86_64") for line in lines)
    assert lines[-1].endswith(f"stock, {', '.join(ARCHES)}")


@pytest.mark.nightly
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", ARCHES)
def test_sparse_finds_nothing(folder: Path, name: str) -> None:
    """On the tree that the walk has left."""
    assert not walk_series.Walk(folder).sparse(ARCHES[name])
