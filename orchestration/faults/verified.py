# SPDX-License-Identifier: BSD-2-Clause
"""Workloads that verify every byte, one for each class of driver; faults are made while they run.

Each has a program of its own in the guest (tests/faults). It counts what went well, with the time, and keeps what did
not: an error that the guest was told of, or data that is not what it must be.
"""

from __future__ import annotations

import re
import socket
import subprocess
import threading
import time
import zlib
from contextlib import suppress
from itertools import pairwise

from orchestration.base.errors import InfrastructureError
from orchestration.base.ownership import PREFIX, OwnFolder, temporary
from orchestration.base.rundir import RunDirectory
from orchestration.base.tools import program
from orchestration.base.tree import ROOT
from orchestration.faults.known import KnownStream
from orchestration.faults.program import GuestProgram, compile_program
from orchestration.machine.console import Channel, Line
from orchestration.machine.description import Description
from orchestration.machine.session import Session
from orchestration.machine.shares import Share

SOURCES = ROOT / "tests" / "faults"
START_LIMIT, FINISH_LIMIT = 60.0, 120.0
# Messages of Linux about a device that failed.
COMPLAINT = re.compile(r"I/O error|EXT4-fs (error|warning)|Buffer I/O|is not a head|bad ring|BUG:|WARNING:|Oops|"
                       r"blocked for more than|rcu: INFO|NETDEV WATCHDOG|Remounting filesystem read-only|"
                       r"virtio.*(failed|error|broken)|Input/output error")


class Verified:
    """A workload. units counts what was verified; quiet() tells the longest time without any."""

    program = ""
    arguments = ""

    def __init__(self, session: Session) -> None:
        """Prepare the workload; start() starts it."""
        self.session = session
        self.units = 0
        self.stamps: list[float] = []
        self.errors: list[str] = []
        self.wrong: list[str] = []
        self.final = ""
        self.remote: GuestProgram | None = None
        self.lock = threading.Lock()

    def progressed(self, units: int) -> None:
        """Note that so many units are good by now."""
        with self.lock:
            if units != self.units:
                self.units = units
                self.stamps.append(time.monotonic())
                del self.stamps[:-20000]

    def quiet(self, since: float) -> float:
        """Return the longest time in seconds without progress since a moment."""
        with self.lock:
            stamps = [since, *(stamp for stamp in self.stamps if stamp > since), time.monotonic()]
        return max(after - before for before, after in pairwise(stamps))

    def told(self, line: str) -> None:
        """Take a line of the guest's program."""
        word, _, rest = line.partition(" ")
        if word == "ops":
            self.progressed(int(rest))
        elif word == "final":
            self.final = rest
        elif word == "wrong":
            self.wrong.append(rest)
        elif line:
            self.errors.append(line)

    def console_line(self, line: Line) -> None:
        """Take a line of the console; a complaint of Linux is an error that the guest saw."""
        if line.channel is Channel.GUEST and COMPLAINT.search(line.text):
            self.errors.append(line.text)

    def start(self) -> None:
        """Put the program into the guest, start it, and wait until it does something."""
        with OwnFolder(temporary(), PREFIX) as folder:
            binary = compile_program(self.session.machine.arch, SOURCES / f"{self.program}.c", folder / self.program)
            self.session.push(binary, f"/tmp/{self.program}")
        self.remote = GuestProgram(self.session, f"/tmp/{self.program} {self.arguments}", self.told)
        self.remote.start()
        self.session.wait_for(lambda: self.units > 0 or self.ended(), f"the {self.program} workload's first result",
                              START_LIMIT)
        if self.ended():
            raise InfrastructureError(f"the {self.program} workload does not start", "", tuple(self.troubles()[-8:]))

    def ended(self) -> bool:
        """Say whether the program in the guest has ended."""
        return self.remote is not None and not self.remote.is_alive()

    def troubles(self) -> list[str]:
        """Return all that went wrong."""
        lost = [str(self.remote.error)] if self.remote is not None and self.remote.error else []
        return [*self.wrong, *self.errors, *lost]

    def stop(self) -> None:
        """End it and check what can be checked at the end."""
        assert self.remote is not None
        self.remote.close_input()
        self.session.wait_for(self.ended, f"the end of the {self.program} workload", FINISH_LIMIT)
        if self.remote.error is None and self.remote.status:
            self.errors.append(f"the {self.program} program ended with status {self.remote.status}")

    def after_power_off(self) -> None:
        """Check the results that exist only after power-off."""


class Disk(Verified):
    """Random reads and writes around the page cache; in the end the file is compared on the host's side."""

    program = "disk"
    FILE, MIB = "/var/tmp/verified", 24
    arguments = f"{FILE} {MIB}"

    def after_power_off(self) -> None:
        """Compare the file on the disk's image with what the guest read last."""
        if not self.final:
            # A program that ended early has told its own trouble.
            if not self.troubles():
                self.wrong.append("the disk program ended without the CRC of its file")
            return
        disk = self.session.machine.config.disk
        with OwnFolder(temporary(), PREFIX) as folder:
            copy = folder / "copy"
            # A path in debugfs' command would end at its first space.
            subprocess.run([program("debugfs"), "-R", f"dump {self.FILE} copy", str(disk)], capture_output=True,
                           check=False, cwd=folder)
            got = f"{zlib.crc32(copy.read_bytes()):08x}" if copy.exists() else "nothing"
        if got != self.final:
            self.wrong.append(f"the disk's file has CRC {got}, the guest wrote {self.final}")


class Net(Verified):
    """A stream of known bytes each way between guest and host, through the emulator's user network."""

    program = "net"
    CHUNK, PACE, PIECE = 16384, 0.008, 65535

    def __init__(self, session: Session) -> None:
        """Listen on the host."""
        super().__init__(session)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.arguments = f"10.0.2.2 {self.listener.getsockname()[1]}"
        self.ending = False
        self.sent = self.got = 0
        self.stream = KnownStream()
        threading.Thread(target=self.serve, daemon=True, name="peer").start()

    def serve(self) -> None:
        """Accept the guest; send at a steady pace, check what comes."""
        with suppress(OSError):
            line = self.listener.accept()[0]
            sender = threading.Thread(target=self.transmit, args=(line,), daemon=True, name="sender")
            sender.start()
            try:
                while data := line.recv(self.PIECE):
                    if difference := self.stream.difference(self.got, data):
                        self.wrong.append(f"the host received {difference}")
                    self.got += len(data)
                    self.progressed(self.got)
            except OSError as error:
                self.errors.append(f"the host's end: {error}")
            sender.join()
            line.close()

    def transmit(self, line: socket.socket) -> None:
        """Send until asked to end."""
        try:
            while not self.ending:
                line.sendall(self.stream.due(self.sent, self.CHUNK))
                self.sent += self.CHUNK
                time.sleep(self.PACE)
            line.shutdown(socket.SHUT_WR)
        except OSError as error:
            self.errors.append(f"the host's end: {error}")

    def stop(self) -> None:
        """End both ends; the guest must have got all that was sent."""
        self.ending = True
        super().stop()
        self.listener.close()
        if self.final != str(self.sent):
            self.wrong.append(f"the guest received {self.final or 'nothing'} of {self.sent} bytes")


class ConsoleText(Verified):
    """Numbered lines both ways on the guest's console."""

    program = "console"
    LINE = re.compile(r"seq (\d+) in (\d+) ([a-z]+)")
    LETTERS, AHEAD = 32, 8

    def __init__(self, session: Session) -> None:
        """Start with line 0."""
        super().__init__(session)
        self.due = self.typed = 0
        self.shifted = False

    def start(self) -> None:
        """Stop what waits on the console, a shell or Debian's getty: it would read our lines."""
        self.session.shell_run('[ ! -d /run/systemd/system ] || systemctl stop serial-getty@hvc0; '
                               'for p in /proc/[0-9]*; do [ "$(readlink $p/fd/0)" = /dev/console ] && '
                               '[ "$p" != /proc/1 ] && kill -STOP "${p#/proc/}"; done; :')
        super().start()

    @classmethod
    def text(cls, number: int) -> str:
        """Return the letters of a line, as tests/faults/console.c makes them."""
        x = (number * 2654435761 + 12345) & 0xFFFFFFFF
        letters = ""
        for _ in range(cls.LETTERS):
            x = (x * 1664525 + 1013904223) & 0xFFFFFFFF
            letters += chr(ord("a") + (x >> 24) % 26)
        return letters

    def console_line(self, line: Line) -> None:
        """Check a line that came out, and type the next ones."""
        if line.channel is not Channel.GUEST:
            return
        if line.text.startswith("bad "):
            self.wrong.append(f"typed {line.text[4:]}")
            return
        match = self.LINE.fullmatch(line.text)
        if match is None:
            # Linux may print between our lines; the number of the next line shows that one of ours was damaged.
            if "seq" in line.text:
                self.wrong.append(f"came out: {line.text}")
            else:
                super().console_line(line)
            return
        number, received = int(match[1]), int(match[2])
        if number != self.due:
            self.wrong.append(f"line {number} where {self.due} was due")
        elif match[3] != self.text(number) or received > self.typed:
            self.wrong.append(f"came out: {line.text}")
            received = min(received, self.typed)
        self.due = number + 1
        self.progressed(number + received)
        while self.typed < received + self.AHEAD:
            self.session.machine.send(f"in {self.typed} {self.text(self.typed)}\n".encode())
            self.typed += 1


class Files(Verified):
    """Files that are made, named, appended to and removed in a folder of the host; none of it may happen twice."""

    program = "files"
    FOLDER, PLACE = "share", "/mnt/share"
    arguments = PLACE

    def after_power_off(self) -> None:
        """Compare the log's lines, and what is left, in the host's folder."""
        folder = self.session.machine.config.shares[0].folder
        if not self.final:
            self.wrong.append("the program of the folder does not say how many lines it has written")
            return
        lines = (folder / "log").read_text().splitlines()
        if lines != [f"{number:09}" for number in range(int(self.final))]:
            self.wrong.append(f"the log has {len(lines)} lines, or others than the {self.final} that were written")
        if left := sorted({path.name for path in folder.iterdir()} - {"log", "large"}):
            self.wrong.append(f"the folder still has {' '.join(left)}")


WORKLOADS: dict[str, type[Verified]] = {"block": Disk, "net": Net, "console": ConsoleText, "9p": Files}


def with_folders(machine: Description, drivers: list[str], run: RunDirectory) -> Description:
    """Return the machine with what its drivers need; a folder that one of them shares is in the run's."""
    if "9p" not in drivers:
        return machine
    share = Share(run.file(Files.FOLDER), Files.PLACE, writable=True)
    share.folder.mkdir()
    return machine.model_copy(update={"shares": (share,)})
