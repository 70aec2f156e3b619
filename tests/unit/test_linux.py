# SPDX-License-Identifier: BSD-2-Clause
"""The series of patches: what is wrong with it is named."""

from __future__ import annotations

import shutil
import threading
from pathlib import Path

import pytest

from orchestration.base import tools
from orchestration.base.arch import ARCHES
from orchestration.base.cache import Cache
from orchestration.base.errors import BuildError, InfrastructureError, MissingError
from orchestration.build import flavours, linux

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


def test_the_message_of_a_patch_is_no_part_of_what_it_changes(tmp_path: Path) -> None:
    patch = tmp_path / "0001-a.patch"
    keys = []
    for message, diff in [("old words", "+two"), ("new words", "+two"), ("new words", "+three")]:
        patch.write_text(f"Subject: [PATCH] {message}\n---\n\ndiff --git a/f b/f\n{diff}\n")
        keys.append(linux.changes(patch))
    assert keys[0] == keys[1] != keys[2]


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


def test_a_users_patch_that_does_not_apply_is_named_as_such(tree: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.patch").write_text(GOOD.replace("two", "zwei"))
    with pytest.raises(BuildError, match="with our series") as caught:
        linux.apply(tmp_path / "mine.patch", tree, tmp_path / "log", own=True)
    assert str(tmp_path / "mine.patch") in caught.value.message
    assert BuildError.exit_code == 121


def test_a_tree_with_the_users_patches_does_not_replace_the_other(tmp_path: Path) -> None:
    place = tmp_path / "guest"
    (place / "source").mkdir(parents=True)
    (place / "object").write_text("of the series")
    linux.activate(place, own=False)
    assert (place / "object").read_text() == "of the series"
    linux.activate(place, own=True)
    assert not place.exists()
    place.mkdir()
    (place / linux.OWN_MARK).touch()
    (place / "object").write_text("the user's")
    linux.activate(place, own=False)
    assert (place / "object").read_text() == "of the series"
    linux.activate(place, own=True)
    assert (place / "object").read_text() == "the user's"
    # A process that died between the two renames.
    place.rename(tmp_path / "guest-own")
    linux.activate(place, own=False)
    assert (place / "object").read_text() == "of the series"


def test_a_tree_whose_removal_was_interrupted_is_no_tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache, flavour = Cache(tmp_path), flavours.guest(ARCHES["x86_64"])
    place = linux.tree_of(cache, flavour)
    (place / "source").mkdir(parents=True)
    (place / "source/Makefile").touch()
    (place / "source.key").write_text("before")

    def interrupted(path: Path, *, ignore_errors: bool) -> None:
        (path / "source/Makefile").unlink()
        raise KeyboardInterrupt

    monkeypatch.setattr(shutil, "rmtree", interrupted)
    assert linux.is_unpacked(place, "before")
    with pytest.raises(KeyboardInterrupt):
        linux.unpack(cache, flavour, "after", tmp_path / "log")
    assert not linux.is_unpacked(place, "before")


def test_builds_share_a_tree_and_another_tree_waits_for_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []

    def unpack(cache: Cache, flavour: flavours.Flavour, key: str, log: Path) -> Path:
        place = cache.root / "linux/guest"
        (place / "source").mkdir(parents=True, exist_ok=True)
        (place / "source.key").write_text(key)
        made.append(key)
        return place / "source"

    monkeypatch.setattr(linux, "unpack", unpack)
    arch, waits = ARCHES["x86_64"], threading.Event()
    small, full = flavours.guest(arch), flavours.guest(arch, full=True)
    cache, other = Cache(tmp_path), Cache(tmp_path)
    other.say = lambda text: waits.set()

    def build_another() -> None:
        with linux.patched(other, small, "another", tmp_path / "log"):
            made.append("built")

    with linux.patched(cache, full, "key", tmp_path / "log") as tree:
        with linux.patched(cache, small, "key", tmp_path / "log") as same:
            assert tree == same
        thread = threading.Thread(target=build_another)
        thread.start()
        assert waits.wait(60)
        assert made == ["key"]
        assert (tree.parent / "source.key").read_text() == "key"
    thread.join(60)
    assert made == ["key", "another", "built"]
    with linux.patched(cache, full, "key", tmp_path / "log"):
        assert made[-1] == "key"
