# SPDX-License-Identifier: BSD-2-Clause
"""Linux on four CPUs, also where the host has fewer: load on all of them, and no server that is ended under it."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

import quoll
from orchestration.base.arch import Arch
from orchestration.faults.stress import patience
from quoll import Guest

pytestmark = pytest.mark.nightly
CPUS = 4
# Shells that fork on all CPUs: each says its number when it has run its children.
SHELLS = 8
FORKS = f"""
for shell in $(seq 1 {SHELLS}); do
    (for turn in $(seq 1 40); do /bin/true; sh -c 'exit 0'; done; echo $shell) &
done
wait"""
# What Linux says when a CPU, a task or a lock does not get on.
COMPLAINTS = ("BUG", "WARNING", "detected stall", "detected expedited stall", "blocked for more than", "soft lockup")
# Said by Linux 6.12 of a CPU that goes on a host which starves it: it counts the run queue's deadline server as a task
# (inc_dl_tasks()), so it says two and lists one, the CPU's own migration thread; and stops a server that has stopped.
NOT_VACATED = re.compile(r"\bkernel/sched/core\.c:\d+ sched_cpu_dying\b")
ALONE = re.compile(r"CPU(\d+) enqueued tasks \(2 total\):\n.*\tpid: \d+, name: migration/\1(?!\n.*\tpid: )")
STOPPED_TWICE = re.compile(r"\bkernel/sched/deadline\.c:\d+ task_non_contending\b")
SERVER = re.compile(r"\bdl_server_stop\+\S+\n.*\bsched_cpu_dying\+")


@pytest.fixture(scope="module", params=[(), ("lockdep",)], ids=["plain", "lockdep"])
def four(arch: Arch, request: pytest.FixtureRequest) -> Iterator[Guest]:
    if request.param and arch.name != "x86_64":
        pytest.skip("the locks are the common part's: they are checked on x86_64")
    with quoll.boot(arch.name, cpus=CPUS, debug=request.param, append=patience()) as guest:
        yield guest


def deaths(guest: Guest) -> list[str]:
    """Return the lines by which the root pager ends a server."""
    lines = (guest.folder / "l4.log").read_text(errors="replace").splitlines()
    return [line for line in lines if line.startswith("root: server ") and " died: " in line]


def complaints(guest: Guest) -> list[str]:
    """Return what Linux complains of, but for its deadline server: each such warning must be followed by the proof."""
    found = guest.run("dmesg", check=True).text.split("------------[ cut here ]------------")
    return [line for part in found for line in part.splitlines() if any(word in line for word in COMPLAINTS)
            and not (NOT_VACATED.search(line) and ALONE.search(part))
            and not (STOPPED_TWICE.search(line) and SERVER.search(part))]


def test_linux_has_them_all(four: Guest) -> None:
    assert four.run(["nproc"], check=True).text == str(CPUS)
    assert four.run("grep -c '^processor' /proc/cpuinfo", check=True).text == str(CPUS)
    assert four.run("cat /sys/devices/system/cpu/online", check=True).text == f"0-{CPUS - 1}"


def test_they_are_cores_of_one_package(four: Guest) -> None:
    for cpu in range(CPUS):
        said = four.run(f"""cd /sys/devices/system/cpu/cpu{cpu}/topology
cat physical_package_id core_id thread_siblings_list core_siblings_list""", check=True).text
        assert said.split() == ["0", str(cpu), str(cpu), f"0-{CPUS - 1}"]


def test_shells_fork_on_all_of_them(four: Guest) -> None:
    done = four.run(FORKS, timeout=300)
    assert (done.returncode, sorted(done.text.split())) == (0, [str(number) for number in range(1, SHELLS + 1)])
    assert not deaths(four)
    assert not complaints(four)


def test_threads_change_one_address_space(four: Guest, compile_program: Callable[[str], Path]) -> None:
    four.push(compile_program("cpus"), "/var/tmp/cpus")
    done = four.run(["/var/tmp/cpus"], timeout=300)
    assert (done.returncode, done.text) == (0, "ok"), done.stderr
    assert not deaths(four)
    assert not complaints(four)


def test_each_of_them_has_a_queue_of_the_disk(four: Guest) -> None:
    assert four.run("cat /sys/block/vda/mq/*/cpu_list", check=True).text.split() == [str(n) for n in range(CPUS)]
    done = four.run(f"""set -e
for cpu in $(seq 0 {CPUS - 1}); do
    taskset $((1 << cpu)) dd if=/dev/urandom of=/var/tmp/queue$cpu bs=64k count=16 oflag=direct 2> /dev/null
    taskset $((1 << (cpu + 1) % {CPUS})) dd if=/var/tmp/queue$cpu bs=64k iflag=direct 2> /dev/null | md5sum
    echo 3 > /proc/sys/vm/drop_caches
    md5sum < /var/tmp/queue$cpu
done""")
    sums = done.text.split("\n")
    assert (done.returncode, len(sums)) == (0, 2 * CPUS), done.stderr
    assert sums[::2] == sums[1::2]


def test_the_dossier_tells_of_each_of_them(four: Guest) -> None:
    assert len([line for line in four.session.dossier() if line.startswith("CPU ")]) >= CPUS
    text = (four.folder / "hang.txt").read_text()
    section = text.split("== CPUs of L4\n")[1].split("\n\n")[0].splitlines()
    assert [line.split(" ")[:2] for line in section] == [["CPU", str(number)] for number in range(CPUS)]
    # At most one holds the lock, and no CPU idles on a thread.
    assert len([line for line in section if ", locked" in line]) <= 1
    assert all(re.match(r"CPU \d (idle|runs [a-z])", line) for line in section), section
    assert len(re.findall(r"^CPU#\d", text, re.MULTILINE)) == CPUS
    assert four.run(["nproc"], check=True).text == str(CPUS)


def test_a_cpu_goes_and_comes_back_under_load(four: Guest) -> None:
    done = four.run(f"""set -e
for turn in 1 2 3; do
    for cpu in $(seq 1 {CPUS - 1}); do
        echo 0 > /sys/devices/system/cpu/cpu$cpu/online
        [ "$(nproc)" = {CPUS - 1} ]
        echo 1 > /sys/devices/system/cpu/cpu$cpu/online
    done
done &
hotplug=$!
{FORKS.replace("wait", "")}
wait $hotplug || exit 3
wait
[ "$(nproc)" = {CPUS} ]""", timeout=300)
    assert (done.returncode, len(done.text.split())) == (0, SHELLS), done.stderr
    assert not deaths(four)
    assert not complaints(four)


def test_a_task_goes_on_when_its_cpu_goes(four: Guest) -> None:
    """It is bound to the last CPU, which goes, and all others but the first; at the end it is bound to one again."""
    done = four.run(f"""set -e
echo 0 > /tmp/turns
taskset -c {CPUS - 1} sh -c 'turn=0; while :; do turn=$((turn + 1)); echo $turn > /tmp/turns; done' &
task=$!
trap 'kill $task' EXIT
go_on() {{
    before=$(cat /tmp/turns)
    while turn=$(cat /tmp/turns); [ "${{turn:-0}}" -le "${{before:-0}}" ]; do sleep 0.1; done
}}
go_on
for cpu in $(seq {CPUS - 1} -1 1); do
    echo 0 > /sys/devices/system/cpu/cpu$cpu/online
    go_on
done
nproc
for cpu in $(seq 1 {CPUS - 1}); do echo 1 > /sys/devices/system/cpu/cpu$cpu/online; done
taskset -pc {CPUS - 1} $task > /dev/null
go_on
cut -d ' ' -f 39 /proc/$task/stat
nproc""", timeout=300)
    assert (done.returncode, done.text.split()) == (0, ["1", str(CPUS - 1), str(CPUS)]), done.stderr
    assert not deaths(four)
    assert not complaints(four)


def stolen(guest: Guest, cpu: int) -> int:
    """Return the hundredths of a second for which a CPU of Linux could have run."""
    return int(guest.run(f"grep '^cpu{cpu} ' /proc/stat", check=True).text.split()[8])


def test_linux_is_not_charged_for_the_drivers_time(four: Guest) -> None:
    """The drivers run on the first CPU, and the program that makes them work runs there as well."""
    before = stolen(four, 0)
    four.run("taskset -c 0 dd if=/dev/vda of=/dev/null bs=4k count=5000 iflag=direct", check=True, timeout=300)
    assert stolen(four, 0) > before


@contextmanager
def one_cpu_of_the_host(guest: Guest) -> Iterator[None]:
    """Have all threads of the machine on one CPU of the host: one that holds a lock often does not run."""
    events = (guest.folder / "events.jsonl").read_text().splitlines()
    pid = next(entry["pid"] for entry in map(json.loads, events) if entry["event"] == "qemu started")
    allowed = os.sched_getaffinity(pid)

    def put(cpus: set[int]) -> None:
        for task in Path(f"/proc/{pid}/task").iterdir():
            with suppress(ProcessLookupError):
                os.sched_setaffinity(int(task.name), cpus)

    put({min(allowed)})
    yield
    put(allowed)


def lock_waits(guest: Guest) -> int:
    """Return how often the guest's CPUs have slept for a spinlock."""
    row = guest.run("grep 'Lock wait interrupts' /proc/interrupts", check=True).text.split()
    return sum(int(word) for word in row[1:1 + CPUS])


def test_who_waits_for_a_lock_sleeps(four: Guest, compile_program: Callable[[str], Path]) -> None:
    four.push(compile_program("locks"), "/var/tmp/locks")
    before = lock_waits(four)
    with one_cpu_of_the_host(four):
        done = four.run(["/var/tmp/locks", "2000"], timeout=300)
    assert (done.returncode, done.text) == (0, "ok"), done.stderr
    assert lock_waits(four) > before
    assert not complaints(four)


def test_who_waits_for_a_mutex_sleeps_if_its_owner_is_preempted(four: Guest, compile_program: Callable[[str], Path]
                                                               ) -> None:
    """Two vCPUs on one CPU: the owner of the lock is on its own CPU of Linux, and L4 runs the one that waits.

    Where nobody knew that the owner is preempted, both together slept 2 to 8 times a second, and 40 to 88 times since.
    """
    seconds = 3
    four.push(compile_program("mutexes"), "/var/tmp/mutexes")
    four.place({"vcpu3": 2})
    try:
        done = four.run(["/var/tmp/mutexes", "2", "3", str(seconds)], timeout=300)
    finally:
        four.place({"vcpu3": 3})
    assert done.returncode == 0, done.stderr
    assert int(done.text) > 20 * seconds
    assert not complaints(four)


@pytest.fixture(scope="module")
def debian(arch: Arch) -> Iterator[Guest]:
    with quoll.boot(arch.name, rootfs="debian", cpus=CPUS, append=patience()) as guest:
        yield guest


def test_debian_comes_up_on_all_of_them(debian: Guest) -> None:
    assert debian.run(["nproc"], check=True).text == str(CPUS)
    assert debian.run("systemctl is-system-running --wait", timeout=240).text == "running"
    assert not deaths(debian)


def test_a_static_key_stops_the_cpus_once(debian: Guest) -> None:
    """The key of the scheduler's statistics has many branches, which another CPU may execute at any time."""
    assert debian.run(r"""set -e
cd /sys/kernel/tracing
echo 'p:stop stop_machine_cpuslocked' > kprobe_events
echo 1 > events/kprobes/stop/enable
hits() { awk '$1 == "stop" { print $2 }' kprobe_profile; }
before=$(hits)
sysctl -q kernel.sched_schedstats=1
echo $(($(hits) - before))""", check=True, timeout=240).text == "1"
