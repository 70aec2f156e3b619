# SPDX-License-Identifier: BSD-2-Clause
"""What the full kernel has beside the small one: huge pages, tracing, and protection of the kernel from itself.

On x86_64 for everybody, on the others nightly. lkdtm is Linux' own module that does what the protection must stop.
"""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from orchestration.base.arch import Arch
from orchestration.base.cache import Cache
from orchestration.base.errors import PanicError
from orchestration.base.rundir import RunDirectory
from orchestration.base.tools import program
from orchestration.build import flavours, linux, rootfs
from orchestration.machine import boot, snapshot
from orchestration.machine.description import Description
from orchestration.machine.progress import Progress
from orchestration.machine.session import Session

PROVOKE = "modprobe lkdtm && sh -c 'echo {} > /sys/kernel/debug/provoke-crash/DIRECT'"
MOUNTED = "test -d /sys/kernel/debug/block || mount -t debugfs none /sys/kernel/debug; "
TRACEFS = "test -e /sys/kernel/tracing/trace || mount -t tracefs none /sys/kernel/tracing; "
KILLED = 128 + 11
# What lkdtm does: what the kernel says of it when it ends the task.
STOPPED = {
    "WRITE_RO": "BUG: kernel cannot write address",
    "WRITE_RO_AFTER_INIT": "BUG: kernel cannot write address",
    "WRITE_KERN": "BUG: kernel cannot write address",
    "STACK_GUARD_PAGE_LEADING": "BUG: kernel cannot read address",
    "EXEC_DATA": "BUG: kernel cannot execute at address",
    "EXEC_STACK": "BUG: kernel cannot execute at address",
    "EXEC_KMALLOC": "BUG: kernel cannot execute at address",
    "EXEC_VMALLOC": "BUG: kernel cannot execute at address",
    "EXEC_RODATA": "BUG: kernel cannot execute at address",
    "USERCOPY_SLAB_SIZE_TO": "usercopy: Kernel memory exposure attempt detected",
    "USERCOPY_STACK_BEYOND": "usercopy: Kernel memory exposure attempt detected from process stack",
    "USERCOPY_KERNEL": "usercopy: Kernel memory exposure attempt detected from kernel text",
    "FORTIFY_STR_OBJECT": "detected buffer overflow",
}
# The same where the kernel cannot go on.
PANICS = {"EXHAUST_STACK": "kernel stack overflow",
          "CORRUPT_STACK_STRONG": "stack-protector: Kernel stack is corrupted"}
# Modules that stay: vrf has no end, and sctp's own socket in each network namespace uses it, and so what it uses.
NOT_REMOVED = {"vrf", "sctp", "udp_tunnel", "ip6_udp_tunnel", "libcrc32c"}


@pytest.fixture(scope="module")
def full(arch: Arch, made: boot.Artefacts, cache: Cache, request: pytest.FixtureRequest) -> boot.Artefacts:
    """The full kernel with the tiny root file system."""
    if arch.name != "x86_64" and not request.config.getoption("--nightly"):
        pytest.skip("the full kernel of this architecture is tested with --nightly")
    kernel = linux.linux(arch, cache, flavours.guest(arch, full=True))
    return replace(made, linux=kernel, disk=rootfs.base_image(arch, cache, rootfs.Spec(), kernel / "modules.tar"))


@pytest.fixture(scope="module")
def session(description: Description, full: boot.Artefacts, progress: Progress) -> Iterator[Session]:
    with boot.prepare(description, full, progress, RunDirectory("full")) as session:
        yield session


@pytest.fixture
def whole(description: Description, full: boot.Artefacts, progress: Progress) -> Iterator[Session]:
    """A machine in which no task was killed in the kernel: one that dies in a file of a module's keeps the module."""
    with boot.prepare(description, full, progress, RunDirectory("whole")) as session:
        yield session


def test_huge_pages(session: Session, compile_program: Callable[[str], Path]) -> None:
    session.push(compile_program("huge_pages"), "/var/tmp/huge_pages")
    done = session.run(["/var/tmp/huge_pages"], limit=300.0)
    assert (done.status, done.text) == (0, "ok"), done.err.decode(errors="replace")


def test_pages_that_were_written(session: Session, compile_program: Callable[[str], Path]) -> None:
    """By soft-dirty bits and by userfaultfd."""
    session.push(compile_program("written"), "/var/tmp/written")
    done = session.run(["/var/tmp/written"], limit=300.0)
    assert (done.status, done.text) == (0, "ok"), done.err.decode(errors="replace")


def test_the_real_time_clock(session: Session, compile_program: Callable[[str], Path]) -> None:
    session.push(compile_program("rtc"), "/var/tmp/rtc")
    done = session.run(["/var/tmp/rtc"], limit=300.0)
    assert (done.status, done.text) == (0, "ok"), done.err.decode(errors="replace")


def test_the_real_time_clock_is_right_after_a_snapshot(description: Description, full: boot.Artefacts, cache: Cache,
                                                       progress: Progress, tmp_path: Path) -> None:
    """The clock has stood since the snapshot was made: at the second start for five seconds at least."""
    stored = description.model_copy(update={"snapshot": True})
    for name, pause in (("first", 0), ("second", 5)):
        time.sleep(pause)
        with snapshot.prepare(stored, full, progress, RunDirectory(name, tmp_path), cache) as session:
            early = time.time()
            told = int(session.run(["cat", "/sys/class/rtc/rtc0/since_epoch"]).text)
            assert early - 2 < told < time.time() + 2


@pytest.mark.parametrize("part", ["counters", "static_keys", "functions", "uprobes", "kprobes", "together"])
def test_counting_and_tracing(session: Session, compile_program: Callable[[str], Path], part: str) -> None:
    session.push(compile_program("observe"), "/var/tmp/observe")
    session.run(["dmesg", "-c"])
    done = session.run(["/var/tmp/observe", part], limit=300.0)
    assert (done.status, done.text) == (0, "ok"), done.err.decode(errors="replace") + session.run(["dmesg"]).text
    assert "WARNING" not in session.run(["dmesg"]).text


def test_every_stack_guard_is_where_linux_has_it(arch: Arch, full: boot.Artefacts) -> None:
    """GCC takes that of a function with a target attribute from a segment, which is not the guest kernel's."""
    if arch.name != "x86_64":
        pytest.skip("it is a segment of x86_64's")
    shown = subprocess.run([program(f"{arch.prefix}objdump"), "-d", "--no-show-raw-insn", str(full.linux / "vmlinux")],
                           capture_output=True, text=True, check=True, timeout=300).stdout
    assert "__stack_chk_fail" in shown
    assert not re.findall(r".*%[fg]s:0x28.*", shown)


def test_modules_are_traced_and_have_static_keys(session: Session) -> None:
    """Linux' own test of static keys in modules, while each function is traced; and a module's functions by name."""
    done = session.shell_run(
        f"dmesg -c > /dev/null; {TRACEFS}cd /sys/kernel/tracing && echo function > current_tracer && "
        "modprobe test_static_keys && rmmod test_static_keys && modprobe dummy && echo nop > current_tracer && "
        "echo ':mod:dummy' > set_ftrace_filter && echo function > current_tracer && ip link set dummy0 up && "
        "grep -c dummy_ trace && echo nop > current_tracer && echo > set_ftrace_filter && rmmod dummy", limit=120.0)
    assert done.status == 0 and int(done.text) > 0, done.err.decode(errors="replace")
    assert "WARNING" not in session.run(["dmesg"]).text


@pytest.mark.parametrize("what", STOPPED)
def test_the_kernel_is_protected_from_itself(session: Session, what: str) -> None:
    done = session.shell_run(f"dmesg -c > /dev/null; {MOUNTED}{PROVOKE.format(what)}")
    log = session.run(["dmesg"]).text
    assert done.status == KILLED, f"{done.err.decode(errors='replace')}\n{log}"
    assert STOPPED[what] in log
    assert session.run(["true"]).status == 0


@pytest.mark.parametrize("what", PANICS)
def test_a_kernel_that_cannot_go_on_panics(description: Description, full: boot.Artefacts, progress: Progress,
                                           what: str) -> None:
    with pytest.raises(PanicError) as caught, boot.prepare(description, full, progress, RunDirectory("panics")) as own:
        own.shell_run(MOUNTED + PROVOKE.format(what), limit=90.0)
    assert PANICS[what] in str(caught.value)


@pytest.mark.nightly
def test_every_module_is_loaded_and_removed(whole: Session) -> None:
    """Each is relocated, patched and registered, and takes back what it did. Linux itself asks for some of them."""
    said = whole.shell_run("dmesg -c > /dev/null; cd /lib/modules/$(uname -r) && find . -name '*.ko' | "
                           "sed 's|.*/||; s|[.]ko$||' | sort | while read -r one; do "
                           "modprobe -q $one 2> /dev/null || echo $one; done", limit=900.0)
    assert (said.status, said.text) == (0, ""), said.err.decode(errors="replace")
    # A module goes when none uses it any more: those that use no other first, then the others.
    said = whole.shell_run("while :; do before=$(lsmod | wc -l); "
                           "for one in $(lsmod | awk '$3 == 0 { print $1 }'); do rmmod $one 2> /dev/null; done; "
                           "[ $(lsmod | wc -l) -lt $before ] || break; done; "
                           "lsmod | awk 'NR > 1 { print $1 }'", limit=900.0)
    assert set(said.text.split()) == NOT_REMOVED, said.err.decode(errors="replace")
    log = whole.run(["dmesg"]).text
    assert not re.search(r"WARNING|BUG:|Oops|unexpected", log), log
