# SPDX-License-Identifier: BSD-2-Clause
"""boot --detach and the commands that reach into a running machine; gdb; repro of a run that failed.

On x86_64 the machine starts from a snapshot: what works there works after a boot, which test_boots.py has.
"""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestration.base import rundir
from orchestration.base.arch import Arch
from orchestration.machine import boot, registry
from tests.system.screen import Screen


def orchestrate(root: Path, *arguments: str, text: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(root / "orchestrate"), *arguments], input=text, capture_output=True, text=True,
                          timeout=900, check=False)


def prompt(machine: str) -> str:
    """Return what a shell of a named machine says; the guest's host has the machine's name."""
    return f"root@{machine.replace('_', '-')}"


@pytest.fixture(scope="module")
def machine(root: Path, arch: Arch, made: boot.Artefacts) -> Iterator[str]:
    # Once it has ended, a machine of another worker may get the first free name: this one is nobody else's.
    done = orchestrate(root, "boot", arch.name, "--detach", "--trace", "--name", f"machines-{arch.name}-{os.getpid()}",
                       *(["--snapshot"] if arch.name == "x86_64" else []))
    assert done.returncode == 0, done.stderr
    name = done.stdout.strip()
    # Its orchestrator is another process than the one that began the run; that run must not be pruned.
    assert rundir.in_use(Path(registry.find(name).run))
    yield name
    if name in [entry.name for entry in registry.entries()]:
        os.kill(registry.find(name).pid, signal.SIGTERM)


def test_ssh_has_the_commands_output_and_status(root: Path, machine: str) -> None:
    done = orchestrate(root, "ssh", machine, "--", "sh", "-c", "echo 'a  b'; exit 7")
    assert (done.returncode, done.stdout) == (7, "a  b\n"), done.stderr


def test_commands_come_from_standard_input(root: Path, machine: str) -> None:
    done = orchestrate(root, "ssh", machine, text="echo sum $((40+2))\nexit 5\n")
    assert (done.returncode, done.stdout) == (5, "sum 42\n"), done.stderr


def test_arguments_are_bytes_and_may_be_long(root: Path, machine: str) -> None:
    """Longer than a command may be for dropbear, and not UTF-8."""
    words = [b"\xff\xfe '\n", b"x" * 100_000, b"y" * 100_000]
    command = [str(root / "orchestrate").encode(), b"ssh", machine.encode(), b"--", b"printf", b"%s|", *words]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=300, check=False)
    assert (done.returncode, done.stdout) == (0, b"|".join([*words, b""])), done.stderr
    assert orchestrate(root, "ssh", machine, "--", "sh", "-c", "ls /run/quoll-command-*").returncode == 1


def test_ten_at_once_all_get_in(root: Path, machine: str) -> None:
    """dropbear refuses more than five connections that have not logged in."""
    processes = [subprocess.Popen([str(root / "orchestrate"), "ssh", machine, "--", "echo", str(number)],
                                  stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
                 for number in range(10)]
    for number, process in enumerate(processes):
        out, err = process.communicate(timeout=300)
        assert (process.returncode, out) == (0, f"{number}\n"), err


def test_the_shells_terminal_is_the_users(root: Path, machine: str) -> None:
    with Screen(root / "orchestrate", "ssh", machine, rows=33, columns=101, TERM="xterm-256color") as screen:
        before = screen.modes()
        screen.wait_for(prompt(machine))
        screen.type("echo $TERM $(stty size)\n")
        screen.wait_for("xterm-256color 33 101\r\n")
        screen.size(40, 120)
        screen.type("until stty size | grep -q ^40; do sleep 0.1; done; stty size; echo ä€\n")
        screen.wait_for("40 120")
        screen.wait_for("\r\nä€\r\n")
        # tail has begun when it prints; until then the shell's own process ignores SIGQUIT.
        for key, status in (("\x1a", 148), ("\x1c", 131), ("\x03", 130)):
            screen.type("tail -f /etc/hostname\n")
            screen.wait_for("\r\nquoll\r\n")
            screen.type(key)
            screen.type("echo status $?\n")
            screen.wait_for(f"status {status}\r\n")
        # The shell does not exit before it has noticed the end of its stopped job.
        screen.type("kill -9 %1; while jobs > /run/jobs; [ -s /run/jobs ]; do :; done; exit 7\n")
        assert screen.end() == 7, screen.text()
        assert screen.modes() == before


def test_a_command_gets_a_terminal(root: Path, machine: str) -> None:
    with Screen(root / "orchestrate", "ssh", "-t", machine, "--", "sh", "-c", "tty; exit 3") as screen:
        assert screen.end() == 3, screen.text()
        assert "/dev/pts/" in screen.text()


def test_an_escape_leaves_the_shell_and_not_the_machine(root: Path, machine: str) -> None:
    with Screen(root / "orchestrate", "ssh", machine) as screen:
        screen.wait_for(prompt(machine))
        screen.type("\r~.")
        assert screen.end(30) == 130, screen.text()
    assert machine in orchestrate(root, "ps").stdout


def test_cp_goes_both_ways(root: Path, machine: str, tmp_path: Path) -> None:
    (tmp_path / "tree/sub").mkdir(parents=True)
    content = os.urandom(200_000)
    (tmp_path / "tree/sub/file").write_bytes(content)
    assert orchestrate(root, "cp", str(tmp_path / "tree"), f"{machine}:/tmp").returncode == 0
    assert orchestrate(root, "cp", str(tmp_path / "tree/sub/file"), f"{machine}:/tmp/renamed").returncode == 0
    assert orchestrate(root, "cp", f"{machine}:/tmp/tree", str(tmp_path / "back")).returncode == 0
    assert orchestrate(root, "cp", f"{machine}:/tmp/renamed", str(tmp_path)).returncode == 0
    assert (tmp_path / "back/sub/file").read_bytes() == content
    assert (tmp_path / "renamed").read_bytes() == content
    assert orchestrate(root, "cp", f"{machine}:/proc/version", str(tmp_path)).returncode == 0
    assert (tmp_path / "version").read_text().startswith("Linux version 6.12")
    missing = orchestrate(root, "cp", f"{machine}:/nothing", str(tmp_path))
    assert (missing.returncode, missing.stderr) == (2, "orchestrate: cp: /nothing does not exist in the guest\n")
    refused = orchestrate(root, "cp", str(tmp_path / "renamed"), f"{machine}:/nowhere/renamed")
    assert refused.returncode == 120
    assert "/nowhere" in refused.stderr


def test_the_console_has_a_shell(root: Path, machine: str) -> None:
    # More output than the console keeps for those who attach later.
    text = "head -c 20000 /dev/zero | tr '\\0' x > /dev/console"
    assert orchestrate(root, "ssh", machine, "--", "sh", "-c", text).returncode == 0
    process = subprocess.Popen([str(root / "orchestrate"), "attach", machine], stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert process.stdin is not None and process.stdout is not None
    try:
        # The second is typed when the shell has printed its prompt.
        for typed, expected in ((b"\n", prompt(machine).encode()), (b"echo sum $((40+2)) on $(tty)\n", b"sum 42 on")):
            process.stdin.write(typed)
            process.stdin.flush()
            seen = b""
            while expected not in seen:
                data = os.read(process.stdout.fileno(), 4096)
                assert data, seen
                seen += data
    finally:
        process.kill()
        process.wait()


def test_gdb_knows_kernel_servers_and_linux(root: Path, machine: str) -> None:
    done = orchestrate(root, "gdb", machine, "--", "-batch", "-ex", "info symbol schedule", "-ex", "server block",
                       "-ex", "info symbol backend_push", "-ex", "info line thread_stop", "-ex", "bt 2", "-ex",
                       "detach")
    assert "backend_push in section .text" in done.stdout, done.stdout + done.stderr
    assert "mode.c" in done.stdout
    assert orchestrate(root, "ssh", machine, "--", "true").returncode == 0


def test_trace_names_what_l4_counted(root: Path, machine: str) -> None:
    done = orchestrate(root, "trace", machine, "--last", "20")
    assert done.returncode == 0, done.stderr
    counters, endpoints, events = (part.strip().splitlines()[1:] for part in done.stdout.split("\n\n"))
    counts = {name: int(count) for count, name in (line.split() for line in counters)}
    assert counts["guest-syscall"] > 100 and counts["space-switch"] > counts["guest-syscall"]
    assert sum(int(line.split()[0]) for line in endpoints) == counts["ipc"] > 0
    assert all("(root's)" in line for line in endpoints)
    assert len(events) == 20


def test_dossier_tells_of_a_machine_that_runs_on(root: Path, machine: str) -> None:
    done = orchestrate(root, "dossier", machine)
    assert done.returncode == 0, done.stderr
    text = Path(done.stdout.strip()).read_text()
    for name in ("registers", "threads of L4", "stack of Linux", "last events of L4", "messages by endpoint"):
        assert f"== {name}\n" in text, text[:2000]
    assert orchestrate(root, "ssh", machine, "--", "true").returncode == 0


def test_stop_ends_it(root: Path, machine: str) -> None:
    """A shell that is open in the machine ends with 0."""
    assert machine in orchestrate(root, "ps").stdout
    with Screen(root / "orchestrate", "ssh", machine) as screen:
        screen.wait_for(prompt(machine))
        assert orchestrate(root, "stop", machine).returncode == 0
        assert screen.end(30) == 0, screen.text()
    assert machine not in orchestrate(root, "ps").stdout
    assert orchestrate(root, "ssh", machine, "--", "true").returncode == 2


def test_a_failed_boot_fails_the_command(root: Path, made: boot.Artefacts, arch: Arch) -> None:
    done = orchestrate(root, "boot", arch.name, "--detach", "--append", "init=/nowhere")
    assert (done.returncode, done.stdout) == (122, ""), done.stderr
    folder = done.stderr.rsplit("the run's logs are in ", 1)[1].split()[0].rstrip(";")
    again = orchestrate(root, "repro", folder, "--", "true")
    assert again.returncode == 122, again.stderr
    assert "again: " in again.stderr
