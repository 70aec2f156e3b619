# SPDX-License-Identifier: BSD-2-Clause
"""What the host cannot give to a machine is told before anything is built."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path
from types import SimpleNamespace

import pytest

from orchestration.base.errors import InfrastructureError, UsageError
from orchestration.base.rundir import RunDirectory
from orchestration.machine import checks, registry
from orchestration.machine.description import Description, Disk, Place, Port
from orchestration.machine.qemu import Config, Machine


def described(**fields: object) -> Description:
    return Description(arch="x86_64").model_copy(update=fields)


def image(path: Path, size: int = 1 << 20, begin: bytes = b"") -> Path:
    path.write_bytes(begin)
    os.truncate(path, size)
    return path


def test_a_disk_must_be_a_file_of_sectors(tmp_path: Path) -> None:
    good = image(tmp_path / "good")
    checks.check(described(disks=(Disk(good), Disk(image(tmp_path / "other"), read_only=True))))
    for path, words in ((tmp_path / "none", "there is no disk"), (tmp_path, "neither a file nor a block device"),
                        (Path("/dev/null"), "neither a file nor"), (image(tmp_path / "empty", 0), "0 bytes"),
                        (image(tmp_path / "odd", 1000), "1000 bytes"),
                        (image(tmp_path / "qcow2", begin=b"QFI\xfb"), "qcow2 image")):
        with pytest.raises(UsageError, match=words) as caught:
            checks.check(described(disks=(Disk(path),)))
        assert str(path) in caught.value.message


def test_a_disk_that_may_not_be_written_can_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = image(tmp_path / "disk")
    real = open

    def refuse(path: object, mode: str, **more: object) -> object:
        if mode == "r+b":
            raise PermissionError(13, "Permission denied", str(path))
        return real(path, mode, **more)  # type: ignore[call-overload]

    # Root may write any file.
    monkeypatch.setattr(checks, "open", refuse, raising=False)
    with pytest.raises(UsageError, match="Permission denied") as caught:
        checks.check_disk(Disk(disk))
    assert f"--disk {disk},ro" in caught.value.hint
    checks.check_disk(Disk(disk, read_only=True))


def test_a_guest_mode_must_be_one_of_the_machine() -> None:
    for mode in (None, "beside", "above"):
        checks.check(described(guest_mode=mode))
    for arch in ("riscv64", "aarch64"):
        checks.check(Description(arch=arch, guest_mode="beside"))
        with pytest.raises(UsageError, match=f"--guest-mode above: {arch} has only beside"):
            checks.check(Description(arch=arch, guest_mode="above"))
    with pytest.raises(UsageError, match="under emulation only"):
        checks.check(described(guest_mode="above", accel="kvm"))
    with pytest.raises(UsageError, match="with one CPU only"):
        checks.check(described(guest_mode="above", cpus=2))
    checks.check(described(guest_mode="beside", cpus=2))
    checks.check(described(guest_mode="beside", accel="kvm"))


def test_a_check_for_several_cpus_is_not_for_one() -> None:
    checks.check(described(debug=("kcsan", "lockdep"), cpus=2))
    with pytest.raises(UsageError, match="the machine has one"):
        checks.check(described(debug=("kcsan",)))
    with pytest.raises(UsageError, match="one of the two"):
        checks.check(described(debug=("kasan", "kcsan"), cpus=2))


def test_one_file_is_one_disk(tmp_path: Path) -> None:
    disk, link = image(tmp_path / "disk"), tmp_path / "link"
    link.symlink_to(disk)
    with pytest.raises(UsageError, match="given twice"):
        checks.check(described(disks=(Disk(disk), Disk(link))))


@pytest.mark.parametrize(("mine", "others", "refused"), [(False, False, True), (True, False, True),
                                                         (False, True, True), (True, True, False)])
def test_a_disk_of_another_machine_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mine: bool, others: bool,
                                           refused: bool) -> None:
    disk = image(tmp_path / "disk")
    (tmp_path / "config.json").write_text(json.dumps({"disks": [str(Disk(disk, others))]}))
    (tmp_path / "unreadable").mkdir()
    monkeypatch.setattr(registry, "entries", lambda: [SimpleNamespace(name="x", run=str(tmp_path / "unreadable")),
                                                      SimpleNamespace(name="web", run=str(tmp_path))])
    wanted = described(disks=(Disk(disk, mine),))
    if refused:
        with pytest.raises(UsageError, match="in use by machine web"):
            checks.check(wanted)
    else:
        checks.check(wanted)


def test_more_disks_than_interrupts_are_told() -> None:
    many = tuple(Disk(Path(f"d{number}")) for number in range(14))
    with pytest.raises(UsageError, match="14 more disks are too many for x86_64: it has interrupts for 13"):
        checks.check(described(disks=many))
    with pytest.raises(UsageError, match="riscv64: it has interrupts for 2"):
        checks.check(described(arch="riscv64", disks=many[:3]))


def test_more_memory_than_the_host_has_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sysconf", {"SC_PAGE_SIZE": 4096, "SC_PHYS_PAGES": 1 << 17}.__getitem__)
    checks.check(described(memory=512 << 20))
    with pytest.raises(UsageError, match="a memory of 1G is more than this host has: 512M"):
        checks.check(described(memory=1 << 30))


def test_a_taken_port_is_named() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        number = other.getsockname()[1]
        with pytest.raises(UsageError, match=f"port {number} of this host is taken"):
            checks.check(described(ports=(Port(number, 80),)))
    checks.check(described(ports=(Port(number, 80),)))


@pytest.mark.parametrize(("said", "words"), [
    ("-netdev user: Could not set up host forwarding rule 'tcp:127.0.0.1:8080-:80'", "port 8080 of this host is taken"),
    ('-drive if=none,id=hd1,format=raw,file=/d,,1: Failed to get "write" lock', "disk /d,1 is in use by another"),
])
def test_what_is_taken_meanwhile_is_named_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str,
                                              words: str) -> None:
    config = Config(kernel=Path("k"), disks=(Disk(Path("/d,1")),), ports=(Port(8080, 80),))
    machine = Machine(described().target, config, RunDirectory("r", tmp_path))

    def spawn() -> None:
        raise InfrastructureError("QEMU ended at once", "", (said,))

    monkeypatch.setattr(machine, "spawn", spawn)
    with pytest.raises(UsageError, match=words):
        machine.start()


def test_a_taken_name_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    machine = SimpleNamespace(sockets=tmp_path, arch=SimpleNamespace(name="x86_64"), port=1,
                              run=SimpleNamespace(path=tmp_path))
    assert registry.add(machine, None, None, None, "web").name == "web.json"  # type: ignore[arg-type]
    assert registry.find("web").arch == "x86_64"
    with pytest.raises(UsageError, match="a machine 'web' runs already"):
        checks.check(described(name="web"))
    with pytest.raises(UsageError, match="a machine 'web' runs already"):
        registry.add(machine, None, None, None, "web")  # type: ignore[arg-type]
    assert registry.add(machine, None, None, None).name == "x86_64-1.json"  # type: ignore[arg-type]
    (registry.folder() / "mail.json").write_text("")
    with pytest.raises(UsageError, match=r"the name 'mail' is taken by .*mail\.json"):
        registry.add(machine, None, None, None, "mail")  # type: ignore[arg-type]


def test_a_machine_is_the_same_after_it_was_stored() -> None:
    config = Config(kernel=Path("k"), disks=(Disk(Path("a,b"), read_only=True), Disk(Path("c,ro"))),
                    ports=(Port(1, 2),), cpus=3)
    assert Config.from_json(json.loads(json.dumps(config.as_json()))) == config


@pytest.mark.parametrize(("places", "words"), [
    ((Place("block2", 0),), "the machine has no block2"),
    ((Place("vcpu2", 0),), "the machine has no vcpu2"),
    ((Place("block", 1), Place("net", 2)), "--place net=2: the machine has CPUs 0 to 1")])
def test_a_place_of_nobody_or_nowhere_is_told(places: tuple[Place, ...], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        checks.check(described(cpus=2, places=places))
    checks.check(described(cpus=2, places=(Place("block", 1), Place("vcpu1", 0))))
