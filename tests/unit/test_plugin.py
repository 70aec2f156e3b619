# SPDX-License-Identifier: BSD-2-Clause
"""The pytest plugin, with guests that are no machines: what is booted for which test, and what a failure shows."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestration.base.tree import ROOT
from quoll import machines

pytest_plugins = ["pytester"]

# A guest that counts its boots and notes its end.
CONFTEST = """
import types
from pathlib import Path

import pytest
from orchestration.base.errors import InfrastructureError, PanicError
from quoll import machines

BOOTED = Path(__file__).with_name("booted")


class Fake:
    def __init__(self, description):
        self.description, self.alive, self.arch = description, True, description.arch
        self.folder = Path(__file__).parent
        self.console, self.log = types.SimpleNamespace(text="before\\n"), types.SimpleNamespace(text="l4: here\\n")
        self.session = types.SimpleNamespace(lost_reason=None)

    def note(self, word):
        with BOOTED.open("a") as stream:
            stream.write(f"{word} {self.arch} {self.description.append}\\n".replace(" \\n", "\\n"))

    def dossier(self):
        return "registers\\n"

    def panic(self):
        self.alive = False
        self.session.lost_reason = PanicError("Linux gave up", "look there")
        raise self.session.lost_reason

    def close(self, error=None):
        self.note("end")


def boot(description, **ignored):
    if description.append == "broken":
        raise InfrastructureError("no QEMU", "install one")
    guest = Fake(description)
    guest.note("boot")
    return guest


machines.boot = boot
"""


@pytest.fixture
def run(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.Pytester:
    """A folder of a stranger's, outside of the checkout."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "none"))
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)
    # A test here that runs pytest in this process changes it.
    monkeypatch.setattr(machines, "boot", machines.boot)
    pytester.makeconftest(CONFTEST)
    return pytester


def result(run: pytest.Pytester, text: str, *options: str, arch: str = "x86_64", process: bool = False
           ) -> pytest.RunResult:
    run.makepyfile(text)
    start = run.runpytest_subprocess if process else run.runpytest_inprocess
    return start("-p", "quoll.plugin", "-p", "no:cacheprovider", *([f"--quoll-arch={arch}"] if arch else []), "-v",
                 *options)


def booted(run: pytest.Pytester) -> list[str]:
    return (run.path / "booted").read_text().splitlines() if (run.path / "booted").exists() else []


def test_tests_with_the_same_fields_share_a_guest(run: pytest.Pytester) -> None:
    result(run, """
        import pytest
        def test_one(guest): pass
        @pytest.mark.guest(append="quiet")
        def test_other(guest): pass
        @pytest.mark.guest(append="")
        def test_same(guest): pass
        def test_none(): pass
    """).assert_outcomes(passed=4)
    assert booted(run) == ["boot x86_64", "boot x86_64 quiet", "end x86_64 quiet", "end x86_64"]


def test_each_architecture_and_the_nearest_mark(run: pytest.Pytester) -> None:
    done = result(run, """
        import pytest
        pytestmark = pytest.mark.guest(append="module")
        def test_all(guest): assert guest.description.append == "module"
        @pytest.mark.guest(arch="riscv64", append="test")
        def test_one(guest): assert (guest.arch, guest.description.append) == ("riscv64", "test")
    """, "--quoll-arch=riscv64")
    done.assert_outcomes(passed=3)
    done.stdout.fnmatch_lines(["*test_all[[]x86_64[]] PASSED*", "*test_all[[]riscv64[]] PASSED*"])


def test_a_class_has_the_marks_of_its_base_and_its_own_win(run: pytest.Pytester) -> None:
    done = result(run, """
        import pytest
        @pytest.mark.guest(arch="x86_64", append="base", name="base")
        class TestBase:
            def test_one(self, guest): assert guest.description.append in ("base", "own")
        @pytest.mark.guest(arch=("aarch64", "riscv64"), append="own")
        class TestElsewhere(TestBase):
            def test_own(self, guest): assert (guest.description.append, guest.description.name) == ("own", "base")
    """, "--quoll-arch=riscv64")
    done.assert_outcomes(passed=3)
    done.stdout.fnmatch_lines([f"*{name}* PASSED*" for name in (
        "TestBase::test_one[[]x86_64[]]", "TestElsewhere::test_one[[]riscv64[]]", "TestElsewhere::test_own")])


def test_an_architecture_that_was_not_asked_for_is_skipped(run: pytest.Pytester) -> None:
    result(run, """
        import pytest
        @pytest.mark.guest(arch=["riscv64", "aarch64"])
        def test_one(guest): pass
    """).assert_outcomes(skipped=1)
    assert not booted(run)


def test_the_ini_file_and_quoll_toml_name_architectures(run: pytest.Pytester) -> None:
    run.makefile(".toml", quoll='arch = "aarch64"\nappend = "quiet"\n')
    result(run, "def test_one(guest): assert (guest.arch, guest.description.append) == ('aarch64', 'quiet')",
           arch="").assert_outcomes(passed=1)
    run.makeini("[pytest]\nquoll_arch = riscv64\nquoll_files = false\n")
    result(run, "def test_one(guest): assert (guest.arch, guest.description.append) == ('riscv64', '')",
           arch="").assert_outcomes(passed=1)
    run.makeini("[pytest]\nquoll_arch = vax\n")
    done = result(run, "def test_one(guest): pass", arch="")
    assert done.ret != 0
    done.stdout.fnmatch_lines(["*unknown architecture 'vax'; valid: x86_64, riscv64, aarch64*"])


@pytest.mark.parametrize(("text", "said"), [
    ('colour = "red"', "quoll.toml:1: unknown key 'colour'*"), ("=", "quoll.toml is no TOML*"),
    ('append = ""\narch = "vax"', "quoll.toml:2: arch: *'vax'*")])
def test_a_wrong_quoll_toml_is_named_without_a_traceback(run: pytest.Pytester, text: str, said: str) -> None:
    run.makefile(".toml", quoll=text)
    done = result(run, "def test_one(guest): pass", arch="")
    done.stdout.fnmatch_lines([f"*{said}"])
    assert "plugin.py" not in done.stdout.str()
    assert "another exception" not in done.stdout.str()


def test_a_fresh_guest_is_the_tests_alone(run: pytest.Pytester) -> None:
    result(run, """
        import pytest
        @pytest.mark.guest(fresh=True)
        def test_one(guest): pass
        def test_two(guest): pass
    """).assert_outcomes(passed=2)
    assert booted(run) == ["boot x86_64", "end x86_64", "boot x86_64", "end x86_64"]


def test_a_parameter_describes_the_guest(run: pytest.Pytester) -> None:
    result(run, """
        import pytest
        @pytest.mark.parametrize("guest", [{"append": "a"}, {"append": "b"}], indirect=True)
        def test_one(guest): pass
    """).assert_outcomes(passed=2)
    assert booted(run) == ["boot x86_64 a", "end x86_64 a", "boot x86_64 b", "end x86_64 b"]


def test_a_lost_guest_fails_one_test_and_is_booted_again(run: pytest.Pytester) -> None:
    done = result(run, """
        def test_one(guest): guest.panic()
        def test_two(guest): assert guest.alive
    """)
    done.assert_outcomes(passed=1, failed=1)
    done.stdout.fnmatch_lines(["*quoll: error*", "*Linux gave up", "*hint: look there"])
    assert booted(run) == ["boot x86_64", "end x86_64", "boot x86_64", "end x86_64"]


def test_a_guest_that_is_lost_again_and_again_is_given_up(run: pytest.Pytester) -> None:
    done = result(run, """
        import pytest
        @pytest.mark.parametrize("number", range(6))
        def test_one(guest, number): guest.panic()
    """)
    done.assert_outcomes(failed=4, errors=2)
    done.stdout.fnmatch_lines(["*lost 4 times*"])


def test_a_failure_has_what_the_guest_was_doing(run: pytest.Pytester) -> None:
    done = result(run, """
        def test_one(guest):
            guest.console.text += "during\\n"
            assert not guest
    """)
    done.assert_outcomes(failed=1)
    done.stdout.fnmatch_lines(["*quoll: run*", "x86_64, in *", "*quoll: console during the test*", "during",
                               "*quoll: log of L4*", "l4: here", "*quoll: dossier*", "registers"])
    assert "before" not in done.stdout.str()


@pytest.mark.parametrize(("mark", "said"), [
    ('append="broken"', "*no QEMU*"), ('colour="red"', "*no field 'colour'; valid: *"), ('memory="much"', "*memory*")])
def test_a_guest_that_cannot_be_is_an_error_without_a_traceback(run: pytest.Pytester, mark: str, said: str) -> None:
    done = result(run, f"""
        import pytest
        @pytest.mark.guest({mark})
        def test_one(guest): pass
    """)
    done.assert_outcomes(errors=1)
    done.stdout.fnmatch_lines([said])
    assert "Traceback" not in done.stdout.str()
    assert "plugin.py" not in done.stdout.str()


def test_fixtures_of_the_session_may_use_a_guest(run: pytest.Pytester) -> None:
    result(run, """
        import pytest
        @pytest.fixture(scope="session")
        def prepared(quoll_arch, quoll_guests):
            guest = quoll_guests.get(arch=quoll_arch)
            guest.ready = True
            return guest
        def test_one(prepared, guest): assert guest is prepared and guest.ready
    """).assert_outcomes(passed=1)
    assert booted(run) == ["boot x86_64", "end x86_64"]


def test_each_worker_has_a_guest_of_its_own(run: pytest.Pytester) -> None:
    done = result(run, """
        import pytest
        @pytest.mark.parametrize("number", range(4))
        def test_one(guest, number): pass
    """, "-p", "xdist", "-n", "2", "--dist", "each", process=True)
    done.assert_outcomes(passed=8)
    assert sorted(booted(run)) == ["boot x86_64"] * 2 + ["end x86_64"] * 2


def test_an_interrupted_session_ends_its_guests(run: pytest.Pytester) -> None:
    done = result(run, """
        def test_one(guest): raise KeyboardInterrupt
        def test_two(guest): pass
    """, process=True)
    assert done.ret == pytest.ExitCode.INTERRUPTED
    assert booted(run) == ["boot x86_64", "end x86_64"]
