# SPDX-License-Identifier: BSD-2-Clause
"""What --share means, what of it is refused, and which options of QEMU and commands of the guest come of it."""

from __future__ import annotations

import os
import shlex
import subprocess
from pathlib import Path

import pydantic
import pytest

from orchestration.base.arch import ARCHES
from orchestration.base.errors import UsageError
from orchestration.build import system
from orchestration.machine import checks, layers, shares
from orchestration.machine.description import Description
from orchestration.machine.qemu import Config
from orchestration.machine.shares import Share


def described(*texts: str) -> Description:
    return layers.resolve({"arch": "x86_64", "shares": list(texts)}, ()).description


@pytest.mark.parametrize(("text", "wanted"), [
    ("{}/src", "{}/src:/mnt/src:ro"), ("{}/src:rw", "{}/src:/mnt/src:rw"),
    ("{}/src/../src:/data/x/", "{}/src:/data/x:ro"), ("{}/src:/data:rw", "{}/src:/data:rw"),
    ("{}/a:b:/data", "{}/a:b:/data:ro"), ("{}/src://a//b:ro", "{}/src:/a/b:ro")])
def test_an_option_says_folder_place_and_mode(tmp_path: Path, text: str, wanted: str) -> None:
    share, = described(text.format(tmp_path)).shares
    assert str(share) == wanted.format(tmp_path)
    assert Share.from_text(str(share)) == share


def test_a_folder_is_seen_from_where_it_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert described(".").shares == (Share(tmp_path / "here", "/mnt/here"),)
    (tmp_path / "quoll.toml").write_text('arch = "x86_64"\nshares = ["here:/h:rw"]\n')
    found = layers.resolve({}, (tmp_path / "quoll.toml",)).description
    assert found.shares == (Share(tmp_path / "here", "/h", writable=True),)


def test_the_name_of_the_current_folder_may_be_no_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a:b").mkdir()
    monkeypatch.chdir(tmp_path / "a:b")
    with pytest.raises(UsageError, match=r"'\.' needs a folder in the guest, such as \.:/mnt/host"):
        described(".")
    share, = described(".:/mnt/host").shares
    assert Share.from_text(str(share)) == share


@pytest.mark.parametrize(("texts", "words"), [
    ([""], "names no folder"), ([":rw"], "names no folder"), ([":/mnt"], "names no folder"),
    (["x:mnt"], "'mnt' is none"), (["x:rw:mnt"], "'mnt' is none"), (["x:RW"], "'RW' is none"),
    (["x:/"], "no place"), (["x:/a/../../etc"], "no place"), (["x:/a\nb"], "no place"), (["x:/proc/"], "no place"),
    (["/"], "needs a folder"),
    (["a:/m", "b:/m/"], "two folders are to be /m"), (["p/x", "q/x"], "two folders are to be /mnt/x")])
def test_a_share_that_means_nothing_is_refused(texts: list[str], words: str) -> None:
    with pytest.raises(UsageError) as caught:
        described(*texts)
    assert words in "\n".join(caught.value.lines())


def test_only_a_folder_that_can_be_read_is_shared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (tmp_path / "file").write_text("")
    checks.check(described(str(folder)))
    for path, words in ((tmp_path / "none", "No such file"), (tmp_path / "file", "no folder"),
                        (tmp_path / "file" / "in", "Not a directory")):
        with pytest.raises(UsageError, match=words) as caught:
            checks.check(described(str(path)))
        assert str(path) in caught.value.message
    # Root may do all of it.
    monkeypatch.setattr(os, "access", lambda path, mode: not mode & os.W_OK)
    checks.check(described(str(folder)))
    with pytest.raises(UsageError, match="you may not write"):
        checks.check(described(f"{folder}:rw"))
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(UsageError, match="you may not read"):
        checks.check(described(str(folder)))


def test_root_shares_to_write_only_where_attributes_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(os, "setxattr", refuse)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    checks.check(described(str(tmp_path)))
    with pytest.raises(UsageError, match="no attributes"):
        checks.check(described(f"{tmp_path}:rw"))
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    checks.check(described(f"{tmp_path}:rw"))


def test_what_root_shares_to_write_makes_no_device_of_the_host(monkeypatch: pytest.MonkeyPatch) -> None:
    both = (Share(Path("/a,b"), "/mnt/a"), Share(Path("/c"), "/mnt/c", writable=True))
    for user, model in ((0, "mapped-xattr"), (1000, "none")):
        monkeypatch.setattr(os, "geteuid", lambda user=user: user)
        argv = shares.arguments(both)
        assert argv[1] == "local,id=share0,path=/a,,b,security_model=none,multidevs=remap,readonly=on"
        assert argv[5] == f"local,id=share1,path=/c,security_model={model},multidevs=remap"
        assert argv[7] == "virtio-9p-pci,fsdev=share1,mount_tag=share1,disable-legacy=on"


def test_the_guest_mounts_outer_folders_first_and_tells_which_failed(tmp_path: Path) -> None:
    inner, outer = Share(Path("/a"), f"{tmp_path}/m/it's in"), Share(Path("/b"), f"{tmp_path}/m", writable=True)
    text = shares.mounting((inner, outer))
    log = shlex.quote(str(tmp_path / "log"))
    programs = {"modprobe": "exit 1", "mount": f'echo "$@" >> {log}; case "$*" in *$BAD*) exit 1;; esac'}
    for name, body in programs.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{body}\n")
        (tmp_path / name).chmod(0o755)
    for bad, status in (("none", 0), ("share0", shares.FAILED), ("share1", shares.FAILED + 1)):
        done = subprocess.run(["sh", "-c", text], env={"PATH": f"{tmp_path}:/usr/bin:/bin", "BAD": bad}, check=False)
        assert done.returncode == status
    first, second = (tmp_path / "log").read_text().splitlines()[:2]
    assert first.endswith(f"share1 {tmp_path}/m")
    assert second.endswith(f",ro share0 {tmp_path}/m/it's in")
    assert shares.failed((inner, outer), shares.FAILED + 1) == f"mount /b at {tmp_path}/m"
    assert shares.failed((inner, outer), 127) == "mount folders"


def test_a_machine_has_servers_of_its_shares_only() -> None:
    assert "9p" not in system.programs(system.servers())
    found = system.servers(disks=1, shares=2)
    assert [(one.name, one.front, one.instance) for one in found if one.program == "9p"] == [
        ("9p", 4, 0), ("9p2", 5, 1)]
    assert system.programs(found) == ["root", "console", "block", "net", "9p"]


def test_more_shares_than_a_machine_has_interrupts_for_are_refused() -> None:
    checks.check_count(ARCHES["riscv64"], disks=1, shares=1)
    with pytest.raises(UsageError, match=r"1 more disks and 2 shares .* for 2"):
        checks.check_count(ARCHES["riscv64"], disks=1, shares=2)


def test_a_run_that_is_repeated_has_the_same_shares() -> None:
    config = Config(kernel=Path("k"), shares=(Share(Path("/a:b"), "/m", writable=True),))
    assert Config.from_json(config.as_json()) == config


def test_python_gives_shares_as_they_are() -> None:
    one = Share(Path("/a"), "/m")
    assert Description(arch="x86_64", shares=(one,)).shares == (one,)
    with pytest.raises(pydantic.ValidationError, match="two folders"):
        Description(arch="x86_64", shares=(one, one))
