# SPDX-License-Identifier: BSD-2-Clause
"""Snapshots: what their key has, the message to a guest that resumes, and what becomes of bad ones."""

from __future__ import annotations

import os
import re
import stat
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from orchestration.base.arch import ARCHES
from orchestration.base.cache import Cache
from orchestration.base.errors import HangError, InfrastructureError
from orchestration.base.rundir import RunDirectory
from orchestration.build import disk, linux, quoll, resume, userland
from orchestration.cli import main as cli
from orchestration.inspect.gdbstub import Stub
from orchestration.machine import boot, incoming, keys, qemu, snapshot
from orchestration.machine.boot import Artefacts
from orchestration.machine.console import Channel, Demultiplexer, Kind, interpret
from orchestration.machine.description import Description, Port
from orchestration.machine.progress import Progress
from orchestration.machine.shares import Share

MAGIC = bytes(range(200, 232))


@pytest.fixture
def built(tmp_path: Path) -> Artefacts:
    """Artefacts whose files have some content."""
    for name in ("bare/quoll.elf", "bare/manifest.json", "linux/vmlinux", "disk/disk.ext4"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    return Artefacts(ARCHES["x86_64"], quoll.abi(ARCHES["x86_64"]), tmp_path / "bare", tmp_path / "linux",
                     tmp_path / "disk/disk.ext4")


@pytest.fixture
def known_qemu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshot, "qemu_program", lambda made: "QEMU 7")


def change_file(name: str) -> Callable[[Path, pytest.MonkeyPatch], None]:
    def change(folder: Path, _: pytest.MonkeyPatch) -> None:
        (folder / name).write_text("other")

    return change


@pytest.mark.usefixtures("known_qemu")
@pytest.mark.parametrize(("part", "change", "more"), [
    ("QEMU", lambda folder, patch: patch.setattr(snapshot, "qemu_program", lambda made: "QEMU 10"), {}),
    ("format", lambda folder, patch: patch.setattr(snapshot, "FORMAT", 0), {}),
    ("L4 and servers", change_file("bare/manifest.json"), {}),
    ("Linux", change_file("linux/vmlinux"), {}),
    ("disk", change_file("disk/disk.ext4"), {}),
    ("description", lambda folder, patch: None, {"append": "quiet"}),
    ("description", lambda folder, patch: None, {"trace": True}),
])
def test_each_thing_that_matters_makes_another_snapshot(
        built: Artefacts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part: str,
        change: Callable[[Path, pytest.MonkeyPatch], None], more: dict[str, Any]) -> None:
    before = snapshot.parts_of(Description(arch="x86_64", snapshot=True), built)
    change(tmp_path, monkeypatch)
    after = snapshot.parts_of(Description(arch="x86_64", snapshot=True, **more), built)
    assert [name for name in before if before[name] != after[name]] == [part]


@pytest.mark.usefixtures("known_qemu")
def test_what_belongs_to_a_run_makes_no_other_snapshot(built: Artefacts) -> None:
    one = Description(arch="x86_64", snapshot=True)
    assert snapshot.parts_of(one, built) == snapshot.parts_of(one.model_copy(
        update={"name": "web", "ports": (Port(host=8080, guest=80),)}), built)
    shared = [one.model_copy(update={"shares": (Share(Path(name), f"/{name}", writable=name == "b"),)})
              for name in "ab"]
    assert snapshot.parts_of(shared[0], built) == snapshot.parts_of(shared[1], built)
    assert snapshot.parts_of(one, built) != snapshot.parts_of(shared[0], built)


@pytest.mark.usefixtures("known_qemu")
def test_a_users_image_is_known_by_its_content(built: Artefacts, tmp_path: Path) -> None:
    """Also in a folder with a file that is called as an entry's list of hashes, such as docker save makes."""
    description = Description(arch="x86_64", snapshot=True, rootfs=str(built.disk))
    (built.disk.parent / "manifest.json").write_text('{"disk.ext4": "1"}')
    before = snapshot.parts_of(description, built)
    built.disk.write_text("other")
    after = snapshot.parts_of(description, built)
    assert [name for name in before if before[name] != after[name]] == ["disk"]
    (built.disk.parent / "manifest.json").write_text("[]")
    assert snapshot.parts_of(description, built) == after


def make_entry(cache: Cache, name: str, parts: dict[str, str], age: float = 0.0) -> Path:
    entry = cache.get(snapshot.KIND, name, lambda folder: snapshot.write_notes(folder, {"parts": parts}))
    os.utime(entry, (time.time() - age,) * 2)
    return entry


def test_a_new_snapshot_says_what_the_old_one_had(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    parts = {"description": "d", "QEMU": "7", "disk": "1"}
    assert snapshot.reason(cache, parts) == "no snapshot of this machine yet"
    make_entry(cache, "a", {**parts, "description": "other"})
    assert snapshot.reason(cache, parts) == "no snapshot of this machine yet"
    make_entry(cache, "b", parts)
    assert snapshot.reason(cache, {**parts, "QEMU": "10", "disk": "2"}) == (
        "the snapshot of this machine has another QEMU, another disk")
    (cache.root / snapshot.KIND / "b" / snapshot.NOTES).write_text("[]")
    assert snapshot.reason(cache, parts) == "no snapshot of this machine yet"


def test_the_least_used_snapshots_go(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    hour = snapshot.UNUSED
    for number in range(snapshot.KEPT + 3):
        make_entry(cache, f"n{number}", {}, age=(0.5 if number == 0 else 2 + number) * hour)
    snapshot.prune(cache)
    left = {path.name for path in (tmp_path / snapshot.KIND).iterdir()}
    assert left == {f"n{number}" for number in range(snapshot.KEPT)}
    for number in range(snapshot.KEPT + 2):
        make_entry(cache, f"m{number}", {})
    snapshot.prune(cache)
    left = {path.name for path in (tmp_path / snapshot.KIND).iterdir()}
    assert left == {"n0", *(f"m{number}" for number in range(snapshot.KEPT + 2))}, "those in use stay"


class Made:
    """Stands for store(): counts, and notes the page's place."""

    def __init__(self) -> None:
        self.count = 0
        self.inside = threading.Event()
        self.go = threading.Event()
        self.go.set()

    def __call__(self, folder: Path, *others: Any) -> None:
        self.inside.set()
        assert self.go.wait(30)
        self.count += 1
        for name in (snapshot.RAM, snapshot.STATE, snapshot.DISK, snapshot.IMAGE, snapshot.LOG):
            (folder / name).write_text(f"{name} {self.count}")
        snapshot.write_notes(folder, {"page": 4096, "magic": MAGIC.hex(), "channel": "G", "parts": others[-1]})


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Made:
    made = Made()
    monkeypatch.setattr(snapshot, "store", made)
    return made


@pytest.mark.usefixtures("known_qemu")
def test_a_damaged_snapshot_is_made_anew_and_said_so(built: Artefacts, store: Made, tmp_path: Path) -> None:
    said: list[str] = []
    cache = Cache(tmp_path / "cache", said.append)
    description = Description(arch="x86_64", snapshot=True)

    def prepare(name: str) -> qemu.Machine:
        return snapshot.prepare(description, built, Progress(quiet=True), RunDirectory(name, tmp_path / "runs"),
                                cache).machine

    first = prepare("one")
    assert first.run.file("disk.ext4").read_text() == "disk.ext4 1"
    assert (first.config.ram, first.config.incoming) != (prepare("two").run.file("ram"), None)
    assert (store.count, said) == (1, [])
    assert first.config.ram is not None
    first.config.ram.write_text("ram 2")
    again = prepare("three")
    assert store.count == 2
    assert len(said) == 1 and "is damaged (ram has changed): making it again" in said[0]
    assert again.run.file("disk.ext4").read_text() == "disk.ext4 2"
    # A run's own disk and boot image: nothing that it does reaches the snapshot.
    again.run.file("disk.ext4").write_text("written")
    assert prepare("four").run.file("disk.ext4").read_text() == "disk.ext4 2"


@pytest.mark.usefixtures("known_qemu", "store")
def test_a_snapshot_that_is_looked_at_is_not_pruned(built: Artefacts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                                    ) -> None:
    """Another process removes old snapshots once this one has found that its own, which is old, is sound."""
    cache = Cache(tmp_path / "cache")
    description = Description(arch="x86_64", snapshot=True)

    def prepare(name: str) -> Path | None:
        run = RunDirectory(name, tmp_path / "runs")
        return snapshot.prepare(description, built, Progress(quiet=True), run, cache).machine.config.ram

    old = prepare("one")
    assert old is not None
    os.utime(old.parent, (time.time() - 2 * snapshot.UNUSED,) * 2)
    for number in range(snapshot.KEPT):
        make_entry(cache, f"n{number}", {})
    get = cache.get

    def get_late(kind: str, *more: Any) -> Path:
        found = get(kind, *more)
        snapshot.prune(Cache(tmp_path / "cache"))
        return found

    monkeypatch.setattr(cache, "get", get_late)
    assert prepare("two") == old
    assert old.exists()


@pytest.mark.usefixtures("known_qemu")
def test_two_that_want_the_same_snapshot_make_it_once(built: Artefacts, store: Made, tmp_path: Path) -> None:
    description = Description(arch="x86_64", snapshot=True)
    store.go.clear()
    said: list[str] = []
    disks = []

    def work(number: int) -> None:
        cache = Cache(tmp_path / "cache", said.append)
        run = RunDirectory(str(number), tmp_path / f"runs{number}")
        disks.append(snapshot.prepare(description, built, Progress(quiet=True), run, cache).machine.config.disk)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    assert store.inside.wait(30)
    deadline = time.monotonic() + 30
    while not any("waiting for another orchestrator" in line for line in said) and time.monotonic() < deadline:
        time.sleep(0.01)
    store.go.set()
    for thread in threads:
        thread.join(30)
    assert (store.count, len(set(disks))) == (1, 2)


def test_the_root_disk_is_compared_when_a_snapshot_is_made_of_it(built: Artefacts, tmp_path: Path,
                                                                 monkeypatch: pytest.MonkeyPatch) -> None:
    """And not before: a machine that starts from a snapshot does not use it."""
    asked: list[dict[str, bool]] = []
    booted: list[Path] = []

    def find(*given: Any, **more: bool) -> disk.Disk:
        asked.append(more)
        return disk.Disk(tmp_path / "compared", userland.TINY)

    def prepare(description: Description, made: Artefacts, *more: Any) -> None:
        booted.append(made.disk)
        raise KeyboardInterrupt

    monkeypatch.setattr(disk, "find", find)
    monkeypatch.setattr(boot, "prepare", prepare)
    monkeypatch.setattr(resume, "compiled", lambda *given: tmp_path)
    description = Description(arch="x86_64", snapshot=True)
    with pytest.raises(KeyboardInterrupt):
        snapshot.store(tmp_path, description, built, Progress(quiet=True), Cache(tmp_path / "cache"), {})
    assert (asked, booted) == ([{}], [tmp_path / "compared"])
    monkeypatch.setattr(quoll, "bare", lambda *given: tmp_path)
    monkeypatch.setattr(linux, "linux", lambda *given: tmp_path)
    for wanted in (description, Description(arch="x86_64")):
        boot.artefacts(wanted, Cache(tmp_path / "cache"), Progress(quiet=True))
    assert asked[1:] == [{"compare": False}, {"compare": True}]


def test_an_interrupted_snapshot_leaves_nothing(tmp_path: Path) -> None:
    cache = Cache(tmp_path)

    def interrupted(folder: Path) -> None:
        (folder / snapshot.RAM).write_text("half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cache.get(snapshot.KIND, "key", interrupted)
    assert list((tmp_path / snapshot.KIND).iterdir()) == []


@pytest.mark.parametrize(("option", "words"), [(("--accel", "kvm"), "emulation only"),
                                               (("--disk", "DISK"), "--snapshot and --disk exclude each other")])
def test_what_has_no_snapshot_says_why(option: tuple[str, str], words: str, tmp_path: Path,
                                       capsys: pytest.CaptureFixture[str]) -> None:
    disk = tmp_path / "disk"
    disk.write_bytes(bytes(512))
    assert cli.main(["boot", "x86_64", "--snapshot", option[0], option[1].replace("DISK", str(disk))]) == 2
    assert words in capsys.readouterr().err


# The message.

def test_message_and_program_agree_on_the_page() -> None:
    source = resume.SOURCE.read_text()
    def number(name: str) -> int:
        found = re.search(rf"\b{name} = (\d+)", source)
        assert found is not None
        return int(found[1])

    assert (number("SPINS"), number("GIVEN")) == (incoming.SPINS, incoming.GIVEN)
    assert (number("MAGIC_SIZE"), number("SEED_SIZE"), number("PAGE_SIZE")) == (
        incoming.MAGIC_SIZE, incoming.SEED_SIZE, incoming.PAGE_SIZE)
    fields = re.findall(r"^\t(u?int\d+_t|char) (\w+)", source.split("struct message {")[1].split("};")[0], re.MULTILINE)
    assert [name for _, name in fields] == ["magic", "phase", "sizes", "seconds", "nanoseconds", "seed", "parts"]
    assert f"char parts[PAGE_SIZE - {incoming.PAGE_SIZE - incoming.PARTS_MAX}];" in source
    seed = bytes(incoming.SEED_SIZE)
    data = incoming.message(seed, 5 * 10**9 + 7, incoming.Identity(b"me", b"key", b"line\n"))
    assert incoming.BODY.unpack_from(data)[:5] == (2, 3, 5, 5, 7)
    assert data.endswith(b"mekeyline\n")
    with pytest.raises(InfrastructureError, match="more than"):
        incoming.message(seed, 0, incoming.Identity(b"", bytes(incoming.PARTS_MAX), b"\n"))


def test_the_page_is_found_by_what_it_begins_with(tmp_path: Path) -> None:
    ram = tmp_path / "ram"
    page = 5 * incoming.CHUNK - incoming.PAGE_SIZE
    with ram.open("wb") as stream:
        stream.truncate(64 * incoming.CHUNK)
        stream.seek(100)
        stream.write(MAGIC)
        stream.seek(page)
        stream.write(MAGIC + incoming.PHASE.pack(incoming.SPINS))
    assert incoming.find_page(ram, MAGIC) == page
    incoming.wait_until_it_spins(ram, page, 1.0)
    with pytest.raises(HangError, match="did not come to rest"):
        incoming.wait_until_it_spins(ram, page + incoming.PAGE_SIZE, 0.0)
    with ram.open("r+b") as stream:
        stream.seek(page + incoming.PAGE_SIZE)
        stream.write(MAGIC)
    with pytest.raises(InfrastructureError, match="is 2 times"):
        incoming.find_page(ram, MAGIC)
    with pytest.raises(InfrastructureError, match="is 0 times"):
        incoming.find_page(ram, bytes(reversed(MAGIC)))


@pytest.mark.parametrize(("name", "memory", "offset", "address"), [
    ("x86_64", 1536 << 20, 0x1000, 0x1000),
    ("x86_64", 2 << 30, 0x7FFFF000, 0x7FFFF000),
    ("x86_64", 3 << 30, 0x3FFFF000, 0x3FFFF000),
    ("x86_64", 3 << 30, 0x40000000, 0x100000000),
    ("riscv64", 8 << 30, 0x1000, 0x80001000),
    ("aarch64", 8 << 30, 0x100000000, 0x140000000)])
def test_where_the_page_lies(name: str, memory: int, offset: int, address: int) -> None:
    assert incoming.address_of(ARCHES[name], memory, offset) == address


class Registers(Stub):
    """A debugger's stub of a CPU with satp (number 500) and, by a number that no description has, stimecmp or not."""

    def __init__(self, stimecmp: str) -> None:
        self.registers = {"satp": (500, 8)}
        self.stimecmp = stimecmp
        self.asked: list[str] = []

    def ask(self, text: str) -> str:
        self.asked.append(text)
        return self.stimecmp if text.startswith("p") else "OK"


def test_the_timer_of_riscv64_is_written_what_it_has() -> None:
    stub = Registers("0123456789abcdef")
    incoming.start_timer(stub)
    number = 500 - 0x180 + 0x14d
    assert stub.asked == [f"p{number:x}", f"P{number:x}=0123456789abcdef"]


def test_a_cpu_without_that_timer_is_refused() -> None:
    with pytest.raises(InfrastructureError, match="refuses to read stimecmp: E14"):
        incoming.start_timer(Registers("E14"))


# Calls the functions of rootfs/resume by which a guest gets its keys. Arguments: the message's file, then resume's.
RENEW = """
#define main resume_main
#include "resume.c"
#undef main

int main(int argc, char **argv)
{
	struct message page = { 0 };
	struct server server = look_at_server(argv[2], argv[3], argv[4], argc > 5 ? argv[5] : NULL);
	int file = open(argv[1], O_RDONLY);

	if (read(file, page.sizes, sizeof(page) - offsetof(struct message, sizes)) < 0)
		return 1;
	renew_keys(&page, &server);
	if (server.pid_file)
		restart(&server);
	return 0;
}
"""


@pytest.fixture(scope="module")
def renew(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a program of the host with the functions of rootfs/resume."""
    program = tmp_path_factory.mktemp("renew") / "renew"
    subprocess.run(["gcc", "-D_GNU_SOURCE", "-include", "stddef.h", "-I", str(resume.SOURCE.parent), "-x", "c", "-",
                    "-o", str(program)], input=RENEW, text=True, check=True, timeout=60)
    return program


@pytest.mark.parametrize("there", [b"", b"ssh-ed25519 AAAA me@home\n", b"\nssh-ed25519 AAAA me@home"])
@pytest.mark.parametrize("openssh", [True, False])
def test_a_guest_that_resumes_gets_its_keys(renew: Path, tmp_path: Path, openssh: bool, there: bytes) -> None:
    """A key of the image's own stays, also one whose line has no end; the key of the run before goes."""
    old, new = keys.make(), keys.make()
    login = userland.Login("/sshd", str(tmp_path / "host_key"), openssh, str(tmp_path / "authorized_keys"))
    Path(login.host_key).write_bytes(old.host_files[openssh] + b"longer than the new one")
    Path(login.host_key).chmod(0o600)
    Path(login.authorized).write_bytes(f"{old.client_line} quoll\n".encode() + there)
    (tmp_path / "message").write_bytes(incoming.message(bytes(incoming.SEED_SIZE), 0, snapshot.identity(login, new)))
    subprocess.run([renew, tmp_path / "message", login.host_key, login.authorized, disk.MARK.decode()], check=True,
                   timeout=60)
    assert Path(login.host_key).read_bytes() == new.host_files[openssh]
    kept = f"{there.decode().strip()}\n" if there else ""
    assert Path(login.authorized).read_text() == f"{kept}{new.client_line} quoll\n"
    assert stat.S_IMODE(Path(login.host_key).stat().st_mode) == 0o600


def test_a_server_that_keeps_its_key_is_started_anew(renew: Path, tmp_path: Path) -> None:
    """It is waited for: until it has written the number of its process again, it does not listen."""
    login = userland.Login("/sshd", str(tmp_path / "host_key"), True, str(tmp_path / "authorized_keys"))
    (tmp_path / "message").write_bytes(incoming.message(bytes(incoming.SEED_SIZE), 0,
                                                        snapshot.identity(login, keys.make())))
    pid_file = tmp_path / "sshd.pid"
    # Where the tests run under nohup, the signal would be ignored.
    with subprocess.Popen(["env", "--default-signal=HUP", "sh", "-c", f"""
            trap 'sleep 0.3; echo other > {tmp_path}/x; sleep 0.3
                  test -s {login.host_key} && echo $$ > {pid_file}; exit' HUP
            echo $$ > {pid_file}.new; mv {pid_file}.new {pid_file}
            while :; do sleep 0.1; done"""]) as server:
        try:
            deadline = time.monotonic() + 30
            while not pid_file.exists() and time.monotonic() < deadline:
                time.sleep(0.01)
            before = pid_file.stat().st_mtime_ns
            subprocess.run([renew, tmp_path / "message", login.host_key, login.authorized, disk.MARK.decode(),
                            pid_file], check=True, timeout=60)
            assert pid_file.stat().st_mtime_ns != before
        finally:
            server.kill()


def test_a_line_that_begins_in_the_middle_has_its_channel() -> None:
    split = Demultiplexer()
    split.start_at(Channel.GUEST)
    lines = split.feed(b"\r\nquoll: resumed\r\n\x01Lroot: server block died: x\n")
    assert [(line.channel, line.text) for line in lines] == [
        (Channel.GUEST, ""), (Channel.GUEST, "quoll: resumed"), (Channel.LOG, "root: server block died: x")]
    assert [meaning.kind for line in lines if (meaning := interpret(line))] == [Kind.RESUMED, Kind.SERVER_DIED]


def test_the_machine_that_resumes_does_not_write_into_the_snapshot() -> None:
    config = qemu.Config(kernel=Path("k"), ram=Path("/s/ram"))
    stored = qemu.arguments(ARCHES["x86_64"], config, None, 1)
    assert "memory-backend-file,id=ram,size=1610612736,mem-path=/s/ram,share=on" in stored
    assert "-incoming" not in stored
    again = qemu.arguments(ARCHES["x86_64"], qemu.Config(kernel=Path("k"), ram=Path("/s/ram"),
                                                         incoming=Path("/s/state")), None, 1)
    assert any(word.endswith(",share=off") for word in again)
    assert again[-2:] == ["-incoming", "defer"]
