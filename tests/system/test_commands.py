# SPDX-License-Identifier: BSD-2-Clause
"""./orchestrate as a user runs it."""

from __future__ import annotations

import os
import pty
import select
import signal
import subprocess
import time
from pathlib import Path

import pytest

from orchestration import boot
from orchestration.arch import Arch

pytestmark = pytest.mark.usefixtures("made")


def orchestrate(root: Path, *arguments: str, **more: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(root / "orchestrate"), *arguments], stdin=subprocess.DEVNULL, capture_output=True,
                          text=True, timeout=600, check=False, **more)  # type: ignore[call-overload, no-any-return]


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
    """Paths in it reach QEMU's options, debugfs' commands and addresses of sockets."""
    place = tmp_path / name
    place.mkdir()
    done = orchestrate(root, "boot", arch.name, "--append", 'quoll="a b"', "--", "cat", "/proc/cmdline",
                       env={**os.environ, "TMPDIR": str(place)})
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith(' quoll="a b"\n')
    assert list(place.iterdir()) == []


def test_a_detached_boot_that_is_interrupted_leaves_nothing(root: Path, arch: Arch) -> None:
    process = subprocess.Popen([str(root / "orchestrate"), "boot", arch.name, "--detach"], stdin=subprocess.DEVNULL,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                               preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler))
    deadline = time.monotonic() + 120
    while not (new := started_by(process.pid)):
        assert process.poll() is None, process.stderr.read() if process.stderr else ""
        assert time.monotonic() < deadline
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out) == (130, "")
    assert err.count("interrupted") == 1 and err.endswith("orchestrate: interrupted\n"), err
    assert not new & qemus()


def test_without_terminal_it_says_ready_and_builds_nothing(root: Path, made: boot.Artefacts, arch: Arch) -> None:
    logs = [path for path in made.bare.parent.parent.glob(f"build/*{arch.name}*.log") if "native" not in path.name]
    before = {path: path.stat().st_mtime_ns for path in logs}
    done = orchestrate(root, "boot", arch.name)
    assert (done.returncode, done.stdout) == (0, "ready\n"), done.stderr
    assert {path: path.stat().st_mtime_ns for path in logs} == before


def test_the_shell_has_a_terminal_and_leaving_it_ends_the_machine(root: Path, arch: Arch) -> None:
    child, terminal = pty.fork()
    if child == 0:
        os.execv(str(root / "orchestrate"), ["orchestrate", "boot", arch.name])
    seen = b""

    def wait_for(text: bytes, limit: float) -> None:
        nonlocal seen
        deadline = time.monotonic() + limit
        while text not in seen:
            assert time.monotonic() < deadline, seen.decode(errors="replace")
            if select.select([terminal], [], [], 0.5)[0]:
                seen += os.read(terminal, 65536)

    try:
        wait_for(b"root@quoll", 300)
        os.write(terminal, b"tty; stty size; echo sum $((40+2))\n")
        wait_for(b"sum 42", 30)
        assert b"/dev/pts/" in seen
        os.write(terminal, b"exit 5\n")
        deadline = time.monotonic() + 120
        while True:
            ended, status = os.waitpid(child, os.WNOHANG)
            if ended:
                break
            assert time.monotonic() < deadline, seen.decode(errors="replace")
            if select.select([terminal], [], [], 0.2)[0]:
                try:
                    seen += os.read(terminal, 65536)
                except OSError:
                    time.sleep(0.1)
        while select.select([terminal], [], [], 0.2)[0]:
            try:
                seen += os.read(terminal, 65536)
            except OSError:
                break
        assert os.waitstatus_to_exitcode(status) == 5, seen.decode(errors="replace")
    finally:
        os.close(terminal)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_dead_orchestrator_leaves_no_qemu(root: Path, arch: Arch, number: signal.Signals) -> None:
    # A shell's background job, which these tests may be, ignores SIGINT and hands that down.
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
