# SPDX-License-Identifier: BSD-2-Clause
"""One QEMU process: its argument vector, its monitor, its serial line, its end.

QEMU dies with the orchestrator, however that ends: setpriv makes the kernel kill it.
"""

from __future__ import annotations

import os
import queue
import select
import shlex
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from orchestration.base import ownership, tools
from orchestration.base.arch import Arch
from orchestration.base.cache import hash_file
from orchestration.base.errors import InfrastructureError
from orchestration.base.ownership import PREFIX, OwnFolder
from orchestration.base.rundir import Logs, RunDirectory
from orchestration.machine.arguments import PAUSED, arguments, forward, value
from orchestration.machine.config import BESIDE_GUEST, LARGE, MIB, Config
from orchestration.machine.console import Channel, Demultiplexer, Line
from orchestration.machine.serial import SerialLine
from orchestration.machine.tee import Tee

if TYPE_CHECKING:
    from orchestration.machine.monitor import Monitor

# With what config.py and arguments.py have of a machine.
__all__ = ["BESIDE_GUEST", "LARGE", "MIB", "Config", "Machine", "Message", "arguments", "free_port", "value"]

START_LIMIT = 30.0
# Seconds from the moment at which QEMU's connections end to the end of its process.
END_LIMIT = 5.0
# Seconds between two looks whether QEMU still runs.
POLL = 0.02
PORT_TRIES = 5


@dataclass
class Message:
    """What reaches the orchestrator from the machine: a console line, a monitor event, or its end.

    error: an error in one of our threads, which cannot raise it in the main thread.
    """

    line: Line | None = None
    error: OSError | None = None
    event: dict[str, Any] = field(default_factory=dict)
    ended: bool = False


def free_port() -> int:
    """Return a loopback port that was free a moment ago; QEMU's own bind decides."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Machine:
    """A running QEMU. Messages arrive in self.messages, in order, the one with ended last."""

    def __init__(self, arch: Arch, config: Config, run: RunDirectory) -> None:
        """Describe the machine; start() starts it."""
        self.arch, self.config, self.run = arch, config, run
        self.messages: queue.Queue[Message] = queue.Queue()
        self.process: subprocess.Popen[bytes] | None = None
        self.monitor: Monitor | None = None
        self.serial: SerialLine | None = None
        self.tee: Tee | None = None
        self.folder: OwnFolder | None = None
        self.port = 0
        self.recent: list[str] = []
        self.on_line: Callable[[Line], None] = lambda line: None
        self.on_data: Callable[[Channel, bytes], None] = lambda channel, data: None
        # Starts a machine that stands; None: by the monitor's cont.
        self.starter: Callable[[], None] | None = None
        self.split = Demultiplexer(config.first_channel)
        self.reader: threading.Thread | None = None
        # Set while a debugger steps: its STOP and RESUME events are not queued.
        self.debugged = False
        # Whether QEMU pauses at power-off instead of ending, so that a panic can be read.
        self.stands_at_end = False

    def start(self) -> None:
        """Start QEMU; another port is tried when someone else took the one that was free."""
        for attempt in range(1, PORT_TRIES + 1):
            self.port = free_port()
            try:
                self.spawn()
                return
            except InfrastructureError as error:
                text = " ".join(error.details)
                self.explain(text)
                if "host forwarding rule" not in text:
                    raise
                self.run.event("port taken", port=self.port, attempt=attempt)
        raise InfrastructureError(f"no free port on 127.0.0.1 after {PORT_TRIES} tries",
                                  "see what listens there: ss -ltn")

    def explain(self, text: str) -> None:
        """Raise UsageError when QEMU's last words are about a port or a disk that the user named."""
        for port in self.config.ports:
            if forward(port.host, port.guest).removeprefix("hostfwd=") in text:
                raise port.taken()
        if "Failed to get" in text and "lock" in text:
            for disk in self.config.disks:
                if f"file={value(disk.file)}" in text:
                    raise disk.busy("another program")

    def spawn(self) -> None:
        """Start QEMU once, and wait until its monitor answers."""
        place = ownership.temporary()
        ownership.sweep(place, f"{PREFIX}*")
        self.folder = OwnFolder(place, PREFIX)
        self.sockets = self.folder.path
        self.serial = SerialLine(self.sockets)
        argv = arguments(self.arch, self.config, self.sockets, self.port)
        self.run.file("argv").write_bytes(os.fsencode(shlex.join(argv) + "\n"))
        self.run.write_json("config.json", self.config.as_json())
        with socket.socket(socket.AF_UNIX) as listening:
            # Before QEMU's start, which connects to it.
            listening.bind(str(self.sockets / "monitor"))
            listening.listen(1)
            with self.run.file("qemu.log").open("wb") as stream:
                self.process = subprocess.Popen(
                    [tools.program("setpriv"), "--pdeathsig", "KILL", tools.program(argv[0]), *argv[1:]],
                    stdin=subprocess.DEVNULL, stdout=stream, stderr=stream, start_new_session=True)
            self.run.event("qemu started", pid=self.process.pid, port=self.port)
            # What takes some time is done while QEMU starts. No hash of the disk: it is a copy with keys of its own, so
            # its hash cannot be compared.
            from orchestration.machine.monitor import Monitor

            files = {"kernel": self.config.kernel, "initrd": self.config.initrd}
            self.run.write_json("hashes.json", {name: hash_file(path) for name, path in files.items() if path})
            connection = self.connected(listening)
        try:
            self.monitor = Monitor(connection, self.take_event, START_LIMIT)
            self.serial.connect()
            # After connect(): a machine that powers off at once would end before its pipes are open.
            if self.stands_at_end:
                self.monitor.execute("set-action", shutdown="pause")
            if self.starter is not None:
                self.starter()
            elif PAUSED not in self.config.extra:
                self.monitor.execute("cont")
        except (OSError, InfrastructureError) as error:
            raise self.failed(str(error), END_LIMIT) from error
        self.tee = Tee(self.sockets, self.send)
        self.reader = threading.Thread(target=self.read_serial, daemon=True, name="serial")
        self.reader.start()

    def connected(self, listening: socket.socket) -> socket.socket:
        """Return QEMU's connection to its monitor's socket."""
        assert self.process is not None
        deadline = time.monotonic() + START_LIMIT
        while not select.select([listening], [], [], POLL)[0]:
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise self.failed("QEMU does not open its monitor")
        return listening.accept()[0]

    def failed(self, said: str, limit: float = 0.0) -> InfrastructureError:
        """End a machine that did not start; return its error: that QEMU ended, if it did by itself, or what is said.

        limit: seconds in which QEMU may still come to its end, when it has let go of a connection.
        """
        assert self.process is not None
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(limit)
            said = "QEMU ended at once"
        self.close()
        errors = self.run.file("qemu.log")
        return InfrastructureError(said, f"see {errors} and argv beside it", tools.tail(errors, 6))

    def take_event(self, event: dict[str, Any]) -> None:
        """Queue a monitor event."""
        if self.debugged and event.get("event") in ("STOP", "RESUME"):
            return
        self.messages.put(Message(event=event))
        try:
            self.run.event("qmp", qmp=event)
        except OSError as error:
            self.tell(error)

    def tell(self, error: OSError) -> None:
        """Queue an error of one of our threads."""
        self.messages.put(Message(error=error))

    def read_serial(self) -> None:
        """Read the serial line to its end; keep every byte and queue every line."""
        assert self.serial is not None
        assert self.process is not None
        split = self.split
        names = {Channel.LOG: "l4.log", Channel.GUEST: "console.log"}
        with Logs(self.run, ("console.raw", *names.values()), self.tell) as logs:
            while True:
                data = self.serial.receive()
                logs.append("console.raw", data)
                runs = split.splitter.feed(data)
                if self.tee is not None:
                    self.tee.feed(runs)
                for channel, run in runs:
                    self.on_data(channel, run)
                for line in [line for run in runs for line in split.add(*run)] if data else split.rest():
                    self.recent = [*self.recent[-39:], line.text]
                    logs.append(names[line.channel], f"{line.text}\n".encode(errors="replace"))
                    self.on_line(line)
                    self.messages.put(Message(line=line))
                if not data:
                    break
        self.process.wait()
        self.messages.put(Message(ended=True))

    def last_lines(self, count: int = 12) -> tuple[str, ...]:
        """Return the end of the console, both channels."""
        return tuple(self.recent[-count:])

    def send(self, data: bytes) -> None:
        """Send bytes to the serial line."""
        if self.serial is not None:
            self.serial.send(data)

    def kill(self) -> None:
        """Kill QEMU if it runs. Any thread may do so; the one that uses the machine finds it ended and closes it."""
        if self.process is not None and self.process.poll() is None:
            self.process.kill()

    def close(self) -> None:
        """Kill QEMU if it runs, and release sockets, pipes and the temporary folder."""
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        if self.monitor is not None:
            self.monitor.close()
        if self.serial is not None:
            self.serial.close()
        if self.tee is not None:
            self.tee.close()
        if self.folder is not None:
            self.folder.close()
