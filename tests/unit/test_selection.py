# SPDX-License-Identifier: BSD-2-Clause
"""Which worker runs a test, and which tests are left for the nightly."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from orchestration.base.arch import ARCHES
from tests import selection


def test_tests_of_one_machine_have_one_scope() -> None:
    names = [f"test_x[{selection.id_of('x86_64', fixtures)}{more}]" for fixtures, more in (
        (["guest", "quoll_guests"], "-42"), (["guest", "arch"], "-a b"), (["machine"], ""), (["arch"], "-1"))]
    assert [selection.scope(name) for name in names] == [
        "x86_64@guest", "x86_64@guest", "x86_64@machine", "test_x[x86_64-1]"]
    assert selection.scope("test_y[one-riscv64@guest-two]") == "riscv64@guest"
    assert selection.scope("tests/unit/test_z.py::test_z") == "tests/unit/test_z.py::test_z"


def test_machines_are_fixtures(root: Path) -> None:
    """A fixture that is renamed must not silently lose its scope."""
    text = "".join(path.read_text() for path in [*(root / "tests/system").glob("*.py"), root / "quoll/plugin.py"])
    assert all(f"def {name}(" in text for name in selection.MACHINES)


@pytest.mark.parametrize(("cpus", "number"), [(1, 0), (2, 2), (64, 2)])
def test_two_workers_where_there_are_two_cpus(cpus: int, number: int) -> None:
    assert selection.workers(cpus) == number


TESTS = """
import os
import pytest

@pytest.fixture
def machine(arch):
    return arch

@pytest.fixture(scope="session")
def worker():
    return os.environ["PYTEST_XDIST_WORKER"]

@pytest.mark.parametrize("number", range(8))
def test_shared(machine, worker, number):
    with open("log", "a") as file:
        file.write(f"{machine.name} {worker}\\n")

@pytest.mark.nightly
def test_slow():
    raise AssertionError

@pytest.mark.parametrize("what", [pytest.param("rare", marks=pytest.mark.elsewhere_nightly), "often"])
def test_elsewhere(arch, what):
    with open("log", "a") as file:
        file.write(f"{arch.name} {what}\\n")
"""


def run(root: Path, folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run pytest as it is installed, with this tree's options."""
    command = [sys.executable, "-m", "pytest", f"--rootdir={root}", f"--confcutdir={root}", "-p", "conftest", "-c",
               str(root / "pyproject.toml"), *words]
    environment = {"PATH": "/usr/bin:/bin", "PYTHONPATH": f"{root}:{root / 'tests'}", "HOME": str(folder)}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False,
                          timeout=200)


def test_mode_above_is_for_the_architectures_that_have_it(root: Path, tmp_path: Path) -> None:
    (tmp_path / "test_small.py").write_text("""
def test_mode():
    from orchestration.machine.description import Description
    assert Description(arch="x86_64").guest_mode == "above"
    assert Description(arch="x86_64", guest_mode="beside").guest_mode == "beside"
""")
    assert run(root, tmp_path, "-n0", "--above", "--arch=x86_64", str(tmp_path)).returncode == 0
    for words in ([], ["--arch=riscv64"]):
        done = run(root, tmp_path, "-n0", "--above", *words, str(tmp_path))
        assert done.returncode == pytest.ExitCode.USAGE_ERROR
        assert "no guest mode above on riscv64" in done.stderr


def test_guests_have_several_cpus(root: Path, tmp_path: Path) -> None:
    (tmp_path / "test_small.py").write_text("""
def test_cpus():
    from orchestration.machine.description import Description
    assert Description(arch="riscv64").cpus == 4
    assert Description(arch="riscv64", cpus=1).cpus == 1
""")
    assert run(root, tmp_path, "-n0", "--cpus=4", str(tmp_path)).returncode == 0
    done = run(root, tmp_path, "-n0", "--cpus=9", str(tmp_path))
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert "--cpus: '9' is no number of CPUs" in done.stderr


def test_workers_and_the_nightly(root: Path, tmp_path: Path) -> None:
    """With pytest and its workers as they are installed: each machine has one, and the last lines tell what is left."""
    (tmp_path / "test_small.py").write_text(TESTS)
    words = ["-n2", "--arch=x86_64", "--arch=riscv64"]
    done = run(root, tmp_path, *words, str(tmp_path))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 nightly tests were left out" in done.stdout
    seen = (tmp_path / "log").read_text().split("\n")[:-1]
    elsewhere = {line for line in seen if "gw" not in line}
    assert elsewhere == {"x86_64 rare", "x86_64 often", "riscv64 often"}
    seen = [line for line in seen if line not in elsewhere]
    assert len(seen) == 16
    assert len(set(seen)) == 2, seen
    named = run(root, tmp_path, *words, f"{tmp_path}/test_small.py::test_slow")
    assert named.returncode == 1
    assert "1 failed" in named.stdout


def test_what_users_rely_on_is_tested_on_each_architecture(root: Path) -> None:
    """A mark that names one architecture, or loses to another mark, would leave the others out without a word."""
    files = [f"tests/system/test_{name}.py" for name in (
        "debian", "full_kernel", "persistent_disks", "programs", "shared_folders", "snapshots", "stranger",
        "observers")]
    done = subprocess.run([sys.executable, "-m", "pytest", "-n0", "-p", "no:cacheprovider", "--collect-only", "-q",
                           "--nightly", *files], cwd=root, capture_output=True, text=True, check=False, timeout=200)
    assert done.returncode == 0, done.stdout + done.stderr
    lines = [line for line in done.stdout.splitlines() if "::" in line and "[" in line]
    found = {name: {line.replace(name, "ARCH") for line in lines if name in line.rpartition("[")[2]}
             for name in ARCHES}
    everywhere = [test for test in found["x86_64"] if all(test in tests for tests in found.values())]
    of_some = {test.rpartition("::")[2] for test in set[str]().union(*found.values()) - set(everywhere)}
    assert of_some == {"test_pip_installs_it[False-ARCH]", "test_pip_installs_it[True-ARCH]"}
    assert {test.partition("::")[0] for test in found["riscv64"]} == set(files)
