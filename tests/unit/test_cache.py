# SPDX-License-Identifier: BSD-2-Clause
"""The cache: damaged entries, interrupted builds, and two orchestrators at a time."""

from __future__ import annotations

import errno
import os
import threading
from pathlib import Path

import pytest

from orchestration.base import cache, doctor
from orchestration.base.cache import Cache, key_of, noted_hash, recipe
from orchestration.base.errors import InfrastructureError


class Maker:
    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, entry: Path) -> None:
        self.calls += 1
        (entry / "sub").mkdir()
        (entry / "sub/file").write_text("content")


def test_made_once(tmp_path: Path) -> None:
    cache, make = Cache(tmp_path), Maker()
    first = cache.get("kind", "key", make)
    assert cache.get("kind", "key", make) == first
    assert make.calls == 1
    assert (first / "sub/file").read_text() == "content"


@pytest.mark.parametrize("damage", ["change", "remove", "manifest", "empty manifest", "list"])
def test_a_damaged_entry_is_made_again(tmp_path: Path, damage: str) -> None:
    said: list[str] = []
    cache, make = Cache(tmp_path, said.append), Maker()
    entry = cache.get("kind", "key", make)
    match damage:
        case "change":
            (entry / "sub/file").write_text("Content")
        case "remove":
            (entry / "sub/file").unlink()
        case "manifest":
            (entry / "manifest.json").unlink()
        case "empty manifest":
            (entry / "manifest.json").write_text("")
        case "list":
            (entry / "manifest.json").write_text("[]")
    assert (cache.get("kind", "key", make) / "sub/file").read_text() == "content"
    assert make.calls == 2
    assert "damaged" in said[0]


def test_an_entry_of_which_no_file_is_used_is_not_read(tmp_path: Path) -> None:
    """Its manifest is, and whoever uses a file of it later compares all."""
    said: list[str] = []
    cache, make = Cache(tmp_path, said.append), Maker()
    entry = cache.get("kind", "key", make, compare=False)
    (entry / "sub/file").write_text("Content")
    assert cache.get("kind", "key", make, compare=False) == entry
    assert (make.calls, said) == (1, [])
    (entry / "manifest.json").write_text("")
    cache.get("kind", "key", make, compare=False)
    (entry / "sub/file").write_text("Content")
    assert (cache.get("kind", "key", make) / "sub/file").read_text() == "content"
    assert (make.calls, len(said)) == (3, 2)


def test_a_file_with_holes_is_known_by_what_is_in_it(tmp_path: Path) -> None:
    cache = Cache(tmp_path)

    def make(entry: Path) -> None:
        with (entry / "disk").open("wb") as stream:
            stream.write(b"start")
            stream.seek(5 << 20)
            stream.write(b"middle")
            stream.truncate(64 << 20)

    disk = cache.get("kind", "key", make) / "disk"
    noted = noted_hash(disk)
    assert noted.startswith("sparse:")
    # Holes that were filled with zeros are the same content.
    with disk.open("r+b") as stream:
        stream.seek(20 << 20)
        stream.write(bytes(4 << 20))
    assert cache.fault(disk.parent) == ""
    for place, data in ((40 << 20, b"x"), ((5 << 20) + 2, b"x"), (0, bytes(5)), ((64 << 20) - 1, b"x")):
        with disk.open("r+b") as stream:
            stream.seek(place)
            before = stream.read(len(data))
            stream.seek(place)
            stream.write(data)
        assert "disk" in cache.fault(disk.parent)
        with disk.open("r+b") as stream:
            stream.seek(place)
            stream.write(before)
        assert cache.fault(disk.parent) == ""
    os.truncate(disk, 63 << 20)
    assert "disk" in cache.fault(disk.parent)


@pytest.mark.parametrize("damaged", [False, True])
def test_an_entry_that_someone_else_made_meanwhile_is_taken(tmp_path: Path, damaged: bool) -> None:
    """The cache may be deleted at any time, also a lock that is held."""
    first, second, make = Cache(tmp_path), Cache(tmp_path), Maker()

    def slow(entry: Path) -> None:
        (tmp_path / "locks/kind-key").unlink()
        other = second.get("kind", "key", make)
        if damaged:
            (other / "sub/file").write_text("Content")
        make(entry)

    assert (first.get("kind", "key", slow) / "sub/file").read_text() == "content"
    assert make.calls == 2
    assert [path.name for path in (tmp_path / "kind").iterdir()] == ["key"]


def test_a_failed_make_leaves_nothing(tmp_path: Path) -> None:
    cache = Cache(tmp_path)

    def fail(entry: Path) -> None:
        (entry / "half").write_text("half")
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(InfrastructureError, match="no space left"):
        cache.get("kind", "key", fail)
    assert list((tmp_path / "kind").iterdir()) == []


def test_keys_depend_on_names_contents_and_order_of_strings(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    one.write_text("x")
    two.write_text("x")
    keys = {key_of("a", "b"), key_of("b", "a"), key_of("ab"), key_of("a", "b", files=[one]),
            key_of("a", "b", files=[two])}
    assert len(keys) == 5
    two.write_text("y")
    assert key_of("a", "b", files=[two]) not in keys
    assert key_of(files=[one, two]) == key_of(files=[two, one])


def test_a_large_file_of_several_keys_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[Path] = []
    real = cache.hash_file
    monkeypatch.setattr(cache, "hash_file", lambda path: read.append(path) or real(path))  # type: ignore[func-returns-value]
    monkeypatch.setattr(cache, "LARGE", 4)
    source = tmp_path / "source"
    source.write_text("12345")
    first = [cache.key_of(name, files=[source]) for name in "ab"]
    assert read == [source]
    source.write_text("123456")
    assert cache.key_of("a", files=[source]) not in first
    assert read == [source, source]


def test_a_large_file_that_is_read_ahead_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever wants its hash meanwhile waits for it; a file that is not there is told to who wants it."""
    inside, go, read = threading.Event(), threading.Event(), []

    def hash_slowly(path: Path) -> str:
        inside.set()
        read.append(path)
        assert go.wait(30)
        return "hash"

    monkeypatch.setattr(cache, "hash_file", hash_slowly)
    monkeypatch.setattr(cache, "LARGE", 4)
    source = tmp_path / "source"
    source.write_text("12345")
    cache.hash_ahead(source)
    assert inside.wait(30)
    threading.Timer(0.2, go.set).start()
    assert cache.hash_input(source) == "hash"
    assert read == [source]
    cache.hash_ahead(tmp_path / "none")
    with pytest.raises(FileNotFoundError):
        cache.hash_input(tmp_path / "none")


def test_a_key_does_not_tell_where_files_are(tmp_path: Path) -> None:
    def key(*folders: str) -> str:
        paths = []
        for name, folder in zip(("tar", "patch"), folders, strict=True):
            (tmp_path / folder).mkdir(exist_ok=True)
            paths.append(tmp_path / folder / name)
            paths[-1].write_text(name)
        return key_of(files=paths)

    assert key("a", "b") == key("b", "a") == key("c", "c")


def test_too_little_space_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(InfrastructureError, match="MiB are needed"):
        doctor.check_space(1 << 60)


def test_a_cache_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InfrastructureError, match="cannot create"):
        Cache(tmp_path / "file" / "quoll")


def test_words_do_not_change_a_recipe_and_code_does(tmp_path: Path) -> None:
    def of(text: str) -> str:
        path = tmp_path / "module.py"
        path.write_text(text)
        return recipe(path)

    code = '"""Words."""\nimport os\n\ndef make():\n    """More."""\n    # Why.\n    return os.sep + "a"\n'
    same = '"""Other words."""\nfrom os import path\nimport os\n\n\ndef make():\n    return os.sep + "a"\n'
    assert of(code) == of(same)
    assert of(code) != of(code.replace('"a"', '"b"'))


def test_an_older_cache_is_told_once(tmp_path: Path) -> None:
    said: list[str] = []
    Cache(tmp_path, said.append).get("kind", "key", Maker())
    assert not said
    (tmp_path / "version").unlink()
    for _ in range(2):
        Cache(tmp_path, said.append)
    assert len(said) == 1
    assert "version 1" in said[0]
