# SPDX-License-Identifier: BSD-2-Clause
"""Debian with systemd: it starts everything, nothing fails, and it is what its user expects.

Its state on x86_64 is tested with every change, the rest every night.
"""

from __future__ import annotations

import re

import pytest

from quoll import Guest


@pytest.mark.elsewhere_nightly
@pytest.mark.guest(rootfs="debian")
class TestState:
    """What systemd says of itself."""

    def test_it_runs_and_no_unit_failed(self, guest: Guest) -> None:
        failed = guest.run("systemctl list-units --failed --plain --no-legend --no-pager")
        assert (failed.returncode, failed.stdout) == (0, "")
        assert guest.run(["systemctl", "is-system-running"]).text == "running"


@pytest.mark.nightly
@pytest.mark.guest(rootfs="debian")
class TestDebian:
    """All tests of an architecture share one boot, which the last one ends."""

    def test_systemd_is_the_first_process_and_asks_nothing(self, guest: Guest) -> None:
        assert guest.run(["readlink", "/proc/1/exe"]).text == "/usr/lib/systemd/systemd"
        assert re.fullmatch(r"[0-9a-f]{32}", guest.run(["cat", "/etc/machine-id"]).text)
        assert guest.run(["hostname"]).text == "quoll"
        assert "Press any key" not in guest.console.text

    def test_services_run(self, guest: Guest) -> None:
        units = ["systemd-networkd", "systemd-resolved", "systemd-journald", "systemd-udevd", "systemd-logind", "dbus",
                 "ssh", "serial-getty@hvc0"]
        done = guest.run(["systemctl", "is-active", *units])
        assert done.text.split() == ["active"] * len(units)

    def test_the_network_is_configured(self, guest: Guest) -> None:
        assert "10.0.2.15/24" in guest.run(["networkctl", "status", "--all", "--no-pager"]).stdout
        assert "10.0.2.3" in guest.run(["resolvectl", "dns"]).stdout
        assert guest.run(["readlink", "-f", "/etc/resolv.conf"]).text == "/run/systemd/resolve/stub-resolv.conf"

    def test_the_locale_is_utf_8(self, guest: Guest) -> None:
        assert guest.run(["locale", "charmap"]).text == "UTF-8"
        assert "LANG=C.UTF-8" in guest.run(["locale"]).stdout

    def test_apt_has_debians_own_sources(self, guest: Guest) -> None:
        shown = guest.run("apt-get --print-uris update | cut -d \"'\" -f 2")
        assert {line for line in shown.stdout.splitlines() if line.endswith("/InRelease")} == {
            f"http://{place}/InRelease" for place in (
                "deb.debian.org/debian/dists/trixie", "deb.debian.org/debian/dists/trixie-updates",
                "security.debian.org/debian-security/dists/trixie-security")}
        assert guest.run(["apt-get", "check"]).returncode == 0
        assert guest.run(["dpkg", "--audit"]).text == ""

    def test_nobody_logs_in_by_a_password(self, guest: Guest) -> None:
        assert guest.run("awk -F: '$2 !~ /^[!*]/' /etc/shadow").text == ""
        assert "permitrootlogin without-password" in guest.run(["sshd", "-T"]).stdout
        listening = guest.run(["ss", "-Hltn"]).stdout
        assert {line.split()[3].rsplit(":", 1)[1] for line in listening.splitlines()
                if not line.split()[3].startswith(("127.", "[::1]"))} <= {"22", "5355"}

    def test_owners_and_special_modes_are_debians(self, guest: Guest) -> None:
        done = guest.run("stat -c '%n %U:%G %a' /usr/bin/su /var/lib/systemd/network /var/mail /root /tmp")
        assert done.stdout.splitlines() == [
            "/usr/bin/su root:root 4755", "/var/lib/systemd/network systemd-network:systemd-network 755",
            "/var/mail root:mail 2775", "/root root:root 700", "/tmp root:root 1777"]

    def test_modules_load(self, guest: Guest) -> None:
        assert guest.run("modprobe overlay && grep -q overlay /proc/filesystems").returncode == 0

    def test_the_kernel_has_nothing_to_complain_of(self, guest: Guest) -> None:
        """But for an interrupt that took long, which is the host's load."""
        lines = guest.run("dmesg -l emerg,alert,crit,err,warn").stdout.splitlines()
        assert [line for line in lines if "hrtimer: interrupt took" not in line] == []

    def test_the_console_logs_in(self, guest: Guest) -> None:
        guest.console.expect(r"\[press ENTER to login\]", 60)
        guest.console.send("\n")
        guest.console.expect(r"root@quoll:~# ", 60)
        guest.console.send("echo $((6 * 7))\n")
        guest.console.expect(r"^42$", 60)

    def test_poweroff_ends_the_machine(self, guest: Guest) -> None:
        guest.session.power_off()
        assert guest.session.power_off_status == "0"
        guest.close()


@pytest.mark.nightly
@pytest.mark.guest(rootfs="debian", name="a_name.of-its.own")
def test_the_guest_has_the_machines_name(guest: Guest) -> None:
    assert guest.run(["hostname"]).text == "a-name.of-its.own"
    assert guest.run(["getent", "hosts", "a-name.of-its.own"]).returncode == 0
