# SPDX-License-Identifier: BSD-2-Clause
"""Images of ext4 that change their size, and disks that survive their run."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from orchestration.base import ownership
from orchestration.base.errors import InfrastructureError, UsageError
from orchestration.base.rundir import RunDirectory
from orchestration.build import extfs, userland
from orchestration.cli import main as cli
from orchestration.machine import checks, keys, layers, persistent, registry, root_disk
from orchestration.machine.description import Description

MIB = 1 << 20


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path


def make_image(path: Path, size: int = 16 * MIB, content: int = 4 * MIB) -> Path:
    tree = path.with_suffix(".tree")
    tree.mkdir()
    (tree / "data").write_bytes(os.urandom(content))
    subprocess.run(["mke2fs", "-q", "-t", "ext4", "-d", str(tree), str(path), f"{size >> 10}k"], check=True)
    return path


def is_sound(path: Path) -> bool:
    return subprocess.run(["e2fsck", "-f", "-n", str(path)], check=False, capture_output=True).returncode == 0


@pytest.mark.parametrize("size", [64 * MIB, 16 * MIB, 12 * MIB])
def test_a_file_system_gets_the_size_that_is_wanted(tmp_path: Path, size: int) -> None:
    disk = make_image(tmp_path / "disk")
    extfs.resize(disk, size, tmp_path / "log")
    assert extfs.size(disk) == disk.stat().st_size == size
    assert is_sound(disk)
    shown = subprocess.run(["debugfs", "-R", "cat /data", str(disk)], capture_output=True, check=True)
    assert shown.stdout == (tmp_path / "disk.tree/data").read_bytes()


def test_a_size_below_the_content_is_refused(tmp_path: Path) -> None:
    disk = make_image(tmp_path / "disk")
    with pytest.raises(UsageError, match=r"a disk of 4M is smaller than its content, which takes \d+M"):
        extfs.resize(disk, 4 * MIB, tmp_path / "log")
    assert extfs.size(disk) == disk.stat().st_size == 16 * MIB
    assert is_sound(disk)


@pytest.mark.parametrize("size", [(1 << 63) - MIB, 1 << 63])
def test_a_size_that_the_hosts_file_system_cannot_have_is_refused(tmp_path: Path, size: int) -> None:
    disk = make_image(tmp_path / "disk")
    with pytest.raises(UsageError, match=r"a disk of \d+M cannot be in .*large"):
        extfs.resize(disk, size, tmp_path / "log")
    assert extfs.size(disk) == disk.stat().st_size == 16 * MIB


def test_what_is_no_ext4_or_is_damaged_is_named(tmp_path: Path) -> None:
    (tmp_path / "disk").write_bytes(bytes(MIB))
    with pytest.raises(UsageError, match="disk holds no ext4 file system"):
        extfs.resize(tmp_path / "disk", 2 * MIB, tmp_path / "log")
    disk = make_image(tmp_path / "bits")
    with disk.open("r+b") as stream:
        stream.seek(1024 + extfs.BLOCK_SIZE_BITS)
        stream.write(b"\xff" * 4)
    with pytest.raises(InfrastructureError, match="the superblock of .* is damaged"):
        extfs.size(disk)
    disk = make_image(tmp_path / "broken")
    with disk.open("r+b") as stream:
        # The group descriptors and all that follows them.
        stream.seek(4096)
        stream.write(os.urandom(2 * MIB))
    with pytest.raises(InfrastructureError, match="is damaged"):
        extfs.check(disk, tmp_path / "log", whole=True)


def pack_modules(folder: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        (folder / "lib/modules/6.12" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "lib/modules/6.12" / name).write_bytes(content)
    subprocess.run(["tar", "-C", str(folder), "-cf", str(folder.with_suffix(".tar")), "lib"], check=True)
    return folder.with_suffix(".tar")


def test_modules_are_those_of_the_kernel_that_boots(tmp_path: Path) -> None:
    """A disk of an older kernel, with /lib a link as in Debian, and with a module that the new one lacks."""
    tree = tmp_path / "tree"
    (tree / "usr/lib/modules/6.12/kernel/old").mkdir(parents=True)
    (tree / "usr/lib/modules/6.12/kernel/old/a.ko").write_bytes(b"old")
    (tree / "usr/lib/modules/6.1").mkdir()
    (tree / "usr/lib/modules/6.1/kept").write_bytes(b"kept")
    (tree / "lib").symlink_to("usr/lib")
    disk = tmp_path / "disk"
    subprocess.run(["mke2fs", "-q", "-t", "ext4", "-d", str(tree), str(disk), "16M"], check=True)
    new = {"kernel/new/b.ko": os.urandom(300000), "kernel/c.ko": b"c", "modules.builtin": b"", "modules.order": b""}
    extfs.replace_modules(disk, pack_modules(tmp_path / "packed", new), tmp_path / "log")
    subprocess.run(["debugfs", "-R", f"rdump /usr/lib/modules {tmp_path}", str(disk)], check=True, capture_output=True)
    there = {str(path.relative_to(tmp_path / "modules")): path.read_bytes()
             for path in (tmp_path / "modules").rglob("*") if path.is_file()}
    assert {f"6.12/{name}": content for name, content in new.items()}.items() <= there.items()
    assert there["6.1/kept"] == b"kept"
    assert "6.12/kernel/old/a.ko" not in there
    assert "6.12/modules.dep" in there
    assert is_sound(disk)


def disk_with_modules(tmp_path: Path, files: dict[str, bytes]) -> Path:
    tree, disk = tmp_path / "tree", tmp_path / "disk"
    pack_modules(tree, files)
    # Without checksums, so that a test can change an entry of a folder.
    subprocess.run(["mke2fs", "-q", "-t", "ext4", "-O", "^metadata_csum", "-d", str(tree), str(disk), "16M"],
                   check=True)
    return disk


def test_modules_are_replaced_whatever_their_names_and_wherever_the_disk_is(tmp_path: Path) -> None:
    place = tmp_path / "with space"
    place.mkdir()
    disk = disk_with_modules(place, {"my module.ko": b"", "a b/c d": b""})
    extfs.replace_modules(disk, pack_modules(tmp_path / "packed", {"a.ko": b"new"}), tmp_path / "log")
    shown = subprocess.run(["debugfs", "-R", "ls /lib/modules/6.12", str(disk)], capture_output=True, check=True)
    assert b"a.ko" in shown.stdout and b" b" not in shown.stdout and b"my" not in shown.stdout
    assert is_sound(disk)


@pytest.mark.parametrize("name", ['a"b', "a\nb", "/".join("d" * 40)])
def test_modules_that_cannot_be_replaced_are_named(tmp_path: Path, name: str) -> None:
    disk = disk_with_modules(tmp_path, {name: b""})
    with pytest.raises(InfrastructureError, match="/lib/modules/6.12 of .* cannot be replaced") as caught:
        extfs.replace_modules(disk, pack_modules(tmp_path / "packed", {"a.ko": b"new"}), tmp_path / "log")
    assert "mount -o loop" in caught.value.hint


def test_a_guests_folder_leads_to_no_file_of_the_host(tmp_path: Path) -> None:
    """An image's link and file of one name: debugfs' rdump makes the link, and writes the file through it."""
    victim, tree = tmp_path / "victim", tmp_path / "tree"
    victim.write_bytes(b"the host's")
    (tree / "lib/modules/6.12").mkdir(parents=True)
    (tree / "lib/modules/6.12/aa").symlink_to(victim)
    disk = disk_with_modules(tmp_path, {"bb": b"the guest's", 'x"y': b""})
    content = disk.read_bytes()
    assert content.count(b"\x02\x01bb") == 1
    disk.write_bytes(content.replace(b"\x02\x01bb", b"\x02\x01aa"))
    with pytest.raises(InfrastructureError):
        extfs.replace_modules(disk, pack_modules(tmp_path / "packed", {"a.ko": b"new"}), tmp_path / "log")
    assert victim.read_bytes() == b"the host's"


def described(**fields: object) -> Description:
    return Description(arch="riscv64", persist="work").model_copy(update=fields)


def made(folder: Path) -> persistent.Known:
    def fill(path: Path) -> None:
        make_image(folder / "image").rename(path)

    with persistent.locked("work"):
        return persistent.make(described(), fill)


def test_a_disk_is_found_again_with_what_it_was_made_of(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert persistent.find("work") is None
    wanted = {"persist": "work", "memory": "1G"}
    with pytest.raises(UsageError, match="no ARCH"):
        layers.resolve(wanted, ())
    made(home)
    found = layers.resolve(wanted, ())
    assert found.description == described(memory=1 << 30)
    assert found.origins["arch"] == "persistent disk 'work'"
    with pytest.raises(UsageError, match='was made with arch = "riscv64", not "x86_64"'):
        layers.resolve({**wanted, "arch": "x86_64"}, ())
    with pytest.raises(UsageError, match=r'include = \[\], not \["vim"\]'):
        layers.resolve({**wanted, "include": ["vim"]}, ())
    assert cli.main(["disks"]) == 0
    shown = capsys.readouterr().out.split("\t")
    assert [*shown[:4], shown[5]] == ["work", "riscv64", "tiny", "16M", "free\n"]


def test_a_disk_that_somebody_has_is_refused(home: Path, monkeypatch: pytest.MonkeyPatch,
                                             capsys: pytest.CaptureFixture[str]) -> None:
    disk = made(home)
    script = ("import sys; from pathlib import Path; from orchestration.machine import persistent; "
              "held = persistent.lock('work', Path('/runs/first')); print('has it', flush=True); sys.stdin.read()")
    with subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                          cwd=Path(__file__).parents[2]) as other:
        assert other.stdout is not None and other.stdin is not None
        assert other.stdout.readline() == "has it\n"
        with pytest.raises(UsageError, match=rf"'work' is in use by another boot \(process {other.pid}, /runs/first"):
            persistent.lock("work")
        assert cli.main(["disks", "--remove", "work"]) == UsageError.exit_code
        assert "in use by another boot" in capsys.readouterr().err
        with pytest.raises(UsageError, match="in use by another boot"):
            checks.check(described())
        web = registry.Entry("web", "riscv64", 1, 2, "/runs/first", "", "", "")
        monkeypatch.setattr(registry, "entries", lambda: [web])
        assert disk.user() == "machine web (/runs/first)"
        # However it ends.
        other.kill()
        other.wait()
    assert disk.user() == ""
    os.close(persistent.lock("work"))


def test_a_disk_that_is_removed_is_gone(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made(home)
    assert cli.main(["disks", "--remove", "work"]) == 0
    assert persistent.names() == []
    assert not (persistent.folder() / "work").exists()
    assert cli.main(["disks", "--remove", "work"]) == UsageError.exit_code
    assert "no persistent disk 'work'; valid: none" in capsys.readouterr().err


def test_a_disk_that_is_made_during_a_removal_stays(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made(home)
    real = shutil.rmtree

    def remove_late(path: Path, **more: Any) -> None:
        if path.exists():
            (home / "again").mkdir()
            made(home / "again")
        real(path, **more)

    monkeypatch.setattr(shutil, "rmtree", remove_late)
    persistent.remove("work")
    assert persistent.names() == ["work"]
    assert sorted(path.name for path in persistent.folder().iterdir()) == ["work"]


def test_a_disk_that_another_boot_made_meanwhile_is_refused(home: Path) -> None:
    """It is of another architecture; nothing of it is changed, and nobody has it afterwards."""
    disk = made(home)
    before = disk.image.read_bytes()
    with pytest.raises(UsageError, match='was made with arch = "riscv64", not "x86_64"'):
        root_disk.of_run(described(arch="x86_64"), home / "base", home / "modules.tar", userland.TINY,
                         RunDirectory("late", home / "runs"), keys.make())
    assert disk.image.read_bytes() == before
    assert disk.user() == ""
    assert not ownership.HELD


def test_a_lock_of_a_removed_disk_is_not_the_lock_of_the_next(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the opening and the locking of its file, somebody removes the disk."""
    made(home)
    real = os.open
    removed: list[bool] = []

    def open_late(path: Path, flags: int, *more: int) -> int:
        found = real(path, flags, *more)
        if not removed:
            removed.append(True)
            monkeypatch.undo()
            monkeypatch.setenv("XDG_DATA_HOME", str(home / "data"))
            persistent.remove("work")
        return found

    monkeypatch.setattr(os, "open", open_late)
    held = persistent.lock("work")
    with pytest.raises(UsageError, match="in use"):
        persistent.lock("work")
    os.close(held)


def test_a_disk_whose_making_was_interrupted_does_not_exist(home: Path) -> None:
    def fail(path: Path) -> None:
        path.write_bytes(b"half")
        raise KeyboardInterrupt

    with persistent.locked("work"), pytest.raises(KeyboardInterrupt):
        persistent.make(described(), fail)
    assert persistent.find("work") is None
    assert made(home).image.exists()


def test_a_damaged_record_is_named(home: Path) -> None:
    disk = made(home)
    (disk.place / persistent.RECORD).write_text(json.dumps({"arch": "x86_64"}))
    with pytest.raises(UsageError, match="'work' has no readable disk.json"):
        persistent.find("work")


@pytest.mark.parametrize("damage", ["{", "[]", '{"arch": 1, "rootfs": "tiny", "include": []}',
                                    '{"arch": "riscv64", "rootfs": "tiny", "include": "vim"}', "\0"])
def test_a_disk_with_a_damaged_record_hides_no_other_and_can_be_removed(
        home: Path, capsys: pytest.CaptureFixture[str], damage: str) -> None:
    disk = made(home)
    shutil.copytree(disk.place, disk.place.with_name("good"))
    shutil.copytree(disk.place, disk.place.with_name("zoo"))
    (disk.place / persistent.RECORD).write_text(damage)
    assert cli.main(["disks"]) == UsageError.exit_code
    out, err = capsys.readouterr()
    assert [line.split("\t")[0] for line in out.splitlines()] == ["good", "zoo"]
    assert f"persistent disk 'work' has no readable {persistent.RECORD}" in err
    assert str(disk.image) in err
    with pytest.raises(UsageError, match="'work' has no readable disk.json"):
        layers.resolve({"persist": "work"}, ())
    assert cli.main(["disks", "--remove", "work"]) == 0
    assert persistent.names() == ["good", "zoo"]
    assert cli.main(["disks"]) == 0


@pytest.mark.parametrize("kind", ["tiny", "tar file", "image"])
def test_modules_are_replaced_where_they_are_ours(home: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    """Of a second boot, with another Linux; an ext4 image is as the user made it."""
    image, tar = make_image(home / "image"), pack_modules(home / "packed", {"a.ko": b"a"})
    wanted = described(rootfs={"tiny": "tiny", "tar file": str(tar), "image": str(image)}[kind])
    replaced: list[Path] = []
    monkeypatch.setattr(extfs, "replace_modules", lambda disk, modules, log: replaced.append(modules))
    run = RunDirectory("test")
    for name in ("one", "one", "two", "two"):
        (home / name).write_bytes(name.encode())
        _, held = root_disk.of_run(wanted, image, home / name, userland.Userland(None, systemd=False), run, keys.make())
        assert held is not None
        os.close(held)
    assert replaced == ([] if kind == "image" else [home / "two"])


def test_a_persistent_disk_grows_and_does_not_shrink(home: Path) -> None:
    disk = made(home)
    persistent.revive(disk, described(disk_size=32 * MIB), home / "log")
    assert extfs.size(disk.image) == 32 * MIB
    with pytest.raises(UsageError, match="'work' has 32M and is not made smaller, to 16M"):
        persistent.revive(disk, described(disk_size=16 * MIB), home / "log")
    assert is_sound(disk.image)


def test_a_new_disk_that_is_too_small_is_not_made(home: Path) -> None:
    base, modules = make_image(home / "base"), home / "modules.tar"
    modules.write_bytes(b"")
    with persistent.locked("work"), pytest.raises(UsageError, match="a disk of 4M is smaller than its content"):
        root_disk.make(described(disk_size=4 * MIB), base, modules, home / "log")
    assert persistent.find("work") is None
    with persistent.locked("work"):
        disk = root_disk.make(described(disk_size=12 * MIB), base, modules, home / "log")
    assert extfs.size(disk.image) == 12 * MIB
