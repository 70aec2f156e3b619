# SPDX-License-Identifier: BSD-2-Clause
"""The root pager and the servers under a small guest of our own (servers/guest.c), also when servers die."""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import fdt
import pytest

from orchestration.base.arch import Arch
from orchestration.base.limits import time_scale
from orchestration.bench.sides import counted
from orchestration.bench.terms import Clock
from orchestration.build import image, quoll, system
from orchestration.machine.description import Disk
from orchestration.machine.qemu import MIB, Config, arguments
from orchestration.machine.serial import SerialLine
from tests.system.small_guest import LIBL4, LIMIT, LIVES, PASSED, RAM, SLOW, SOURCES, Outcome, results, runtime

if TYPE_CHECKING:
    from tests.system.conftest import Writer


def test_devices_work(run: Callable[..., Outcome]) -> None:
    outcome = run()
    assert results(outcome) == PASSED
    assert "typed: hello" in outcome.guest
    assert "\x01L is no mark of ours" in outcome.guest
    clock = next(re.fullmatch(r"wall clock (\d+)", line) for line in outcome.guest if line.startswith("wall"))
    assert clock is not None
    assert abs(int(clock[1]) - time.time()) < LIMIT * time_scale()
    said = [line for line in outcome.log if line.startswith("root: ")]
    assert said[0] == "root: started"
    # Servers start side by side.
    assert sorted(said[1:4]) == ["root: block ready", "root: console ready", "root: net ready"]
    assert said[4] == "root: linux started"
    assert "root: guest powers off, status 7" in outcome.log


def test_buffers_that_overlap_do_not_silence_the_log(run: Callable[..., Outcome]) -> None:
    """The console reads back what it stored in the guest's memory; a guest must not be able to kill it."""
    outcome = run("o", answers={"overlap": "ab" * 100 + "\nq\n"})
    assert "ok console after a reset" in outcome.guest
    assert outcome.died("console") <= 1
    assert any("guest broke the protocol: what was typed does not stay" in line for line in outcome.log)
    assert "root: guest powers off, status 7" in outcome.log


def test_rings_that_somebody_rewrites_harm_only_their_own(run: Callable[..., Outcome], writer: Writer) -> None:
    """A queue's page and a device's page are rewritten all the time: other devices and the root pager work on."""
    kinds = [1, 2, 3, 4]
    for kind in kinds:
        writer.start(kind)
    outcome = run("w\nq", change=lambda config: replace(config, extra=writer.options(config.memory)))
    assert [writer.stop(kind) for kind in kinds] == [True] * len(kinds)
    assert [line for line in outcome.guest if line.startswith("attacked")] == [f"attacked {kind}" for kind in kinds]
    assert outcome.deaths()["console"] == 0
    assert not any(line.startswith("root: error: ") for line in outcome.log)
    assert "root: guest powers off, status 7" in outcome.log


@pytest.mark.parametrize("name", ["block", "net", "console"])
def test_a_dead_server_costs_the_guest_nothing(run: Callable[..., Outcome], crashing: Callable[..., Path],
                                               name: str) -> None:
    every = {"block": 400, "net": 3, "console": 4}[name]
    outcome = run(servers={name: crashing(name, every)})
    assert outcome.died(name) >= 2
    assert "typed: hello" in outcome.guest
    assert list(dict.fromkeys(results(outcome))) == PASSED
    assert "root: guest powers off, status 7" in outcome.log


@pytest.mark.parametrize(("dies", "count"), [(False, 4), (True, 4), (False, 6)])
def test_a_disk_with_several_queues(run: Callable[..., Outcome], crashing: Callable[..., Path], dies: bool,
                                    count: int) -> None:
    """The guest uses four of them. The memory of the rings is not always divided into equal parts of whole pages."""
    servers = {"block": crashing("block", 400)} if dies else None
    queues = ("-global", f"virtio-blk-pci.num-queues={count}")
    outcome = run(servers=servers, change=lambda config: replace(config, extra=queues))
    assert "disk has 4 queues" in outcome.guest
    assert (outcome.died("block") >= 2) == dies
    assert list(dict.fromkeys(results(outcome))) == PASSED
    assert "root: guest powers off, status 7" in outcome.log


def test_a_server_that_hangs_is_restarted(run: Callable[..., Outcome], crashing: Callable[..., Path]) -> None:
    outcome = run(servers={"block": crashing("block", 1000, hangs=True)})
    assert "root: server block died: does not answer" in outcome.log
    assert outcome.deaths() == dict.fromkeys(SOURCES, 0) | {"block": outcome.deaths()["block"]}
    assert results(outcome) == PASSED


def test_a_slow_disk_is_not_taken_for_a_hang(run: Callable[..., Outcome], arch: Arch,
                                             compile_guest: Callable[..., Path]) -> None:
    """The virtual clock skips the time in which all wait for the host's disk: pings follow each other at once."""
    def slow(config: Config) -> Config:
        extra = (*counted(arch, Clock.INSTRUCTIONS),
                 "-drive", f"if=none,id=hd0,format=raw,file={config.disk},{SLOW}",
                 "-device", "virtio-blk-pci,drive=hd0,disable-legacy=on")
        return replace(config, disk=None, extra=extra)

    outcome = run(change=slow, guest=compile_guest("few-requests", "-DROUNDS=1"))
    assert not outcome.died("block") - sum(line.endswith("or so it seems") for line in outcome.log), outcome.log
    assert results(outcome) == PASSED


# The last two use up the CPU until the root pager ends them, which takes some 12 s for each test.
@pytest.mark.parametrize("first", [*range(0, 10, LIVES), *(pytest.param(number, marks=pytest.mark.elsewhere_nightly)
                                                           for number in (10, 11))])
@pytest.mark.parametrize("name", ["block", "net", "console"])
def test_a_hostile_server_harms_only_itself(run: Callable[..., Outcome], hostile: Callable[..., Path], name: str,
                                            first: int) -> None:
    """A server attacks others by messages and its capabilities; its next life has all that it needs."""
    outcome = run(servers={name: hostile(name, first)})
    assert outcome.deaths() == dict.fromkeys(SOURCES, 0) | {name: LIVES}
    assert results(outcome) == PASSED
    assert "typed: hello" in outcome.guest
    assert not any(line.startswith("root: error: ") for line in outcome.log)
    assert "root: guest powers off, status 7" in outcome.log


@pytest.fixture
def second(tmp_path: Path) -> tuple[Disk, ...]:
    """A second disk, which the small guest does not use."""
    (tmp_path / "second").write_bytes(bytes(1 << 20))
    return (Disk(tmp_path / "second"),)


def test_a_second_disk_is_another_server(run: Callable[..., Outcome], crashing: Callable[..., Path],
                                         second: tuple[Disk, ...]) -> None:
    """The first disk's driver dies with its requests; the second's, the same program, has none."""
    outcome = run(servers={"block": crashing("block", 400)}, more=second)
    assert outcome.died("block") >= 2
    assert outcome.died("block2") == 0
    assert outcome.log.count("root: block2 ready") == 1
    assert list(dict.fromkeys(results(outcome))) == PASSED


@pytest.mark.parametrize("first", [0, pytest.param(4, marks=pytest.mark.nightly),
                                   pytest.param(8, marks=pytest.mark.nightly)])
def test_hostile_drivers_of_two_disks_harm_only_themselves(run: Callable[..., Outcome], hostile: Callable[..., Path],
                                                           second: tuple[Disk, ...], first: int) -> None:
    outcome = run(servers={"block": hostile("block", first)}, more=second)
    assert outcome.died("block2") == LIVES
    assert outcome.deaths() == dict.fromkeys(SOURCES, 0) | {"block": LIVES}
    assert results(outcome) == PASSED


def test_a_device_that_the_machine_lacks_is_told(run: Callable[..., Outcome], second: tuple[Disk, ...]) -> None:
    outcome = run(more=second, change=lambda config: replace(config, disks=()))
    assert "root: error: the machine has no virtio-blk-pci number 2" in outcome.log
    extra = "-fsdev", "local,id=f,path=.,security_model=none", "-device", "virtio-9p-pci,fsdev=f,mount_tag=f"
    assert "9p-pci is a transitional device" in str(run(shares=1, change=lambda was: replace(was, extra=extra)).log)


def test_a_server_that_keeps_dying_is_backed_off(run: Callable[..., Outcome], crashing: Callable[..., Path]) -> None:
    outcome = run(servers={"net": crashing("net", 1, lives=4)})
    waits = [line for line in outcome.log if "waits" in line]
    assert waits == ["root: server net waits: 3 deaths in a row, next try in 1 s",
                     "root: server net waits: 4 deaths in a row, next try in 2 s"]
    assert outcome.died("net") == 4
    assert results(outcome) == PASSED
    assert "typed: hello" in outcome.guest


def test_the_guest_starts_without_a_server_that_never_lives(run: Callable[..., Outcome], tmp_path: Path, arch: Arch,
                                                            compile_bare: Callable[..., Path]) -> None:
    source = tmp_path / "dead.c"
    source.write_text("#include <base/lib.h>\nint l4_main(void *info) { __builtin_trap(); }\n")
    dead = compile_bare("dead", LIBL4 / "program.ld",
                        [LIBL4 / "arch" / arch.name / "start.S", *runtime(), source])
    outcome = run(servers={"net": dead})
    assert "root: server net does not stay alive: linux starts without it" in outcome.log
    assert "root: guest powers off, status 7" in outcome.log
    assert results(outcome) == [line for line in PASSED if "packets" not in line]


def test_a_server_of_other_protocols_ends_at_once(run: Callable[..., Outcome], tmp_path: Path,
                                                  compile_server: Callable[..., Path]) -> None:
    other = tmp_path / "other.h"
    other.write_text("#include <abi_servers.h>\n#undef L4_SERVERS_HASH\n#define L4_SERVERS_HASH 1UL\n")
    net = compile_server("net-other", "net", "crash.c", "backend_push", "-DCRASH_EVERY=0", "-DCRASH_HANGS=0",
                         "-DCRASH_LIVES=1", "-include", str(other))
    outcome = run(servers={"net": net})
    assert any(line.startswith("root pager has other protocols (") and line.endswith(", not 1)")
               for line in outcome.log)
    assert "root: server net does not stay alive: linux starts without it" in outcome.log


def test_panic_text_reaches_the_log(run: Callable[..., Outcome]) -> None:
    outcome = run("p")
    assert "root: guest panic: the test wants it" in outcome.log


def test_a_guest_without_entry_for_its_fault_is_a_panic(run: Callable[..., Outcome]) -> None:
    outcome = run("f")
    assert any(line.startswith("root: guest fault: ") for line in outcome.log)
    assert any(line.startswith("root: guest panic: ") for line in outcome.log)


def test_missing_devices_are_named(run: Callable[..., Outcome]) -> None:
    assert "root: error: the machine has no virtio-blk-pci" in run(change=lambda c: replace(c, disk=None)).log
    assert "root: error: the machine has no virtio-net-pci" in run(change=lambda c: replace(c, network=False)).log


def test_too_little_memory_is_said(run: Callable[..., Outcome]) -> None:
    outcome = run(ram=2048 * MIB)
    assert any(line.startswith("root: error: not enough memory: the guest wants 2048 MiB") for line in outcome.log)


def test_a_machine_that_is_done_at_once_is_heard(run: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch) -> None:
    """On a busy host the serial line may be opened long after QEMU has opened its end."""
    connect = SerialLine.connect

    def late(self: SerialLine) -> None:
        time.sleep(3)
        connect(self)

    monkeypatch.setattr(SerialLine, "connect", late)
    assert any("not enough memory" in line for line in run(ram=2048 * MIB).log)


# Other machines of the same kind: processors, interrupt controllers, sizes of memory.
OTHERS = {"x86_64": [("-m", "3G")],
          "riscv64": [("-m", "3G")],
          "aarch64": [("-m", "3G"), ("-machine", "gic-version=2"), ("-cpu", "max"), ("-cpu", "cortex-a72")]}


def test_other_machines_work(run: Callable[..., Outcome], arch: Arch, subtests: pytest.Subtests) -> None:
    for options in OTHERS[arch.name]:
        with subtests.test(" ".join(options)):
            assert results(run(change=lambda c, options=options: replace(c, extra=options))) == PASSED


def nodes(tree: fdt.Node) -> Iterator[fdt.Node]:
    yield tree
    for node in tree.nodes:
        yield from nodes(node)


@pytest.fixture
def without(arch: Arch, tmp_path: Path) -> Callable[[str], Callable[[Config], Config]]:
    """Take the nodes compatible with something out of the machine's device tree."""

    def make(compatible: str) -> Callable[[Config], Config]:
        file = tmp_path / "board.dtb"

        def change(config: Config) -> Config:
            argv = arguments(arch, config, tmp_path, 0)
            subprocess.run([*argv[:argv.index("-chardev")], "-machine", f"dumpdtb={file}"], check=True, timeout=60,
                           capture_output=True)
            tree = fdt.parse_dtb(file.read_bytes())
            found = [node for node in nodes(tree.root) if node.exist_property("compatible")
                     and compatible in node.get_property("compatible").data]
            assert found
            for node in found:
                node.parent.remove_subnode(node.name)
            file.write_bytes(tree.to_dtb())
            return replace(config, extra=("-dtb", str(file)))

        return change

    return make


@pytest.mark.parametrize(("compatible", "words"), [
    ({"riscv64": "riscv,plic0", "aarch64": "arm,gic-v3"}, "l4: PANIC: device tree: no interrupt controller"),
    ({"riscv64": "google,goldfish-rtc", "aarch64": "arm,pl031"}, "root: error: device tree: no real-time clock"),
    ({"riscv64": "pci-host-ecam-generic", "aarch64": "pci-host-ecam-generic"},
     "root: error: firmware tells of no PCI configuration space"),
], ids=["interrupt controller", "clock", "PCI"])
def test_what_a_device_tree_lacks_is_named(run: Callable[..., Outcome], arch: Arch,
                                           without: Callable[[str], Callable[[Config], Config]],
                                           compatible: dict[str, str], words: str) -> None:
    if arch.name not in compatible:
        pytest.skip("a PC has no device tree")
    assert any(line.startswith(words) for line in run(change=without(compatible[arch.name])).log)


def test_a_missing_boot_image_is_said(run: Callable[..., Outcome]) -> None:
    outcome = run(change=lambda c: replace(c, initrd=None))
    assert any(line.startswith("l4: PANIC: no boot image") for line in outcome.log)


@pytest.mark.parametrize(("gpa", "words"), [
    ("GUEST_KERNEL_GPA", "lies on linux"), ("GUEST_DEVICE_GPA", "lies on the device pages"),
    (None, "does not fit the guest's memory of 256 MiB")])
def test_files_of_a_guest_in_the_wrong_place_are_refused(run: Callable[..., Outcome], arch: Arch, gpa: str | None,
                                                         words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    start = getattr(quoll.abi(arch), gpa) if gpa else RAM
    monkeypatch.setattr(image, "initrd_range", lambda abi, ram, size: range(start, start + size))
    monkeypatch.setattr(image, "check_initrd", lambda *ignored: None)
    assert f"root: error: the initrd {words}" in run(archive=b"070701").log


@pytest.mark.parametrize(("change", "words"), [
    (lambda table: table[:-1], "system: 183 bytes are not a head and at most 16 servers"),
    (lambda table: table[:15], "system: 15 bytes are not a head and at most 16 servers"),
    (lambda table: b"\x11" + table[1:] + table[16:72] * 14, "system: 968 bytes are not a head and at most 16 servers"),
    (lambda table: b"\x04" + table[1:] + table[16:72], "system: console and console are the same device"),
    (lambda table: table.replace(b"network card", b"disk".ljust(12, b"\0")),
     "system: block and net drive the same disk"),
    (lambda table: table[:112] + table[56:60] + table[116:], "system: console and block write the log"),
    (lambda table: table[:56] + b"\x02" + table[57:], "system: console has flags 2, of which some are unknown"),
    (lambda table: table[:60] + b"\x01" + table[61:], "the system asks for serial line 2, and one is driven"),
    (lambda table: table.replace(b"disk", b"tape"), "the system asks for a tape, which nothing here finds"),
    (lambda table: table.replace(b"net".ljust(16, b"\0"), b"n" * 16), "system: server 2 has no name that ends"),
    (lambda table: table[:52] + b"\x10" + table[53:], "system: console is device 16 of guest 0, which there is not")])
def test_a_wrong_description_is_refused(run: Callable[..., Outcome], change: Callable[[bytes], bytes], words: str,
                                        monkeypatch: pytest.MonkeyPatch) -> None:
    table = system.table
    monkeypatch.setattr(system, "table", lambda *known: change(table(*known)))
    assert f"root: error: {words}" in run().log


def place(disk: str, network: str, *more: str) -> Callable[[Config], Config]:
    """Return a change that gives the two devices own options, and may add devices before them."""

    def change(config: Config) -> Config:
        extra = [*more, "-drive", f"if=none,id=hd0,format=raw,file={config.disk}",
                 "-device", f"virtio-blk-pci,drive=hd0,{disk}", "-netdev", "user,id=n0",
                 "-device", f"virtio-net-pci,netdev=n0,romfile=,{network}"]
        return replace(config, disk=None, network=False, extra=tuple(extra))

    return change


@pytest.mark.parametrize(("change", "virt", "pc"), [
    (place("disable-legacy=on,addr=0xa", "disable-legacy=on,addr=7", "-device", "virtio-rng-pci,addr=6"), None, None),
    (place("disable-legacy=on,addr=0xa", "disable-legacy=on,addr=6"),
     "virtio-net-pci in PCI slot 6 has interrupt line ", None),
    (place("disable-legacy=on,bus=bridge", "disable-legacy=on", "-device", "pcie-root-port,id=bridge,chassis=1"),
     "the machine has no virtio-blk-pci on its first PCI bus, and no firmware has opened the bridges", None),
    (place("disable-legacy=on,vectors=0", "disable-legacy=on,vectors=0"), None,
     "virtio-blk-pci has no interrupt: no message is left for it, and no line known"),
    (place("disable-legacy=off,addr=5", "disable-legacy=on"), "virtio-blk-pci is a transitional device, ",
     "virtio-blk-pci is a transitional device, "),
], ids=["among others", "one line for two", "behind a bridge", "no messages", "transitional"])
def test_places_of_pci_devices(run: Callable[..., Outcome], arch: Arch, change: Callable[[Config], Config],
                               virt: str | None, pc: str | None) -> None:
    """pc and virt: the error that is expected there; None: it works. A virt board has no firmware and no messages."""
    error = virt if arch.machine.startswith("virt") else pc
    outcome = run(change=change)
    if error is None:
        assert results(outcome) == PASSED
    else:
        assert any(line.startswith(f"root: error: {error}") for line in outcome.log)
