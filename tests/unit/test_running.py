# SPDX-License-Identifier: BSD-2-Clause
"""The register of running machines, paths of cp, runs to repeat, the line to paste."""

from __future__ import annotations

import dataclasses
import io
import json
import os
import subprocess
import tarfile
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path

import backports.tarfile
import pytest
from paramiko.ed25519key import Ed25519Key

from orchestration.base import doctor, rundir
from orchestration.base.arch import ARCHES
from orchestration.base.cache import hash_file
from orchestration.base.errors import HangError, InfrastructureError, PanicError, QuollError, UsageError
from orchestration.bench.store import Store
from orchestration.cli import main as cli
from orchestration.machine import keys, qemu, registry, transfer
from orchestration.machine.console import Channel
from orchestration.machine.progress import Progress
from orchestration.running import reach, remote, repro


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(doctor, "cache_root", lambda: tmp_path / "cache")
    return tmp_path / "cache"


def entry(name: str, sockets: Path, pid: int | None = None) -> registry.Entry:
    made = registry.Entry(name, "x86_64", pid or os.getpid(), 1, "", str(sockets), "", "")
    (registry.folder() / f"{name}.json").write_text(json.dumps(asdict(made)))
    return made


def test_the_only_machine_needs_no_name(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no machine runs"):
        registry.find(None)
    one = entry("x86_64-1", tmp_path)
    assert registry.find(None) == one
    entry("x86_64-2", tmp_path)
    with pytest.raises(UsageError, match="x86_64-1, x86_64-2"):
        registry.find(None)
    assert registry.find("x86_64-1") == one
    with pytest.raises(UsageError, match="no machine 'vax-1'"):
        registry.find("vax-1")


def test_what_a_dead_orchestrator_left_is_removed(tmp_path: Path) -> None:
    gone = subprocess.Popen(["true"])
    gone.wait()
    entry("x86_64-1", tmp_path, gone.pid)
    entry("x86_64-2", tmp_path / "nowhere")
    (registry.folder() / "x86_64-3.json").write_text("{")
    assert registry.entries() == []


@pytest.mark.parametrize(("text", "place"), [
    (":/tmp/a", (None, "/tmp/a")), ("x86_64-1:/tmp", ("x86_64-1", "/tmp")), (":", (None, ".")), ("plain", None),
    ("./a:b", None), ("/tmp/x:y", None)])
def test_places_of_cp(text: str, place: tuple[str | None, str] | None) -> None:
    assert reach.parse_place(text) == place


@pytest.mark.parametrize("paths", [["a", "b"], [":a", ":b"], [":a", ":b", "c"], ["a"],
                                   ["", ":b"], [":a", ""]])
def test_cp_needs_one_side_in_a_guest(paths: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["cp", *paths]) == 2
    assert len(capsys.readouterr().err.strip().splitlines()) <= 2


def test_a_guests_folder_cannot_reach_out_of_its_own(tmp_path: Path) -> None:
    """What a guest sends is not trusted: links and names that leave the folder, and devices, are left out and named."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        def add(name: str, kind: bytes = tarfile.REGTYPE, link: str = "", data: bytes = b"") -> None:
            entry = tarfile.TarInfo(name)
            entry.type, entry.linkname, entry.size = kind, link, len(data)
            archive.addfile(entry, io.BytesIO(data))

        add("./", tarfile.DIRTYPE)
        add("./file", data=b"content")
        add("./same", tarfile.LNKTYPE, "./file")
        add("./link", tarfile.SYMTYPE, "file")
        add("./fifo", tarfile.FIFOTYPE)
        add("./out", tarfile.SYMTYPE, "/etc")
        add("./out/passwd", data=b"harm")
        add("../beside", data=b"harm")
    stream.seek(0)
    with pytest.raises(InfrastructureError, match="all but 3") as caught:
        transfer.unpack(stream, tmp_path / "place")
    assert all(word in " ".join(caught.value.details) for word in ("fifo", "out", "beside"))
    assert sorted(path.name for path in (tmp_path / "place").iterdir()) == ["file", "link", "out", "same"]
    assert (tmp_path / "place/same").read_bytes() == (tmp_path / "place/link").read_bytes() == b"content"
    assert not (tmp_path / "beside").exists()
    assert (tmp_path / "place/out").is_dir() and not (tmp_path / "place/out").is_symlink()


def test_what_a_guest_has_compressed_is_no_archive(tmp_path: Path) -> None:
    """A few bytes could become any number of them."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:xz") as archive:
        archive.addfile(tarfile.TarInfo("file"))
    stream.seek(0)
    with pytest.raises(backports.tarfile.ReadError):
        transfer.unpack(stream, tmp_path / "place")
    assert list((tmp_path / "place").iterdir()) == []


def extended(times: int, data: bytes) -> bytes:
    """Return an archive in which so many extended headers with this content come before a file."""
    entry = tarfile.TarInfo("x")
    entry.type, entry.size = tarfile.XHDTYPE, len(data)
    header = entry.tobuf(tarfile.USTAR_FORMAT) + data + bytes(-len(data) % 512)
    return header * times + tarfile.TarInfo("file").tobuf() + bytes(1024)


@pytest.mark.parametrize(("data", "words"), [
    (extended(1, b"1" * (1 << 18)), "an extended header of 262144 bytes"),
    (extended(3000, b"11 path=abc\n"), "the archive contradicts itself"),
    (extended(1, b"26 GNU.sparse.size=98765a\n22 GNU.sparse.map=1,b\n"), "the archive contradicts itself"),
])
def test_an_archive_that_makes_no_sense_is_refused(tmp_path: Path, data: bytes, words: str) -> None:
    with pytest.raises(backports.tarfile.ReadError, match=words):
        transfer.unpack(io.BytesIO(data), tmp_path / "place")


def linked_out_of(place: Path) -> io.BytesIO:
    """Return an archive whose links lead to the file beside, over a path that is too long to be looked at as a whole.

    Its names lead through links, which are short; the folders behind them have long names.
    """
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        def add(name: str, kind: bytes, link: str = "", data: bytes = b"") -> None:
            entry = tarfile.TarInfo(name)
            entry.type, entry.linkname, entry.size, entry.mode = kind, link, len(data), 0o755
            archive.addfile(entry, io.BytesIO(data))

        steps = "abcdefghijklmnop"
        # The last path has 4096 bytes at least, so no system call takes it.
        long = "d" * (-(-(4096 - 255 - len(str(place))) // len(steps)) - 1)
        for number, step in enumerate(steps):
            above = f"{long}/" * number
            add(above + long, tarfile.DIRTYPE)
            add(above + step, tarfile.SYMTYPE, long)
        through = "/".join([*steps, "l" * 254])
        add(through, tarfile.SYMTYPE, "../" * len(steps))
        add("escape", tarfile.SYMTYPE, f"{through}/..")
        add("file", tarfile.LNKTYPE, "escape/beside")
        add("file", tarfile.REGTYPE, data=b"harm")
        add("escape/beside", tarfile.REGTYPE, data=b"harm")
    stream.seek(0)
    return stream


def test_a_guests_links_do_not_deceive_the_filter(tmp_path: Path) -> None:
    place = tmp_path / "place"
    (tmp_path / "beside").write_text("mine")
    with pytest.raises(InfrastructureError, match="all but") as caught:
        transfer.unpack(linked_out_of(place), place)
    assert "is reached through a link" in " ".join(caught.value.details)
    assert (tmp_path / "beside").read_text() == "mine"
    assert (place / "file").read_text() == "harm"


@pytest.mark.parametrize("link", ["out", "device", "missing"])
def test_a_hard_link_brings_nothing_that_was_left_out(tmp_path: Path, link: str) -> None:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for name, kind, target in (("out", tarfile.SYMTYPE, "/etc"), ("device", tarfile.FIFOTYPE, ""),
                                   ("file", tarfile.LNKTYPE, link)):
            entry = tarfile.TarInfo(name)
            entry.type, entry.linkname = kind, target
            archive.addfile(entry)
    stream.seek(0)
    with pytest.raises(InfrastructureError, match="all but 3") as caught:
        transfer.unpack(stream, tmp_path / "place")
    assert "'file' is a hard link" in " ".join(caught.value.details)
    assert list((tmp_path / "place").iterdir()) == []


@pytest.mark.parametrize(("told", "mode"), [("6777", 0o755), ("640", 0o640), ("4294967296", None), ("rw", None)])
def test_a_guests_file_gets_no_rights_beyond_its_owners(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, told: str,
                                                        mode: int | None) -> None:
    monkeypatch.setattr(transfer, "run", lambda connection, command, out=None, check=None: told.encode() + b"\n")
    copied = tmp_path / "program"
    if mode is None:
        with pytest.raises(InfrastructureError, match=told):
            transfer.download(None, "/bin/program", copied)
        assert not copied.exists()
    else:
        assert transfer.download(None, "/bin/program", copied) == copied
        assert copied.stat().st_mode & 0o7777 == mode


@pytest.mark.parametrize("command", ["gdb", "trace", "dossier"])
def test_linux_on_the_bare_machine_has_no_l4_to_look_into(tmp_path: Path, command: str,
                                                          capsys: pytest.CaptureFixture[str]) -> None:
    entry("x86_64-1", tmp_path)
    assert cli.main([command, "x86_64-1"]) == 2
    assert "does not run L4" in capsys.readouterr().err


def test_a_machine_that_has_just_ended_has_no_dossier(tmp_path: Path) -> None:
    """What its own orchestrator wrote about the end stays."""
    run, sockets = tmp_path / "run", tmp_path / "sockets"
    run.mkdir()
    sockets.mkdir()
    (run / "hang.txt").write_text("the end")
    one = registry.Entry("x86_64-1", "x86_64", os.getpid(), 1, str(run), str(sockets), "/kernel", "")
    with pytest.raises(InfrastructureError, match="does not open"):
        remote.write_dossier(one)
    assert [path.name for path in run.iterdir()] == ["hang.txt"]


def run_folder(cache: Path, name: str, **files: str) -> Path:
    folder = cache / "runs" / name
    folder.mkdir(parents=True)
    for file, text in files.items():
        (folder / file.replace("_", ".")).write_text(text)
    return folder


def test_a_run_is_found_by_part_of_its_name(cache: Path) -> None:
    one = run_folder(cache, "20260101-000000-1-boot-x86_64")
    run_folder(cache, "20260102-000000-2-boot-x86_64")
    assert repro.find("20260101") == one
    assert repro.find(str(one)) == one
    with pytest.raises(UsageError, match="fits several"):
        repro.find("boot-x86_64")
    with pytest.raises(UsageError, match="no run"):
        repro.find("nothing")
    with pytest.raises(UsageError, match="empty"):
        repro.find("")


def test_a_run_that_went_well_cannot_be_repeated(cache: Path) -> None:
    config = qemu.Config(kernel=Path("/k"), initrd=Path("/i"), disk=Path("/d"))
    folder = run_folder(cache, "r", config_json=json.dumps(config.as_json()), hashes_json="{}",
                        result_json='{"arch": "x86_64"}')
    with pytest.raises(UsageError, match="went well"):
        repro.prepare(folder, Progress(quiet=True))
    (folder / "config.json").write_text(json.dumps(dataclasses.replace(config, disk=None).as_json()))
    with pytest.raises(UsageError, match="had no disk"):
        repro.prepare(folder, Progress(quiet=True))
    (folder / "config.json").write_text('{"kernel": "/k"}')
    with pytest.raises(UsageError, match="describes no machine"):
        repro.prepare(folder, Progress(quiet=True))
    (folder / "config.json").unlink()
    with pytest.raises(UsageError, match="older version"):
        repro.prepare(folder, Progress(quiet=True))
    (folder / "result.json").write_text("{")
    with pytest.raises(UsageError, match="no run of a machine"):
        repro.prepare(folder, Progress(quiet=True))


def test_a_command_needs_a_disk_with_an_ssh_server(cache: Path, tmp_path: Path,
                                                   capsys: pytest.CaptureFixture[str]) -> None:
    """It is refused before anything of a new run is made; without a command the run is booted, for its console."""
    kernel, tree = tmp_path / "kernel", tmp_path / "tree"
    kernel.write_bytes(b"kernel")
    (tree / "sbin").mkdir(parents=True)
    (tree / "sbin/init").write_text("#!/bin/sh\n")
    (tree / "sbin/init").chmod(0o755)
    config = qemu.Config(kernel=kernel, initrd=Path("/i"), disk=Path("/d"))
    folder = run_folder(cache, "r", boot_img="image", config_json=json.dumps(config.as_json()),
                        hashes_json=json.dumps({"kernel": hash_file(kernel), "initrd": sha256(b"image").hexdigest()}),
                        result_json='{"arch": "x86_64"}')
    subprocess.run(["mke2fs", "-q", "-t", "ext4", "-d", str(tree), str(folder / "disk.ext4"), "4M"], check=True)
    assert cli.main(["repro", "r", "--", "true"]) == UsageError.exit_code
    assert "the disk of r has no SSH server to run a command by" in capsys.readouterr().err
    assert [path.name for path in (cache / "runs").iterdir()] == ["r"]
    assert repro.prepare(folder, Progress(quiet=True)).keys is None


def test_a_run_that_goes_on_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rundir, "KEPT_RUNS", 1)
    gone = subprocess.Popen(["true"])
    gone.wait()
    names = [f"20260101-000000-000-{os.getpid()}-goes-on", f"20260101-000000-000-{gone.pid}-detached",
             f"20260102-000000-000-{gone.pid}-was-killed", f"20260103-000000-000-{os.getpid()}-is-done",
             f"20260104-000000-000-{gone.pid}-newest"]
    for name in names:
        (tmp_path / name).mkdir()
    rundir.RunDirectory.existing(tmp_path / names[1]).adopt()
    (tmp_path / names[3] / "result.json").write_text("{}")
    rundir.prune(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir() if path.name[:2] == "20") == sorted(
        [names[0], names[1], names[4]])


def test_an_early_failure_outlives_what_went_well_after_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rundir, "KEPT_RUNS", 2)
    for number in range(8):
        path = tmp_path / f"2026010{number}-000000-000-1-run"
        path.mkdir()
        (path / "result.json").write_text(json.dumps({"outcome": "panic" if number < 3 else "done"}))
    rundir.prune(tmp_path)
    assert sorted(path.name[7] for path in tmp_path.glob("2026*")) == ["1", "2", "6", "7"]


def test_the_matrix_says_where_runs_go(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert rundir.RunDirectory("one").path.parent == cache / "runs"
    monkeypatch.setenv(rundir.RUNS_VARIABLE, str(tmp_path / "attempt/runs"))
    assert rundir.RunDirectory("one").path.parent == tmp_path / "attempt/runs"


@pytest.mark.parametrize("config", [
    qemu.Config(kernel=Path("k"), disk=Path("d"), extra=("-icount", "shift=0,sleep=off"), accel="kvm"),
    qemu.Config(kernel=Path("k"), initrd=Path("i"), network=False, memory=1 << 30, append="a b"),
    qemu.Config(kernel=Path("k"), first_channel=Channel.GUEST)])
def test_a_machine_s_description_survives_json(config: qemu.Config) -> None:
    assert qemu.Config.from_json(json.loads(json.dumps(config.as_json()))) == config


def test_the_command_to_paste_needs_nothing_of_ours() -> None:
    line = " ".join(qemu.arguments(ARCHES["x86_64"], qemu.Config(kernel=Path("k"), disk=Path("d")), None, 1234))
    assert "-serial mon:stdio" in line
    assert "socket" not in line and "unix:" not in line


def test_keys_lead_in_from_files(tmp_path: Path) -> None:
    made = keys.make()
    path = tmp_path / "key"
    path.write_bytes(made.client_file)
    assert Ed25519Key.from_private_key_file(str(path)) == made.client
    assert made.host_line.split()[1] == made.host.get_base64()


def test_a_machine_without_ssh_says_so(tmp_path: Path) -> None:
    with pytest.raises(InfrastructureError, match="x86_64-1 has no SSH"):
        reach.connect(entry("x86_64-1", tmp_path), lambda: False)
    with pytest.raises(InfrastructureError, match="ended just now"):
        reach.connect(entry("x86_64-2", tmp_path / "gone"), lambda: False)


@pytest.mark.parametrize(("outcome", "kind"), [("panic", PanicError), ("hang", HangError),
                                                ("infrastructure", InfrastructureError), ("KeyboardInterrupt",
                                                                                          InfrastructureError)])
def test_the_end_of_anothers_machine_is_told(tmp_path: Path, outcome: str, kind: type[QuollError]) -> None:
    run = tmp_path / "run"
    run.mkdir()
    one = registry.Entry("x86_64-1", "x86_64", os.getpid(), 1, str(run), str(tmp_path / "sockets"), "", "")
    (tmp_path / "sockets").mkdir()
    check = reach.watch(one)
    assert not check()
    (tmp_path / "sockets").rmdir()
    assert not check()
    (run / "result.json").write_text(json.dumps({"outcome": outcome, "message": "Linux gave up"}))
    with pytest.raises(kind, match="x86_64-1 ended: Linux gave up") as caught:
        check()
    assert type(caught.value) is kind
    (run / "result.json").write_text(json.dumps({"outcome": "done", "message": ""}))
    assert check()


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_names_our_command(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["completion", shell]) == 0
    assert "_ORCHESTRATE_COMPLETE" in capsys.readouterr().out


def test_an_unknown_shell_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["completion", "rc"]) == 2
    assert "bash, zsh, fish" in capsys.readouterr().err


def completed(words: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> list[str]:
    for name, value in (("_ORCHESTRATE_COMPLETE", "complete_bash"), ("COMP_WORDS", f"orchestrate {words}"),
                        ("COMP_CWORD", str(len(words.split(" "))))):
        monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit):
        cli.main([])
    return capsys.readouterr().out.split()


@pytest.mark.parametrize(("words", "found"), [
    ("att", "attach"), ("boot ri", "riscv64"), ("boot --tr", "--trace"), ("boot x86_64 --accel k", "kvm"),
    ("build x86_64 aa", "aarch64"), ("completion z", "zsh"), ("ssh x86", "x86_64-7"), ("trace x86", "x86_64-7"),
    ("repro 2026", "20260101-000000-1-boot-x86_64"), ("faults ri", "riscv64"), ("faults x86_64 --driver n", "net"),
    ("faults x86_64 --kind w", "wild"), ("test ri", "riscv64"), ("doctor ri", "riscv64"), ("doctor --i", "--install"),
    ("bench x86_64 --workload mic", "micro"), ("bench x86_64 --clock w", "wall"), ("bench gate ri", "riscv64"),
    ("cp x86", "x86_64-7:"), ("matrix ci/nightly.yaml --arch ri", "riscv64"), ("bench sho", "show"),
    ("boot --vers", "--version")])
def test_the_words_complete(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: str, found: str,
                            capsys: pytest.CaptureFixture[str]) -> None:
    entry("x86_64-7", tmp_path)
    run_folder(cache, "20260101-000000-1-boot-x86_64", disk_ext4="")
    run_folder(cache, "20260102-000000-1-went-well")
    assert completed(words, monkeypatch, capsys) == [found]


def test_runs_of_the_bench_complete(tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                    capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    store = Store(None)
    record = store.begin("bench", "x86_64", {})
    store.close()
    assert completed("bench show ", monkeypatch, capsys) == [record.id]
    assert completed(f"bench compare {record.id} {record.id[:5]}", monkeypatch, capsys) == [record.id]


def test_the_shell_s_script_reaches_the_completion(root: Path) -> None:
    done = subprocess.run([str(root / "orchestrate")], capture_output=True, text=True, check=False, timeout=60,
                          env={**os.environ, "_ORCHESTRATE_COMPLETE": "complete_bash",
                               "COMP_WORDS": "orchestrate att", "COMP_CWORD": "1"})
    assert done.stdout.split() == ["attach"]
