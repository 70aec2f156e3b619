# SPDX-License-Identifier: BSD-2-Clause
"""The L4 kernel does not start on a machine or from a boot image that it cannot use, and says why; how it panics."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestration.base.arch import Arch
from orchestration.base.errors import PanicError
from orchestration.build import image, quoll
from orchestration.inspect import debuginfo
from orchestration.inspect.gdbstub import Stub
from orchestration.machine import kernel_tests
from orchestration.machine.qemu import Machine


@pytest.fixture
def panic(arch: Arch, bare: Path) -> Callable[..., list[str]]:
    """Run the kernel's tests where the kernel must panic, and return what it said."""
    def run(**options: object) -> list[str]:
        with pytest.raises(PanicError) as caught:
            kernel_tests.run(arch, bare, **options)  # type: ignore[arg-type]
        return list(caught.value.details)

    return run


def changed(packed: bytes, at: int, value: int) -> bytes:
    """Return a boot image with another 64-bit value at an offset."""
    return packed[:at] + struct.pack("<Q", value) + packed[at + 8:]


ROOT_SEGMENT = image.HEADER.size
# What is done to a boot image whose first segment is the root pager's, and what the kernel says of it. The offsets are
# those of struct image_header and image_segment.
DAMAGES: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "empty": (lambda packed: bytes(4096), "no boot image"),
    "another ABI": (lambda packed: changed(packed, 8, 1234), "boot image is for ABI 4d2, kernel has "),
    "longer than it is": (lambda packed: changed(packed, 16, 1 << 40), "boot image is damaged"),
    "too many segments": (lambda packed: changed(packed, 24, 1 << 31), "boot image is damaged"),
    "segment outside": (lambda packed: changed(packed, ROOT_SEGMENT + 24, 1 << 40),
                        "root pager's segment 0 is damaged"),
    "segment in the kernel": (lambda packed: changed(packed, ROOT_SEGMENT + 16, 0xffffffff80000000),
                              "root pager's segment 0 is damaged"),
    "no root pager": (lambda packed: packed[:64] + packed[64:4096].replace(b"root\0", b"boot\0") + packed[4096:],
                      "boot image has no root pager"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_boot_image_that_is_no_good_is_refused(panic: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch,
                                                 damage: str) -> None:
    change, words = DAMAGES[damage]
    pack = image.pack
    monkeypatch.setattr(image, "pack", lambda *arguments, **options: change(pack(*arguments, **options)))
    assert any(line.startswith(f"l4: PANIC: {words}") for line in panic())


class EnoughError(Exception):
    """The test has seen what it waited for."""


@pytest.mark.guest(arch="x86_64")
def test_no_vspace_gets_a_mode_that_does_not_hold_unless_the_image_asks_for_it(
        arch: Arch, bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel's tests of mode above, under QEMU, from an image that allows mode beside as well."""
    pack, seen = image.pack, []
    both = {"guest_mode": None}
    monkeypatch.setattr(image, "pack", lambda *arguments, **options: pack(*arguments, **(options | both)))

    def on_line(line: str) -> None:
        if re.search(r"ok \d+ x86_above_", line):
            seen.append(line)
            raise EnoughError

    with pytest.raises(EnoughError):
        kernel_tests.run(arch, bare, on_line=on_line)
    assert "# SKIP this machine has no such guest mode" in seen[0]


def test_the_offsets_of_the_damages_are_those_of_the_abi(arch: Arch) -> None:
    structs = quoll.abi(arch)
    header, segment = structs.STRUCTS["image_header"][1], structs.STRUCTS["image_segment"][1]
    assert [header[name][0] for name in ("abi_hash", "size", "segment_count")] == [8, 16, 24]
    assert [segment[name][0] for name in ("vaddr", "offset")] == [16, 24]


LACKING = {"x86_64": ("qemu64", "CPU lacks FSGSBASE")}


def test_a_cpu_without_what_it_needs_is_named(arch: Arch, panic: Callable[..., list[str]]) -> None:
    if arch.name not in LACKING:
        pytest.skip("QEMU has no such CPU of this architecture on which the kernel comes so far")
    cpu, words = LACKING[arch.name]
    assert any(line.startswith(f"l4: PANIC: {words}") for line in panic(extra=("-cpu", cpu)))


def test_a_panic_tells_of_threads_and_capabilities(arch: Arch, panic: Callable[..., list[str]]) -> None:
    """A non-maskable interrupt, QEMU's way to stop a machine, comes while a test has threads."""
    if arch.name != "x86_64":
        pytest.skip("its machine has no non-maskable interrupt")
    machines: list[Machine] = []
    sent: list[str] = []

    def on_line(line: str) -> None:
        if not sent and re.match(r"ok \d+ thread_", line):
            sent.append(line)
            assert machines[0].monitor is not None
            machines[0].monitor.execute("inject-nmi")

    said = "\n".join(panic(started=machines.append, on_line=on_line))
    assert "stopped by NMI" in said or "end of panic" in said
    log = (machines[0].run.path / "l4.log").read_text()
    assert re.search(r"l4: PANIC: stopped by NMI (in user mode|at )", log)
    assert re.search(r"l4: current:\nl4:   thread [0-9a-f]{16} priority \d+ run ip [0-9a-f]{16} sp [0-9a-f]{16}\n", log)
    assert re.search(r"l4:   slots \d+-\d+: UNTYPED, first ", log)
    assert "l4: threads:\nl4:   thread " in log


def test_a_panic_stops_all_cpus_and_tells_of_each(arch: Arch, panic: Callable[..., list[str]]) -> None:
    """The interrupt comes to the first CPU, while others run threads, wait for the lock, or idle."""
    if arch.name != "x86_64":
        pytest.skip("its machine has no non-maskable interrupt")
    machines: list[Machine] = []
    sent: list[str] = []

    def on_line(line: str) -> None:
        if not sent and re.match(r"ok \d+ cpus_call_and_reply", line):
            sent.append(line)
            assert machines[0].monitor is not None
            machines[0].monitor.execute("inject-nmi")

    panic(started=machines.append, on_line=on_line, extra=("-smp", "4"))
    log = (machines[0].run.path / "l4.log").read_text()
    assert len(re.findall(r"^l4: CPU [123](, holds the lock)?:( idle)?$", log, re.MULTILINE)) == 3
    assert len(re.findall(r"^l4: CPU 0(, which holds the lock,)? panics$", log, re.MULTILINE)) == 1
    assert log.rstrip().endswith("l4: end of panic")


# Where other CPUs of x86_64 start (kernel/arch/x86_64/layout.h), and PVH's description of the machine.
AP_PAGE = 0x8000
START_INFO_MAP, MEMORY_ENTRY, RESERVED = struct.Struct("<QI"), struct.Struct("<QQII"), 2


@pytest.mark.guest(arch="x86_64")
def test_no_cpu_starts_where_there_is_no_memory(bare: Path, arch: Arch) -> None:
    """The memory map that L4 gets says that the page in which other CPUs start is firmware's."""
    def started(machine: Machine) -> None:
        with Stub(machine) as stub:
            with stub.breakpoint(debuginfo.read(bare / quoll.KERNEL).symbols["x86_boot"]):
                stub.resume(20.0)
            info = stub.read_physical(stub.register("rdi") + 40, START_INFO_MAP.size)
            assert info is not None
            at, entries = START_INFO_MAP.unpack(info)
            for where in range(at, at + entries * MEMORY_ENTRY.size, MEMORY_ENTRY.size):
                entry = stub.read_physical(where, MEMORY_ENTRY.size)
                assert entry is not None
                start, size, _, _ = MEMORY_ENTRY.unpack(entry)
                if start <= AP_PAGE < start + size:
                    stub.write_physical(where, MEMORY_ENTRY.pack(start, size, RESERVED, 0))

    log: list[str] = []

    def on_line(line: str) -> None:
        log.append(line)
        if re.search(r"ok \d+ ", line):
            raise EnoughError

    with pytest.raises(EnoughError):
        kernel_tests.run(arch, bare, extra=("-smp", "4", "-S"), started=started, on_line=on_line)
    text = "\n".join(log)
    assert "l4: no free memory at 8000, where other CPUs start: they do not run" in text
    assert "CPUs run" not in text


# Where system calls come to C, and bytes that are no instruction.
BROKEN = {"x86_64": ("x86_syscall", b"\x0f\x0b"), "riscv64": ("riscv_syscall", bytes(4)),
          "aarch64": ("arm_syscall", bytes(4))}


def test_a_cpu_that_dies_stops_all_and_tells_of_each(arch: Arch, bare: Path, panic: Callable[..., list[str]]) -> None:
    """The next system call of any CPU meets no instruction, with the lock or without."""
    machines: list[Machine] = []
    broken: list[str] = []
    name, instruction = BROKEN[arch.name]
    place = debuginfo.read(bare / quoll.KERNEL).symbols[name]

    def on_line(line: str) -> None:
        if not broken and re.match(r"ok \d+ cpus_call_and_reply", line):
            broken.append(line)
            with Stub(machines[0]) as stub:
                # A CPU in user mode does not see the kernel on every architecture.
                with stub.breakpoint(place):
                    assert stub.resume(20.0)
                stub.write(place, instruction)

    panic(started=machines.append, on_line=on_line, extra=("-smp", "4"))
    log = (machines[0].run.path / "l4.log").read_text()
    others = re.findall(r"^l4: CPU (\d)(?:, holds the lock)?:(?: idle)?$", log, re.MULTILINE)
    panics = re.findall(r"^l4: CPU (\d)(?:, which holds the lock,)? panics$", log, re.MULTILINE)
    assert sorted(others + panics) == ["0", "1", "2", "3"]
    assert len(panics) == 1
    assert log.rstrip().endswith("l4: end of panic")
