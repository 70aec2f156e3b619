# SPDX-License-Identifier: BSD-2-Clause
"""The suites of conform without machines: what they read, which tests they find, what a wrong folder is called."""

from __future__ import annotations

import re
import struct
import subprocess
import tarfile
from pathlib import Path

import pytest

from orchestration.base import arch as arches
from orchestration.base.arch import Arch
from orchestration.base.cache import Cache
from orchestration.base.errors import InfrastructureError, UsageError
from orchestration.build import linux, quoll, rootfs, source, userland
from orchestration.build.flavours import Flavour
from orchestration.conform import debsource, kept, ltp, ltpdisk, outcome, perl, redis, run, selftests, suites
from orchestration.conform.outcome import Status
from orchestration.conform.suite import PACKED, NotHereError, Suite, Test
from orchestration.machine import boot
from orchestration.machine.progress import Progress

PASS, FAIL, SKIP = Status.PASS, Status.FAIL, Status.SKIP
X86, ARM = arches.find("x86_64"), arches.find("aarch64")
MACHINE = {"x86_64": 62, "aarch64": 183, "riscv64": 243}


@pytest.mark.parametrize(("text", "status", "came_to", "why"), [
    ("1..2\nok 1 - a\nok 2 - b # SKIP no\n", 0, PASS, ""),
    ("ok 1 - a\n1..1\n", 0, PASS, ""),
    ("1..2\nok 1 - a\nnot ok 2 - b\n", 0, FAIL, "1 failed, 2 of 2 reported"),
    ("1..2\nok 1 - a\nnot ok 2 - b # TODO later\n", 0, PASS, ""),
    ("1..3\nok 1 - a\n", 0, FAIL, "0 failed, 1 of 3 reported"),
    ("1..1\nok 1 - a\n", 3, FAIL, "exit=3"),
    ("1..0 # SKIP no threads\n", 0, SKIP, "no threads"), ("1..0\n", 0, SKIP, ""),
    ("ok 1\nok 2\n1..2\n# ok 3\n    ok 1 - of a subtest\n", 0, PASS, ""),
    ("", 0, FAIL, "it told no plan")])
def test_tap_is_read(text: str, status: int, came_to: Status, why: str) -> None:
    found = outcome.tap(text, status)
    assert (found.status, found.why) == (came_to, why)


def test_the_results_of_tap_are_parts() -> None:
    found = outcome.tap("1..3\nok 1 - pid 12345\nnot ok 2 - same\nok 3 - same # skip none\n", 0)
    assert found.parts == {"pid *": PASS, "same": FAIL, "same #2": SKIP}


LTP = """\
tst_test.c:1900: TINFO: LTP version: 20260529
fork01.c:48: TPASS: fork() passed
fork01.c:50: TPASS: the child's number is 123
fork01.c:50: TFAIL: the child's number is 124
fork01.c:60: TCONF: no such feature

Summary:
passed   2
failed   1
broken   0
skipped  1
warnings 0
"""


def test_a_test_of_ltp_is_read() -> None:
    found = ltp.read(LTP.encode(), 1)
    assert (found.status, found.why) == (FAIL, "the child's number is 124")
    assert found.parts == {"fork01.c:48": PASS, "fork01.c:50": PASS, "fork01.c:50 #2": FAIL, "fork01.c:60": SKIP}


@pytest.mark.parametrize(("text", "status", "came_to"), [
    ("a01.c:1: TPASS: yes\n", 0, PASS), ("a01.c:1: TCONF: no\n", 32, SKIP), ("a01.c:1: TBROK: no\n", 2, FAIL),
    ("a01    1  TPASS  :  yes\n", 0, PASS), ("a01.c:1: TWARN: hm\n", 4, FAIL), ("", 127, FAIL), ("", 139, FAIL)])
def test_the_status_of_a_test_of_ltp_decides(text: str, status: int, came_to: Status) -> None:
    assert ltp.read(text.encode(), status).status is came_to


@pytest.mark.parametrize(("said", "late"), [("Test killed! (timeout?)", True), ("Test killed by SIGSEGV!", False)])
def test_a_test_that_ltp_ended_at_its_limit_is_late(said: str, late: bool) -> None:
    found = ltp.read(f"a.c:1: TPASS: yes\ntst_test.c:1944: TBROK: {said}\n".encode(), 2)
    assert (found.status, found.why, found.late) == (FAIL, said, late)


def program(arch: str) -> bytes:
    """The head of an ELF program."""
    return struct.pack("<4sBBBBQHHIQQQIHHHHHH", b"\x7fELF", 2, 1, 1, 0, 0, 2, MACHINE[arch], 1, 0, 0, 0, 0, 64, 0, 0,
                       0, 0, 0)


def install(folder: Path, arch: str) -> Path:
    """What LTP's own installation leaves, with two tests."""
    (folder / "runtest").mkdir(parents=True)
    (folder / "testcases/bin").mkdir(parents=True)
    (folder / "runtest/syscalls").write_text("# a list\nfork01 fork01\n\nfork02 fork01 -i 3 'two words'\n"
                                             "reboot01 reboot01\n")
    (folder / "runtest/other").write_text("no01 no01\n")
    (folder / "testcases/bin/a.sh").write_text("#!/bin/sh\n")
    (folder / "testcases/bin/fork01").write_bytes(program(arch))
    return folder


@pytest.mark.parametrize("place", [".", "opt/ltp", "x86_64", "x86_64/opt/ltp"])
@pytest.mark.parametrize("root", [None, "/elsewhere"])
def test_an_installed_ltp_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str,
                                   root: str | None) -> None:
    if root is None:
        monkeypatch.delenv("LTPROOT", raising=False)
    else:
        monkeypatch.setenv("LTPROOT", root)
    source = install(tmp_path / "in" / place, "x86_64")
    suite = suites.find("ltp", tmp_path / "in")
    built = suite.build(X86, Cache(tmp_path / "cache"))
    found = suite.tests(built)
    assert [test.name for test in found] == ["syscalls:fork01", "syscalls:fork02"]
    assert found[1].command.endswith(" fork01 -i 3 'two words'")
    assert " LTPROOT=/opt/ltp " in found[1].command
    assert userland.Image(built / "suite.ext4").look("/bin/fork01")[0] == "regular"
    # What was changed in the folder is packed anew.
    (source / "testcases/bin/fork01").write_bytes(program("x86_64") + b"new")
    assert suite.build(X86, Cache(tmp_path / "cache")) != built


def test_a_folder_without_ltp_is_named(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache")
    (tmp_path / "empty").mkdir()
    for folder, said in ((tmp_path / "empty", "no LTP is there, neither its source nor an installed one"),
                         (tmp_path / "none", "there is no such folder and no such file")):
        with pytest.raises(UsageError, match=said):
            ltpdisk.build(X86, cache, folder)
    source = install(tmp_path / "arm", "aarch64")
    with pytest.raises(UsageError, match="its programs are for aarch64, not for x86_64"):
        ltpdisk.build(X86, cache, source)
    assert ltpdisk.build(ARM, cache, source).exists()
    (source / "testcases/bin/fork01").unlink()
    with pytest.raises(UsageError, match="testcases/bin has no program"):
        ltpdisk.build(ARM, cache, source)
    install(tmp_path / "lists", "x86_64")
    (tmp_path / "lists/runtest/syscalls").unlink()
    with pytest.raises(UsageError, match="runtest has none of syscalls, mm"):
        ltpdisk.build(X86, cache, tmp_path / "lists")


def test_the_groups_of_a_large_script_are_tests(tmp_path: Path) -> None:
    (tmp_path / "kselftest-list.txt").write_text("exec:execveat\nmm:run_vmtests.sh\ntimers:mqueue-lat\n")
    found = {test.name: test.command for test in selftests.tests(tmp_path)}
    assert list(found) == ["exec:execveat", *(f"mm:{name}" for name in (*selftests.PROGRAMS, *selftests.GROUPS))]
    assert found["exec:execveat"] == "cd /opt/kselftest && ./run_kselftest.sh -o 90 -t exec:execveat"
    assert found["mm:thp"] == ("export KSELFTEST_RUN_VMTESTS_SH_ARGS='-t thp' && cd /opt/kselftest && "
                               "./run_kselftest.sh -o 300 -t mm:run_vmtests.sh")


def test_the_runner_of_the_kernel_runs_a_program_of_no_list(tmp_path: Path) -> None:
    """With a runner that has the two names which are used, and this host's shell."""
    (tmp_path / "kselftest").mkdir()
    (tmp_path / "mm").mkdir()
    (tmp_path / "kselftest/runner.sh").write_text(
        'run_many() { echo "${PWD#$BASE_DIR/} $kselftest_override_timeout $1"; }\n')
    one = next(test for test in selftests.memory() if test.name == "mm:cow")
    done = subprocess.run(["sh", "-c", one.command.replace(selftests.PLACE, str(tmp_path))], capture_output=True,
                          text=True, check=True)
    assert done.stdout == "mm 300 ./cow\n"


def test_the_tests_of_perl_are_found(tmp_path: Path) -> None:
    for name in ("t/op/fork.t", "t/op/not-listed.t", "t/io/pipe.t", "dist/threads/t/kill.t", "cpan/Socket/t/pod.t"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    names = perl.found(tmp_path)
    assert names == ["op:fork", "io:pipe", "threads:kill"]
    (tmp_path / debsource.LIST).write_text("\n".join(names))
    core, other, module = [test.command for test in perl.tests(tmp_path)]
    assert [core, other] == ["cd /opt/perl/t && perl -I../lib op/fork.t", "cd /opt/perl/t && perl -I../lib io/pipe.t"]
    for first, taint in (("#!./perl -Tw", 1), ("#!./perl -- # Rules", 0), ("#!perl", 0)):
        script = f"{first}\nprint qq{{taint ${{^TAINT}} $ENV{{PERL_CORE}}\\n}};\n"
        (tmp_path / "dist/threads/t/kill.t").write_text(script)
        done = subprocess.run(["sh", "-c", module.replace(perl.PLACE, str(tmp_path))], capture_output=True, text=True,
                              check=True)
        assert done.stdout == f"taint {taint} 1\n"


def test_the_tests_of_a_source_package_are_packed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("t/op/fork.t", "t/re/regexp.t", "dist/threads/t/kill.t", "dist/threads/threads.xs", "README"):
        (tmp_path / "perl-5.40.1" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "perl-5.40.1" / name).touch()
    archive = tmp_path / "perl_5.40.1.orig.tar.xz"
    subprocess.run(["tar", "-C", str(tmp_path), "-cJf", str(archive), "perl-5.40.1"], check=True)
    monkeypatch.setattr(source, "archive", lambda cache, package: archive)
    monkeypatch.setattr(perl, "MODULES", ("dist/threads",))
    built = perl.SUITE.build(X86, Cache(tmp_path / "cache"))
    assert [test.name for test in perl.SUITE.tests(built)] == ["op:fork", "threads:kill"]
    with tarfile.open(built / PACKED) as packed:
        assert sorted(member.name for member in packed if member.isfile()) == [
            "dist/threads/t/kill.t", "dist/threads/threads.xs", "t/op/fork.t"]
    assert perl.SUITE.build(ARM, Cache(tmp_path / "cache")) == built


@pytest.mark.parametrize("suite", [perl.SUITE, redis.SUITE], ids=lambda suite: suite.name)
def test_a_suite_whose_source_is_not_fetched_is_not_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                                         suite: Suite) -> None:
    def archive(cache: Cache, package: str) -> Path:
        raise InfrastructureError(f"the source of {package} cannot be fetched by apt", "see the log")

    monkeypatch.setattr(source, "archive", archive)
    with pytest.raises(NotHereError, match=f"the source of {suite.name} cannot be fetched"):
        suite.build(X86, Cache(tmp_path / "cache"))


def test_no_module_of_perl_hides_another() -> None:
    groups = [*perl.CORE, *(name.rpartition("/")[2] for name in perl.MODULES)]
    assert len(groups) == len(set(groups))


def test_names_of_tests_that_do_not_exist_are_told() -> None:
    tests = [Test(name, "true", 1.0) for name in ("exec:one", "exec:two", "mm:one")]
    run.check(tests, ["exec", "mm:one"])
    for name, hint in (("exec:three", "valid: exec:one, exec:two"), ("none", "collections: exec, mm"),
                       ("none:one", "collections: exec, mm"), ("", "collections: exec, mm")):
        with pytest.raises(UsageError) as caught:
            run.check(tests, ["mm", name])
        assert (caught.value.message, caught.value.hint) == (f"no test is called '{name}'", hint)
    many = [Test(f"exec:name{number:03}", "true", 1.0) for number in range(1500)]
    with pytest.raises(UsageError) as caught:
        run.check(many, ["exec:name12"])
    assert re.fullmatch(r"the nearest of 1500: exec:name\d{3}(, exec:name\d{3}){7}", caught.value.hint)


def test_both_sides_have_so_many_cpus_and_results_of_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the small kernels for several, where there are several; a result of one CPU is found as before."""
    built: list[Flavour] = []
    had: dict[str, list[int]] = {"guest": [], "native": []}

    def note(arch: Arch, cache: Cache, flavour: Flavour) -> Path:
        built.append(flavour)
        return tmp_path

    monkeypatch.setattr(linux, "linux", note)
    monkeypatch.setattr(quoll, "bare", lambda *words: tmp_path)
    monkeypatch.setattr(quoll, "abi", lambda arch: None)
    monkeypatch.setattr(rootfs, "base_image", lambda *words: tmp_path / "disk.ext4")
    monkeypatch.setattr(kept, "content", lambda folder, *names: "same")
    monkeypatch.setattr(suites, "emulator", lambda arch: "QEMU")
    monkeypatch.setattr(suites, "RunDirectory", lambda name: name)
    monkeypatch.setattr(boot, "prepare", lambda described, *words: had["guest"].append(described.cpus))
    monkeypatch.setattr(boot, "prepare_native", lambda *words, cpus, **named: had["native"].append(cpus))
    cache, progress = Cache(tmp_path / "cache"), Progress(quiet=True)
    runs_with = []
    for cpus in (1, 2, 4):
        peer = suites.native(X86, cache, full=False, cpus=cpus)
        sides = suites.machines(X86, cache, progress, ltp.suite(None), tmp_path, peer, full=False, cpus=cpus)
        for side in sides:
            side.prepare()
        runs_with.append([side.runs_with for side in sides])
    assert had == {"guest": [1, 2, 4], "native": [1, 2, 4]}
    assert [one.name for one in built] == ["native-x86_64-suites", "l4-x86_64", *["native-x86_64-smp-suites",
                                                                                 "l4-x86_64-smp"] * 2]
    for alike in zip(*runs_with, strict=True):
        assert len(set(alike)) == 3
        assert not any("CPU" in word for word in alike[0])
