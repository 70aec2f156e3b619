# SPDX-License-Identifier: BSD-2-Clause
"""Programs that people install run in Debian's guest and give right results: servers, containers, packet filters.

Every night, because the set of packages makes an image of its own.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestration.base.arch import ARCHES
from orchestration.bench.workload import load
from quoll import Guest
from tests.system.administration import out, second_host

# One image for these and for the workloads that need such servers.
PACKAGES = load("nginx").description.packages
# Makes a tar file of some programs of the guest with the libraries that they need, as the root of a container.
MAKE_ROOT = r"""
set -e
tree=$(mktemp -d)
mkdir -p "$tree/usr/bin" "$tree/usr/lib" "$tree/usr/lib64" "$tree/etc" "$tree/proc" "$tree/sys" "$tree/dev" "$tree/tmp"
for name in bin lib lib64; do ln -s "usr/$name" "$tree/$name"; done
for program in bash cat hostname id ls sleep; do
    cp -L "/usr/bin/$program" "$tree/usr/bin"
    for library in $(ldd "/usr/bin/$program" | grep -o '/[^ ]*'); do
        mkdir -p "$tree/$(dirname "$library")"
        cp -L "$library" "$tree/$library"
    done
done
echo 'of the image' > "$tree/etc/mark"
tar -C "$tree" -cf /var/tmp/own.tar .
rm -r "$tree"
"""
DEBUGGED = """
#include <stdlib.h>
int total;
static int add(int n) { total += n; return total; }
int main(int argc, char **argv)
{
    for (int i = 1; i <= 4; i++)
        add(i);
    if (argc > 1)
        abort();
    return total;
}
"""
# Fetches a page of the server on port 80 as a file; the guest has neither curl nor wget.
FETCH = "/usr/lib/apt/apt-helper -o Acquire::Retries=0 download-file"
SUMS = """select (select sum(abalance) from pgbench_accounts), (select sum(tbalance) from pgbench_tellers),
(select sum(bbalance) from pgbench_branches), (select sum(delta) from pgbench_history),
(select count(*) from pgbench_history)"""


@pytest.fixture
def page(guest: Guest) -> str:
    """A file of random bytes that nginx serves; return its name."""
    out(guest, "[ -f /var/www/html/page ] || head -c 300000 /dev/urandom > /var/www/html/page")
    return "/var/www/html/page"


@pytest.fixture
def box(guest: Guest) -> Iterator[str]:
    """A network namespace of its own; return its name."""
    with second_host(guest, "iptables -F; iptables -t nat -F") as name:
        yield name


@pytest.fixture
def image(guest: Guest) -> str:
    """An image of containers that is made of the guest's own programs; return its name."""
    if guest.run(["podman", "image", "exists", "localhost/own"]).returncode:
        out(guest, MAKE_ROOT)
        out(guest, "podman import -q /var/tmp/own.tar localhost/own", 300)
    return "localhost/own"


def sums(guest: Guest) -> list[int]:
    """Return what must be equal after pgbench: four sums of the database; and how many transactions there were."""
    answer = out(guest, f'cd /; su postgres -c "psql -At -F \' \' -c \'{SUMS}\' bench"')
    return [int(word) for word in answer.split()]


@pytest.mark.nightly
@pytest.mark.timeout(1800)
@pytest.mark.guest(rootfs="debian", memory="1G", include=PACKAGES)
class TestServers:
    """Servers that Debian starts by itself, loaded by their own tools."""

    def test_all_are_started(self, guest: Guest) -> None:
        units = ["nginx", "postgresql@17-main", "redis-server"]
        assert out(guest, f"systemctl is-active {' '.join(units)}").split() == ["active"] * len(units)
        assert out(guest, "systemctl is-system-running") == "running"

    def test_nginx_serves_a_file(self, guest: Guest, page: str) -> None:
        out(guest, f"{FETCH} http://127.0.0.1/page /var/tmp/fetched && cmp /var/tmp/fetched {page}")

    def test_nginx_under_load(self, guest: Guest, page: str) -> None:
        said = out(guest, "wrk -t 2 -c 16 -d 5s http://127.0.0.1/page")
        found = re.search(r"(\d+) requests in", said)
        assert found is not None
        assert int(found[1]) > 16
        assert "Socket errors" not in said
        assert "Non-2xx" not in said
        assert int(out(guest, "wc -l < /var/log/nginx/access.log")) >= int(found[1])

    def test_postgresql_loses_no_transaction(self, guest: Guest) -> None:
        out(guest, "cd /; su postgres -c 'createdb bench && pgbench -q -i -s 1 bench'", 600)
        said = out(guest, "cd /; su postgres -c 'pgbench -c 4 -t 50 bench'", 600)
        assert "number of transactions actually processed: 200/200" in said
        *equal, count = sums(guest)
        assert len(set(equal)) == 1
        assert count == 200
        # Its processes die, and it recovers from its log.
        out(guest, "kill -KILL $(head -n 1 /var/lib/postgresql/17/main/postmaster.pid)")
        out(guest, "systemctl restart postgresql@17-main", 300)
        assert sums(guest) == [*equal, count]

    def test_redis_keeps_what_it_is_told(self, guest: Guest) -> None:
        said = out(guest, "redis-benchmark --csv -n 1000 -c 10 -r 200 -t set,get,incr,lpush,lpop,sadd,zadd", 600)
        rows = [line.split(",") for line in said.splitlines()[1:]]
        assert [row[0].strip('"') for row in rows] == ["SET", "GET", "INCR", "LPUSH", "LPOP", "SADD", "ZADD"]
        assert all(float(row[1].strip('"')) > 0 for row in rows)
        out(guest, "redis-cli set own value; redis-cli save")
        keys = int(out(guest, "redis-cli dbsize"))
        out(guest, "systemctl restart redis-server", 300)
        assert int(out(guest, "redis-cli dbsize")) == keys
        assert out(guest, "redis-cli get own") == "value"


@pytest.mark.nightly
@pytest.mark.timeout(1800)
@pytest.mark.guest(rootfs="debian", memory="1G", include=PACKAGES)
class TestContainers:
    """Containers by podman, and what they are made of."""

    def test_a_container_is_a_system_of_its_own(self, guest: Guest, image: str) -> None:
        done = guest.run(f"podman run --rm --hostname inside --memory 64m {image} bash -c "
                         "'cat /etc/mark; hostname; echo $$; cat /sys/fs/cgroup/memory.max; ls /; exit 7'", timeout=300)
        assert done.returncode == 7, done.stderr
        assert done.stdout.splitlines() == ["of the image", "inside", "1", str(64 << 20), "bin", "dev", "etc", "lib",
                                            "lib64", "proc", "run", "sys", "tmp", "usr"]

    def test_a_container_that_takes_too_much_memory_ends(self, guest: Guest, image: str) -> None:
        done = guest.run(f"podman run --rm --memory 32m --memory-swap 32m {image} bash -c "
                         "'x=a; while :; do x=$x$x; done'", timeout=300)
        assert done.returncode == 137, done.stderr

    def test_a_container_reaches_its_host(self, guest: Guest, image: str, page: str) -> None:
        out(guest, f"echo 'hello from nginx' > {page}.txt; podman run -d --name long {image} sleep 1000", 300)
        try:
            said = out(guest, "podman exec long bash -c 'exec 3<> /dev/tcp/host.containers.internal/80; "
                       'printf "GET /page.txt HTTP/1.0\\r\\n\\r\\n" >&3; cat <&3\'', 300)
            assert said.endswith("hello from nginx")
            assert out(guest, "podman ps --format '{{.Names}}'") == "long"
        finally:
            guest.run("podman rm -f -t 0 long", timeout=300)

    def test_a_user_has_containers(self, guest: Guest, image: str) -> None:
        out(guest, f"id joe 2> /dev/null || useradd -m joe; podman save -q -o /var/tmp/own.oci {image}; "
            "chmod 644 /var/tmp/own.oci; loginctl enable-linger joe", 300)
        told = "XDG_RUNTIME_DIR=/run/user/$(id -u) podman"
        said = out(guest, f"cd /home/joe; su joe -c '{told} load -q -i /var/tmp/own.oci > /dev/null && {told} run --rm "
                   f"--network none {image} bash -c \"id -u; cat /proc/self/uid_map /etc/mark\"'", 600)
        lines = [line.split() for line in said.splitlines()]
        assert lines[0] == ["0"]
        assert lines[1][0] == "0"
        assert lines[1][2] == "1"
        assert lines[-1] == ["of", "the", "image"]

    def test_namespaces_of_a_user(self, guest: Guest) -> None:
        said = out(guest, "setpriv --reuid=nobody --regid=nogroup --clear-groups unshare -Urmpf --mount-proc bash -c "
                   "'id -u; echo $$; mount -t tmpfs none /mnt && echo mounted; touch /etc/x 2> /dev/null || "
                   "echo refused'")
        assert said.split() == ["0", "1", "mounted", "refused"]
        assert guest.run("[ -e /etc/x ] || grep -q ' /mnt ' /proc/mounts").returncode == 1


@pytest.mark.nightly
@pytest.mark.timeout(1800)
@pytest.mark.guest(rootfs="debian", memory="1G", include=PACKAGES)
class TestSystem:
    """What an administrator uses: packet filters, limits, swap, mounts, packages, strace."""

    def test_nft_refuses_and_counts(self, guest: Guest) -> None:
        out(guest, "nft 'table inet own { counter refused {}; chain input { type filter hook input priority 0; "
            "tcp dport 80 counter name refused reject with tcp reset; }; }'")
        try:
            assert "Connection refused" in guest.run(["bash", "-c", "exec 3<> /dev/tcp/127.0.0.1/80"]).stderr
            assert "packets 1 bytes" in out(guest, "nft list counter inet own refused")
        finally:
            guest.run("nft delete table inet own")
        out(guest, "bash -c 'exec 3<> /dev/tcp/127.0.0.1/80'")

    def test_iptables_redirects_and_limits(self, guest: Guest, box: str, page: str) -> None:
        assert "nf_tables" in out(guest, "iptables -V")
        out(guest, "iptables -t nat -A PREROUTING -i outer -p tcp --dport 8080 -j REDIRECT --to-ports 80; "
            f"ip netns exec {box} {FETCH} http://10.9.0.1:8080/page /var/tmp/redirected && "
            f"cmp /var/tmp/redirected {page}")
        out(guest, "iptables -A INPUT -i outer -p icmp -m limit --limit 1/hour --limit-burst 2 -j ACCEPT; "
            "iptables -A INPUT -i outer -p icmp -j DROP")
        said = guest.run(f"ip netns exec {box} ping -c 4 -i 0.2 -W 1 10.9.0.1").stdout
        assert "4 packets transmitted, 2 received" in said

    def test_devices_of_others_keep_their_addresses(self, guest: Guest, box: str) -> None:
        out(guest, "networkctl reload; networkctl reconfigure eth0; networkctl -q --json=short list > /dev/null; "
            f"ip netns exec {box} ping -c 1 -W 10 10.9.0.1")
        assert "10.9.0.1/24" in out(guest, "ip addr show outer")

    def test_limits_of_units(self, guest: Guest) -> None:
        guest.run("systemd-run --wait --unit greedy -p MemoryMax=32M -p MemorySwapMax=0 tail /dev/zero", timeout=300)
        assert out(guest, "systemctl show greedy -P Result") == "oom-kill"
        out(guest, "systemctl reset-failed greedy")
        here = "/sys/fs/cgroup$(cut -d: -f3 /proc/self/cgroup)"
        told = "systemd-run --wait --collect --pipe --quiet"
        said = out(guest, f"{told} -p CPUQuota=20% sh -c 'i=0; while [ $i -lt 5000 ]; do i=$((i + 1)); done; "
                   f"cat {here}/cpu.stat'", 300)
        counts = {line.split()[0]: int(line.split()[1]) for line in said.splitlines()}
        assert counts["nr_throttled"] > 0
        assert counts["throttled_usec"] > counts["usage_usec"]
        said = out(guest, f"{told} -p TasksMax=3 bash -c '(sleep 1 & sleep 1 & sleep 1 & sleep 1 & wait) 2> /dev/null; "
                   f"cat {here}/pids.events' || true")
        assert re.search(r"max [1-9]", said)

    def test_pages_come_back_from_swap(self, guest: Guest) -> None:
        out(guest, "fallocate -l 256M /swapfile; chmod 600 /swapfile; mkswap -q /swapfile; swapon /swapfile")
        program = ("my @a; push @a, chr(65 + $_ % 26) x (1 << 20) for 0 .. 99; "
                   "for my $i (0 .. 99) { $a[$i] eq chr(65 + $i % 26) x (1 << 20) or die $i } print qq(whole\\n)")
        try:
            before = int(out(guest, "grep -w pswpin /proc/vmstat").split()[1])
            said = out(guest, "systemd-run --wait --collect --pipe --quiet -p MemoryMax=48M perl -e "
                       f"'{program}'", 600)
            assert said == "whole"
            assert int(out(guest, "grep -w pswpin /proc/vmstat").split()[1]) - before > (50 << 20) // 4096
        finally:
            out(guest, "swapoff /swapfile && rm /swapfile", 300)

    def test_a_file_is_mounted(self, guest: Guest) -> None:
        out(guest, "truncate -s 64M /var/tmp/disk; mkfs.ext4 -q /var/tmp/disk; mount -o loop /var/tmp/disk /mnt; "
            "cp /usr/bin/bash /mnt; setfattr -n user.own -v told /mnt/bash; umount /mnt; e2fsck -fn /var/tmp/disk")
        out(guest, "mount -o loop,ro /var/tmp/disk /mnt && cmp /usr/bin/bash /mnt/bash && getfattr -d /mnt/bash | "
            "grep -q 'user.own=\"told\"'; status=$?; umount /mnt; rm /var/tmp/disk; exit $status")
        # udev may still look at the device, which keeps it.
        assert out(guest, "udevadm settle; losetup -l") == ""

    def test_apt_installs_and_removes(self, guest: Guest) -> None:
        """A package with a script, from a repository in a folder of the guest."""
        out(guest, """set -e
            mkdir -p /var/tmp/own/DEBIAN /var/tmp/own/usr/bin /var/tmp/repository
            printf '#!/bin/sh\necho it runs\n' > /var/tmp/own/usr/bin/own; chmod 755 /var/tmp/own/usr/bin/own
            printf '#!/bin/sh\necho $1 > /var/lib/own\n' > /var/tmp/own/DEBIAN/postinst
            chmod 755 /var/tmp/own/DEBIAN/postinst
            printf 'Package: own\nVersion: 1\nArchitecture: all\nMaintainer: me <me@localhost>\nDescription: own\n' \
                > /var/tmp/own/DEBIAN/control
            cd /var/tmp/repository; dpkg-deb -b ../own own.deb > /dev/null
            (cat ../own/DEBIAN/control; echo Filename: ./own.deb; stat -c 'Size: %s' own.deb
             sha256sum own.deb | sed 's/\\([^ ]*\\).*/SHA256: \\1/') > Packages
            echo 'deb [trusted=yes] file:/var/tmp/repository ./' > /etc/apt/sources.list.d/own.list
            apt-get -q update -o Dir::Etc::SourceList=/dev/null -o Dir::Etc::SourceParts=/dev/null \
                -o Dir::Etc::SourceList=/etc/apt/sources.list.d/own.list
            DEBIAN_FRONTEND=noninteractive apt-get -qy install own""", 600)
        assert out(guest, "own") == "it runs"
        assert out(guest, "cat /var/lib/own") == "configure"
        out(guest, "apt-get -qy purge own && ! command -v own && rm /etc/apt/sources.list.d/own.list", 600)

    def test_strace_shows_and_changes_system_calls(self, guest: Guest) -> None:
        done = guest.run("strace -f -o /var/tmp/trace -e trace=execve,openat,exit_group "
                         "sh -c 'cat /etc/hostname; exit 3'")
        assert (done.returncode, done.text) == (3, "quoll")
        seen = out(guest, "cat /var/tmp/trace")
        for text in ('openat(AT_FDCWD, "/etc/hostname", O_RDONLY) = 3', "exit_group(3)", "+++ exited with 3 +++",
                     "--- SIGCHLD {"):
            assert text in seen
        done = guest.run("strace -o /dev/null -P /etc/hostname -e inject=openat:error=EACCES cat /etc/hostname")
        assert "Permission denied" in done.stderr

    def test_gdb_stops_a_program_and_reads_its_core(self, guest: Guest, tmp_path: Path) -> None:
        (tmp_path / "debugged.c").write_text(DEBUGGED)
        subprocess.run([ARCHES[guest.arch].compiler, "-g", "-O0", "-static", "-o", "debugged", "debugged.c"],
                       cwd=tmp_path, check=True, timeout=120)
        guest.push(tmp_path / "debugged", "/var/tmp/")
        orders = ["set can-use-hw-watchpoints 0", "break add if n == 3", "run", "backtrace", "watch total", "continue",
                  "step", "delete", "continue"]
        said = out(guest, "cd /var/tmp; gdb -q -batch " + " ".join(f"-ex '{order}'" for order in orders)
                   + " ./debugged 2>&1", 300)
        for text in ("#0  add (n=3)", "in main (argc=1", "Old value = 3", "New value = 6", "exited with code 012"):
            assert text in said
        core = guest.run("cd /var/tmp; echo core > /proc/sys/kernel/core_pattern; ulimit -c unlimited; ./debugged die")
        assert core.returncode == 128 + 6
        said = out(guest, "cd /var/tmp; gdb -q -batch -ex backtrace -ex 'print total' ./debugged core* 2>&1", 300)
        assert "in main (argc=2" in said
        assert "$1 = 10" in said
