# SPDX-License-Identifier: BSD-2-Clause
"""Modules that an administrator of Debian loads by hand: file systems, RAID, encryption, NFS, tunnels, packet filters.

Each does its work to the end, and is asked whether nothing was lost. Every night, because the set of packages makes an
image of its own. Disks are files behind loop devices.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from quoll import Guest
from tests.system.administration import out, second_host

PACKAGES = ("btrfs-progs", "cryptsetup-bin", "dosfstools", "e2fsprogs", "ebtables", "ipset", "iptables", "ipvsadm",
            "lvm2", "mdadm", "nfs-kernel-server", "ntfs-3g", "udftools", "xfsprogs")
pytestmark = [pytest.mark.nightly, pytest.mark.timeout(1800),
              pytest.mark.guest(rootfs="debian", memory="1G", disk_size="4G", include=PACKAGES)]
# Fills a folder with random files, and removes a part of them again. SUMS prints a hash of all that is there.
FILL = """
set -e
cd {0}
mkdir -p deep/er
for i in $(seq 1 60); do head -c $((i * 997)) /dev/urandom > deep/$i; done
for i in $(seq 1 3 60); do rm deep/$i; done
head -c 20000000 /dev/urandom > large
dd if=/dev/urandom of=holes bs=64k count=1 seek=100 conv=notrunc status=none
mv deep/2 deep/er/two
printf 'more' >> large
sync
"""
SUMS = "cd {0} && find . -type f -print0 | sort -z | xargs -0 sha256sum | sha256sum"
# How each is made, with which options it is mounted, and what checks it; Debian has no checker of UDF.
FILE_SYSTEMS = {
    "xfs": ("mkfs.xfs -q {0}", "", "xfs_repair -n {0}"),
    "btrfs": ("mkfs.btrfs -q {0}", "-o compress=zstd", "btrfs check {0}"),
    "ext4": ("mkfs.ext4 -q {0}", "", "e2fsck -fn {0}"),
    "vfat": ("mkfs.vfat {0}", "", "fsck.vfat -n {0}"),
    "ntfs3": ("mkfs.ntfs -qfF {0}", "", "ntfsfix -n {0}"),
    "udf": ("mkudffs -b 512 {0}", "", ""),
}
CIPHERS = {
    "aes-xts-plain64": 512,
    "serpent-xts-plain64": 512,
    "twofish-xts-plain64": 512,
    "xchacha12,aes-adiantum-plain64": 256,
}
# A server that says its port to each who connects; one that takes what comes, and says how much, in how many seconds.
NAME_PORT = """perl -MIO::Socket::INET -e 'my $s = IO::Socket::INET->new(Listen => 9, LocalAddr => q(10.9.0.2),
LocalPort => $ARGV[0], ReuseAddr => 1) or die $!; while (my $c = $s->accept) { print $c $ARGV[0]; close $c }'"""
RECEIVE = """perl -MIO::Socket::INET -e 'sub now { `date +%s%N` / 1e9 } my $s = IO::Socket::INET->new(Listen => 1,
LocalAddr => q(10.9.0.2), LocalPort => 83) or die $!; my $c = $s->accept; my ($n, $t) = (0, now);
while (my $r = sysread $c, my $b, 65536) { $n += $r } printf qq(%d %f\\n), $n, now - $t'"""
TUNNELS = {
    "l2tp": "{0} ip l2tp add tunnel tunnel_id 1 peer_tunnel_id 1 encap ip local {1} remote {2} && "
            "{0} ip l2tp add session name own tunnel_id 1 session_id 1 peer_session_id 1",
    "gre": "{0} ip link add own type gretap local {1} remote {2}",
    "vxlan": "{0} ip link add own type vxlan id 1 local {1} remote {2} dstport 4789",
    "macsec": "{0} ip link add link {3} own type macsec port 1 encrypt on && "
              "{0} ip macsec add own tx sa 0 pn 1 on key 01 81818181818181818181818181818181 && "
              "{0} ip macsec add own rx port 1 address {4} && "
              "{0} ip macsec add own rx port 1 address {4} sa 0 pn 1 on key 01 81818181818181818181818181818181",
}
@pytest.fixture
def disks(guest: Guest) -> Iterator[list[str]]:
    """Five disks of 320 MiB; return their devices."""
    said = out(guest, "set -e; for i in 0 1 2 3 4; do truncate -s 320M /var/tmp/disk$i; "
               "losetup --show -f /var/tmp/disk$i; done")
    found = said.split()
    yield found
    guest.run("umount -R /mnt; cryptsetup close own; vgremove -qyf own; mdadm --stop --scan; "
              f"losetup -d {' '.join(found)}; rm -f /var/tmp/disk?")


def synchronized(guest: Guest) -> None:
    """Wait until the array is. mdadm fails where there is nothing to wait for."""
    guest.run("mdadm --wait /dev/md/own", timeout=900)


@pytest.fixture
def box(guest: Guest) -> Iterator[str]:
    """A network namespace of its own; return its name."""
    with second_host(guest, "iptables -F; ipset destroy; ipvsadm -C; ip link del own; ip l2tp del tunnel tunnel_id 1"
                     ) as name:
        yield name


class TestFileSystems:
    """What is written is there after a new mount, and the file system's checker finds nothing."""

    @pytest.mark.parametrize("kind", FILE_SYSTEMS)
    def test_files_come_back(self, guest: Guest, disks: list[str], kind: str) -> None:
        make, options, check = (text.format(disks[0]) for text in FILE_SYSTEMS[kind])
        out(guest, f"{make} && mount -t {kind} {options} {disks[0]} /mnt")
        out(guest, FILL.format("/mnt"))
        before = out(guest, SUMS.format("/mnt"))
        out(guest, f"umount /mnt && {check or 'true'} && mount -t {kind} {options} {disks[0]} /mnt")
        assert out(guest, SUMS.format("/mnt")) == before
        out(guest, "umount /mnt")

    def test_btrfs_mends_a_damaged_copy(self, guest: Guest, disks: list[str]) -> None:
        out(guest, f"mkfs.btrfs -q -f -m raid1 -d raid1 {disks[0]} {disks[1]} && mount {disks[0]} /mnt && "
            "btrfs subvolume create /mnt/own")
        out(guest, FILL.format("/mnt/own"))
        before = out(guest, SUMS.format("/mnt/own"))
        out(guest, "btrfs subvolume snapshot -r /mnt/own /mnt/then && rm -r /mnt/own/deep && umount /mnt && "
            f"dd if=/dev/urandom of={disks[1]} bs=1M seek=40 count=200 conv=notrunc status=none && "
            f"mount {disks[0]} /mnt")
        said = out(guest, "btrfs scrub start -B /mnt", 600)
        found = re.search(r"Corrected:\s+(\d+)", said)
        assert found is not None and int(found[1]) > 0, said
        assert re.search(r"Uncorrectable:\s+0", said), said
        assert out(guest, SUMS.format("/mnt/then")) == before
        assert "no errors found" in out(guest, "btrfs scrub start -B /mnt", 600)

    def test_xfs_keeps_to_a_quota(self, guest: Guest, disks: list[str]) -> None:
        out(guest, f"mkfs.xfs -q {disks[0]} && mount -o usrquota {disks[0]} /mnt && chmod 777 /mnt && "
            "xfs_quota -x -c 'limit bhard=4m nobody' /mnt")
        done = guest.run("setpriv --reuid=nobody --regid=nogroup --clear-groups "
                         "dd if=/dev/zero of=/mnt/own bs=1M count=8")
        assert "Disk quota exceeded" in done.stderr
        assert int(out(guest, "stat -c %s /mnt/own")) <= 4 << 20


class TestDisks:
    """Disks that are made of others."""

    def test_raid6_outlives_two_disks(self, guest: Guest, disks: list[str]) -> None:
        out(guest, f"yes | mdadm -C /dev/md/own -l 6 -n 4 {' '.join(disks[:4])}")
        synchronized(guest)
        out(guest, "mkfs.ext4 -q /dev/md/own && mount /dev/md/own /mnt")
        out(guest, FILL.format("/mnt"))
        before = out(guest, SUMS.format("/mnt"))
        for one in disks[1:3]:
            out(guest, f"mdadm /dev/md/own -f {one} && mdadm /dev/md/own -r {one}")
        out(guest, "umount /mnt && echo 3 > /proc/sys/vm/drop_caches && mount /dev/md/own /mnt")
        assert out(guest, SUMS.format("/mnt")) == before
        out(guest, f"mdadm /dev/md/own -a {disks[4]}")
        synchronized(guest)
        assert "[4/3]" in out(guest, "cat /proc/mdstat")
        out(guest, "umount /mnt && e2fsck -fn /dev/md/own && mount /dev/md/own /mnt")
        assert out(guest, SUMS.format("/mnt")) == before

    def test_raid1_is_made_whole_again(self, guest: Guest, disks: list[str]) -> None:
        state = "cd /sys/block/$(basename $(readlink -f /dev/md/own))/md; cat degraded mismatch_cnt"
        out(guest, f"yes | mdadm -C /dev/md/own -l 1 -n 2 {disks[0]} {disks[1]}")
        synchronized(guest)
        out(guest, f"mdadm /dev/md/own -f {disks[0]} && mdadm /dev/md/own -r {disks[0]} && "
            "head -c 100M /dev/urandom > /dev/md/own && sync")
        assert out(guest, state).split() == ["1", "0"]
        out(guest, f"mdadm /dev/md/own -a {disks[0]}")
        synchronized(guest)
        out(guest, "echo check > /sys/block/$(basename $(readlink -f /dev/md/own))/md/sync_action")
        synchronized(guest)
        assert out(guest, state).split() == ["0", "0"]

    def test_lvm_takes_a_snapshot(self, guest: Guest, disks: list[str]) -> None:
        out(guest, f"vgcreate own {disks[0]} {disks[1]} && lvcreate -qy -L 400M -T own/pool && "
            "lvcreate -qy -V 300M -T own/pool -n thin && mkfs.ext4 -q /dev/own/thin && mount /dev/own/thin /mnt")
        out(guest, FILL.format("/mnt"))
        before = out(guest, SUMS.format("/mnt"))
        out(guest, "lvcreate -qy -s -n then own/thin && rm -r /mnt/deep && umount /mnt && "
            "lvchange -qy -ay -K own/then && mount -o ro /dev/own/then /mnt")
        assert out(guest, SUMS.format("/mnt")) == before

    @pytest.mark.parametrize("cipher", CIPHERS)
    def test_a_disk_is_encrypted(self, guest: Guest, disks: list[str], cipher: str) -> None:
        out(guest, "printf right > /var/tmp/key; printf wrong > /var/tmp/not-key; "
            "cryptsetup -q luksFormat --pbkdf pbkdf2 --pbkdf-force-iterations 1000 "
            f"-c {cipher} -s {CIPHERS[cipher]} {disks[0]} /var/tmp/key && "
            f"cryptsetup open -d /var/tmp/key {disks[0]} own && mkfs.ext4 -q /dev/mapper/own && "
            "mount /dev/mapper/own /mnt")
        out(guest, FILL.format("/mnt") + "\nyes 'this is plain' | head -c 100000 > /mnt/plain")
        before = out(guest, SUMS.format("/mnt"))
        out(guest, "umount /mnt && cryptsetup close own && sync")
        # 1: grep has read all of it.
        assert guest.run(f"grep -q 'this is plain' {disks[0]}").returncode == 1
        assert guest.run(f"cryptsetup open -d /var/tmp/not-key {disks[0]} own").returncode == 2
        out(guest, f"cryptsetup open -d /var/tmp/key {disks[0]} own && mount /dev/mapper/own /mnt")
        assert out(guest, SUMS.format("/mnt")) == before
        out(guest, "umount /mnt && cryptsetup close own")


class TestNetworks:
    """NFS with itself, and a box behind a tunnel, a filter or a balancer."""

    def test_nfs_has_the_same_files(self, guest: Guest) -> None:
        out(guest, "mkdir -p /srv/own && chmod 777 /srv/own && exportfs -o rw,no_root_squash,fsid=1 127.0.0.1:/srv/own "
            "&& mount -t nfs4 -o vers=4.2 127.0.0.1:/srv/own /mnt")
        try:
            assert "vers=4.2" in out(guest, "grep ' /mnt ' /proc/mounts")
            out(guest, FILL.format("/mnt"))
            assert out(guest, SUMS.format("/mnt")) == out(guest, SUMS.format("/srv/own"))
            out(guest, "cp /mnt/large /mnt/copy && cmp /srv/own/copy /srv/own/large")
            held = guest.run("flock /mnt/large -c 'flock -n /mnt/large true'")
            assert held.returncode == 1, held.stderr
        finally:
            guest.run("umount /mnt; exportfs -u 127.0.0.1:/srv/own; rm -r /srv/own")

    @pytest.mark.parametrize("tunnel", TUNNELS)
    def test_a_tunnel_carries_packets(self, guest: Guest, box: str, tunnel: str) -> None:
        there = f"ip netns exec {box}"
        macs = [out(guest, f"{where} cat /sys/class/net/{device}/address")
                for where, device in (("", "outer"), (there, "inner"))]
        for where, mine, peer, device, mac in (("", "10.9.0.1", "10.9.0.2", "outer", macs[1]),
                                               (there, "10.9.0.2", "10.9.0.1", "inner", macs[0])):
            out(guest, TUNNELS[tunnel].format(where, mine, peer, device, mac))
            out(guest, f"{where} ip addr add 10.8.0.{mine[-1]}/24 dev own && {where} ip link set own up")
        assert "3 received" in out(guest, "ping -c 3 -i 0.2 -W 10 -s 1200 -M dont 10.8.0.2")

    def test_a_route_of_labels(self, guest: Guest, box: str) -> None:
        there = f"ip netns exec {box}"
        out(guest, "modprobe -a mpls_router mpls_iptunnel && "
            f"for n in '' '{there}'; do $n sysctl -qw net.mpls.platform_labels=1000; done && "
            f"sysctl -qw net.mpls.conf.outer.input=1 && {there} sysctl -qw net.mpls.conf.inner.input=1 && "
            f"{there} ip addr add 10.7.0.1/32 dev lo && ip route add 10.7.0.1/32 encap mpls 100 via 10.9.0.2 && "
            f"{there} ip -M route add 100 dev lo")
        assert "2 received" in out(guest, "ping -c 2 -i 0.2 -W 10 10.7.0.1")

    def test_a_set_of_addresses_is_refused(self, guest: Guest, box: str) -> None:
        out(guest, "ipset create own hash:net,port && ipset add own 10.9.0.0/30,icmp:8/0 && "
            "iptables -A INPUT -i outer -m set --match-set own src,dst -j DROP")
        ping = f"ip netns exec {box} ping -c 2 -i 0.2 -W 1 10.9.0.1"
        assert "0 received" in guest.run(ping).stdout
        out(guest, "ipset del own 10.9.0.0/30,icmp:8/0")
        assert "2 received" in guest.run(ping).stdout
        out(guest, "iptables -F INPUT && ipset destroy own")

    def test_a_balancer_keeps_to_weights(self, guest: Guest, box: str) -> None:
        for port in (81, 82):
            out(guest, f"systemd-run --collect --expand-environment=no --unit server{port} "
                f"ip netns exec {box} {NAME_PORT} {port}")
        out(guest, f"until [ $(ip netns exec {box} ss -Hltn | grep -c ':8[12] ') -eq 2 ]; do sleep 0.1; done")
        out(guest, "sysctl -qw net.ipv4.vs.conntrack=1; ipvsadm -A -t 10.9.0.1:80 -s wrr && "
            "ipvsadm -a -t 10.9.0.1:80 -r 10.9.0.2:81 -m -w 3 && ipvsadm -a -t 10.9.0.1:80 -r 10.9.0.2:82 -m -w 1")
        try:
            said = out(guest, "for i in $(seq 1 40); do bash -c 'exec 3<> /dev/tcp/10.9.0.1/80; cat <&3; echo'; done")
            assert sorted(said.split()) == ["81"] * 30 + ["82"] * 10
        finally:
            guest.run("ipvsadm -C; systemctl stop server81 server82")

    def test_a_queue_shapes(self, guest: Guest, box: str) -> None:
        out(guest, "tc qdisc add dev outer root handle 1: hfsc default 1 && "
            "tc class add dev outer parent 1: classid 1:1 hfsc sc rate 8mbit ul rate 8mbit && "
            "tc qdisc add dev outer parent 1:1 handle 2: red limit 400000 avpkt 1000")
        said = out(guest, f"ip netns exec {box} {RECEIVE} & sleep 2; bash -c 'head -c 3000000 /dev/zero > "
                   "/dev/tcp/10.9.0.2/83'; wait")
        count, seconds = said.split()
        assert int(count) == 3_000_000
        # 8 Mbit/s are a million bytes a second; never more than a little above, however slow the host is.
        assert float(seconds) > 2.5
        assert re.search(r"overlimits [1-9]", out(guest, "tc -s qdisc show dev outer root"))
