# SPDX-License-Identifier: BSD-2-Clause
"""The command line: wrong use, missing packages and failures are one line, with the right exit code."""

from __future__ import annotations

import errno
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import pytest
import typer
from typer.core import TyperGroup

from orchestration import bootstrap
from orchestration.base import doctor, tree
from orchestration.base.arch import ARCHES
from orchestration.base.errors import BuildError, HangError, InfrastructureError, MissingError, PanicError, QuollError
from orchestration.build import userland
from orchestration.cli import boot, group, signals
from orchestration.cli import main as cli
from orchestration.machine import boot as machine_boot
from orchestration.machine import snapshot
from orchestration.machine.boot import Artefacts
from orchestration.machine.session import Session


@pytest.mark.parametrize(("arguments", "words"), [
    (["boot", "vax"], ["vax", *ARCHES]),
    (["boot"], ["ARCH", *ARCHES]),
    (["boot", "x86_64", "--fast"], ["--fast", "--accel", "--dry-run"]),
    (["boot", "x86_64", "--accel", "warp"], ["warp", "tcg", "kvm"]),
    (["boot", "x86_64", "--guest-mode", "below"], ["--guest-mode:", "below", "beside", "above"]),
    (["bot"], ["bot", "boot", "test", "measure", "doctor"]),
    (["measure", "vax"], ["vax", *ARCHES]),
    (["build", "vax"], ["vax", *ARCHES]),
    (["build"], ["ARCH", *ARCHES]),
    (["test", "vax"], ["vax", *ARCHES]),
    (["test", "riscv64", "tests/none"], ["tests/none", *ARCHES]),
    (["test", ""], ["no path to tests", *ARCHES]),
    (["test", "x86_64", "/etc/passwd"], ["/etc/passwd", "no path to tests"]),
    (["faults", "x86_64", "--debug", "msan"], ["unknown --debug 'msan'", "kcsan"]),
    (["faults", "x86_64", "--json", "/none/results"], ["--json", "/none/results", "No such file"]),
])
def test_wrong_use(arguments: list[str], words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert len(err.strip().splitlines()) == 1
    assert all(word in err for word in words)


@pytest.mark.parametrize(("arguments", "words"), [
    (["boot", "riscv64", "--guest-mode", "above"], ["--guest-mode above", "riscv64 has only beside"]),
    (["boot", "x86_64", "--guest-mode", "above", "--accel", "kvm"], ["under emulation only", "--accel"]),
    (["boot", "x86_64", "--guest-mode", "above", "--cpus", "4"], ["with one CPU only", "--cpus"]),
    (["build", "x86_64", "riscv64", "--guest-mode", "above"], ["--guest-mode above", "riscv64 has only beside"]),
    (["conform", "riscv64", "--guest-mode", "above"], ["--guest-mode above", "riscv64 has only beside"]),
    (["conform", "x86_64", "--guest-mode", "above", "--cpus", "2"], ["with one CPU only", "--cpus"]),
    (["conform", "x86_64", "--cpus", "9"], ["--cpus: '9' is no number of CPUs that a guest can have: from 1 to 8"]),
    (["conform", "x86_64", "--cpus", "none"], ["--cpus: 'none' is no number of CPUs that a guest can have"]),
    (["boot", "riscv64", "--debug", "kasan"], ["--debug kasan", "riscv64", "x86_64", "debug-kasan.config"]),
    (["build", "x86_64", "aarch64", "--debug", "ubsan"], ["--debug ubsan", "aarch64", "x86_64", "debug-ubsan.config"]),
    (["faults", "riscv64", "--debug", "lockdep"], ["--debug lockdep", "only on x86_64"]),
    (["faults", "x86_64", "--debug", "kcsan"], ["kcsan", "add --cpus 4"]),
    (["bench", "run", "aarch64", "--against", "above"], ["aarch64", "no guest mode above"]),
])
def test_what_a_machine_lacks(arguments: list[str], words: list[str],
                                           capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([*arguments, *(["--no-config"] if arguments[0] in ("boot", "build") else [])]) == 2
    said = capsys.readouterr().err
    assert all(word in said for word in words)


def test_doctor_refuses_unknown_arguments(root: Path) -> None:
    done = subprocess.run([sys.executable, str(root / "orchestrate"), "doctor", "--mend"], capture_output=True,
                          text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.strip().splitlines() == [
        f"orchestrate: doctor: unknown argument --mend; valid: --install --help -h --version {' '.join(ARCHES)}"]


def test_doctor_without_root_or_sudo_says_what_to_run(monkeypatch: pytest.MonkeyPatch,
                                                      capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(doctor, "missing_packages", lambda wanted: ["qemu-system-x86", "flex"])
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert bootstrap.main(["doctor"]) == 3
    command = "sudo apt-get update && sudo apt-get install -y --no-install-recommends qemu-system-x86 flex"
    assert command in capsys.readouterr().out
    assert bootstrap.main(["doctor", "--install"]) == 3
    assert command in capsys.readouterr().err


def test_no_debian_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(MissingError, match="no Debian"):
        doctor.wanted_packages(ARCHES.values())
    with pytest.raises(MissingError, match="no Debian"):
        doctor.missing_packages(doctor.FIRST)


def test_a_package_whose_trigger_waits_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """So ccache is while apt installs a compiler, perhaps for another command of ours."""
    said = "ccache triggers-pending\nflex installed\nbison unpacked\nkmod not-installed\n"
    done: subprocess.CompletedProcess[str] = subprocess.CompletedProcess([], 1, said, "")
    monkeypatch.setattr(subprocess, "run", lambda *words, **options: done)
    assert doctor.missing_packages(["ccache", "flex", "bison", "kmod", "rsync"]) == ["bison", "kmod", "rsync"]


def test_an_architecture_needs_its_own_packages_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "native_architecture", lambda: "amd64")
    monkeypatch.setattr(doctor, "debian_version", lambda: "13")
    own = {name: set(doctor.wanted_packages([arch])) - set(doctor.wanted_packages([]))
           for name, arch in ARCHES.items()}
    assert own == {
        "x86_64": {"qemu-system-x86"},
        "riscv64": {"qemu-system-riscv", "opensbi", "gcc-riscv64-linux-gnu", "libc6-dev-riscv64-cross"},
        "aarch64": {"qemu-system-arm", "gcc-aarch64-linux-gnu", "libc6-dev-arm64-cross"}}
    monkeypatch.setattr(doctor, "debian_version", lambda: "12")
    assert "qemu-system-misc" in doctor.wanted_packages([ARCHES["riscv64"]])
    monkeypatch.setattr(doctor, "native_architecture", lambda: "arm64")
    assert {"gcc-x86-64-linux-gnu", "libc6-dev-amd64-cross"} <= set(doctor.wanted_packages([ARCHES["x86_64"]]))
    assert "gcc-aarch64-linux-gnu" not in doctor.wanted_packages([ARCHES["aarch64"]])


@pytest.mark.parametrize(("words", "begun"), [(["vax"], 1), (["vax", "--", "ls", "-h"], 1), (["--help"], 0)])
def test_boot_begins_to_read_before_its_words_are_understood(monkeypatch: pytest.MonkeyPatch, words: list[str],
                                                             begun: int) -> None:
    calls: list[int] = []
    monkeypatch.setattr(boot, "begin", lambda: calls.append(1))
    cli.main(["boot", *words])
    assert len(calls) == begun


@pytest.mark.parametrize(("words", "command", "terminal"), [
    ([], [], False),
    (["--", "ls", "-h", "--help", "--", "a b"], ["ls", "-h", "--help", "--", "a b"], False),
    (["-t", "--", "top"], ["top"], True)])
def test_boot_hands_the_command_to_the_guest(monkeypatch: pytest.MonkeyPatch, words: list[str], command: list[str],
                                             terminal: bool) -> None:
    """All words behind -- are the command's, whatever they look like, and its status is the orchestrator's."""
    session = MagicMock(spec=Session)
    session.__enter__.return_value = session
    session.serve.return_value = 7
    made = MagicMock(spec=Artefacts)
    made.userland = userland.TINY
    monkeypatch.setattr(boot, "begin", lambda: None)
    monkeypatch.setattr(doctor, "ensure", lambda arches: None)
    monkeypatch.setattr(machine_boot, "artefacts", lambda description, cache, progress: made)
    monkeypatch.setattr(snapshot, "session_of", lambda *ignored: session)
    assert cli.main(["boot", "x86_64", "--quiet", "--no-config", *words]) == 7
    session.serve.assert_called_once_with(command, terminal)


def test_exit_codes_are_distinct_and_documented(root: Path) -> None:
    classes: list[type[QuollError]] = [MissingError, InfrastructureError, BuildError, PanicError, HangError]
    codes = {kind.exit_code for kind in classes}
    assert len(codes) == len(classes)
    usage = (root / "docs/usage.md").read_text()
    for code in codes:
        assert f"| {code} |" in usage
        assert str(code) in group.EPILOG


def test_a_failure_is_explained_not_traced(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def fail(arches: object) -> None:
        raise BuildError("it broke", "do this", ("last line",))

    monkeypatch.setattr(doctor, "ensure", fail)
    assert cli.main(["boot", "x86_64", "--quiet"]) == 121
    assert capsys.readouterr().err == "  | last line\norchestrate: it broke\n  hint: do this\n"


def test_ctrl_c_is_130(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def interrupt(arches: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(doctor, "ensure", interrupt)
    assert cli.main(["boot", "x86_64"]) == 130
    assert capsys.readouterr().err == "x86_64: building what has changed\norchestrate: interrupted\n"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interruption_while_modules_are_imported_is_no_traceback(root: Path, number: int) -> None:
    """The signal comes as early as it can: it is pending when the process begins."""
    def pending() -> None:
        signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_BLOCK, [number])
        os.kill(os.getpid(), number)

    done = subprocess.run([sys.executable, "-m", "orchestration", "ps"], cwd=root, capture_output=True, text=True,
                          check=False, preexec_fn=pending)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "orchestrate: interrupted\n")


def test_a_signal_that_comes_twice_interrupts_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A second interruption would stop the clean-up."""
    handler = signals.Interrupter()
    with pytest.raises(KeyboardInterrupt):
        handler(signal.SIGINT, None)
    handler(signal.SIGINT, None)
    monkeypatch.setattr(signals, "TWICE", 0)
    with pytest.raises(KeyboardInterrupt):
        handler(signal.SIGINT, None)


def test_what_our_caller_ignores_stays_ignored(root: Path) -> None:
    """Such as SIGHUP of nohup, and SIGINT of a job in the background."""
    script = ("import os, signal; from orchestration.base import doctor; from orchestration.cli import main as cli; "
              "doctor.ensure = lambda arches: [os.kill(os.getpid(), one) for one in (1, 2)]; "
              "cli.main(['build', 'x86_64', 'vax']); cli.explained(lambda: doctor.ensure([])); print('on')")
    done = subprocess.run(["sh", "-c", "trap '' HUP INT; exec \"$@\"", "sh", sys.executable, "-c", script], cwd=root,
                          capture_output=True, text=True, check=False)
    assert done.stdout == "on\n"


def test_without_arguments_there_is_help(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in ([], ["bench"]):
        assert cli.main(arguments) == 2
        lines = capsys.readouterr().err.splitlines()
        assert lines[0].startswith("Usage: orchestrate")
        assert len(lines) > 10


def all_commands(group: Any, *above: str) -> Iterator[tuple[str, ...]]:
    yield above
    for name in group.list_commands(typer.Context(group)) if isinstance(group, TyperGroup) else ():
        yield from all_commands(group.get_command(typer.Context(group), name), *above, name)


def test_every_command_has_help_and_version(monkeypatch: pytest.MonkeyPatch,
                                            capsys: pytest.CaptureFixture[str]) -> None:
    assert re.fullmatch(r"Quoll \d+\.\d+( \(.*\))?", tree.version())
    monkeypatch.setattr(group, "version", lambda: "Quoll 9")
    words = list(all_commands(typer.main.get_command(cli.app)))
    assert ("bench", "compare") in words and ("faults",) in words and len(words) > 25
    for command in words:
        texts = []
        for option in ("-h", "--help", "--version"):
            assert cli.main([*command, option]) == 0
            texts.append(capsys.readouterr().out)
        assert texts[0] == texts[1] and texts[0].startswith("Usage: orchestrate")
        assert "..." not in texts[0].partition("Commands:")[2], command
        assert "{" not in texts[0].splitlines()[0], command
        assert texts[2] == "Quoll 9\n"


@pytest.mark.parametrize(("shell", "status", "said"), [
    (">/dev/full", 120, "orchestrate: cannot write to standard output: No space left on device\n"),
    (">&-", 120, "orchestrate: cannot write to standard output: Bad file descriptor\n"),
    ("<&-", 0, ""), ("2>&-", 0, "")])
def test_what_standard_streams_do_is_told(root: Path, shell: str, status: int, said: str) -> None:
    for command in ("completion bash", "doctor --help"):
        done = subprocess.run(["sh", "-c", f"./orchestrate {command} {shell}"], cwd=root, capture_output=True,
                              text=True, check=False)
        assert (done.returncode, done.stderr) == (status, said)


def test_a_reader_that_ended_is_like_sigpipe(root: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run([str(root / "orchestrate"), "completion", "bash"], stdout=writing, stderr=subprocess.PIPE,
                          check=False)
    os.close(writing)
    assert (done.returncode, done.stderr) == (141, b"")


@pytest.mark.parametrize(("error", "words"), [
    (PermissionError(errno.EACCES, "Permission denied", "CACHE/locks/x"), ["CACHE/locks/x", "sudo chown"]),
    (OSError(errno.EROFS, "Read-only file system", "/etc/x"), ["/etc/x", "Read-only"]),
    (OSError(errno.EROFS, "Read-only file system", "CACHE/x"), ["CACHE/x", "to a folder you may write to"]),
    (OSError(errno.ENOSPC, "No space left on device"), ["no space left", "make room"])])
def test_files_that_cannot_be_written_are_one_line(error: OSError, words: list[str], monkeypatch: pytest.MonkeyPatch,
                                                   capsys: pytest.CaptureFixture[str]) -> None:
    def fail(arches: object) -> None:
        if error.filename:
            error.filename = str(error.filename).replace("CACHE", str(doctor.cache_root()))
        raise error

    monkeypatch.setattr(doctor, "ensure", fail)
    assert cli.main(["build", "x86_64"]) == 120
    said = capsys.readouterr().err
    assert said.startswith("orchestrate: ") and "Traceback" not in said
    assert all(word.replace("CACHE", str(doctor.cache_root())) in said for word in words)


def test_a_read_only_checkout_has_its_packages_in_the_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(tree, "ROOT", tmp_path)
    assert tree.venv_folder() == tmp_path / ".venv"
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    assert tree.venv_folder().is_relative_to(doctor.cache_root())
    (tmp_path / ".venv").mkdir()
    (tmp_path / ".venv" / f"quoll-{tree.digest()}").touch()
    assert tree.venv_folder() == tmp_path / ".venv"


def test_the_revision_is_told_whoever_owns_the_checkout(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a container; git's own tests have this variable for it."""
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    refused = subprocess.run(["git", "-C", str(root), "describe", "--always"], capture_output=True, check=False)
    assert refused.returncode
    assert re.fullmatch(r"\S*[0-9a-f]{7,}(-dirty)?", tree.describe())


@pytest.mark.parametrize("value", ["0", "-1", "fast", "inf", "nan"])
def test_a_bad_time_scale_is_refused(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from orchestration.base.limits import time_scale

    monkeypatch.setenv("QUOLL_TIME_SCALE", value)
    with pytest.raises(QuollError, match="QUOLL_TIME_SCALE"):
        time_scale()
