# SPDX-License-Identifier: BSD-2-Clause
"""The guest's root file system by name: a user's tar file or image, what is wrong with it, and a run's keys."""

from __future__ import annotations

import io
import os
import subprocess
import tarfile
from pathlib import Path

import pytest

from orchestration.base.arch import ARCHES
from orchestration.base.cache import Cache
from orchestration.base.errors import BuildError, InfrastructureError, MissingError, UsageError
from orchestration.build import debian, disk, namespace, pack, userland
from orchestration.build.userland import DROPBEAR, OPENSSH

X86, ARM = ARCHES["x86_64"], ARCHES["aarch64"]
EM_X86_64, EM_AARCH64 = 62, 183
IMAGE_SIZE = "8192k"


def elf(machine: int) -> bytes:
    """Return the beginning of a program."""
    return b"\x7fELF\x02\x01\x01".ljust(16, b"\0") + b"\x03\0" + machine.to_bytes(2, "little") + bytes(44)


def put(tree: Path, name: str, content: bytes, mode: int = 0o755) -> None:
    path = tree / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    path.chmod(mode)


def systemd_tree(tree: Path, machine: int = EM_X86_64) -> Path:
    """Make a tree whose /sbin/init is systemd, by links as Debian has them, with OpenSSH's server."""
    put(tree, "usr/lib/systemd/systemd", elf(machine))
    put(tree, "usr/sbin/sshd", elf(machine))
    put(tree, "etc/ssh/sshd_config", b"")
    (tree / "usr/sbin/init").symlink_to("../lib/systemd/systemd")
    (tree / "sbin").symlink_to("/usr/sbin")
    return tree


def image_of(tree: Path, path: Path) -> Path:
    subprocess.run(["mke2fs", "-q", "-t", "ext4", "-d", str(tree), str(path), IMAGE_SIZE], check=True)
    return path


def tar_of(tree: Path, path: Path) -> Path:
    subprocess.run(["tar", "-C", str(tree), "-caf", str(path), "."], check=True)
    return path


def shown(image: Path, name: str) -> bytes:
    return subprocess.run(["debugfs", "-R", f"cat {name}", str(image)], capture_output=True, check=True).stdout


def no_modules(tmp_path: Path) -> Path:
    """Return a tar file without modules."""
    empty = tmp_path / "no-modules"
    empty.mkdir()
    return tar_of(empty, tmp_path / "modules.tar")


def find(tmp_path: Path, file: Path, arch: str = "x86_64") -> disk.Disk:
    disk.check(ARCHES[arch], str(file), ())
    return disk.find(ARCHES[arch], Cache(tmp_path / "cache"), str(file), (), no_modules(tmp_path))


def test_an_image_is_taken_as_it_is(tmp_path: Path) -> None:
    image = image_of(systemd_tree(tmp_path / "tree"), tmp_path / "image")
    before = image.read_bytes()
    found = find(tmp_path, image)
    assert found.image == image and image.read_bytes() == before
    assert found.userland == userland.Userland(OPENSSH, systemd=True)


@pytest.mark.parametrize("suffix", ["tar", "tar.gz", "tar.xz"])
def test_a_tar_file_becomes_an_image(tmp_path: Path, suffix: str) -> None:
    tree = systemd_tree(tmp_path / "tree")
    put(tree, "home/user/file", b"text", 0o640)
    found = find(tmp_path, tar_of(tree, tmp_path / f"root.{suffix}"))
    assert found.userland.systemd
    assert shown(found.image, "/home/user/file") == b"text"
    assert userland.Image(found.image).look("/home/user/file")[1] == 0o640


def test_modules_reach_the_image_and_nothing_else_does(tmp_path: Path) -> None:
    """A link of the tar file leads into the image, not to the host's folders."""
    tree, outside = systemd_tree(tmp_path / "tree"), tmp_path / "outside"
    outside.mkdir()
    (tree / "lib").symlink_to(f"..{outside}")
    (tree / str(outside).lstrip("/")).mkdir(parents=True)
    put(tmp_path / "modules", "lib/modules/6.12/kernel/some.ko", b"module")
    modules = tar_of(tmp_path / "modules", tmp_path / "modules.tar")
    file = tar_of(tree, tmp_path / "root.tar")
    found = disk.find(X86, Cache(tmp_path / "cache"), str(file), (), modules)
    assert shown(found.image, f"{outside}/modules/6.12/kernel/some.ko") == b"module"
    assert not list(outside.iterdir())


def test_names_that_lead_out_of_a_tar_file_lead_nowhere(tmp_path: Path) -> None:
    file = tmp_path / "root.tar"
    with tarfile.open(file, "w") as archive:
        for name in ("../escaped", "/absolute-escaped"):
            member = tarfile.TarInfo(name)
            member.size = 1
            archive.addfile(member, io.BytesIO(b"x"))
    with pytest.raises(UsageError):
        find(tmp_path, file)
    assert not list(tmp_path.rglob("escaped")) and not Path("/absolute-escaped").exists()


def archive_of(path: Path, tree: Path, *members: tarfile.TarInfo) -> Path:
    """Make a tar file of a tree and of members without content."""
    with tarfile.open(path, "w") as archive:
        archive.add(tree, ".")
        for member in members:
            archive.addfile(member)
    return path


def member(name: str, kind: bytes = tarfile.REGTYPE, target: str = "", mode: int = 0o644) -> tarfile.TarInfo:
    found = tarfile.TarInfo(name)
    found.type, found.linkname, found.mode = kind, target, mode
    return found


@pytest.mark.parametrize("first", ["./", "", "/"])
def test_devices_are_left_out_and_other_folders_of_that_name_are_not(tmp_path: Path, first: str) -> None:
    """By whatever name a tar file calls its members."""
    names = [f"{first}{name}" for name in ("dev/null", "home/user/dev/file", "usr/share/dev/file")]
    found = find(tmp_path, archive_of(tmp_path / "root.tar", systemd_tree(tmp_path / "tree"), *map(member, names)))
    image = userland.Image(found.image)
    assert [image.look(name)[0] for name in ("/dev/null", "/home/user/dev/file", "/usr/share/dev/file")] == [
        "", "regular", "regular"]


def test_links_and_special_files_of_a_tar_file_stay_inside(tmp_path: Path) -> None:
    """A link out of the tree and a member below it, a hard link to the host's file, devices outside of /dev."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "file").write_bytes(b"the host's")
    device = member("srv/disk", tarfile.BLKTYPE)
    device.devmajor = 8
    tree = systemd_tree(tmp_path / "tree")
    found = find(tmp_path, archive_of(tmp_path / "root.tar", tree, device, member("srv/pipe", tarfile.FIFOTYPE),
                                      member("usr/bin/su", mode=0o4755), member("etc/shadow", mode=0),
                                      member("srv/link", tarfile.LNKTYPE, "./usr/sbin/sshd")))
    image = userland.Image(found.image)
    assert [image.look(f"/srv/{name}")[0] for name in ("disk", "pipe", "link")] == ["block special", "FIFO", "regular"]
    assert [image.look(name)[:2] for name in ("/usr/bin/su", "/etc/shadow")] == [("regular", 0o4755), ("regular", 0)]
    for number, bad in enumerate(([member("out", tarfile.SYMTYPE, str(outside)), member("out/new")],
                                  [member("hard", tarfile.LNKTYPE, str(outside / "file"))])):
        file = archive_of(tmp_path / f"bad-{number}.tar", tree, *bad)
        with pytest.raises(UsageError, match="cannot be unpacked"):
            disk.find(X86, Cache(tmp_path / "cache"), str(file), (), tmp_path / "modules.tar")
    assert [path.name for path in outside.iterdir()] == ["file"]


def test_links_lead_through_a_bounded_number_of_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each costs a run of debugfs, and a link of a hostile disk may name thousands."""
    tree = systemd_tree(tmp_path / "tree")
    put(tree, "a/" * 20 + "file", b"")
    (tree / "link").symlink_to("a/" * 20 + "file")
    image = userland.Image(image_of(tree, tmp_path / "image"))
    assert image.resolve("/link") == "/" + "a/" * 20 + "file"
    monkeypatch.setattr(userland, "LOOKS_MAX", 10)
    with pytest.raises(UsageError, match="leads through more than 10 names"):
        userland.Image(image.path).resolve("/link")


def test_an_image_has_an_inode_for_each_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As many as of a system with small files only; mke2fs has one for each 16 KiB."""
    monkeypatch.setattr(disk, "LEAST", 4 << 20)
    monkeypatch.setattr(disk, "ROOM", 8 << 20)
    tree = systemd_tree(tmp_path / "tree")
    for number in range(2000):
        (tree / f"file-{number}").touch()
    found = find(tmp_path, tar_of(tree, tmp_path / "root.tar"))
    assert userland.Image(found.image).look("/file-1999")[0] == "regular"


def test_a_tar_file_without_an_init(tmp_path: Path) -> None:
    put(tmp_path / "tree", "bin/sh", elf(EM_X86_64))
    with pytest.raises(UsageError, match="root.tar has no init: none of /sbin/init, /etc/init, /bin/init"):
        find(tmp_path, tar_of(tmp_path / "tree", tmp_path / "root.tar"))


def test_an_init_that_is_no_program(tmp_path: Path) -> None:
    put(tmp_path / "tree", "sbin/init", b"text", 0o644)
    (tmp_path / "tree/etc").mkdir()
    (tmp_path / "tree/etc/init").symlink_to("init")
    with pytest.raises(UsageError, match="has no init"):
        find(tmp_path, image_of(tmp_path / "tree", tmp_path / "image"))


@pytest.mark.parametrize("name", ["sbin/init", "root/.ssh/authorized_keys"])
def test_a_large_file_of_an_image_is_not_read_into_memory(tmp_path: Path, name: str) -> None:
    tree = systemd_tree(tmp_path / "tree")
    (tree / "sbin").unlink()
    put(tree, "sbin/init", elf(EM_X86_64))
    put(tree, name, elf(EM_X86_64))
    os.truncate(tree / name, 1 << 40)
    image = image_of(tree, tmp_path / "image")
    if name == "sbin/init":
        assert userland.look(image, X86).login == OPENSSH
    else:
        with pytest.raises(UsageError, match="/root/.ssh/authorized_keys of .* has 1 MiB or more"):
            copied(tmp_path, image)


def test_programs_of_another_architecture(tmp_path: Path) -> None:
    image = image_of(systemd_tree(tmp_path / "tree", EM_AARCH64), tmp_path / "image")
    with pytest.raises(UsageError, match="are for aarch64, not for x86_64") as caught:
        find(tmp_path, image)
    assert f"boot aarch64 --rootfs {image}" in caught.value.hint
    assert userland.look(image, ARM).systemd


def test_an_init_that_is_a_script_has_its_interpreters_architecture(tmp_path: Path) -> None:
    put(tmp_path / "tree", "bin/sh", elf(EM_AARCH64))
    put(tmp_path / "tree", "sbin/init", b"#!/bin/sh -e\n")
    with pytest.raises(UsageError, match="are for aarch64"):
        find(tmp_path, image_of(tmp_path / "tree", tmp_path / "image"))


@pytest.mark.parametrize(("content", "said"), [
    (b"", "is empty"), (b"text" * 1000, "no ext4 file system"),
    (bytes(510) + b"\x55\xaa" + bytes(4096), "no ext4 file system but partitions"),
    (b"\x1f\x8b" + bytes(600), "cannot be unpacked")])
def test_a_file_that_is_no_root_file_system(tmp_path: Path, content: bytes, said: str) -> None:
    file = tmp_path / "file"
    file.write_bytes(content)
    with pytest.raises(UsageError, match=said):
        find(tmp_path, file)


def test_a_folder_and_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is a folder") as caught:
        find(tmp_path, tmp_path)
    assert "tar -C" in caught.value.hint
    with pytest.raises(UsageError, match="is no regular file"):
        disk.check_file(Path("/dev/null"))
    with pytest.raises(UsageError, match="does not exist") as caught:
        disk.check_file(tmp_path / "no-such")
    assert "valid: tiny, debian" in caught.value.hint


def test_packages_go_into_debian_only() -> None:
    with pytest.raises(UsageError, match="--include takes --rootfs debian"):
        disk.check(X86, "tiny", ("vim",))


@pytest.mark.parametrize("name", ["Vim", "a b", "-o", "vim,nano", "", "x"])
def test_what_is_no_name_of_a_package(name: str) -> None:
    with pytest.raises(UsageError, match="is no name of a Debian package"):
        debian.packages((name,))


@pytest.mark.parametrize("line", [
    "E: Unable to locate package no-such-package", "E: Package 'no-such-package' has no installation candidate",
    "E: Couldn't find any package by glob 'no-such-package'"])
def test_packages_that_do_not_exist_are_named(line: str) -> None:
    with pytest.raises(UsageError, match=r"Debian trixie has no no-such-package for amd64") as caught:
        debian.explain(X86, ("I: running apt-get update...", line), ("no-such-package",))
    assert "--include" in caught.value.hint


LAGS = ("E: Failed to fetch http://deb.debian.org/{}/dists/{}/main/binary-riscv64/Packages.xz  File has unexpected "
        "size (259724 != 294624). Mirror sync in progress? [IP: 203.0.113.80 80]")


def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lines: list[str]) -> tuple[list[str], list[list[str]]]:
    """Have Debian made where each attempt that uses a suite in lines fails with its line, and used twice.

    Return what the user was told, and the suites of each attempt.
    """
    said: list[str] = []
    attempts: list[list[str]] = []

    def build(_: object, __: object, ___: object, sources: tuple[str, ...], target: Path, ____: object, log: Path,
              ) -> None:
        attempts.append([line.split()[2] for line in sources])
        bad = [line for line in lines if any(f"/{suite}/" in line or "dists" not in line for suite in attempts[-1])]
        with log.open("a") as stream:
            stream.writelines(f"{line}\n" for line in bad)
        if bad:
            raise BuildError("making Debian failed with status 25")
        target.write_bytes(b"tar")

    monkeypatch.setattr(debian, "build", build)
    monkeypatch.setattr(debian, "prefix", lambda *_: [])
    cache = Cache(tmp_path / "cache", say=said.append)
    for _ in range(2):
        debian.content(X86, cache, ())
    return said, attempts


def test_suites_that_the_mirror_does_not_have_are_told_each_time(tmp_path: Path,
                                                                 monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [LAGS.format("debian-security", "trixie-security"), LAGS.format("debian", "trixie-updates")]
    said, attempts = made(tmp_path, monkeypatch, lines)
    assert attempts == [["trixie", "trixie-security", "trixie-updates"], ["trixie"]]
    assert len(said) == 2 and "was made without trixie-security and trixie-updates" in said[1]


def test_nothing_is_told_of_suites_that_are_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert made(tmp_path, monkeypatch, []) == ([], [["trixie", "trixie-security", "trixie-updates"]])


@pytest.mark.parametrize("lines", [
    ["dpkg: error processing package systemd"],
    [LAGS.format("debian", "trixie"), LAGS.format("debian-security", "trixie-security")]])
def test_another_failure_is_not_tried_again_without_the_updates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                                                lines: list[str]) -> None:
    with pytest.raises(InfrastructureError, match="cannot make Debian trixie for amd64"):
        made(tmp_path, monkeypatch, lines)
    assert (tmp_path / "cache/build/debian-x86_64.log").read_text().splitlines() == lines


def test_a_host_that_forbids_namespaces_is_told() -> None:
    with pytest.raises(MissingError, match="cannot be made here: it takes Linux 6.7"):
        debian.explain(X86, (f"{namespace.REASON}it takes Linux 6.7",), ())


def copied(tmp_path: Path, image: Path, host_key: bytes = b"host\0key", client: str = "ssh-ed25519 AAAA") -> Path:
    """Return a run's copy of an image."""
    target = tmp_path / "copy"
    login = userland.described(userland.Image(image)).login
    disk.run_copy(image, target, login, host_key, client, tmp_path / "log")
    return target


def test_keys_reach_openssh(tmp_path: Path) -> None:
    copy = copied(tmp_path, image_of(systemd_tree(tmp_path / "tree"), tmp_path / "image"))
    assert shown(copy, OPENSSH.host_key) == b"host\0key"
    assert shown(copy, OPENSSH.authorized) == b"ssh-ed25519 AAAA quoll\n"
    assert userland.Image(copy).look(OPENSSH.host_key)[1] == 0o600
    assert subprocess.run(["e2fsck", "-fn", str(copy)], capture_output=True, check=False).returncode == 0


def test_keys_reach_dropbear_wherever_the_disk_is(tmp_path: Path) -> None:
    place = tmp_path / "with space, comma"
    place.mkdir()
    put(tmp_path / "tree", "usr/sbin/dropbear", elf(EM_X86_64))
    copy = copied(place, image_of(tmp_path / "tree", place / "image"))
    assert shown(copy, DROPBEAR.host_key) == b"host\0key"
    assert sorted(path.name for path in place.iterdir()) == ["copy", "image", "log"]


def test_other_keys_stay_and_those_of_an_earlier_run_go(tmp_path: Path) -> None:
    tree = systemd_tree(tmp_path / "tree")
    put(tree, "root/.ssh/authorized_keys", b"ssh-rsa BBBB me@home\nssh-ed25519 OLD quoll\n", 0o600)
    copy = copied(tmp_path, image_of(tree, tmp_path / "image"))
    assert shown(copy, OPENSSH.authorized) == b"ssh-rsa BBBB me@home\nssh-ed25519 AAAA quoll\n"


def test_a_disk_without_a_server_gets_no_keys(tmp_path: Path) -> None:
    put(tmp_path / "tree", "sbin/init", elf(EM_X86_64))
    image = image_of(tmp_path / "tree", tmp_path / "image")
    assert copied(tmp_path, image).read_bytes() == image.read_bytes()


def test_keys_that_did_not_reach_the_disk_are_told(tmp_path: Path) -> None:
    """debugfs' status is 0 whatever becomes of its commands."""
    tree = systemd_tree(tmp_path / "tree")
    (tree / "etc/ssh/ssh_host_ed25519_key").mkdir()
    with pytest.raises(InfrastructureError, match="ssh_host_ed25519_key of .* is not what was written"):
        copied(tmp_path, image_of(tree, tmp_path / "image"))


def test_links_do_not_lead_out_of_a_tree(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("/etc/../../b")
    (tmp_path / "loop").symlink_to("loop")
    assert pack.inside(tmp_path, "a/passwd") == tmp_path / "b/passwd"
    assert pack.inside(tmp_path, "../../x") == tmp_path / "x"
    with pytest.raises(OSError, match="too many links"):
        pack.inside(tmp_path, "loop")


def test_a_namespace_of_its_own() -> None:
    done = subprocess.run(["python3", "-I", namespace.__file__, "--", "sh", "-c", "id -u; echo $$; exit 7"],
                          capture_output=True, text=True, check=False)
    if done.returncode == namespace.REFUSED:
        pytest.skip(done.stderr.strip())
    assert (done.returncode, done.stdout.split()[0]) == (7, "0") and int(done.stdout.split()[1]) < 10


def test_a_namespace_needs_its_own_formats() -> None:
    done = subprocess.run(["python3", "-I", namespace.__file__, "--emulate", "none", "1", "/no/such/program", "--",
                           "true"], capture_output=True, text=True, check=False)
    assert done.returncode == namespace.REFUSED
    assert done.stderr.startswith(namespace.REASON)


@pytest.mark.parametrize(("text", "runs"), [
    ("enabled\ninterpreter /usr/bin/qemu-riscv64-static\nflags: POCF\noffset 0\n", True),
    ("enabled\ninterpreter /usr/bin/qemu-riscv64-static\nflags: OC\noffset 0\n", False),
    ("disabled\ninterpreter /usr/bin/qemu-riscv64-static\nflags: F\noffset 0\n", False), ("", False)])
def test_before_linux_6_7_the_hosts_formats_serve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str,
                                                  runs: bool) -> None:
    """The namespace's own /proc, which is mounted first, shows none of them."""
    entry = tmp_path / "qemu-riscv64"
    if text:
        entry.write_text(text)

    def mount(_: str, target: str, kind: str | None, __: int) -> None:
        if kind == "proc":
            entry.unlink(missing_ok=True)
        elif kind == "binfmt_misc":
            raise PermissionError(1, "no")

    monkeypatch.setattr(namespace, "FORMATS", str(tmp_path))
    monkeypatch.setattr(namespace, "mount", mount)
    if runs:
        namespace.prepare([("riscv64", 243, "/no/such")])
    else:
        with pytest.raises(namespace.RefusedError, match="it takes Linux 6.7"):
            namespace.prepare([("riscv64", 243, "/no/such")])


def test_a_host_that_gives_too_few_ids_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """Root of a container that has one id; a user without a name, and without a range."""
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(Path, "read_text", lambda _: "0 1000 1\n")
    with pytest.raises(namespace.RefusedError, match="root has less than 65536 uids"):
        namespace.give_ids(1)
    monkeypatch.setattr(os, "geteuid", lambda: 54321)
    monkeypatch.setattr(os, "getuid", lambda: 54321)
    monkeypatch.setattr(Path, "read_text", lambda _: "user:100000:65536\n54321:1:100\n")
    with pytest.raises(namespace.RefusedError, match="/etc/subuid has no range of 65535 ids for 54321"):
        namespace.give_ids(1)
    monkeypatch.setattr(Path, "read_text", lambda _: "user:100000:65536\n54321:165536:65536\n")
    assert namespace.first_id("/etc/subuid") == 165536
