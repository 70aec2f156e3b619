# SPDX-License-Identifier: BSD-2-Clause
"""Whose code an address is, where a guest kernel's address is in the guest's memory, what a thread waits on."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from orchestration.base.arch import ARCHES
from orchestration.build import quoll, system
from orchestration.inspect.dossier import Dossier
from orchestration.inspect.kernel_objects import Reader, Thread, translate

GIB = 1 << 30


class Text:
    """Symbols of one function."""

    def __init__(self, start: int) -> None:
        self.start = start

    def name(self, address: int) -> str:
        return f"function+{address - self.start:#x}" if 0 <= address - self.start < 4096 else ""


class Nothing:
    """A stub in whose machine no server runs and all of the guest's memory is 0."""

    def read(self, address: int, size: int) -> None:
        return None

    def read_physical(self, address: int, size: int) -> bytes:
        return bytes(size)


@pytest.mark.parametrize("arch", ARCHES)
def test_linux_is_told_from_l4_and_from_programs(arch: str) -> None:
    abi = quoll.abi(ARCHES[arch])
    made: Any = Dossier(None, None, None, abi)  # type: ignore[arg-type]
    made.servers = ()
    linux, l4 = abi.LINUX_IMAGE_VADDR + (2 << 20), 0xffffffff80100000
    names = {"L4": Text(l4), "Linux": Text(linux)}
    for pc, said in ((linux + 16, ("Linux", "function+0x10")), (l4 + 16, ("L4", "function+0x10")),
                     (0x1234, ("guest program", "0x1234")), (l4 - 16, ("?", f"{l4 - 16:#x}"))):
        assert made.where(Nothing(), names, pc) == said


@pytest.mark.parametrize("arch", ARCHES)
def test_the_image_of_linux_ends_where_its_modules_begin(arch: str) -> None:
    abi, stub = quoll.abi(ARCHES[arch]), Nothing()
    guest: Any = Thread(0, "guest", "run", 0, 0, False, False, False, 0, 0, {}, ((0, GIB, 0), (GIB, GIB, 8 * GIB)))
    for gpa in (0, GIB - 1, GIB):
        assert translate(stub, abi, guest, abi.LINUX_RAM_VADDR + gpa) == gpa  # type: ignore[arg-type]
    assert translate(stub, abi, guest, abi.LINUX_RAM_VADDR + 2 * GIB) is None  # type: ignore[arg-type]
    if abi.LINUX_IMAGE_VADDR != abi.LINUX_RAM_VADDR:
        end = 1 << abi.LINUX_IMAGE_MAX_BITS
        assert translate(stub, abi, guest, abi.LINUX_IMAGE_VADDR + end - 1) == end - 1  # type: ignore[arg-type]
        assert translate(stub, abi, guest, abi.LINUX_IMAGE_VADDR + end) is None  # type: ignore[arg-type]


class Words:
    """A stub with some words of memory."""

    def __init__(self) -> None:
        self.words: dict[int, int] = {}

    def read(self, address: int, size: int) -> bytes | None:
        assert size == 8
        return self.words[address].to_bytes(8, "little") if address in self.words else None

    def queue(self, *places: int) -> None:
        """Link places in a ring."""
        self.words |= dict(zip(places, (*places[1:], places[0]), strict=True))


def test_every_thread_of_a_queue_has_its_endpoint() -> None:
    queue, link = 24, 64
    stub, reader = Words(), Reader.__new__(Reader)
    made: Any = reader
    made.stub, made.thread, made.info = stub, {"link": link}, SimpleNamespace(structs={"endpoint": {"queue": queue}})
    many, empty, spoilt, lost = 0x1000, 0x2000, 0x3000, 0x4000
    threads = list(range(0x100000, 0x100000 + 0x400 * 1000, 0x400))
    stub.queue(many + queue, *(thread + link for thread in threads))
    stub.queue(empty + queue)
    # A ring without its head, and memory that cannot be read.
    stub.queue(0x5000 + link, 0x6000 + link)
    stub.words |= {spoilt + queue: 0x5000 + link, lost + queue: 0x7000 + link}
    queues = reader.queues((many, empty, spoilt, lost))
    assert {reader.waits_on(thread, state, queues) for thread in threads for state in ("send", "recv")} == {many}
    assert [reader.waits_on(thread, "send", queues) for thread in (0x5000, 0x6000, 0x7000, 0x8000)] == [
        spoilt, spoilt, lost, 0]
    assert reader.waits_on(threads[0], "run", queues) == 0


SYMBOLS = {"cpus": 0x1000, "root_cnode": 0x2000}


class Early(Words):
    """A stub of a machine whose kernel may not have made its objects yet; other memory is all ones."""

    def __init__(self, **symbols: int) -> None:
        super().__init__()
        self.words, self.reads = {SYMBOLS[name]: value for name, value in symbols.items()}, 0

    def read(self, address: int, size: int) -> bytes | None:
        self.reads += 1
        assert self.reads < 1000
        return self.words[address].to_bytes(8, "little") if address in self.words else b"\xff" * size


def early(**symbols: int) -> Any:
    made: Any = object.__new__(Reader)
    made.stub, made.abi = Early(**symbols), quoll.abi(ARCHES["riscv64"])
    made.info = SimpleNamespace(symbols=SYMBOLS, sizes={"cpus": 8 * 16},
                                structs={"slot": {"type": 0, "object": 8}, "cnode": {"slots_mask": 16},
                                         "cpu": {"current": 0, "idle": 64}})
    return made


def test_a_kernel_without_objects_has_none() -> None:
    objects = early(cpus=0, root_cnode=0).read()
    assert not objects.threads
    assert not objects.names


def test_a_spoilt_cnode_is_read_to_its_end_and_no_further() -> None:
    assert not any(early(cpus=0, root_cnode=0x100000).found().values())


@pytest.mark.parametrize("arch", ARCHES)
def test_a_page_that_a_guests_program_wrote_lists_no_more_than_it_holds(arch: str) -> None:
    abi = quoll.abi(ARCHES[arch])
    size, fields = abi.STRUCTS["server_info"]
    page = bytearray(size)

    def put(name: str, value: bytes) -> None:
        page[fields[name][0]:fields[name][0] + len(value)] = value

    put("servers_hash", abi.SERVERS_HASH.to_bytes(8, "little"))
    put("program", b"console")
    put("resource_count", (1 << 16).to_bytes(8, "little"))
    assert len(system.resources(abi, bytes(page), 0)) * abi.STRUCTS["resource"][0] <= size
    assert system.identified(abi, bytes(page), system.SERVERS) == ""
