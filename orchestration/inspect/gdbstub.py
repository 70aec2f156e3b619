# SPDX-License-Identifier: BSD-2-Clause
"""QEMU's debugger stub for code: a client of the GDB remote serial protocol, all-stop.

Every machine has the stub on a socket in its own folder; it costs nothing as long as nobody connects. Registers are
those of the target description that QEMU sends.

A client of our own, and not pygdbmi with gdb-multiarch, because a fault takes hundreds of single steps, each with a
register read, and looks into the emulator beside (its monitor, physical memory); docs/architecture.md has the
measurement. The protocol's part that is needed is small.
"""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Protocol

from orchestration.base.errors import InfrastructureError

ANSWER_LIMIT = 20.0
READ_MAX = WRITE_MAX = 1024
INCLUDE = re.compile(r'<xi:include href="([^"]+)"/>')


class Target(Protocol):
    """A machine for a debugger: the folder with its socket; debugged is set while stops are the debugger's."""

    sockets: Path
    debugged: bool


def checksum(body: bytes) -> bytes:
    """Return a packet's checksum, two hexadecimal digits."""
    return b"%02x" % (sum(body) & 0xFF)


def packet(body: bytes) -> bytes:
    """Return a packet: body with special bytes escaped, framed by $ and #checksum."""
    escaped = re.sub(rb"[#$}*]", lambda match: b"}" + bytes([match[0][0] ^ 0x20]), body)
    return b"$" + escaped + b"#" + checksum(escaped)


def unescape(body: bytes) -> bytes:
    """Return a received packet's body with escapes and run lengths decoded."""
    out = bytearray()
    at = 0
    while at < len(body):
        if body[at] == 0x7D and at + 1 < len(body):
            out.append(body[at + 1] ^ 0x20)
            at += 2
        elif body[at] == 0x2A and out and at + 1 < len(body):
            out += bytes([out[-1]]) * (body[at + 1] - 29)
            at += 2
        else:
            out.append(body[at])
            at += 1
    return bytes(out)


def registers_of(texts: list[str]) -> dict[str, tuple[int, int]]:
    """Return number and bytes of each register in a target description's files, in their order."""
    found: dict[str, tuple[int, int]] = {}
    number = 0
    for text in texts:
        for element in re.findall(r"<reg [^>]*>", text):
            fields = dict(re.findall(r'(\w+)="([^"]*)"', element))
            number = int(fields.get("regnum", number))
            found[fields["name"]] = (number, int(fields["bitsize"]) // 8)
            number += 1
    return found


class Stub:
    """A debugger on a running machine. The machine is stopped while this is not in resume()."""

    def __init__(self, machine: Target) -> None:
        """Connect, which stops the machine."""
        machine.debugged = True
        self.path: Path = machine.sockets / "gdb"
        self.received = bytearray()
        self.running = False
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(ANSWER_LIMIT)
        try:
            self.socket.connect(str(self.path))
        except OSError as error:
            raise InfrastructureError(f"QEMU's debugger stub does not open: {error}") from error
        self.ask("qSupported:xmlRegisters=i386")
        # Connecting stopped the machine; its stop reply comes before any request.
        self.ask("?")
        texts = [self.feature("target.xml")]
        texts = [texts[0], *(self.feature(name) for name in INCLUDE.findall(texts[0]))]
        self.registers = registers_of(texts)

    def __enter__(self) -> Stub:
        """Return itself."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        """Detach; a machine that still runs goes on."""
        self.close()

    def close(self) -> None:
        """Detach: QEMU removes breakpoints and resumes the machine."""
        with suppress(OSError, InfrastructureError):
            if self.running:
                self.interrupt()
            # QEMU remembers that an earlier debugger, such as gdb, numbered processes; it wants the number then.
            if self.ask("D").startswith("E"):
                self.done("D;1", "to detach")
        self.socket.close()

    def receive(self, limit: float) -> bytes | None:
        """Return the next packet's body; None when none comes within limit seconds."""
        deadline = time.monotonic() + limit
        while True:
            start = self.received.find(b"$")
            end = self.received.find(b"#", start) if start >= 0 else -1
            if end >= 0 and len(self.received) >= end + 3:
                body = bytes(self.received[start + 1:end])
                good = checksum(body) == bytes(self.received[end + 1:end + 3])
                del self.received[:end + 3]
                self.socket.sendall(b"+" if good else b"-")
                if good:
                    return unescape(body)
                continue
            left = deadline - time.monotonic()
            if left <= 0:
                return None
            self.socket.settimeout(left)
            try:
                data = self.socket.recv(65536)
            except TimeoutError:
                return None
            except OSError as error:
                raise InfrastructureError(f"QEMU's debugger stub has closed the connection: {error}") from error
            if not data:
                raise InfrastructureError("QEMU's debugger stub has closed the connection")
            self.received += data

    def send(self, text: str) -> None:
        """Send a packet."""
        self.socket.settimeout(ANSWER_LIMIT)
        try:
            self.socket.sendall(packet(text.encode("latin-1")))
        except OSError as error:
            raise InfrastructureError(f"QEMU's debugger stub has closed the connection: {error}") from error

    def ask(self, text: str) -> str:
        """Send a packet and return the answer's text."""
        self.send(text)
        while True:
            answer = self.receive(ANSWER_LIMIT)
            if answer is None:
                raise InfrastructureError(f"QEMU's debugger stub does not answer {text[:20]}",
                                          "it serves one debugger at a time: is a gdb attached?")
            # The stop reply of the connection arrives unasked.
            if text[0] not in "?scD" and answer[:1] == b"T":
                continue
            return answer.decode("latin-1")

    def done(self, text: str, what: str) -> None:
        """Send a packet that must be answered with OK."""
        answer = self.ask(text)
        if answer != "OK":
            raise InfrastructureError(f"QEMU's debugger stub refuses {what}: {answer or 'not supported'}")

    def feature(self, name: str) -> str:
        """Return one file of the target description."""
        text = ""
        while True:
            answer = self.ask(f"qXfer:features:read:{name}:{len(text):x},{READ_MAX:x}")
            text += answer[1:]
            if answer[:1] != "m":
                return text

    def cpus(self) -> list[str]:
        """Return the names by which select() knows the CPUs, in their order."""
        found: list[str] = []
        answer = self.ask("qfThreadInfo")
        while answer[:1] == "m":
            found += answer[1:].split(",")
            answer = self.ask("qsThreadInfo")
        return found

    def select(self, cpu: str) -> None:
        """Read registers and memory of this CPU from now on, until the machine stops anew."""
        self.done(f"Hg{cpu}", f"CPU {cpu}")

    def register(self, name: str) -> int:
        """Return a register's value of the CPU that was selected, or that has stopped."""
        number, _ = self.registers[name]
        answer = self.ask(f"p{number:x}")
        if not answer or answer[0] == "E":
            raise InfrastructureError(f"QEMU's debugger stub refuses to read {name}: {answer or 'not supported'}")
        return int.from_bytes(bytes.fromhex(answer), "little")

    def set_register(self, name: str, value: int) -> None:
        """Set a register."""
        number, size = self.registers[name]
        self.done(f"P{number:x}={value.to_bytes(size, 'little').hex()}", f"to set {name}")

    def read(self, address: int, size: int) -> bytes | None:
        """Return memory as the CPU sees it now; None where nothing is mapped."""
        out = b""
        while len(out) < size:
            answer = self.ask(f"m{address + len(out):x},{min(size - len(out), READ_MAX):x}")
            if not answer or answer[0] == "E":
                return None
            out += bytes.fromhex(answer)
        return out

    def read_physical(self, address: int, size: int) -> bytes | None:
        """Return physical memory; None where there is none."""
        self.done("Qqemu.PhyMemMode:1", "physical addresses")
        try:
            return self.read(address, size)
        finally:
            self.done("Qqemu.PhyMemMode:0", "virtual addresses")

    def monitor(self, command: str) -> str:
        """Run a command of QEMU's human monitor and return its text."""
        self.send(f"qRcmd,{command.encode().hex()}")
        out = b""
        while True:
            answer = self.receive(ANSWER_LIMIT)
            if answer is None:
                raise InfrastructureError(f"QEMU's debugger stub does not answer {command}")
            if answer == b"OK":
                return out.decode(errors="replace")
            if answer[:1] == b"E" or not answer:
                raise InfrastructureError(f"QEMU's debugger stub refuses {command}")
            if answer[:1] == b"O":
                out += bytes.fromhex(answer[1:].decode())

    def write(self, address: int, data: bytes) -> None:
        """Write memory as the CPU sees it now; a page's rights do not matter, device registers are not reached."""
        self.done(f"M{address:x},{len(data):x}:{data.hex()}", f"to write at {address:#x}")

    def write_physical(self, address: int, data: bytes) -> None:
        """Write physical memory."""
        self.done("Qqemu.PhyMemMode:1", "physical addresses")
        try:
            for at in range(0, len(data), WRITE_MAX):
                self.write(address + at, data[at:at + WRITE_MAX])
        finally:
            self.done("Qqemu.PhyMemMode:0", "virtual addresses")

    @contextmanager
    def breakpoint(self, address: int) -> Iterator[None]:
        """Stop at an address, in whatever address space, while the context lasts (the machine stopped at its end)."""
        self.done(f"Z1,{address:x},1", "a breakpoint")
        try:
            yield
        finally:
            self.done(f"z1,{address:x},1", "to take a breakpoint back")

    def step(self) -> None:
        """Run one instruction, without interrupts."""
        if not self.ask("s").startswith(("T", "S")):
            raise InfrastructureError("QEMU's debugger stub does not step")

    def resume(self, limit: float) -> bool:
        """Let the machine run until it stops by itself; after limit seconds stop it and return False."""
        self.send("c")
        self.running = True
        if self.receive(limit) is not None:
            self.running = False
            return True
        self.interrupt()
        return False

    def interrupt(self) -> None:
        """Stop the machine."""
        self.socket.sendall(b"\x03")
        if self.receive(ANSWER_LIMIT) is None:
            raise InfrastructureError("QEMU's debugger stub does not stop the machine")
        self.running = False
