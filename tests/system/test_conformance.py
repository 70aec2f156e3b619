# SPDX-License-Identifier: BSD-2-Clause
"""Linux' own tests in the guest and in native Linux: no difference without a reason."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from orchestration.base.arch import Arch
from orchestration.base.rundir import RunDirectory
from orchestration.conform import outcome, runner, selftests
from orchestration.conform.suite import Suite, Test
from orchestration.machine import boot
from orchestration.machine.description import Description
from orchestration.machine.progress import Progress
from orchestration.machine.session import Session

# A line of the table: a test that passes in the guest and in native Linux.
PASSES_ON_BOTH = re.compile(r"^(\w+):\S+ +pass(?: \d+/\d+)? +pass\b", re.MULTILINE)


def conform(root: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(root / "orchestrate"), "conform", *words], stdin=subprocess.DEVNULL, capture_output=True,
                          text=True, timeout=7200, check=False)


@pytest.fixture
def mode(request: pytest.FixtureRequest) -> list[str]:
    """Options of --above for the command, whose process makes the descriptions of its machines itself."""
    return ["--guest-mode", "above"] if request.config.getoption("--above") else []


@pytest.mark.parametrize("arch", ["x86_64"])
@pytest.mark.timeout(7200)
def test_the_quick_tests_of_the_kernel(root: Path, arch: str, mode: list[str]) -> None:
    done = conform(root, arch, "--suite", "kselftest", "--quick", *mode)
    assert done.returncode == 0, done.stdout + done.stderr
    assert set(PASSES_ON_BOTH.findall(done.stdout)) == set(selftests.SUITE.quick)


def differs_nowhere(root: Path, arch: Arch, suite: str, mode: list[str]) -> None:
    done = conform(root, arch.name, "--suite", suite, *mode)
    assert done.returncode == 0, done.stdout + done.stderr


# One function a suite: each is a cell of ci/nightly.yaml, which has a limit of its own.
@pytest.mark.nightly
@pytest.mark.timeout(7200)
def test_all_of_kselftest(root: Path, arch: Arch, mode: list[str]) -> None:
    differs_nowhere(root, arch, "kselftest", mode)


@pytest.mark.nightly
@pytest.mark.timeout(7200)
def test_all_of_python(root: Path, arch: Arch, mode: list[str]) -> None:
    differs_nowhere(root, arch, "python", mode)


@pytest.mark.nightly
@pytest.mark.timeout(7200)
def test_all_of_perl(root: Path, arch: Arch, mode: list[str]) -> None:
    differs_nowhere(root, arch, "perl", mode)


@pytest.mark.nightly
@pytest.mark.timeout(7200)
def test_all_of_redis(root: Path, arch: Arch, mode: list[str]) -> None:
    differs_nowhere(root, arch, "redis", mode)


@pytest.mark.nightly
@pytest.mark.timeout(7200)
def test_all_of_toolchains(root: Path, arch: Arch, mode: list[str]) -> None:
    differs_nowhere(root, arch, "toolchains", mode)


@pytest.mark.nightly
@pytest.mark.timeout(7200)
def test_all_of_ltp(root: Path, arch: Arch, mode: list[str]) -> None:
    done = conform(root, arch.name, "--suite", "ltp", *mode)
    if "QUOLL_LTP" not in os.environ and "cannot be cloned" in done.stderr:
        pytest.skip("QUOLL_LTP names no LTP, and it cannot be cloned")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("arch", ["x86_64"], indirect=True)
def test_a_planted_report_is_of_the_test_that_plants_it(description: Description, made: boot.Artefacts,
                                                        progress: Progress, tmp_path: Path) -> None:
    """Each is the last that its test does. What the console shows of Linux' log is a setting of the guest's."""
    plant = "echo '<4>WARNING: planted {}' > /dev/kmsg"
    commands = [plant.format(1), "true", plant.format(3), "dmesg -n 1", plant.format(5)]
    suite = Suite("planted", "", (), "/tmp", lambda arch, cache: tmp_path, lambda folder: [],
                  lambda output, status: outcome.Outcome(outcome.Status.FAIL if status else outcome.Status.PASS), ())

    def prepare() -> Session:
        session = boot.prepare(description, made, progress, RunDirectory("planted", tmp_path))
        session.watches = True
        return session

    one = runner.Side("guest", prepare, suite, None)
    runner.run([one], [Test(f"planted:{number}", command, 60.0) for number, command in enumerate(commands, 1)],
               lambda side, test: None)
    assert {name: (found.status, found.report) for name, found in one.outcomes.items()} == {
        "planted:1": (outcome.Status.PASS, "WARNING: planted 1"), "planted:2": (outcome.Status.PASS, ""),
        "planted:3": (outcome.Status.PASS, "WARNING: planted 3"), "planted:4": (outcome.Status.PASS, ""),
        # The console no longer shows a warning; the line that is waited for, it does.
        "planted:5": (outcome.Status.PASS, "")}


@pytest.mark.parametrize(("words", "said"), [
    (("x86_64", "--suite", "none"), "unknown suite 'none'; valid: kselftest, python, perl, redis, toolchains, ltp"),
    (("x86_64", "--against", "xen"), "unknown peer 'xen'; valid: native, distribution"),
    (("x86_64", "--against", "distribution", "--quick"), "Debian's own kernel is compared with the full one"),
    (("x86_64", "--guest-mode", "below"), "--guest-mode: input should be 'beside' or 'above', not \"below\""),
    (("aarch64", "--guest-mode", "above"), "--guest-mode above: aarch64 has only beside"),
    (("x86_64", "--debug", "msan"), "--debug: input should be 'kasan', 'kcsan', 'lockdep' or 'ubsan', not \"msan\""),
    (("riscv64", "--debug", "kasan"), "--debug kasan: Linux has never run with it on riscv64, only on x86_64"),
    (("vax",), "unknown architecture 'vax'"),
    (("x86_64", "--quick", "--write"), "--write wants whole suites or collections")])
def test_wrong_words_are_named(root: Path, words: tuple[str, ...], said: str) -> None:
    done = conform(root, *words)
    assert done.returncode == 2
    assert said in done.stderr
