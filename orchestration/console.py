# SPDX-License-Identifier: BSD-2-Clause
"""The machine's serial line taken apart: two channels, lines, and what the lines mean.

On the wire, the bytes 0x01 'L' switch to the log of the L4 kernel and its servers, 0x01 'G' to the guest's
console; what comes before the first mark is log. Anything may be cut anywhere, also inside a mark.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum

MARK = 0x01
LINE_MAX = 4096


class Channel(Enum):
    """Who speaks."""

    LOG = "L"
    GUEST = "G"


@dataclass(frozen=True)
class Line:
    """One line, without its end; undecodable bytes are replaced."""

    channel: Channel
    text: str


class Demultiplexer:
    """Splits the byte stream into lines of the two channels."""

    def __init__(self, channel: Channel = Channel.LOG) -> None:
        """Start on a channel: the log, but for a Linux that has the line to itself."""
        self.channel = channel
        self.marked = False
        self.buffers: dict[Channel, bytearray] = {channel: bytearray() for channel in Channel}

    def feed(self, data: bytes) -> list[Line]:
        """Take bytes, return the lines that they complete, in order."""
        lines: list[Line] = []
        for byte in data:
            if self.marked:
                self.marked = False
                if byte in b"LG":
                    self.channel = Channel(chr(byte))
                    continue
            elif byte == MARK:
                self.marked = True
                continue
            buffer = self.buffers[self.channel]
            if byte == 0x0A or len(buffer) >= LINE_MAX:
                lines.append(self.take(self.channel))
            if byte != 0x0A:
                buffer.append(byte)
        return lines

    def take(self, channel: Channel) -> Line:
        """Return what a channel holds as a line, whole or not."""
        text = self.buffers[channel].decode("utf-8", "replace").rstrip("\r")
        self.buffers[channel].clear()
        return Line(channel, text)

    def rest(self) -> list[Line]:
        """Return the unfinished lines, when the stream has ended."""
        return [self.take(channel) for channel in Channel if self.buffers[channel]]


class Kind(Enum):
    """What a line tells the orchestrator."""

    KERNEL_STARTED = "kernel started"
    ROOT_STARTED = "root pager started"
    SERVER_READY = "server ready"
    LINUX_STARTED = "linux started"
    USERLAND = "user land started"
    KERNEL_PANIC = "kernel panic"
    KERNEL_PANIC_END = "end of kernel panic"
    GUEST_PANIC = "guest panic"
    ROOT_ERROR = "root pager error"
    SERVER_DIED = "server died"
    SERVER_WAITS = "server waits"
    POWER_OFF = "power off"


@dataclass(frozen=True)
class Meaning:
    """A line that matters, and the text it carries."""

    kind: Kind
    text: str


USERLAND_MARK = "quoll: userland"
PATTERNS: dict[Channel, tuple[tuple[Kind, re.Pattern[str]], ...]] = {
    Channel.LOG: (
        (Kind.KERNEL_PANIC, re.compile(r"l4: PANIC: (.*)")),
        (Kind.KERNEL_PANIC_END, re.compile(r"l4: (end of panic)")),
        (Kind.KERNEL_STARTED, re.compile(r"l4: (Quoll.*)")),
        (Kind.ROOT_STARTED, re.compile(r"root: (started.*)")),
        (Kind.SERVER_READY, re.compile(r"root: (\w+) ready")),
        (Kind.LINUX_STARTED, re.compile(r"root: (linux started.*)")),
        (Kind.GUEST_PANIC, re.compile(r"root: guest panic: (.*)")),
        (Kind.POWER_OFF, re.compile(r"root: guest powers off, status (.*)")),
        (Kind.SERVER_DIED, re.compile(r"root: server (\w+ died: .*)")),
        (Kind.SERVER_WAITS, re.compile(r"root: server (\w+ waits: .*)")),
        (Kind.ROOT_ERROR, re.compile(r"root: error: (.*)")),
    ),
    Channel.GUEST: (
        (Kind.USERLAND, re.compile(rf"({USERLAND_MARK}.*)")),
        (Kind.GUEST_PANIC, re.compile(r"(?:\[[ 0-9.]+\] )?Kernel panic - not syncing: (.*)")),
    ),
}


def interpret(line: Line) -> Meaning | None:
    """Return what a line means, or None for ordinary text."""
    for kind, pattern in PATTERNS[line.channel]:
        match = pattern.match(line.text)
        if match:
            return Meaning(kind, match.group(1))
    return None
