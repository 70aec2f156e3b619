# SPDX-License-Identifier: BSD-2-Clause
"""Somebody else's tests in a folder of their own: by ./orchestrate pytest, and with Quoll installed by pip."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from orchestration.base.arch import Arch

FIVE_LINES = """\
def test_mine(guest):
    guest.push(__file__, "/root/")
    assert guest.run(["wc", "-l"], input="a\\n", check=True).text == "1"
    assert guest.run("cat /root/test_mine.py | head -n 1", timeout=30).stdout == "def test_mine(guest):\\n"
    assert guest.console.expect("dropbear|login|Enter") and guest.alive
"""
PROGRAM = """\
import quoll
with quoll.boot("ARCH", trace=True) as guest:
    assert guest.counters()["guest-syscall"]
    print(guest.run(["uname", "-m"]).text, guest.pull("/etc/hostname").read_text().strip())
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the test, in which nothing leads to the checkout."""
    monkeypatch.delenv("PYTHONPATH", raising=False)
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)
    for name in ("PYTEST_XDIST_WORKER", "PYTEST_XDIST_WORKER_COUNT", "PYTEST_XDIST_TESTRUNUID"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "test_mine.py").write_text(FIVE_LINES)
    return tmp_path


def run(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=600, check=False)


@pytest.mark.usefixtures("made")
def test_five_lines_run_in_the_guest(root: Path, arch: Arch, folder: Path) -> None:
    done = run(folder, str(root / "orchestrate"), "pytest", arch.name, "-q", "test_mine.py")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed" in done.stdout


@pytest.mark.usefixtures("made")
def test_a_failure_has_the_guests_dossier(root: Path, arch: Arch, folder: Path) -> None:
    (folder / "test_mine.py").write_text("def test_wrong(guest): guest.run('echo mine > /dev/console; exit 3', "
                                         "check=True)\n")
    done = run(folder, str(root / "orchestrate"), "pytest", arch.name, "test_mine.py")
    assert done.returncode == 1, done.stdout + done.stderr
    for text in ("status 3 of the guest's command", "quoll: console during the test", "\nmine\n", "== threads of L4"):
        assert text in done.stdout


@pytest.mark.usefixtures("made")
def test_a_program_boots_a_guest(root: Path, arch: Arch, folder: Path) -> None:
    (folder / "program.py").write_text(PROGRAM.replace("ARCH", arch.name))
    done = run(folder, str(root / "orchestrate"), "python", "program.py")
    assert (done.returncode, done.stdout) == (0, f"{arch.name} quoll\n"), done.stderr


@pytest.mark.nightly
@pytest.mark.parametrize("arch", ["x86_64"])
@pytest.mark.parametrize("editable", [True, False])
def test_pip_installs_it(root: Path, folder: Path, arch: str, editable: bool) -> None:
    """With the versions that pip finds, and two workers; what is not editable works without the checkout."""
    python = str(folder / "venv/bin/python")
    for command in ((sys.executable, "-m", "venv", "venv"),
                    (python, "-m", "pip", "install", "-q", "pytest", "pytest-xdist",
                     *(["-e"] if editable else []), str(root))):
        done = run(folder, *command)
        assert done.returncode == 0, done.stdout + done.stderr
    (folder / "pytest.ini").write_text(f"[pytest]\nquoll_arch = {arch}\n")
    (folder / "test_other.py").write_text("def test_other(guest): assert guest.run('true').returncode == 0\n")
    done = run(folder, python, "-m", "pytest", "-n", "2")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 passed" in done.stdout
    where = run(folder, python, "-c", "import orchestration.base.tree as tree, quoll; print(tree.ROOT)").stdout.strip()
    assert Path(where) == root if editable else Path(where).is_relative_to(folder)
