# SPDX-License-Identifier: BSD-2-Clause
"""Memory, disks, ports and names that the user asks for, in one machine; a driver of one disk that dies."""

from __future__ import annotations

import hashlib
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestration.base.rundir import RunDirectory
from orchestration.build import system
from orchestration.faults import inject
from orchestration.faults import plan as plans
from orchestration.inspect.gdbstub import Stub
from orchestration.machine import boot, checks, registry
from orchestration.machine.description import Description, Disk, Port
from orchestration.machine.progress import Progress
from orchestration.machine.qemu import MIB, free_port
from orchestration.machine.session import Session

pytestmark = pytest.mark.elsewhere_nightly
MEMORY = 256 * MIB
WRITTEN = b"written by the host" * 27


@pytest.fixture(scope="module")
def disks(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two disks of the user's: the guest may write the first."""
    folder = tmp_path_factory.mktemp("disks")
    paths = folder / "with space, comma", folder / "second"
    for path, size in zip(paths, (24 * MIB, 16 * MIB), strict=True):
        path.write_bytes(WRITTEN)
        os.truncate(path, size)
    return paths


@pytest.fixture(scope="module")
def machine(description: Description, made: boot.Artefacts, progress: Progress, disks: tuple[Path, Path],
            tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    wanted = description.model_copy(update={
        "memory": MEMORY, "disks": (Disk(disks[0]), Disk(disks[1], read_only=True)),
        "ports": (Port(free_port(), 8080),), "name": f"options-{os.getpid()}"})
    checks.check(wanted)
    session = boot.prepare(wanted, made, progress, RunDirectory("options", tmp_path_factory.mktemp("run")))
    with session:
        yield session
        session.power_off()


def test_linux_has_the_memory(machine: Session) -> None:
    shown = int(machine.shell_run("sed -n 's/^MemTotal: *//p' /proc/meminfo").text.split()[0]) << 10
    assert MEMORY - 32 * MIB < shown < MEMORY


def test_the_guest_writes_the_users_disk(machine: Session, disks: tuple[Path, Path]) -> None:
    assert machine.shell_run("cat /sys/block/vdb/size /sys/block/vdc/size").text.split() == ["49152", "32768"]
    assert machine.shell_run(f"head -c {len(WRITTEN)} /dev/vdb").out == WRITTEN
    sent = hashlib.sha256(b"guest").digest() * 4096
    done = machine.shell_run("dd of=/dev/vdb bs=64k seek=100 conv=fsync 2>/dev/null", source=sent)
    assert done.status == 0
    with disks[0].open("rb") as stream:
        stream.seek(100 << 16)
        assert stream.read(len(sent)) == sent
    assert disks[0].read_bytes().startswith(WRITTEN)


def test_a_disk_that_is_read_only_is_not_written(machine: Session, disks: tuple[Path, Path]) -> None:
    before = hashlib.sha256(disks[1].read_bytes()).digest()
    assert machine.shell_run("cat /sys/block/vdc/ro").text.strip() == "1"
    assert machine.shell_run("dd if=/dev/zero of=/dev/vdc bs=4k count=1 conv=fsync").status != 0
    assert machine.shell_run(f"head -c {len(WRITTEN)} /dev/vdc").out == WRITTEN
    assert hashlib.sha256(disks[1].read_bytes()).digest() == before


def test_a_port_of_the_host_leads_to_the_guest(machine: Session) -> None:
    machine.shell_run("(echo hello from the guest | nc -l -p 8080 > /tmp/received; touch /tmp/heard) "
                      "> /dev/null 2>&1 &")
    machine.shell_run("until netstat -ltn | grep -q :8080; do sleep 0.1; done")
    port = machine.machine.config.ports[0].host
    with socket.create_connection(("127.0.0.1", port), timeout=60) as link:
        link.sendall(b"hello from the host\n")
        assert link.makefile("rb").readline() == b"hello from the guest\n"
    machine.shell_run("until [ -e /tmp/heard ]; do sleep 0.1; done")
    assert machine.shell_run("cat /tmp/received").text == "hello from the host"


def test_the_machine_has_its_name(machine: Session) -> None:
    name = f"options-{os.getpid()}"
    assert registry.find(name).port == machine.machine.port
    assert machine.shell_run("hostname; cat /proc/sys/kernel/hostname").text.split() == [name, name]


class OfOneDisk(inject.Injector):
    """Makes faults in the driver of one of several disks: its program is the others' too, its queues are its own."""

    front = 0

    def here(self, stub: Stub) -> bytes | None:
        page = super().here(stub)
        if page is None:
            return None
        queues, = system.resources(self.abi, page, self.abi.RESOURCE_QUEUES)
        return page if queues["address"] == self.abi.GUEST_DEVICE_GPA + self.front * self.abi.PAGE_SIZE else None


def test_a_driver_of_one_disk_that_dies_leaves_the_others_working(machine: Session, made: boot.Artefacts) -> None:
    """Both disks are written all the time; afterwards each has what was written."""
    start = ("dd if=/dev/urandom of=/root/data bs=1M count=4 2>/dev/null; sha256sum < /root/data; "
             "(while [ ! -e /tmp/end ]; do dd if=/root/data of=/dev/vdb bs=4k conv=fsync; done; "
             "echo $? > /tmp/second) > /dev/null 2>&1 & "
             "(while [ ! -e /tmp/end ]; do cp /root/data /root/copy && sync; done; echo $? > /tmp/first) "
             "> /dev/null 2>&1 &")
    want = machine.shell_run(start).text
    injector = OfOneDisk(made.arch, made.abi, "block", made.bare / "block")
    injector.front = next(one.front for one in system.servers(disks=1) if one.name == "block2")
    with Stub(machine.machine) as stub:
        done = injector.inject(stub, plans.Plan("block", "kill", 0, 0.0, 1, 0, 0))
    assert done["how"] == "illegal instruction"

    def log() -> list[str]:
        return machine.machine.run.file("l4.log").read_text().splitlines()

    machine.wait_for(lambda: log().count("root: block2 ready") == 2, "the driver's second life", 60)
    machine.shell_run("touch /tmp/end; until [ -e /tmp/first -a -e /tmp/second ]; do sleep 0.2; done")
    assert sum(line.startswith("root: server block2 died: exception") for line in log()) == 1
    assert log().count("root: block2 ready") == 2
    assert log().count("root: block ready") == log().count("root: block3 ready") == 1
    assert machine.shell_run("cat /tmp/first /tmp/second").text.split() == ["0", "0"]
    machine.shell_run("sync; echo 3 > /proc/sys/vm/drop_caches")
    found = machine.shell_run("head -c 4194304 /dev/vdb | sha256sum; sha256sum < /root/copy").text
    assert found.splitlines() == [want, want]
    assert "I/O error" not in machine.run(["dmesg"]).text
