# SPDX-License-Identifier: BSD-2-Clause
"""Linux on four CPUs, also where the host has fewer: load on all of them, and no server that is ended under it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import quoll
from orchestration.base.arch import Arch
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
COMPLAINTS = ("BUG", "WARNING", "stall", "blocked for more than", "soft lockup")


@pytest.fixture(scope="module", params=[(), ("lockdep",)], ids=["plain", "lockdep"])
def four(arch: Arch, request: pytest.FixtureRequest) -> Iterator[Guest]:
    if request.param and arch.name != "x86_64":
        pytest.skip("the locks are the common part's: they are checked on x86_64")
    with quoll.boot(arch.name, cpus=CPUS, debug=request.param) as guest:
        yield guest


def deaths(guest: Guest) -> list[str]:
    """Return the lines by which the root pager ends a server."""
    lines = (guest.folder / "l4.log").read_text(errors="replace").splitlines()
    return [line for line in lines if line.startswith("root: server ") and " died: " in line]


def complaints(guest: Guest) -> list[str]:
    lines = guest.run("dmesg", check=True).text.splitlines()
    return [line for line in lines if any(word in line for word in COMPLAINTS)]


def test_linux_has_them_all(four: Guest) -> None:
    assert four.run(["nproc"], check=True).text == str(CPUS)
    assert four.run("grep -c '^processor' /proc/cpuinfo", check=True).text == str(CPUS)
    assert four.run("cat /sys/devices/system/cpu/online", check=True).text == f"0-{CPUS - 1}"


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


def test_debian_comes_up_on_all_of_them(arch: Arch) -> None:
    if arch.name != "x86_64":
        pytest.skip("the full kernel for several CPUs has been tried on x86_64 alone")
    with quoll.boot(arch.name, rootfs="debian", cpus=CPUS) as guest:
        assert guest.run(["nproc"], check=True).text == str(CPUS)
        assert guest.run("systemctl is-system-running --wait", timeout=240).text == "running"
        assert not deaths(guest)
