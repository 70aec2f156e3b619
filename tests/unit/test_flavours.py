# SPDX-License-Identifier: BSD-2-Clause
"""The options of Linux: fragments, those of a user, and what the full kernel is asked for."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from orchestration.base.arch import ARCHES, CHECKS, Arch
from orchestration.base.cache import Cache
from orchestration.base.errors import BuildError, MissingError, UsageError
from orchestration.build import flavours, linux, quoll
from orchestration.cli import main as cli
from orchestration.machine import boot
from orchestration.machine.description import CPUS_MAX, Description
from orchestration.machine.progress import Progress

X86 = ARCHES["x86_64"]


@pytest.fixture
def user(tmp_path: Path) -> Path:
    return tmp_path / "user.config"


def test_later_fragments_win_in_either_notation(user: Path) -> None:
    user.write_text("# CONFIG_PACKET is a comment\n# CONFIG_UNIX is not set\nCONFIG_TUN=y\nCONFIG_TUN=n \n")
    found = flavours.wanted(flavours.guest(X86, fragments=[user]))
    assert (found["CONFIG_PACKET"], found["CONFIG_UNIX"], found["CONFIG_TUN"]) == ("y", "n", "n")
    assert found["CONFIG_DEFAULT_HOSTNAME"] == '"quoll"'
    assert flavours.options(flavours.text_of(found)) == found


def test_kernels_have_their_own_objects(user: Path) -> None:
    user.write_text("CONFIG_TUN=y\n")
    every = [flavours.guest(arch, full=full, smp=smp, debug=debug, fragments=fragments)
             for arch in ARCHES.values() for full, smp in ((False, False), (False, True), (True, True))
             for debug in ((), ("lockdep",)) for fragments in ((), (user,))]
    assert len({one.name for one in every}) == len(every)


def test_the_small_kernel_for_several_cpus_is_another_one() -> None:
    one, several = (boot.chosen_linux(Description(arch="x86_64", cpus=cpus)) for cpus in (1, 2))
    assert one == flavours.guest(X86)
    assert several.name == "l4-x86_64-smp"
    assert several.configs == (*one.configs, flavours.PATCHES / "configs/smp.config")
    assert flavours.wanted(several)["CONFIG_SMP"] == "y"
    assert int(flavours.wanted(several)["CONFIG_NR_CPUS"]) >= CPUS_MAX


def test_the_full_kernel_is_for_several_cpus_always() -> None:
    one, several = (boot.chosen_linux(Description(arch="x86_64", rootfs="debian", cpus=cpus)) for cpus in (1, 2))
    assert one == several
    assert flavours.wanted(one)["CONFIG_SMP"] == "y"


def test_native_linux_beside_the_full_kernel_has_the_same_options() -> None:
    for arch in ARCHES.values():
        ours, native = (flavours.wanted(one(arch, full=True)) for one in (flavours.guest, flavours.native))
        fragment = flavours.options("".join((flavours.PATCHES / f"configs/{kind}.config").read_text()
                                            for kind in ("full", "smp")))
        offered = fragment.keys() - set(flavours.NATIVE_LACKS.get(arch.linux_arch, ()))
        assert {name: native[name] for name in offered} == {name: ours[name] for name in offered}
        assert not any("L4" in name for name in native)


def test_native_linux_for_several_cpus_is_a_kernel_beside_that_for_one() -> None:
    for arch in ARCHES.values():
        for suites in (False, True):
            one, several = (flavours.native(arch, suites=suites, smp=smp) for smp in (False, True))
            assert several.name == one.name.replace(arch.name, f"{arch.name}-smp")
            assert set(flavours.wanted(several).items()) - set(flavours.wanted(one).items()) >= {("CONFIG_SMP", "y")}
            assert int(flavours.wanted(several)["CONFIG_NR_CPUS"]) >= CPUS_MAX


def test_the_order_of_debug_checks_does_not_matter() -> None:
    assert flavours.guest(X86, debug=("b", "a")) == flavours.guest(X86, debug=("a", "b", "b"))


@pytest.mark.parametrize("check", CHECKS)
def test_each_check_has_a_fragment_and_a_kernel_of_its_own(check: str) -> None:
    described = Description.model_validate({"arch": "x86_64", "rootfs": "debian", "debug": [check]})
    flavour = boot.chosen_linux(described)
    assert flavour.name == f"l4-x86_64-full-smp-{check}"
    assert set(flavours.wanted(flavour)) > set(flavours.wanted(flavours.guest(X86, full=True)))


def test_an_unknown_check_is_refused_with_the_valid_ones(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["build", "x86_64", "--no-config", "--debug", "msan"]) == UsageError.exit_code
    err = capsys.readouterr().err
    assert all(word in err for word in ("--debug", "msan", *CHECKS))


def test_tiny_has_the_small_kernel_and_others_the_full_one() -> None:
    assert boot.chosen_linux(Description(arch="x86_64")).name == "l4-x86_64"
    assert boot.chosen_linux(Description(arch="x86_64", rootfs="debian")).name == "l4-x86_64-full-smp"


def test_an_option_of_ours_that_is_lost_is_named() -> None:
    got = flavours.text_of(flavours.wanted(flavours.guest(X86))).replace("CONFIG_NET=y\n", "")
    with pytest.raises(BuildError, match="does not take CONFIG_NET=y$"):
        flavours.check(flavours.guest(X86), got)


@pytest.mark.parametrize(("text", "said"), [("CONFIG_NO_SUCH=y\n", "CONFIG_NO_SUCH=y"),
                                            ("# CONFIG_SYSFS is not set\n", "CONFIG_SYSFS=n"),
                                            ("CONFIG_L4_CPU_RISCV64=y\n", "CONFIG_L4_CPU_X86_64=y")])
def test_an_option_of_the_users_that_is_not_taken_is_named(user: Path, text: str, said: str) -> None:
    user.write_text(text)
    # As Linux answers: a choice has one value, an unknown option is dropped, a selected one is on.
    got = "CONFIG_SYSFS=y\nCONFIG_L4_CPU_RISCV64=y\n" if "CPU" in text else "CONFIG_SYSFS=y\nCONFIG_L4_CPU_X86_64=y\n"
    with pytest.raises(BuildError, match=said) as caught:
        flavours.check(flavours.guest(X86, fragments=[user]), got)
    assert caught.value.hint


@pytest.mark.parametrize(("option", "content", "said"), [
    ("--kernel-config", None, "No such file"),
    ("--kernel-config", b"CONFIG_A=y\nCONFIG_B\n", "file:2: 'CONFIG_B' sets no option"),
    ("--kernel-config", b"CONFIG_A = y\n", "file:1: 'CONFIG_A = y' sets no option"),
    ("--kernel-config", b"# only words\n", "sets no option"),
    ("--kernel-config", b"\xff\xfe", "no text in UTF-8"),
    ("--patch", None, "No such file"),
    ("--patch", b"", "is no patch"),
    ("--patch", b"Subject: nothing\n", "is no patch"),
])
def test_a_wrong_file_of_the_users_is_named(tmp_path: Path, option: str, content: bytes | None, said: str,
                                            capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
                                            ) -> None:
    monkeypatch.setattr(quoll, "bare", lambda *_: Path())
    if content is not None:
        (tmp_path / "file").write_bytes(content)
    assert cli.main(["build", "x86_64", "--no-config", option, str(tmp_path / "file")]) == UsageError.exit_code
    err = capsys.readouterr().err
    assert said in err
    assert str(tmp_path / "file") in err


ASKED = tomllib.loads(Path(__file__).with_name("kernel_options.toml").read_text())
ABSENT: dict[str, str] = ASKED["absent"]


@pytest.mark.parametrize("one", ARCHES.values(), ids=lambda arch: arch.name)
def test_full_kernel_wants_what_programs_ask_for(one: Arch) -> None:
    """Nothing that is asked for is off in the fragments without a reason, and no reason is left over."""
    found = flavours.wanted(flavours.guest(one, full=True))
    asked = {name for who in ASKED["asks"] for name in who["on"].split()}
    assert [name for name in asked - set(ABSENT) if found.get(f"CONFIG_{name}") == "n"] == []
    assert [name for name in ABSENT if found.get(f"CONFIG_{name}", "n") != "n"] == []
    assert set(ABSENT) - asked == set()
    assert [name for name, reason in ABSENT.items() if len(reason) < len("see X")] == []


@pytest.mark.parametrize("option", ["kernel_config", "patches"])
def test_a_file_that_is_missing_is_told_before_anything_is_built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                                                 option: str) -> None:
    monkeypatch.setattr(quoll, "bare", lambda *_: pytest.fail("L4 is built"))
    wanted = Description.model_validate({"arch": "x86_64", option: (tmp_path / "gone",)})
    with pytest.raises(UsageError, match="gone: No such file"):
        boot.artefacts(wanted, Cache(tmp_path / "cache"), Progress(quiet=True))


@pytest.mark.parametrize("one", ARCHES.values(), ids=lambda arch: arch.name)
def test_full_kernel_has_what_programs_ask_for(one: Arch) -> None:
    try:
        entry = linux.built(one, Cache(), flavours.guest(one, full=True))
    except MissingError as error:
        pytest.skip(error.message)
    if entry is None:
        pytest.skip(f"the full kernel of {one.name} is not built")
    have = flavours.options((entry / "config").read_text())
    for who in ASKED["asks"]:
        missing = [name for name in who["on"].split()
                   if have.get(f"CONFIG_{name}") not in ("y", "m") and name not in ABSENT]
        assert missing == [], who["who"]
        on = [name for name in who.get("off", "").split() if have.get(f"CONFIG_{name}", "n") != "n"]
        assert on == [], who["who"]
    assert [name for name in ABSENT if have.get(f"CONFIG_{name}", "n") != "n"] == [], "is there all the same"
