# SPDX-License-Identifier: BSD-2-Clause
"""The archive of a Debian source package: fetched once, by apt, from the release that the guest has."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from orchestration.base import tools
from orchestration.base.cache import Cache
from orchestration.base.errors import BuildError, InfrastructureError
from orchestration.build import rootfs, source


class Apt:
    """Stands for apt-get: leaves the files of a source package, or fails."""

    def __init__(self, *files: str, fails: bool = False) -> None:
        self.files, self.fails = files, fails
        self.asked: list[Sequence[str]] = []

    def run(self, argv: Sequence[str], log: Path, what: str, limit: float, cwd: Path) -> None:
        self.asked.append(argv)
        if self.fails:
            raise BuildError(f"{what} failed", "", ("E: Failed to fetch",))
        assert (cwd / "sources.list").read_text() == rootfs.RELEASE.replace("deb ", "deb-src ", 1) + "\n"
        if "source" in argv:
            for name in self.files:
                (cwd / name).write_text(name)


def test_an_archive_is_fetched_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not its signature, and not Debian's changes."""
    apt = Apt("perl_5.40.1.orig.tar.xz", "perl_5.40.1.orig.tar.xz.asc", "perl_5.40.1-6.dsc")
    monkeypatch.setattr(tools, "run", apt.run)
    cache = Cache(tmp_path)
    found = source.archive(cache, "perl")
    assert (found.name, found.read_text()) == ("perl_5.40.1.orig.tar.xz", "perl_5.40.1.orig.tar.xz")
    assert [argv[-1] for argv in apt.asked] == ["update", "perl"]
    assert all("Dir::Etc::sourceparts=/dev/null" in argv for argv in apt.asked)
    assert source.archive(cache, "perl") == found
    assert len(apt.asked) == 2


@pytest.mark.parametrize("apt", [Apt(fails=True), Apt("perl_5.40.1-6.dsc")], ids=["fails", "no archive"])
def test_an_archive_that_apt_does_not_get_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, apt: Apt) -> None:
    monkeypatch.setattr(tools, "run", apt.run)
    with pytest.raises(InfrastructureError, match="the source of perl cannot be fetched by apt") as caught:
        source.archive(Cache(tmp_path), "perl")
    assert str(tmp_path / "build/source-perl.log") in caught.value.hint
