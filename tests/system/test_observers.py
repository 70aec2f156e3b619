# SPDX-License-Identifier: BSD-2-Clause
"""perf and bpftrace show in Debian's guest what programs and kernel do.

Every night, because the set of packages makes an image of its own.
"""

from __future__ import annotations

import re

import pytest

from quoll import Guest

PACKAGES = ("bpftrace", "gcc", "libc6-dev", "linux-perf")
PROBED = """
__attribute__((noinline)) int square(int n) { return n * n; }
int main(void)
{
    int sum = 0;

    for (int n = 1; n <= 10; n++)
        sum += square(n);
    return sum != 385;
}
"""
OPENS = """\
#define s64 long long
#define umode_t unsigned short
tracepoint:syscalls:sys_enter_openat { @opened[comm] = count(); }
tracepoint:syscalls:sys_enter_openat /str(args.filename) == "/etc/hostname"/ { @named[comm] = count(); }
"""

def build(guest: Guest, name: str, source: str, command: str) -> None:
    """Write a program's source into a folder of its own in the guest and compile it."""
    place = f"/var/tmp/{name}"
    guest.run(["mkdir", "-p", place], check=True)
    guest.run(f"cat > {place}/{name}", input=source, check=True)
    guest.run(command, cwd=place, check=True, timeout=900)


@pytest.mark.nightly
@pytest.mark.timeout(3600)
@pytest.mark.guest(rootfs="debian", memory="2G", include=PACKAGES)
class TestObservers:
    """What shows where a program spends its time, by the full kernel's events and probes."""

    def test_perf_stat_counts_a_program(self, guest: Guest) -> None:
        done = guest.run("perf stat -x , -e task-clock,context-switches,page-faults,minor-faults "
                         "sh -c 'i=0; while [ $i -lt 20000 ]; do i=$((i + 1)); done; sleep 0.1'", timeout=300)
        assert done.returncode == 0, done.stderr
        rows = [line.split(",") for line in done.stderr.splitlines()]
        counts = {row[2].split(":")[0]: float(row[0]) for row in rows if len(row) > 2}
        assert counts["task-clock"] > 0
        assert counts["context-switches"] >= 1
        assert 0 < counts["minor-faults"] <= counts["page-faults"]

    def test_perf_record_finds_the_program_that_computes(self, guest: Guest) -> None:
        done = guest.run("cd /var/tmp; perf record -q -e cpu-clock -F 200 -o data sh -c "
                         "'i=0; while [ $i -lt 200000 ]; do i=$((i + 1)); done' && "
                         "perf report -q -i data --sort comm --stdio", timeout=300)
        assert done.returncode == 0, done.stderr
        share = re.search(r"([\d.]+)%\s+sh\b", done.stdout)
        assert share is not None and float(share[1]) > 50, done.stdout

    def test_bpftrace_reads_arguments_at_a_tracepoint(self, guest: Guest) -> None:
        """The kernel has no BTF: a script defines those types of the arguments that are the kernel's own."""
        guest.run("cat > /var/tmp/opens.bt", input=OPENS, check=True)
        done = guest.run("bpftrace -c '/bin/cat /etc/hostname' /var/tmp/opens.bt", timeout=300)
        assert "@named[cat]: 1\n" in done.stdout, done.stdout + done.stderr
        opened = re.search(r"@opened\[cat\]: (\d+)", done.stdout)
        # Its libraries as well.
        assert opened is not None and int(opened[1]) > 1, done.stdout

    def test_bpftrace_reads_arguments_at_probes_of_the_kernel(self, guest: Guest) -> None:
        """At a function's entry and at its return."""
        done = guest.run("""bpftrace -e 'kprobe:vfs_read /comm == "dd"/ { @asked = max(arg2); }
            kretprobe:vfs_read /comm == "dd"/ { @got = max(retval); }' \\
            -c '/bin/dd if=/dev/zero of=/dev/null bs=12345 count=3'""", timeout=300)
        assert "@asked: 12345" in done.stdout, done.stdout + done.stderr
        assert "@got: 12345" in done.stdout, done.stdout + done.stderr

    def test_bpftrace_reads_arguments_at_a_probe_of_a_program(self, guest: Guest) -> None:
        build(guest, "probed.c", PROBED, "gcc -O1 -g0 -o probed probed.c")
        place = "/var/tmp/probed.c/probed"
        done = guest.run(f"""bpftrace -e 'uprobe:{place}:square {{ @sum = sum(arg0); @calls = count(); }}
            uretprobe:{place}:square {{ @squares = sum(retval); }}' -c {place}""", timeout=300)
        for text in ("@calls: 10", "@sum: 55", "@squares: 385"):
            assert text in done.stdout, done.stdout + done.stderr

    def test_the_kernel_has_nothing_to_complain_of(self, guest: Guest) -> None:
        """Last: all of the above have probed its text."""
        assert guest.run("dmesg -l emerg,alert,crit,err,warn | grep -E 'WARNING|BUG|Oops|Call Trace'").text == ""
