# SPDX-License-Identifier: BSD-2-Clause
"""LTP from its source: a small one that is made like it is built, and what is no such source is named."""

from __future__ import annotations

import io
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

from orchestration.base import arch as arches
from orchestration.base.cache import Cache
from orchestration.base.errors import BuildError, MissingError, UsageError
from orchestration.build import rootfs, userland
from orchestration.conform import ltpclone, ltpdisk, ltpsource, suites
from orchestration.conform.suite import NotHereError

X86 = arches.find("x86_64")
CONFIGURE = """\
#!/bin/sh
for word; do case $word in CC=*) echo "CC = ${word#CC=}";; --prefix=*) echo "prefix = ${word#--prefix=}";; esac; done \
    > include/mk/config.mk
"""
TESTS = """\
include ../../../include/mk/config.mk
all: fork01 broken01
%: %.c
\t$(CC) -nostdlib -static -o $@ $<
install:
\tmkdir -p $(DESTDIR)$(prefix)/testcases/bin && cp fork01 $(DESTDIR)$(prefix)/testcases/bin
"""
LISTS = """\
include ../include/mk/config.mk
install:
\tmkdir -p $(DESTDIR)$(prefix)/runtest && cp syscalls $(DESTDIR)$(prefix)/runtest
"""
FILES = {"configure.ac": "", "configure": CONFIGURE, "include/mk/env_pre.mk": "", "include/tst_test.h": "",
         "VERSION": "20260101\n", "lib/Makefile": "all:\n", "libs/Makefile": "all:\n", "runtest/Makefile": LISTS,
         "runtest/syscalls": "fork01 fork01\nbroken01 broken01\n", "testcases/kernel/syscalls/Makefile": TESTS,
         "testcases/kernel/syscalls/fork01.c": "void _start(void) { }\n",
         "testcases/kernel/syscalls/broken01.c": "#error it does not build\n", ".git/HEAD": "one\n"}


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a source, and no libraries of Debian."""
    folder = tmp_path / "ltp"
    for name, text in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    packages = tmp_path / "packages.tar"
    with tarfile.open(packages, "w") as archive:
        for name in ("./usr/include/acl.h", "./usr/lib/x86_64-linux-gnu/libacl.so.1"):
            archive.addfile(tarfile.TarInfo(name), io.BytesIO())
        link = tarfile.TarInfo("./usr/lib/x86_64-linux-gnu/libacl.so")
        link.type, link.linkname = tarfile.SYMTYPE, "/lib/x86_64-linux-gnu/libacl.so.1"
        archive.addfile(link)
        archive.addfile(tarfile.TarInfo("./usr/lib64/ld.so"), io.BytesIO())
    monkeypatch.setattr(rootfs, "packages", lambda *ignored: packages)
    return folder


def packed(folder: Path, inner: str, suffix: str = "xz") -> Path:
    path = folder.with_name(f"ltp.tar.{suffix}")
    with tarfile.open(path, f"w:{suffix}") as archive:  # type: ignore[call-overload]
        archive.add(folder, inner)
    return path


@pytest.mark.parametrize("kind", ["folder", "release", "flat"])
def test_a_source_is_built(source: Path, tmp_path: Path, kind: str) -> None:
    given = source if kind == "folder" else packed(source, "ltp-full-20260101" if kind == "release" else ".")
    suite = suites.find("ltp", given)
    cache = Cache(tmp_path / "cache")
    built = suite.build(X86, cache)
    assert [test.name for test in suite.tests(built)] == ["syscalls:fork01", "syscalls:broken01"]
    assert suite.release(built) == "LTP 20260101"
    disk = userland.Image(built / "suite.ext4")
    assert disk.look("/bin/fork01")[0] == "regular"
    assert disk.look("/bin/broken01")[0] == ""
    # The source is as it was, and nothing of the build is left beside the entry.
    assert not (source / ltpsource.CONFIGURED).exists()
    assert not (cache.root / "build/ltp-x86_64").exists()
    # git's own files are no part of it; its content is.
    (source / ".git/HEAD").write_text("two\n")
    if kind == "folder":
        assert suite.build(X86, cache) == built
    (source / "testcases/kernel/syscalls/fork01.c").write_text("void _start(void) { for (;;) ; }\n")
    if kind != "folder":
        packed(source, "ltp")
    assert suite.build(X86, cache) != built


def test_links_among_the_libraries_stay_inside(source: Path, tmp_path: Path) -> None:
    root = tmp_path / "root"
    ltpsource.libraries(X86, Cache(tmp_path / "cache"), root, tmp_path / "log")
    assert (root / "usr/lib/x86_64-linux-gnu/libacl.so").resolve() == root / "usr/lib/x86_64-linux-gnu/libacl.so.1"
    assert (root / "lib64/ld.so").exists()


def test_an_architecture_may_have_one_folder_of_libraries(source: Path, tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "packages.tar", "w") as archive:
        for name in ("./usr/include/acl.h", "./usr/lib/riscv64-linux-gnu/libacl.so.1"):
            archive.addfile(tarfile.TarInfo(name), io.BytesIO())
    root = tmp_path / "root"
    ltpsource.libraries(arches.find("riscv64"), Cache(tmp_path / "cache"), root, tmp_path / "log")
    assert (root / "lib/riscv64-linux-gnu/libacl.so.1").exists()
    assert not (root / "lib64").exists()


def test_a_source_without_a_program_is_a_failure(source: Path, tmp_path: Path) -> None:
    (source / "testcases/kernel/syscalls/fork01.c").write_text("#error\n")
    with pytest.raises(BuildError, match="no test of LTP was built"):
        ltpdisk.build(X86, Cache(tmp_path / "cache"), source)
    assert not list((tmp_path / "cache/ltp").glob("*"))


def test_a_source_that_changes_while_it_is_copied_is_no_build(source: Path, tmp_path: Path,
                                                              monkeypatch: pytest.MonkeyPatch) -> None:
    """Or the programs of a later content would be found under the earlier one's key."""
    copy = ltpsource.copy

    def change(given: Path, tree: Path, log: Path) -> Path:
        (given / "testcases/kernel/syscalls/fork01.c").write_text("int changed;\n")
        return copy(given, tree, log)

    monkeypatch.setattr(ltpsource, "copy", change)
    with pytest.raises(UsageError, match="somebody has changed it meanwhile"):
        ltpdisk.build(X86, Cache(tmp_path / "cache"), source)
    assert not list((tmp_path / "cache/ltp").glob("*"))


def test_a_configured_source_is_refused(source: Path, tmp_path: Path) -> None:
    (source / ltpsource.CONFIGURED).touch()
    with pytest.raises(UsageError, match="it was configured there") as caught:
        ltpdisk.build(X86, Cache(tmp_path / "cache"), source)
    assert "make distclean" in caught.value.hint


@pytest.mark.parametrize("kind", ["folder", "tar"])
def test_what_makes_configure_is_named_when_it_is_missing(source: Path, tmp_path: Path,
                                                          monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    (source / "configure").unlink()
    given = source if kind == "folder" else packed(source, "ltp")
    monkeypatch.setattr(shutil, "which", lambda name: None if name == "automake" else name)
    with pytest.raises(MissingError, match="it has no configure, and automake is missing"):
        ltpdisk.build(X86, Cache(tmp_path / "cache"), given)


def test_files_that_are_no_source_are_named(source: Path, tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache")
    text = tmp_path / "text"
    text.write_text("no archive\n")
    with pytest.raises(UsageError, match="neither a folder nor a tar file that can be read") as caught:
        ltpdisk.build(X86, cache, text)
    assert "\n" not in caught.value.message
    whole = packed(source, "ltp", "gz").read_bytes()
    text.write_bytes(whole[:len(whole) // 2])
    with pytest.raises(UsageError, match="neither a folder nor a tar file that can be read"):
        ltpdisk.build(X86, cache, text)
    (source / "numbers").write_text("\n".join(map(str, range(100000))))
    broken = packed(source, "ltp")
    whole = broken.read_bytes()
    middle = len(whole) // 2
    broken.write_bytes(whole[:middle] + bytes(200) + whole[middle + 200:])
    with pytest.raises(UsageError, match=r"neither a folder nor a tar file that can be read \(Corrupt input data\)"):
        ltpdisk.build(X86, cache, broken)
    (source / "include/tst_test.h").unlink()
    with pytest.raises(UsageError, match="the tar file is not LTP's source"):
        ltpdisk.build(X86, cache, packed(source, "ltp"))
    with pytest.raises(UsageError, match="no LTP is there, neither its source nor an installed one"):
        ltpdisk.build(X86, cache, source)


def git(folder: Path, *words: str) -> str:
    return subprocess.run(["git", "-C", str(folder), "-c", "user.name=n", "-c", "user.email=n@example.org", *words],
                          capture_output=True, text=True, check=True).stdout.strip()


@pytest.fixture
def published(source: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository in the place of LTP's own."""
    shutil.rmtree(source / ".git")
    git(source, "init", "--quiet")
    git(source, "add", ".")
    git(source, "commit", "--quiet", "-m", "a release")
    git(source, "tag", "-a", "-m", "a release", ltpclone.TAG)
    monkeypatch.setattr(ltpclone, "URL", f"file://{source}")
    monkeypatch.setattr(ltpclone, "COMMIT", git(source, "rev-parse", "HEAD"))
    return source


def test_without_a_source_the_release_is_cloned(tmp_path: Path, published: Path) -> None:
    cache = Cache(tmp_path / "cache")
    suite = suites.find("ltp")
    built = suite.build(X86, cache)
    assert [test.name for test in suite.tests(built)] == ["syscalls:fork01", "syscalls:broken01"]
    assert suite.release(built) == "LTP 20260101"
    # It is fetched once.
    shutil.rmtree(published)
    assert suite.build(X86, cache) == built


def test_another_content_under_the_releases_name_is_refused(tmp_path: Path, published: Path) -> None:
    (published / "runtest/syscalls").write_text("evil01 evil01\n")
    git(published, "commit", "--quiet", "-a", "-m", "the same release")
    git(published, "tag", "-f", "-a", "-m", "the same release", ltpclone.TAG)
    with pytest.raises(NotHereError, match=f"has another content for {ltpclone.TAG}"):
        suites.find("ltp").build(X86, Cache(tmp_path / "cache"))
    assert not list((tmp_path / "cache/ltp-source").glob("[0-9a-f]*"))


def test_a_release_that_cannot_be_cloned_is_not_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ltpclone, "URL", f"file://{tmp_path}/nowhere")
    with pytest.raises(NotHereError) as caught:
        suites.find("ltp").build(X86, Cache(tmp_path / "cache"))
    assert "cannot be cloned" in caught.value.message
    assert "--ltp" in caught.value.hint


def test_a_release_that_cannot_be_built_here_is_not_here(tmp_path: Path, published: Path,
                                                         monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*ignored: object) -> None:
        raise MissingError("autoconf is missing", "install it")

    monkeypatch.setattr(ltpsource, "check", missing)
    with pytest.raises(NotHereError, match="autoconf is missing"):
        suites.find("ltp").build(X86, Cache(tmp_path / "cache"))
