# SPDX-License-Identifier: BSD-2-Clause
"""Boot image, device tree, keys, QEMU's arguments."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import fdt
import pytest

from orchestration.base.arch import ARCHES, GuestMode
from orchestration.base.errors import BuildError, UsageError
from orchestration.base.rundir import RunDirectory
from orchestration.build import dtb, image, quoll, system
from orchestration.inspect.symbols import Symbols
from orchestration.machine import boot, keys, qemu, ssh
from orchestration.machine.description import CPUS_MAX, Description

if TYPE_CHECKING:
    from quoll_abi import Abi

X86 = ARCHES["x86_64"]


@pytest.fixture(scope="module")
def abi() -> Abi:
    return quoll.abi(X86)


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("elf")
    (folder / "p.c").write_text("int data = 7; char zero[100000]; void _start(void) { for (;;) data += zero[data]; }")
    subprocess.run(["gcc", "-nostdlib", "-static", "-no-pie", "-Wl,-Ttext=0x400000", "-Wl,--build-id=none",
                    str(folder / "p.c"), "-o", str(folder / "p")], check=True)
    return folder / "p"


def test_image(abi: Abi, program: Path) -> None:
    packed = image.pack(X86, abi, {"root": program}, {"dtb": b"tree"}, 64 << 20)
    magic, abi_hash, size, count, modes, ram = image.HEADER.unpack_from(packed)
    assert (magic, abi_hash, size, modes, ram) == (abi.IMAGE_MAGIC, abi.ABI_HASH, len(packed), 3, 64 << 20)
    assert packed[:8] == b"QUOLLIMG"
    segments = [image.SEGMENT.unpack_from(packed, image.HEADER.size + i * image.SEGMENT.size) for i in range(count)]
    for name, vaddr, offset, file_size, mem_size, entry, rights, kind in segments[:-1]:
        assert name.rstrip(b"\0") == b"root"
        assert vaddr % abi.PAGE_SIZE == offset % abi.PAGE_SIZE == 0
        assert offset + file_size <= len(packed)
        assert file_size <= mem_size
        assert kind == abi.SEGMENT_PROGRAM
        assert not (rights & abi.RIGHT_WRITE and rights & abi.RIGHT_EXEC)
        assert entry
    name, _, offset, file_size, *_, kind = segments[-1]
    assert (name.rstrip(b"\0"), kind, packed[offset:offset + file_size]) == (b"dtb", abi.SEGMENT_BLOB, b"tree")
    assert any(segment[6] & abi.RIGHT_EXEC for segment in segments)
    assert any(segment[4] >= 100000 for segment in segments)


def test_the_image_says_in_which_modes_the_guest_may_run(abi: Abi, program: Path) -> None:
    both = 1 << abi.GUEST_BESIDE | 1 << abi.GUEST_ABOVE
    masks: dict[GuestMode | None, int] = {None: both, "beside": 1 << abi.GUEST_BESIDE, "above": 1 << abi.GUEST_ABOVE}
    for mode, mask in masks.items():
        packed = image.pack(X86, abi, {"root": program}, {}, 64 << 20, guest_mode=mode)
        assert image.HEADER.unpack_from(packed)[4] == mask
    for name in ("riscv64", "aarch64"):
        assert image.guest_modes(ARCHES[name], None) == 1 << abi.GUEST_BESIDE
        with pytest.raises(BuildError, match=f"{name} has no guest mode above"):
            image.guest_modes(ARCHES[name], "above")


def test_the_files_of_a_guest_lie_at_the_end_of_its_memory(abi: Abi, program: Path) -> None:
    ram, archive = 64 << 20, b"070701" * 1000
    packed = image.pack(X86, abi, {"root": program}, {"dtb": b"tree", "initrd": archive}, ram)
    count = image.HEADER.unpack_from(packed)[3]
    name, vaddr, offset, file_size, *_, kind = image.SEGMENT.unpack_from(
        packed, image.HEADER.size + (count - 1) * image.SEGMENT.size)
    assert (name.rstrip(b"\0"), kind, packed[offset:offset + file_size]) == (b"initrd", abi.SEGMENT_BLOB, archive)
    assert vaddr % abi.PAGE_SIZE == 0
    assert 0 <= ram - (vaddr + file_size) < abi.PAGE_SIZE
    assert image.initrd_range(abi, ram, len(archive)) == range(vaddr, vaddr + file_size)


def test_files_that_do_not_fit_beside_linux_are_refused(abi: Abi, program: Path) -> None:
    ram, linux = 64 << 20, image.Segment("linux", abi.GUEST_RAM_VADDR + (16 << 20), b"", 8 << 20, 0, 0, 0)
    image.check_initrd(abi, [linux], image.initrd_range(abi, ram, 40 << 20))
    for size in ((40 << 20) + 1, ram, ram + 1):
        with pytest.raises(BuildError, match="does not fit into the guest's memory beside Linux"):
            image.check_initrd(abi, [linux], image.initrd_range(abi, ram, size))
    with pytest.raises(BuildError, match="does not fit"):
        image.pack(X86, abi, {"root": program}, {"initrd": bytes(ram)}, ram)


def test_the_same_input_gives_the_same_image(abi: Abi, program: Path) -> None:
    first, second = (image.pack(X86, abi, {"root": program}, {}, 2 << 20) for _ in range(2))
    assert first == second


@pytest.mark.parametrize("content", [b"", b"no program", b"\x7fELF" + bytes(60)])
def test_what_is_no_program_is_refused(abi: Abi, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "file").write_bytes(content)
    with pytest.raises((BuildError, ValueError)):
        image.pack(X86, abi, {"root": tmp_path / "file"}, {}, 2 << 20)


def test_the_info_page_of_a_server_is_read(abi: Abi) -> None:
    fields, resource = abi.STRUCTS["server_info"][1], abi.STRUCTS["resource"][1]
    page = bytearray(abi.STRUCTS["server_info"][0])

    def put(at: int, value: int) -> None:
        page[at:at + 8] = value.to_bytes(8, "little")

    put(0, abi.SERVERS_HASH)
    page[fields["program"][0]:fields["program"][0] + 3] = b"net"
    put(fields["resource_count"][0], 2)
    first = fields["resource"][0]
    page[first + resource["kind"][0]] = abi.RESOURCE_LOG
    second = first + abi.STRUCTS["resource"][0]
    page[second + resource["kind"][0]] = abi.RESOURCE_DMA_MEMORY
    put(second + resource["size"][0], 0x10000)
    assert system.running(abi, bytes(page)) == "net"
    assert [one["size"] for one in system.resources(abi, bytes(page), abi.RESOURCE_DMA_MEMORY)] == [0x10000]
    assert not system.resources(abi, bytes(page), abi.RESOURCE_REGISTERS)
    assert system.running(abi, None) == system.running(abi, bytes(len(page))) == ""


def test_servers_of_one_program_are_told_apart(abi: Abi) -> None:
    """By the guest's device that each is."""
    fields, resource = abi.STRUCTS["server_info"][1], abi.STRUCTS["resource"][1]

    def page(program: str, front: int) -> bytes:
        made = bytearray(abi.STRUCTS["server_info"][0])
        for at, value in ((0, abi.SERVERS_HASH), (fields["resource_count"][0], 1),
                          (fields["program"][0], int.from_bytes(program.encode(), "little")),
                          (fields["resource"][0] + resource["kind"][0], abi.RESOURCE_QUEUES),
                          (fields["resource"][0] + resource["address"][0],
                           abi.GUEST_DEVICE_GPA + front * abi.PAGE_SIZE)):
            made[at:at + 8] = value.to_bytes(8, "little")
        return bytes(made)

    servers = system.servers(disks=1, shares=2)
    assert [system.identified(abi, page(one.program, one.front), servers) for one in servers] == [
        "console", "block", "net", "block2", "9p", "9p2"]
    assert system.identified(abi, page("9p", 1), servers) == system.identified(abi, page("other", 1), servers) == ""
    assert system.identified(abi, abi.BOOT_MAGIC.to_bytes(8, "little") + bytes(4088), servers) == "root"
    assert system.identified(abi, None, servers) == system.identified(abi, bytes(4096), servers) == ""
    assert set(system.by_name(servers).items()) >= {("root", "root"), ("9p", "9p"), ("9p2", "9p")}


def test_device_tree(abi: Abi) -> None:
    tree = fdt.parse_dtb(dtb.compile_tree(abi, "console=hvc0 quiet", 512 << 20, b"\x01\x02"))
    assert tree.get_property("bootargs", "/chosen").value == "console=hvc0 quiet"
    assert bytes(tree.get_property("rng-seed", "/chosen")) == b"\x01\x02"
    assert list(tree.get_property("reg", "/memory@0")) == [0, 0, 0, 512 << 20]
    for number in system.fronts():
        where = abi.GUEST_DEVICE_GPA + number * abi.PAGE_SIZE
        path = f"/virtio@{where:x}"
        assert tree.get_property("compatible", path).value == "quoll,virtio-l4"
        assert list(tree.get_property("reg", path)) == [0, where, 0, abi.PAGE_SIZE]
        assert tree.get_property("interrupts", path).value == 1 + number
        assert tree.get_property("quoll,kick-slot", path).value == abi.GUEST_SLOT_KICK + number


def test_device_tree_has_a_node_for_each_vcpu(abi: Abi) -> None:
    assert abi.GUEST_VCPUS == CPUS_MAX
    for vcpus in (1, CPUS_MAX):
        tree = fdt.parse_dtb(dtb.compile_tree(abi, "", 512 << 20, b"", vcpus=vcpus))
        assert [node.name for node in tree.get_node("/cpus").nodes] == [f"cpu@{number}" for number in range(vcpus)]
        for number in range(vcpus):
            assert tree.get_property("reg", f"/cpus/cpu@{number}").value == number
            assert tree.get_property("device_type", f"/cpus/cpu@{number}").value == "cpu"


def test_device_tree_with_files(abi: Abi) -> None:
    # Before the other: fdt adds what it reads to a list of all trees.
    without = fdt.parse_dtb(dtb.compile_tree(abi, "", 512 << 20, b""))
    assert not without.entries
    assert not without.exist_property("linux,initrd-start", "/chosen")
    tree = fdt.parse_dtb(dtb.compile_tree(abi, "", 512 << 20, b"", range(0x1000_3000, 0x1000_7001)))
    assert list(tree.get_property("linux,initrd-start", "/chosen")) == [0, 0x1000_3000]
    assert list(tree.get_property("linux,initrd-end", "/chosen")) == [0, 0x1000_7001]
    assert tree.entries == [{"address": 0x1000_3000, "size": 0x5000}]


@pytest.mark.parametrize("given", [b'a="b c"', b"a=\\n\\", b"x=\xff", "ä='ö'".encode(), b"a\nb"])
def test_boot_arguments_may_hold_any_bytes(abi: Abi, given: bytes) -> None:
    tree = dtb.compile_tree(abi, os.fsdecode(given), 2 << 20, b"")
    assert given + b"\0" in tree


def test_boot_arguments_that_linux_would_cut_are_refused(tmp_path: Path, abi: Abi) -> None:
    made = boot.Artefacts(X86, abi, tmp_path, tmp_path, tmp_path)
    with pytest.raises(UsageError, match="Linux takes 2047"):
        boot.boot_image(Description(arch="x86_64"), made, RunDirectory("r", tmp_path), "ä" * 1024, b"")


def test_device_tree_refuses_what_it_cannot_say(abi: Abi) -> None:
    with pytest.raises(ValueError, match="more than"):
        dtb.compile_tree(abi, "a" * 70000, 2 << 20, b"")


def test_keys_are_new_every_time() -> None:
    one, two = keys.make(), keys.make()
    assert one.host_files != two.host_files
    assert one.client_line != two.client_line
    assert one.host_files[False][4:15] == b"ssh-ed25519"
    assert len(one.host_files[False]) == 4 + 11 + 4 + 64
    assert one.host_files[True].startswith(b"-----BEGIN OPENSSH PRIVATE KEY-----")


def test_qemu_listens_on_loopback_only() -> None:
    argv = qemu.arguments(X86, qemu.Config(kernel=Path("k"), disk=Path("d")), Path("s"), 1234)
    forwards = [word for word in argv if "hostfwd" in word]
    assert forwards == ["user,id=n0,hostfwd=tcp:127.0.0.1:1234-:22"]
    assert argv[argv.index("-accel") + 1] == "tcg"
    assert "-no-reboot" in argv


def test_a_comma_in_a_path_does_not_end_it() -> None:
    argv = qemu.arguments(X86, qemu.Config(kernel=Path("k,l"), initrd=Path("i,j"), disk=Path("d,readonly=on")),
                          Path("s,t"), 1234)
    assert "if=none,id=hd0,format=raw,file=d,,readonly=on" in argv
    assert [word for word in argv if "path=" in word] == ["pipe,id=serial,path=s,,t/serial",
                                                          "socket,id=monitor,path=s,,t/monitor"]
    assert "unix:s,,t/gdb,server=on,wait=off" in argv
    # These two are no lists of options.
    assert argv[argv.index("-kernel") + 1] == "k,l" and argv[argv.index("-initrd") + 1] == "i,j"


def test_arguments_survive_the_shell() -> None:
    hard = ["printf", "<%s>", "a b", "'", '"', "$HOME", "`id`", ";", "", "\n"]
    done = subprocess.run(["sh", "-c", ssh.quote(hard)], capture_output=True, text=True, check=True)
    assert done.stdout == "".join(f"<{word}>" for word in hard[2:])


def test_symbols(program: Path) -> None:
    names = Symbols(program)
    start = next(address for address, _, name in names.symbols if name == "_start")
    assert names.annotate(f"ip {start + 3:016x}").endswith("<_start+0x3>")
    assert names.annotate("ip 00007fff00000000") == "ip 00007fff00000000"
    assert shutil.which("gcc")


def test_a_system_says_where_each_runs(abi: Abi) -> None:
    places = {"block": 3, "block2": 1, "vcpu1": 0}
    servers = system.servers(disks=1, places=places)
    assert {one.name: one.cpu for one in servers} == {"console": 0, "block": 3, "net": 0, "block2": 1}
    table = system.table(abi, servers, 2, system.vcpu_places(places))
    assert system.read_table(abi, table) == servers
    at, size, *_ = abi.STRUCTS["system_header"][1]["vcpu_cpu"]
    assert list(table[at:at + size]) == [0, 0, 2, 3, 4, 5, 6, 7]
    assert system.VCPUS_MAX == abi.GUEST_VCPUS
