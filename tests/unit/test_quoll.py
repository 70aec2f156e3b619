# SPDX-License-Identifier: BSD-2-Clause
"""The Python API without a machine: consoles, commands, descriptions, errors; packaging."""

from __future__ import annotations

import re
import threading
import tomllib
from pathlib import Path
from types import SimpleNamespace

import pytest
from packaging.requirements import Requirement

import quoll
from orchestration.base.errors import HangError, InfrastructureError, PanicError, UsageError
from orchestration.machine import boot
from quoll import console, guest, machines


def nothing() -> bool:
    return False


def made(scale: float = 1.0) -> console.Console:
    return console.Console("the guest's console", nothing, None, scale)


def test_a_console_gives_lines_and_matches_in_order() -> None:
    one = made()
    one.feed(b"first\r\nnext")
    assert one.readline() == "first"
    one.feed(b" \xe2\x82")
    one.feed(b"\xac\r")
    one.feed(b"\nlogin: ")
    assert one.expect(r"^(\w+): ")[1] == "login"
    assert one.read() == ""
    one.feed(b"x")
    assert one.read() == "x"
    assert one.lines() == ["first", "next \u20ac", "login: x"]


def test_a_prompt_is_waited_for() -> None:
    one = made()
    threading.Timer(0.05, one.feed, (b"# ",)).start()
    assert one.expect(re.compile("# $"))


def test_a_console_that_does_not_say_it_is_a_hang() -> None:
    one = made(0.1)
    one.feed(b"something else\n")
    with pytest.raises(HangError, match="'wanted' in 0.1 s") as caught:
        one.expect("wanted", timeout=1)
    assert caught.value.details == ("something else",)


def test_a_lost_machine_ends_the_wait() -> None:
    def lost() -> bool:
        raise PanicError("Linux gave up")

    with pytest.raises(PanicError):
        console.Console("console", lost).expect("wanted")


def test_a_machine_that_is_off_ends_the_wait() -> None:
    """What it said last is found, although the machine is off when that is looked for."""
    def off() -> bool:
        one.feed(b"last words\n")
        return True

    one = console.Console("console", off)
    assert one.expect("last words")
    with pytest.raises(InfrastructureError, match="is off, and console did not show 'wanted'"):
        one.expect("wanted")


class Session:
    """A session of no machine: it is lost when loss is set, which check() raises once."""

    def __init__(self) -> None:
        self.machine, self.tracker = SimpleNamespace(send=None), SimpleNamespace(scale=1.0)
        self.connection: object = object()
        self.registered = None
        self.lost_reason: Exception | None = None
        self.loss: Exception | None = None
        self.did: list[object] = []

    def check(self) -> bool:
        if self.loss is not None and self.lost_reason is None:
            self.lost_reason = self.loss
            raise self.loss
        return False

    def power_off(self) -> None:
        self.did.append("power off")

    def finish(self, error: BaseException | None) -> None:
        self.did.append(error)


def test_a_lost_machine_is_lost_for_whoever_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    """The session raises the error once."""
    session = Session()
    one = guest.Guest(session)  # type: ignore[arg-type]
    session.loss = PanicError("Linux gave up")
    assert not one.alive
    for use in (lambda: one.run("true"), lambda: one.push("x"), lambda: one.pull("x"),
                lambda: one.console.expect("wanted")):
        with pytest.raises(PanicError):
            use()


@pytest.mark.parametrize("error", [None, ValueError("of the user"), quoll.CommandError("false", 1, "", "")])
def test_a_disk_that_survives_is_unmounted_whatever_the_program_ended_by(error: Exception | None,
                                                                         monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(boot, "discard_large_files", lambda run: None)
    for persistent in (True, False):
        session = Session()
        session.machine.run = None
        guest.Guest(session, persistent).close(error)  # type: ignore[arg-type]
        assert session.did == [*(["power off"] if persistent else []), error]


def test_a_guest_without_ssh_has_its_console_only() -> None:
    session = Session()
    session.connection = None
    session.machine.run = None
    one = guest.Guest(session, persistent=True)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="no SSH server"):
        one.run("true")
    one.close(ValueError())
    assert [type(what) for what in session.did] == [ValueError]
    with pytest.raises(UsageError, match="has ended"):
        one.run("true")


def test_a_guest_that_hangs_is_not_asked_to_go(monkeypatch: pytest.MonkeyPatch) -> None:
    session, error = Session(), HangError("it does not answer")
    guest.Guest(session, persistent=True).close(error)  # type: ignore[arg-type]
    assert session.did == [error]


def test_a_console_keeps_the_end_of_much_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(console, "KEPT", 100)
    one = made()
    for number in range(60):
        one.feed(f"line {number}\n".encode())
    assert len(one.text) <= 100
    assert one.lines()[-1] == "line 59"
    assert one.read().endswith("line 59\n")


def test_input_goes_to_the_serial_line() -> None:
    typed: list[bytes] = []
    one = console.Console("console", nothing, typed.append)
    one.send("a")
    one.send(b"\x03")
    one.sendline("ls")
    assert typed == [b"a", b"\x03", b"ls\r"]
    with pytest.raises(UsageError):
        made().send("x")


def test_words_and_scripts() -> None:
    assert guest.script(["printf", "a b", Path("/x y"), b"\xff"]) == "printf 'a b' '/x y' '\udcff'"
    assert guest.script("ls | wc -l") == "ls | wc -l"
    assert guest.setting({"A": "it's"}) == "export A='it'\"'\"'s'\n"
    with pytest.raises(UsageError, match="A;B"):
        guest.setting({"A;B": "x"})


def test_a_failed_command_says_why() -> None:
    done = guest.Completed(["false"], 3, b"out\n", b"\xff\n")
    with pytest.raises(quoll.CommandError) as caught:
        done.check_returncode()
    error = caught.value
    assert (error.returncode, error.stdout, error.stderr) == (3, "out\n", "\N{REPLACEMENT CHARACTER}\n")
    assert str(caught.value).splitlines()[:2] == ["status 3 of the guest's command: false", "  | out"]
    assert caught.value.exit_code == 118
    guest.Completed(["true"], 0, b"", b"").check_returncode()


@pytest.mark.parametrize(("fields", "said"), [
    ({"arch": "x86_64", "colour": "red"}, "no field 'colour'; valid: "), ({"arch": "vax"}, "architecture 'vax'"),
    ({"arch": "x86_64", "trace": "yes"}, "trace"), ({}, "no quoll.toml names one")])
def test_a_wrong_field_is_named(fields: dict[str, str], said: str) -> None:
    with pytest.raises(UsageError) as caught:
        machines.describe(fields, files=False)
    assert said in str(caught.value)


def test_files_have_a_say_unless_they_are_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "none"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "quoll.toml").write_text('arch = "aarch64"\nappend = "quiet"\n')
    assert machines.describe({}, files=True).arch == "aarch64"
    assert machines.describe({"arch": "riscv64"}, files=True).append == "quiet"
    assert machines.describe({"arch": "riscv64"}, files=False).append == ""


def test_what_pip_installs_is_pinned_for_orchestrate(root: Path) -> None:
    """A version that ./orchestrate uses satisfies what the package asks for, and every package is pinned."""
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    lines = (root / "orchestration/requirements.txt").read_text().splitlines()
    pinned = dict(line.split("==") for line in lines if "==" in line)
    wanted = [*project["dependencies"], *project["optional-dependencies"]["pytest"]]
    for one in map(Requirement, wanted):
        assert one.name in pinned
        assert one.specifier.contains(pinned[one.name]), one


def test_an_installed_package_has_all_that_a_boot_is_built_from(root: Path) -> None:
    """Each folder or file of the tree goes with it, or has nothing to do with a boot."""
    tool = tomllib.loads((root / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    included = {Path(name).parts[0] for name in tool["force-include"]}
    for source, target in tool["force-include"].items():
        assert target == f"quoll/source/{source}"
        assert (root / source).exists()
    unneeded = {"README.md", "CONTRIBUTING.md", "SECURITY.md", "ci", "docs", "orchestrate", "quoll"}
    assert {path.name for path in root.iterdir() if not path.name.startswith(".")} == included | unneeded
