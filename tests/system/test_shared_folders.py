# SPDX-License-Identifier: BSD-2-Clause
"""Folders of the host in the guest: to read, to write, and what a guest cannot do to the host through them."""

from __future__ import annotations

import hashlib
import os
import secrets
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from orchestration.base.errors import InfrastructureError
from orchestration.base.rundir import RunDirectory
from orchestration.build import system
from orchestration.faults import inject
from orchestration.faults import plan as plans
from orchestration.inspect.gdbstub import Stub
from orchestration.machine import boot, shares
from orchestration.machine.description import Description
from orchestration.machine.progress import Progress
from orchestration.machine.session import Session
from orchestration.machine.shares import Share
from tests.system.processes import end

if TYPE_CHECKING:
    from orchestration.base.arch import Arch

LARGE = 5_000_001
# Where a 9p server notes, in its DMA memory, that there is something to go on with (servers/lib/virtio/kept_queue.c).
RECORD = 3456
# queue_size among the registers of virtio 1.2, section 4.1.4.3.
QUEUE_SIZE = 24


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one to read and one to write, and a secret beside them."""
    top = tmp_path_factory.mktemp("host")
    (top / "secret").write_text("of the host\n")
    read, write = top / "read me, it's", top / "write"
    for folder in (read, write):
        folder.mkdir()
        (folder / "hello").write_text("from the host\n")
        (folder / "out").symlink_to(top / "secret")
        (folder / "up").symlink_to("..")
    (read / "large").write_bytes(secrets.token_bytes(LARGE))
    (read / "program").write_text("#!/bin/sh\necho ran\n")
    (read / "program").chmod(0o4755)
    return top


@pytest.fixture(scope="module")
def sharing(description: Description, made: boot.Artefacts, progress: Progress, place: Path,
            tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    wanted = (Share(place / "read me, it's", "/mnt/read me, it's"), Share(place / "write", "/data/w", writable=True))
    machine = description.model_copy(update={"shares": wanted})
    with boot.prepare(machine, made, progress, RunDirectory("shares", tmp_path_factory.mktemp("runs"))) as found:
        yield found


def out(session: Session, command: str, status: int = 0) -> str:
    done = session.shell_run(command)
    assert done.status == status, (command, done, session.deaths)
    return done.text


def test_the_guest_reads_what_the_host_has(sharing: Session, place: Path) -> None:
    assert out(sharing, "cd /mnt/read*s; cat hello; ./program; readlink up") == "from the host\nran\n.."
    wanted = hashlib.sha256((place / "read me, it's" / "large").read_bytes()).hexdigest()
    assert out(sharing, "cat /mnt/read*s/large | sha256sum").split()[0] == wanted
    (place / "read me, it's" / "hello").write_text("another line, and a longer one\n")
    assert out(sharing, "cat /mnt/read*s/hello") == "another line, and a longer one"


def test_the_guest_cannot_write_to_a_folder_that_is_to_be_read(sharing: Session, place: Path) -> None:
    before = sorted(path.name for path in (place / "read me, it's").iterdir())
    # The guest mounts it anew, to write: it is QEMU that refuses.
    out(sharing, "mkdir -p /m; umount /mnt/read*s; mount -t 9p -o trans=virtio,version=9p2000.L share0 /m; "
                 "grep -q ' /m 9p rw' /proc/mounts")
    for command in ("echo x > /m/new", "echo x > /m/hello", "rm /m/hello", "mv /m/hello /m/other", "mkdir /m/d",
                    "ln -s x /m/l", "chmod 777 /m/hello", "touch /m/hello", "ln /m/hello /m/h2",
                    "truncate -s 0 /m/large"):
        assert "ead-only file system" in out(sharing, f"{{ {command}; }} 2>&1", status=1), command
    out(sharing, f"umount /m; {shares.mounting(sharing.machine.config.shares[:1])}")
    assert sorted(path.name for path in (place / "read me, it's").iterdir()) == before
    assert (place / "read me, it's" / "large").stat().st_size == LARGE


def test_the_guest_writes_names_and_removes(sharing: Session, place: Path) -> None:
    host = place / "write"
    out(sharing, f"cd /data/w && echo one > a && mv a b && echo two >> b && mkdir -p d/e && cp b d/e/c && rm -r d && "
                 f"ln -s b link && cat link > copy && head -c {LARGE} /dev/urandom > big && sync")
    assert (host / "b").read_text() == (host / "copy").read_text() == "one\ntwo\n"
    assert not (host / "a").exists()
    assert not (host / "d").exists()
    assert out(sharing, "readlink /data/w/link; sha256sum < /data/w/big").split()[:2] == [
        "b", hashlib.sha256((host / "big").read_bytes()).hexdigest()]
    # A build: archives, many small files, programs that are made there and run.
    out(sharing, 'cd /data/w && mkdir src && cd src && for i in $(seq 60); do echo "echo $i" > p$i; done && '
                 "chmod +x p* && tar cf ../all.tar . && mkdir ../again && cd ../again && tar xf ../all.tar && "
                 "for i in $(seq 60); do [ $(./p$i) = $i ] || exit 3; done; rm -r ../src")
    with subprocess.Popen(["tar", "-tf", str(host / "all.tar")], stdout=subprocess.PIPE, text=True) as listing:
        assert listing.stdout is not None
        assert len(listing.stdout.readlines()) == 61


def test_a_mapped_file_reaches_the_host(sharing: Session, place: Path, arch: Arch, tmp_path: Path) -> None:
    source = tmp_path / "map.c"
    source.write_text("""#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
int main(void)
{
	int file = open("/data/w/mapped", O_RDWR | O_CREAT, 0600);
	char *at;
	if (ftruncate(file, 10000))
		return 1;
	at = mmap(NULL, 10000, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
	if (at == MAP_FAILED)
		return 2;
	memset(at, 'x', 10000);
	return munmap(at, 10000) || close(file);
}
""")
    subprocess.run([arch.compiler, "-static", "-o", str(tmp_path / "map"), str(source)], check=True, timeout=60)
    sharing.push(tmp_path / "map", "/tmp/map")
    out(sharing, "/tmp/map")
    assert (place / "write" / "mapped").read_bytes() == b"x" * 10000


def test_links_and_detours_lead_to_the_guest_s_own_files(sharing: Session, place: Path) -> None:
    for folder in ("/mnt/read*s", "/data/w"):
        for path in ("out", "up/secret", "../secret", "up/../secret"):
            assert "of the host" not in out(sharing, f"cat {folder}/{path} 2>&1; exit 0"), (folder, path)
    # A link that the guest makes is followed by the guest alone.
    out(sharing, f"ln -s {place} /data/w/escape; ln -s /etc/passwd /data/w/passwd; ! cat /data/w/escape/secret; "
                 "cmp /data/w/passwd /etc/passwd; echo written > /data/w/../other")
    assert not (place / "other").exists()
    assert (place / "secret").read_text() == "of the host\n"


def test_no_device_and_no_program_of_root_reaches_the_host(sharing: Session, place: Path) -> None:
    out(sharing, "cd /data/w; cp /usr/bin/busybox suid; chown 1:1 suid; chmod 6755 suid; mkfifo pipe; exit 0")
    made = sharing.shell_run("mknod /data/w/node c 1 5; ls -ln /data/w/suid").text
    host = place / "write"
    node = host / "node"
    assert not node.exists() or stat.S_ISREG(node.lstat().st_mode)
    assert (host / "suid").stat().st_uid == os.geteuid()
    if os.geteuid() == 0:
        assert "rwsr-sr-x" in made
        assert stat.S_IMODE((host / "suid").stat().st_mode) == 0o600
        assert stat.S_ISREG((host / "pipe").lstat().st_mode)
        assert stat.S_ISREG((host / "passwd").lstat().st_mode)
    # Neither are they such in the guest.
    assert out(sharing, "head -c 1 /data/w/node 2>&1; grep -c nosuid,nodev /proc/mounts; exit 0").endswith("2")


def test_files_stay_open_when_the_server_is_killed_and_errors_come_when_its_device_is_reset(
        sharing: Session, made: boot.Artefacts) -> None:
    injector = inject.Injector(made.arch, made.abi, "9p", made.bare / "9p")
    entry, = (address for address, name in injector.program.functions if name == "backend_peek")
    servers = system.servers(shares=len(sharing.machine.config.shares))

    def kill(spoilt: str = "") -> str:
        """Kill the server of a folder, the one that comes to its entry first; return its name."""
        before = len(sharing.deaths)
        # Linux attaches a user to a folder at its first look. An attach after the reset would succeed.
        out(sharing, "ls /data/w /mnt/*")
        # A reader keeps the server at work until the debugger has met it.
        sharing.shell_run("{ trap exit TERM; while :; do ls -R /data/w /mnt; done; } > /dev/null 2>&1 & "
                          "echo $! > /run/reader")
        with Stub(sharing.machine) as stub:
            page = injector.arrive(stub, entry, 1)
            assert page is not None
            name = system.identified(made.abi, page, servers)
            if spoilt == "record":
                stub.write(made.abi.SERVER_DMA_VADDR + RECORD, bytes(8))
            elif spoilt == "size of the ring":
                common = next(one for one in system.resources(made.abi, page, made.abi.RESOURCE_REGISTERS)
                              if one["type"] == made.abi.REGISTERS_VIRTIO_COMMON)
                assert injector.store(stub, common["vaddr"] + QUEUE_SIZE, 1, 8)
            injector.kill(stub, plans.Plan("9p", "kill", 0, 0, 1, 0, 0), page)
        # While the debugger had the machine, the root pager may have missed the answer of another server.
        sharing.wait_for(lambda: any(death.startswith(f"{name} ") for death in sharing.deaths[before:]),
                         f"the death of {name}", 60)
        # The reader's last `ls` must end too: what it holds open keeps the share in use after `umount -l`.
        out(sharing, end("/run/reader"))
        return name

    out(sharing, "cd /data/w; { trap exit TERM; while sleep 0.1; do echo line; done > lines; } 2> /run/errors & "
        "echo $! > /run/writer")
    for _ in range(2):
        kill()
    out(sharing, "written=$(grep -c line /data/w/lines); "
        "until [ $(grep -c line /data/w/lines) -ge $((written + 5)) ]; do sleep 0.1; done; "
        f"{end('/run/writer')}; ! [ -s /run/errors ]")
    for spoilt in ("record", "size of the ring"):
        lost = {"9p": "/mnt/read*s", "9p2": "/data/w"}[kill(spoilt)]
        assert out(sharing, f"timeout 20 ls {lost}/ 2>&1", status=1)
        command = shares.mounting(sharing.machine.config.shares)
        out(sharing, f"umount -l /data/w /mnt/read*s; {command}")
        assert "hello" in out(sharing, f"ls {lost}/")


def test_a_folder_that_cannot_be_mounted_is_named(description: Description, made: boot.Artefacts, progress: Progress,
                                                  tmp_path: Path) -> None:
    machine = description.model_copy(update={"shares": (Share(tmp_path, "/etc/passwd/here"),)})
    with pytest.raises(InfrastructureError, match=r"cannot mount .* at /etc/passwd/here: mkdir: .*Not a directory"), \
            boot.prepare(machine, made, progress, RunDirectory("shares", tmp_path / "runs")):
        pytest.fail("it was mounted")
