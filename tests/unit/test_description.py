# SPDX-License-Identifier: BSD-2-Clause
"""The description of a machine: its layers, where a value came from, and what is wrong with a file."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from pathlib import Path

import pytest

from orchestration.base.errors import UsageError
from orchestration.cli import main as cli
from orchestration.cli.options import OPTIONS
from orchestration.machine import description as model
from orchestration.machine import layers
from orchestration.machine.description import Description, Disk, Port


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """Return the user's file and that of the current folder; neither exists yet."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    (tmp_path / "config/quoll").mkdir(parents=True)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "config/quoll/quoll.toml", tmp_path / "here/quoll.toml"


def test_each_layer_wins_over_the_one_below(folders: tuple[Path, Path]) -> None:
    user, here = folders
    user.write_text('arch = "riscv64"\nappend = "user"\ntrace = true\n')
    here.write_text('# of this project\nappend = "here"\n')
    found = layers.resolve({"arch": "aarch64"})
    assert found.description == Description(arch="aarch64", append="here", trace=True)
    assert found.origins == {"arch": "command line", "append": "quoll.toml:2", "trace": f"{user}:3"}
    assert layers.resolve({}).description.arch == "riscv64"
    assert layers.resolve({"arch": "x86_64"}, ()).description == Description(arch="x86_64")


def test_what_is_shown_is_a_file_that_gives_the_same_machine(
        folders: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    folders[1].write_text('append = "say=\\"a b\\" ä"\n')
    assert cli.main(["boot", "x86_64", "--trace", "--show-config"]) == 0
    shown = capsys.readouterr().out
    assert sorted(tomllib.loads(shown)) == sorted(key for key in model.valid_keys() if f"# {key} is not" not in shown)
    for line, origin in (("append", "quoll.toml:1"), ("trace", "command line"), ("accel", "built-in default")):
        assert [one.rsplit("# ", 1)[1] for one in shown.splitlines() if one.startswith(line)] == [origin]
    before = layers.resolve({"arch": "x86_64", "trace": True}).description
    folders[1].write_text(shown)
    assert layers.resolve({}).description == before


@pytest.mark.parametrize(("text", "words"), [
    ('\n# a comment\naccell = "kvm"\n', ["quoll.toml:3: unknown key 'accell'", "accel, trace"]),
    ('append = """\naccell = 1\n"""\naccell = 1\n', ["quoll.toml:4", "accell"]),
    ("cpus = 0\n", ["quoll.toml:1: cpus: '0' is no number of CPUs that a guest can have: from 1 to 8"]),
    ("cpus = 2.0\n", ["quoll.toml:1: cpus: '2.0' is no number of CPUs"]),
    ("cpus = true\n", ["quoll.toml:1: cpus: 'True' is no number of CPUs"]),
    ('guest_mode = "below"\n', ["quoll.toml:1: guest_mode:", "'beside' or 'above'", '"below"']),
    ('accel = "warp"\n', ["quoll.toml:1: accel:", "'tcg' or 'kvm'", '"warp"']),
    ('append = "x"\n\ntrace = "yes"\n', ["quoll.toml:3: trace:", "boolean", '"yes"']),
    ("append = [\n  1,\n]\n", ["quoll.toml:1: append:", "string", "[1]"]),
    ('arch = "vax"\n', ["quoll.toml:1: arch:", "vax", "x86_64, riscv64, aarch64"]),
    ("[trace]\nx = 1\n", ["quoll.toml:1: trace:", "boolean"]),
    ("trace = yes\n", ["quoll.toml is no TOML", "line 1"]),
    ("[guests.web]\n", ["quoll.toml:1", "unknown key 'guests'"]),
])
def test_a_file_that_is_wrong_is_told_with_file_line_and_key(
        folders: tuple[Path, Path], capsys: pytest.CaptureFixture[str], text: str, words: Sequence[str]) -> None:
    folders[1].write_text(text)
    assert cli.main(["boot", "x86_64", "--show-config"]) == UsageError.exit_code
    err = capsys.readouterr().err
    assert all(word in err for word in words), err
    assert err.count("\n") == 1


def test_a_file_that_cannot_be_read_is_named(folders: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    folders[1].mkdir()
    assert cli.main(["build", "x86_64"]) == UsageError.exit_code
    assert "cannot read quoll.toml" in capsys.readouterr().err
    folders[1].rmdir()
    folders[1].write_bytes(b'append = "\xff"\n')
    assert cli.main(["build", "x86_64"]) == UsageError.exit_code
    assert "cannot read quoll.toml" in capsys.readouterr().err


@pytest.mark.parametrize(("options", "words"), [
    (["--cpus", "0"], ["--cpus: '0' is no number of CPUs that a guest can have: from 1 to 8"]),
    (["--cpus", "9"], ["--cpus: '9' is no number of CPUs"]),
    (["--cpus", "two"], ["--cpus: 'two' is no number of CPUs"]),
    (["--place", "block"], ["--place: 'block' is no NAME=CPU, such as block=1"]),
    (["--place", "block=one"], ["--place: 'block=one' is no NAME=CPU"]),
    (["--place", "block=1", "--place", "block=0"], ["--place: 'block' is given twice"]),
    (["--memory", "64M"], ["--memory", "'64M'", "128M to 8G"]),
    (["--memory", "16G"], ["'16G'", "128M to 8G"]),
    (["--memory", "512"], ["'512' is no size", "512M"]),
    (["--memory", "1025K"], ["'1025K'"]),
    (["--disk", ""], ["--disk", "no path"]),
    (["--disk", ",ro"], ["no path"]),
    (["--disk", "a", "--disk", "a"], ["--disk", "'a' is given twice"]),
    (["--port", "80"], ["--port", "'80' is no HOST:GUEST"]),
    (["--port", "0:80"], ["'0:80'", "between 1 and 65535"]),
    (["--port", "80:65536"], ["'80:65536'"]),
    (["--port", "a:b"], ["'a:b'"]),
    (["--port", "8080:80", "--port", "8080:81"], ["'8080' is given twice"]),
    (["--name", "a/b"], ["--name", "'a/b' is no name"]),
    (["--name", "-a"], ["'-a' is no name"]),
    (["--name", "a:b"], ["'a:b' is no name"]),
])
def test_an_option_that_is_wrong_is_told(folders: tuple[Path, Path], capsys: pytest.CaptureFixture[str],
                                         options: list[str], words: Sequence[str]) -> None:
    assert cli.main(["boot", "x86_64", "--show-config", *options]) == UsageError.exit_code
    err = capsys.readouterr().err
    assert all(word in err for word in words), err


def test_lists_of_a_file_are_replaced_and_its_paths_are_beside_it(folders: tuple[Path, Path]) -> None:
    user, here = folders
    user.write_text('cpus = 2\nmemory = "1G"\ndisks = ["data.img,ro", "/dev/sdz"]\nports = ["8080:80"]\n')
    found = layers.resolve({"arch": "x86_64"}).description
    assert found.disks == (Disk(user.parent / "data.img", read_only=True), Disk(Path("/dev/sdz")))
    assert found.memory == 1 << 30
    assert found.cpus == 2
    assert found.ports == (Port(8080, 80),)
    here.write_text('disks = ["a,b"]\n')
    found = layers.resolve({"arch": "x86_64", "ports": ["1:2", "3:4"]}).description
    assert [str(one) for one in (*found.disks, *found.ports)] == ["a,b", "1:2", "3:4"]


def test_every_key_has_an_option_and_a_row_in_the_manual(root: Path) -> None:
    assert sorted([*OPTIONS, "arch"]) == sorted(model.valid_keys())
    manual = (root / "docs/usage.md").read_text()
    assert [key for key in model.valid_keys() if f"| `{key}` |" not in manual] == ["arch"]


@pytest.mark.parametrize(("text", "size"), [("512M", 512 << 20), ("1G", 1 << 30), ("1536M", 1536 << 20),
                                            ("64K", 64 << 10), ("2T", 2 << 40), ("1GiB", 1 << 30)])
def test_a_size_is_a_number_and_a_unit(text: str, size: int) -> None:
    assert model.parse_size(text) == size
    assert model.parse_size(model.show_size(size)) == size


@pytest.mark.parametrize("text", ["", "512", "M", "1.5G", "-1G", "1g", "1 G", "0x10M", 512, True, None])
def test_what_is_no_size_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match="is no size"):
        model.parse_size(text)


@pytest.mark.parametrize(("name", "host"), [
    (None, ""), ("web", "web"), ("a_b", "a-b"), ("x86_64-2", "x86-64-2"), ("a.b", "a.b"), ("a..b_.", "a.b"),
    ("a-", "a"), ("0" * 63, "0" * 63)])
def test_a_machines_name_becomes_a_host_name(name: str | None, host: str) -> None:
    """One that systemd takes: no empty label, no hyphen at the end of one."""
    assert Description(arch="x86_64", name=name).host_name == host
