# SPDX-License-Identifier: BSD-2-Clause
"""./orchestrate as a user runs it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from orchestration.base.arch import Arch
from orchestration.base.cache import VERSION_FILE
from orchestration.machine import boot
from tests.system.screen import Screen

# What differs between architectures is below the commands; the nightly runs them on the others too.
pytestmark = [pytest.mark.usefixtures("made"), pytest.mark.elsewhere_nightly]


def orchestrate(root: Path, *arguments: str, **more: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(root / "orchestrate"), *arguments], stdin=subprocess.DEVNULL, capture_output=True,
                          text=True, timeout=600, check=False, **more)


def qemus() -> set[int]:
    """Return the process ids of all QEMUs of this user."""
    found = set()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if "qemu-system" in (entry / "comm").read_text():
                    found.add(int(entry.name))
            except OSError:
                continue
    return found


def parent(pid: int) -> int:
    """Return the process id of a process' parent; 0 when there is none."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0


def started_by(pid: int) -> set[int]:
    """Return the QEMUs among a process' descendants; others may run on this machine."""
    found = set()
    for qemu in qemus():
        above = qemu
        while above and above != pid:
            above = parent(above)
        if above:
            found.add(qemu)
    return found


def test_a_command_passes_its_output_and_status(root: Path, arch: Arch) -> None:
    done = orchestrate(root, "boot", arch.name, "--", "sh", "-c", "echo 'a  b'; echo e >&2; exit 42")
    assert done.returncode == 42, done.stderr
    assert done.stdout == "a  b\n"
    assert "e\n" in done.stderr


@pytest.mark.parametrize("name", ["with space, comma and 'quotes\"", "x" * 95])
def test_an_odd_temporary_folder_is_as_good(root: Path, arch: Arch, tmp_path: Path, name: str) -> None:
    """Paths in the folder are used in QEMU's options, debugfs' commands and socket addresses."""
    place = tmp_path / name
    place.mkdir()
    done = orchestrate(root, "boot", arch.name, "--append", 'quoll="a b"', "--", "cat", "/proc/cmdline",
                       env={**os.environ, "TMPDIR": str(place)})
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith(' quoll="a b"\n')
    assert list(place.iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_detached_boot_that_is_interrupted_leaves_nothing(root: Path, arch: Arch, number: signal.Signals) -> None:
    process = subprocess.Popen([str(root / "orchestrate"), "boot", arch.name, "--detach"], stdin=subprocess.DEVNULL,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                               preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler))
    deadline = time.monotonic() + 120
    while not (new := started_by(process.pid)):
        assert process.poll() is None, process.stderr.read() if process.stderr else ""
        assert time.monotonic() < deadline
        time.sleep(0.1)
    process.send_signal(number)
    # The child has the same standard error: when that is at its end, the child has ended as well.
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out) == (130 if number is signal.SIGINT else -9, "")
    if number is signal.SIGINT:
        assert err.count("interrupted") == 1 and err.endswith("orchestrate: interrupted\n"), err
    assert "ssh" not in err
    # QEMU gets its SIGKILL when its parent ends (setpriv --pdeathsig), and ends a while after that.
    deadline = time.monotonic() + 30
    while new & qemus():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_without_terminal_it_says_ready_and_builds_nothing(root: Path, made: boot.Artefacts, arch: Arch,
                                                           tmp_path: Path) -> None:
    """It has a cache of its own with all entries of the other, in which somebody else may be building."""
    cache, own = made.bare.parent.parent, tmp_path / "quoll"
    own.mkdir()
    shutil.copy(cache / VERSION_FILE, own)
    for path in cache.iterdir():
        if path.is_dir() and path.name not in {"build", "runs", "machines"}:
            (own / path.name).symlink_to(path)
    done = orchestrate(root, "boot", arch.name, env={**os.environ, "XDG_CACHE_HOME": str(tmp_path)})
    assert (done.returncode, done.stdout) == (0, "ready\n"), done.stderr
    # Each build has a log there.
    assert not (own / "build").exists()


def test_commands_come_from_standard_input(root: Path, arch: Arch) -> None:
    done = subprocess.run([str(root / "orchestrate"), "boot", arch.name], input="echo sum $((40+2))\nexit 5\n",
                          capture_output=True, text=True, timeout=600, check=False)
    assert (done.returncode, done.stdout) == (5, "sum 42\n"), done.stderr


def test_the_shell_has_a_terminal_and_leaving_it_ends_the_machine(root: Path, arch: Arch) -> None:
    with Screen(root / "orchestrate", "boot", arch.name) as screen:
        before = screen.modes()
        screen.wait_for("root@quoll", 300)
        screen.type("tty; echo sum $((40+2))\n")
        screen.wait_for("/dev/pts/")
        screen.wait_for("sum 42")
        screen.type("exit 5\n")
        assert screen.end() == 5, screen.text()
        assert screen.modes() == before


def test_a_panic_ends_the_shell_at_once(root: Path, arch: Arch) -> None:
    """The same text from a program does not end it. Linux' report is in the run's folder."""
    with Screen(root / "orchestrate", "boot", arch.name) as screen:
        before = screen.modes()
        screen.wait_for("root@quoll", 300)
        screen.type("for f in console kmsg; do echo 'Kernel panic - not syncing: forged' > /dev/$f; done; sleep 3\n")
        screen.type("echo sum $((40+2))\n")
        screen.wait_for("sum 42")
        screen.type("echo c > /proc/sysrq-trigger\n")
        assert screen.end() == 122, screen.text()
        assert screen.modes() == before
    assert "Linux gave up in stage 'running': sysrq triggered crash" in screen.text()
    folder = screen.text().rsplit("the run's logs are in ", 1)[1].split()[0].rstrip(";")
    panic = (Path(folder) / "panic.txt").read_text()
    assert "not syncing: sysrq triggered crash" in panic and "sysrq_handle_crash" in panic


def test_a_signal_ends_the_shell_and_the_machine(root: Path, arch: Arch) -> None:
    with Screen(root / "orchestrate", "boot", arch.name) as screen:
        before = screen.modes()
        screen.wait_for("root@quoll", 300)
        machines = started_by(screen.child)
        assert machines
        os.kill(screen.child, signal.SIGTERM)
        assert screen.end(30) == 130, screen.text()
        assert screen.modes() == before
        assert not machines & qemus()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_dead_orchestrator_leaves_no_qemu(root: Path, arch: Arch, number: signal.Signals) -> None:
    # These tests may be a shell's background job, which ignores SIGINT, as do its children.
    process = subprocess.Popen([str(root / "orchestrate"), "boot", arch.name, "--", "sleep", "600"],
                               stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
                               preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler))
    deadline = time.monotonic() + 120
    while not (new := started_by(process.pid)):
        assert process.poll() is None, process.stderr.read() if process.stderr else ""
        assert time.monotonic() < deadline
        time.sleep(0.2)
    time.sleep(1)
    process.send_signal(number)
    process.communicate(timeout=30)
    deadline = time.monotonic() + 10
    while new & qemus():
        assert time.monotonic() < deadline, "QEMU is still there"
        time.sleep(0.1)
    assert process.returncode == (130 if number is not signal.SIGKILL else -9)
