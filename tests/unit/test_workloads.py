# SPDX-License-Identifier: BSD-2-Clause
"""Descriptions of workloads are checked, and figures are found in what programs print."""

from __future__ import annotations

import io
import json
import re
import tarfile
from pathlib import Path

import pytest

from orchestration.base.arch import ARCHES
from orchestration.base.cache import Cache
from orchestration.base.errors import BuildError, InfrastructureError, QuollError, UsageError, WorkloadError
from orchestration.bench import kit, workload
from orchestration.bench.figures import figures, unit_of
from orchestration.bench.terms import Clock
from orchestration.bench.workload import Metric, load
from orchestration.build import rootfs
from orchestration.cli import main as cli

GOOD = """
description = "one"
run = "./one"
clocks = ["instructions", "wall"]
limit = 10
[[metrics]]
name = "turns"
unit = "time"
better = "lower"
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "one").mkdir()
    (tmp_path / "one/workload.toml").write_text(GOOD)
    return tmp_path


@pytest.mark.parametrize("name", workload.available())
def test_every_workload_is_described_right(name: str) -> None:
    found = load(name)
    assert found.description.metrics
    assert all(path.read_text().startswith("#!/bin/sh\n# SPDX") for path in found.scripts())


def test_an_unknown_workload_is_named(folder: Path) -> None:
    with pytest.raises(UsageError, match=re.escape("unknown workload 'two'; valid: one")):
        load("two", folder)
    with pytest.raises(UsageError, match="unknown workload"):
        load("../one", folder)


@pytest.mark.parametrize(("old", "new", "said"), [
    ("limit = 10", "limit = 0", "limit: Input should be greater than 0"),
    ("limit = 10", "limits = 10", "limits: Extra inputs are not permitted"),
    ("limit = 10", "limit = ", "is no TOML"),
    ('["instructions", "wall"]', '["moon"]', "clocks.0"),
    ('better = "lower"', 'better = "nicer"', "metrics.0.better"),
    ('unit = "time"', 'unit = "time"\npattern = "("', "no regular expression"),
    ('unit = "time"', 'unit = "time"\npattern = "a"', "a pattern has one group"),
    ('unit = "time"', 'unit = "time"\npath = "a.b"', "a path needs a file"),
    ('run = "./one"', 'run = "./one"\npackages = ["--help"]', "cannot be a Debian package"),
    ('run = "./one"', 'run = "./one"\nsources = ["no.c"]', "names no.c, which is not there"),
    ("limit = 10", 'limit = 10\ncounted_in = "moon"', "counted_in: Input should be 'disk' or 'memory'"),
    ("limit = 10", 'limit = 10\ncounted_in = "memory"\npeer = ["iperf3"]', "a peer needs one"),
    ("limit = 10", 'limit = 10\ncounted_in = "memory"\nrootfs = "debian"', "what is counted in memory has tiny"),
    ("limit = 10", 'limit = 10\nbenches = ["moon"]', "benches.0: Input should be 'run' or 'scale'"),
    ("limit = 10", "limit = 10\nbenches = []", "benches: Tuple should have at least 1 item"),
    ("limit = 10", 'limit = 10\nrootfs = "gentoo"', "rootfs: Input should be 'tiny' or 'debian'"),
    ("limit = 10", 'limit = 10\nsource = "--help"', "cannot be a Debian source package"),
    ('["instructions", "wall"]', '["wall"]\ncounted_in = "memory"', "needs the clock that counts"),
    ("[[metrics]]", '[[metrics]]\nname = "turns"\nunit = "u"\nbetter = "lower"\n[[metrics]]', "the same name"),
    ('unit = "time"', 'unit = "time"\nclocks = ["wall"]', "a clock of the workload tells no metric"),
    ('unit = "time"', 'unit = "time"\nclocks = []', "metrics.0.clocks"),
])
def test_a_wrong_description_is_named(folder: Path, old: str, new: str, said: str) -> None:
    (folder / "one/workload.toml").write_text(GOOD.replace(old, new))
    with pytest.raises(UsageError) as caught:
        load("one", folder)
    assert "one/workload.toml" in caught.value.message
    assert said in caught.value.message


def test_a_run_has_workloads_of_one_root_file_system(folder: Path) -> None:
    (folder / "two").mkdir()
    (folder / "two/workload.toml").write_text(GOOD.replace("limit = 10", 'limit = 10\nrootfs = "debian"'))
    assert workload.available(folder, rootfs="debian") == ["two"]
    assert workload.available(folder, rootfs="tiny") == ["one"]
    assert workload.one_rootfs([load("two", folder)]) == "debian"
    with pytest.raises(UsageError, match="in runs of their own"):
        workload.one_rootfs([load("one", folder), load("two", folder)])


def test_each_command_of_bench_has_its_workloads(folder: Path) -> None:
    (folder / "two").mkdir()
    (folder / "two/workload.toml").write_text(GOOD.replace("limit = 10", 'limit = 10\nbenches = ["scale"]'))
    (folder / "three").mkdir()
    (folder / "three/workload.toml").write_text(GOOD.replace("limit = 10", 'limit = 10\nbenches = ["run", "scale"]'))
    assert workload.available(folder, bench="run") == ["one", "three"]
    assert workload.available(folder, bench="scale") == ["three", "two"]
    assert workload.available(folder) == ["one", "three", "two"]


def test_memory_is_for_the_clock_that_counts(folder: Path) -> None:
    assert not load("one", folder).in_memory(Clock.INSTRUCTIONS)
    (folder / "one/workload.toml").write_text(GOOD.replace("limit = 10", 'limit = 10\ncounted_in = "memory"'))
    assert load("one", folder).in_memory(Clock.INSTRUCTIONS)
    assert not load("one", folder).in_memory(Clock.WALL)


def described(folder: Path, **metric: str) -> workload.Workload:
    text = GOOD.partition("[[metrics]]")[0] + "[[metrics]]\n"
    text += "\n".join(f"{key} = {json.dumps(value)}" for key, value in metric.items())
    (folder / "one/workload.toml").write_text(text)
    return load("one", folder)


def test_json_lines(folder: Path) -> None:
    lines = ('{"metric": "a", "further": 3.2, "mean": 4.5, "counters": {"entries": 2}}\nchatter\n{broken\n'
             '{"metric": "b", "value": 7}\n' + '{"a":' * 100_000)
    every = described(folder, name="*", unit="time", better="lower")
    found = figures(every, Clock.INSTRUCTIONS, lines, {})
    assert [(one.metric, one.value, one.unit) for one in found] == [("a", 3, "instructions"), ("b", 7, "instructions")]
    assert found[0].counters == {"entries": 2}
    assert [(one.value, one.unit) for one in figures(every, Clock.WALL, lines, {})] == [(4.5, "ns"), (7, "ns")]


def test_a_metric_has_clocks_of_its_own(folder: Path) -> None:
    path = folder / "one/workload.toml"
    text = path.read_text() + '\n[[metrics]]\nname = "waits"\nunit = "time"\nbetter = "lower"\nclocks = ["wall"]\n'
    path.write_text(text)
    two = load("one", folder)
    lines = "".join(f'{{"metric": "{name}", "value": 7}}\n' for name in (two.description.metrics[0].name, "waits"))
    assert len(figures(two, Clock.WALL, lines, {})) == 2
    assert "waits" not in [one.metric for one in figures(two, Clock.INSTRUCTIONS, lines, {})]
    path.write_text(text.replace('["instructions", "wall"]', '["instructions"]'))
    with pytest.raises(UsageError, match="a metric has a clock that the workload has not"):
        load("one", folder)


def test_a_figure_in_a_file_of_json(folder: Path) -> None:
    one = described(folder, name="reads", unit="op/s", better="higher", file="out.json", path="jobs.0.read.iops")
    text = 'fio: a note\n{"jobs": [{"read": {"iops": 12.5}}]}'
    assert figures(one, Clock.WALL, "", {"out.json": text})[0].value == 12.5
    for bad in ("", "{", '{"jobs": []}', '{"jobs": [{"read": {"iops": null}}]}', '{"jobs": ' + "[" * 100_000):
        with pytest.raises(WorkloadError, match="did not report reads"):
            figures(one, Clock.WALL, "", {"out.json": bad})


def test_a_figure_that_matches_a_pattern(folder: Path) -> None:
    one = described(folder, name="average", unit="time", better="lower", pattern=r"Avg: *(\d+)")
    assert figures(one, Clock.WALL, "T: 0 Min: 3 Avg:   12 Max: 40", {})[0].value == 12
    with pytest.raises(WorkloadError, match="average"):
        figures(one, Clock.WALL, "nothing", {})


def test_no_figures_at_all_are_a_failure(folder: Path) -> None:
    with pytest.raises(WorkloadError, match="did not report"):
        figures(described(folder, name="*", unit="time", better="lower"), Clock.WALL, "", {})


def test_units_follow_the_clock() -> None:
    metric = Metric(name="a", unit="op/s", better="higher")
    assert {unit_of(metric, clock) for clock in Clock} == {"op/s"}


def test_what_a_workload_takes_along(folder: Path, tmp_path: Path) -> None:
    """The program and timed are compiled, scripts are copied, and times and names of this machine stay outside."""
    (folder / "one/one.c").write_text("int main(void) { return 0; }\n")
    (folder / "one/go.sh").write_text("#!/bin/sh\n")
    (folder / "one/workload.toml").write_text(GOOD.replace('run = "./one"', 'run = "./one"\nsources = ["one.c"]'))
    arch = ARCHES["x86_64"]
    packed = kit.pack(arch, Cache(tmp_path / "cache"), load("one", folder))
    with tarfile.open(packed) as archive:
        entries = {entry.name: entry for entry in archive}
    assert set(entries) == {"one", "timed", "go.sh"}
    assert all(entry.mtime == 0 and entry.mode == 0o755 and not entry.uname for entry in entries.values())
    assert "go.sh" in kit.unpack(packed.read_bytes())


def test_a_source_that_does_not_compile_is_named(folder: Path, tmp_path: Path) -> None:
    (folder / "one/one.c").write_text("int main(void) { return x; }\n")
    (folder / "one/workload.toml").write_text(GOOD.replace('run = "./one"', 'run = "./one"\nsources = ["one.c"]'))
    with pytest.raises(BuildError, match="compiling the workload one"):
        kit.pack(ARCHES["x86_64"], Cache(tmp_path / "cache"), load("one", folder))


def test_a_package_that_does_not_exist_is_named(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = GOOD.replace('run = "./one"', 'run = "./one"\npackages = ["gzip", "no-such-thing"]')
    (folder / "one/workload.toml").write_text(text)

    def fetch(*ignored: object) -> Path:
        raise BuildError("mmdebstrap failed", "", ("E: Unable to locate package no-such-thing",))

    monkeypatch.setattr(rootfs, "base_image", fetch)
    with pytest.raises(UsageError, match="the workload one wants no-such-thing, which Debian trixie does not have"):
        kit.disk(ARCHES["x86_64"], Cache(tmp_path), load("one", folder), None)


def test_a_network_that_is_down_is_not_the_workload_s_fault(folder: Path, tmp_path: Path,
                                                             monkeypatch: pytest.MonkeyPatch) -> None:
    def fetch(*ignored: object) -> Path:
        raise BuildError("mmdebstrap failed", "", ("Temporary failure resolving 'deb.debian.org'",))

    monkeypatch.setattr(rootfs, "base_image", fetch)
    with pytest.raises(BuildError):
        kit.disk(ARCHES["x86_64"], Cache(tmp_path), load("one", folder), None)


def test_a_digest_names_the_work(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of packages it is the programs that count, not when somebody packed them, nor what they keep for apt."""
    def digest() -> str:
        return kit.digest(ARCHES["x86_64"], Cache(tmp_path / "cache"), load("one", folder))

    def pack(program: bytes, time: int) -> None:
        with tarfile.open(tmp_path / "packages.tar", "w") as archive:
            for name, data in (("./usr/bin/gzip", program), ("./var/log/apt", str(time).encode())):
                entry = tarfile.TarInfo(name)
                entry.size, entry.mtime = len(data), time
                archive.addfile(entry, io.BytesIO(data))

    monkeypatch.setattr(rootfs, "packages", lambda *ignored: tmp_path / "packages.tar")
    before = digest()
    assert before == digest()
    (folder / "one/workload.toml").write_text(GOOD.replace("limit = 10", 'limit = 10\npackages = ["gzip"]'))
    found = []
    for program, time in ((b"1.12", 1), (b"1.12", 2), (b"1.13", 2)):
        pack(program, time)
        found.append(digest())
    assert before not in found
    assert found[0] == found[1] != found[2]


def test_a_key_names_the_places_of_sources(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kit, "FOLDER", folder)
    monkeypatch.setattr(kit, "TIMED", folder / "timed.c")
    (folder / "timed.c").write_text("")
    keys = []
    for texts in (("1", "2"), ("2", "1")):
        for place, text in zip("ab", texts, strict=True):
            (folder / "one" / place).mkdir(exist_ok=True)
            (folder / "one" / place / "go.sh").write_text(text)
        keys.append(kit.key_of_sources(load("one", folder)))
    assert keys[0] != keys[1]


def test_what_is_no_tar_file_is_an_error_of_one_run() -> None:
    with pytest.raises(InfrastructureError, match="no tar file"):
        kit.unpack(b"x" * 1024)


def sparse(size: int) -> bytes:
    """Return a tar file with a file of so many bytes, all of them a hole (tar(5), GNU tar archives)."""
    head = tarfile.TarInfo("out.json")
    head.type = tarfile.GNUTYPE_SPARSE
    block = bytearray(head.tobuf(tarfile.GNU_FORMAT))
    block[483:495] = f"{size:011o}\0".encode()
    block[148:156] = b" " * 8
    block[148:156] = f"{sum(block):06o}\0 ".encode()
    return bytes(block) + bytes(1024)


def test_a_guests_tar_file_gives_no_more_than_it_has() -> None:
    with pytest.raises(InfrastructureError, match="more bytes than were sent"):
        kit.unpack(sparse(1 << 24))
    for how in ("gz", "xz"):
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode=f"w:{how}") as archive:  # type: ignore[call-overload]
            kit.add(archive, "out.json", bytes(1 << 20))
        with pytest.raises(InfrastructureError, match="no tar file"):
            kit.unpack(packed.getvalue())


def test_unpacking_ignores_what_is_no_file() -> None:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("./folder/"))
        link = tarfile.TarInfo("./link")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
        kit.add(archive, "./out.json", b"{}")
    assert kit.unpack(stream.getvalue()) == {"out.json": "{}", "folder": ""} or \
        kit.unpack(stream.getvalue()) == {"out.json": "{}"}


@pytest.mark.parametrize(("arguments", "words"), [
    (["bench"], ["Usage"]),
    (["bench", "vax"], ["vax", "run", "compare"]),
    (["bench", "x86_64", "--workload", "moon"], ["moon", "micro", "fio"]),
    (["bench", "x86_64", "--against", "vms"], ["vms", "native", "xen"]),
    (["bench", "run", "vax"], ["vax", *ARCHES]),
    (["bench", "riscv64", "--against", "xen"], ["riscv64", "x86_64"]),
    (["bench", "x86_64", "--clock", "sun"], ["sun", "instructions", "wall"]),
    (["bench", "x86_64", "--gate", "/nowhere/gate.json"], ["/nowhere/gate.json", "--write-gate"]),
    (["bench", "compare", "one"], ["RUN"]),
])
def test_wrong_use(arguments: list[str], words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    status = cli.main(arguments)
    out, err = capsys.readouterr()
    assert status == 2
    assert all(word in out + err for word in words)


def test_exit_codes_tell_the_tool_from_the_workload() -> None:
    from orchestration.bench.runner import verdict

    blamed: QuollError = WorkloadError("it failed")
    tool = BuildError("it does not build")
    assert verdict([]) is None
    assert verdict([blamed]) is blamed
    assert verdict([blamed, tool]) is tool


def test_servers_share_one_image() -> None:
    """An image of Debian for each of them would be made, and kept, for nothing."""
    assert len({load(name).description.packages for name in ("nginx", "pgbench", "podman", "redis")}) == 1
