# SPDX-License-Identifier: BSD-2-Clause
"""The series of patches: what is wrong with it is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestration.base import tools
from orchestration.base.arch import ARCHES
from orchestration.base.errors import BuildError, InfrastructureError, MissingError
from orchestration.build import linux

GOOD = "--- a/file\n+++ b/file\n@@ -1,3 +1,3 @@\n one\n-two\n+2\n three\n"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree/file").write_text("one\ntwo\nthree\n")
    return tmp_path / "tree"


def test_a_patch_applies(tree: Path, tmp_path: Path) -> None:
    (tmp_path / "0001-good.patch").write_text(GOOD)
    linux.apply(tmp_path / "0001-good.patch", tree, tmp_path / "log")
    assert (tree / "file").read_text() == "one\n2\nthree\n"


@pytest.mark.parametrize("text", [GOOD.replace("two", "zwei"), GOOD.replace("/file", "/gone")])
def test_a_patch_that_does_not_apply_is_named(tree: Path, tmp_path: Path, text: str) -> None:
    (tmp_path / "0002-bad.patch").write_text(text)
    with pytest.raises(BuildError, match="0002-bad.patch does not apply") as caught:
        linux.apply(tmp_path / "0002-bad.patch", tree, tmp_path / "log")
    assert caught.value.hint
    assert caught.value.details


def test_a_patch_that_is_not_there_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "series").write_text("# comment\n0001-gone.patch\n")
    monkeypatch.setattr(linux, "PATCHES", tmp_path)
    with pytest.raises(BuildError, match=r"0001-gone\.patch"):
        linux.series()


def test_a_lost_option_is_named(tmp_path: Path) -> None:
    (tmp_path / "wanted").write_text("CONFIG_A=y\nCONFIG_B=m\n# CONFIG_C is not set\nCONFIG_D=n\n")
    (tmp_path / "got").write_text("CONFIG_A=y\n# CONFIG_B is not set\n")
    with pytest.raises(BuildError, match="CONFIG_B=m"):
        linux.check_config(tmp_path / "wanted", tmp_path / "got")


def test_later_fragments_win_in_either_notation(tmp_path: Path) -> None:
    (tmp_path / "one").write_text("# CONFIG_A is a comment\nCONFIG_A=y\nCONFIG_B=n\nCONFIG_C=y\n")
    (tmp_path / "two").write_text('CONFIG_B=m\n# CONFIG_C is not set\nCONFIG_D="x=y"\n')
    text = linux.merge((tmp_path / "one", tmp_path / "two"))
    assert text == 'CONFIG_A=y\nCONFIG_B=m\nCONFIG_C=n\nCONFIG_D="x=y"\n'


def test_an_option_that_cannot_be_turned_off_is_named(tmp_path: Path) -> None:
    (tmp_path / "wanted").write_text("# CONFIG_A is not set\n")
    (tmp_path / "got").write_text("CONFIG_A=y\n")
    with pytest.raises(BuildError, match="CONFIG_A=n"):
        linux.check_config(tmp_path / "wanted", tmp_path / "got")


def test_the_kernels_have_their_own_names() -> None:
    names = {linux.guest(arch, full=full).name for arch in ARCHES.values() for full in (False, True)}
    assert len(names) == 2 * len(ARCHES)


def test_a_missing_program_is_named(tmp_path: Path) -> None:
    with pytest.raises(MissingError, match="no-such-program") as caught:
        tools.run(["no-such-program"], tmp_path / "log", "it", 5)
    assert "doctor" in caught.value.hint


def test_a_program_that_never_ends_is_ended(tmp_path: Path) -> None:
    with pytest.raises(InfrastructureError, match="did not end in 1 s"):
        tools.run(["sleep", "60"], tmp_path / "log", "sleeping", 1)


def test_a_full_disk_is_named(tmp_path: Path) -> None:
    with pytest.raises(InfrastructureError, match="no space left"):
        tools.run(["sh", "-c", "echo No space left on device; exit 1"], tmp_path / "log", "writing", 5)
