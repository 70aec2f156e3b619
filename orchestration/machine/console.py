# SPDX-License-Identifier: BSD-2-Clause
"""Splits the machine's serial line: into two channels, their lines, and the meaning of lines.

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
    """The source of output on the serial line."""

    LOG = "L"
    GUEST = "G"


@dataclass(frozen=True)
class Line:
    """One line, without its end; undecodable bytes are replaced. A continued one is what was cut off the one before."""

    channel: Channel
    text: str
    continued: bool = False


class Splitter:
    """Takes the serial line's bytes apart into the bytes of the channels, marks removed.

    Marks are made by L4's console server, which doubles the guest's 0x01. A Linux on the bare machine, whose channel
    is the guest's from the start, has the line to itself: there every byte is text, or its programs could write as L4.
    """

    def __init__(self, channel: Channel = Channel.LOG) -> None:
        """Start on a channel: the log, but for a Linux that has the line to itself."""
        self.channel = channel
        self.marks = channel is Channel.LOG
        self.marked = False

    def feed(self, data: bytes) -> list[tuple[Channel, bytes]]:
        """Return runs of bytes with their channel."""
        if not self.marks:
            return [(self.channel, data)] if data else []
        runs: list[tuple[Channel, bytes]] = []
        start = 0
        while start < len(data):
            first = start
            if self.marked:
                self.marked = False
                if data[start] in b"LG":
                    self.channel = Channel(chr(data[start]))
                    start += 1
                    continue
                # The second mark byte of a pair is text.
                first += 1
            end = data.find(MARK, first)
            self.marked = end >= 0
            end = end if self.marked else len(data)
            if end > start:
                runs.append((self.channel, data[start:end]))
            start = end + 1
        return runs


class Demultiplexer:
    """Splits the byte stream into lines of the two channels."""

    def __init__(self, channel: Channel = Channel.LOG) -> None:
        """Start on a channel, as Splitter does."""
        self.splitter = Splitter(channel)
        self.buffers: dict[Channel, bytearray] = {channel: bytearray() for channel in Channel}
        self.cut: set[Channel] = set()

    def start_at(self, channel: Channel) -> None:
        """Begin on a channel of L4's line, wherever in the stream that is."""
        self.splitter.channel = channel

    def feed(self, data: bytes) -> list[Line]:
        """Take bytes, return the lines that they complete, in order."""
        return [line for channel, run in self.splitter.feed(data) for line in self.add(channel, run)]

    def add(self, channel: Channel, run: bytes) -> list[Line]:
        """Take bytes of one channel, return the lines that they complete."""
        lines: list[Line] = []
        buffer = self.buffers[channel]
        *whole, last = run.split(b"\n")
        for piece, complete in [*((piece, True) for piece in whole), (last, False)]:
            at = 0
            while at < len(piece):
                if len(buffer) >= LINE_MAX:
                    lines.append(self.take(channel, whole=False))
                taken = piece[at:at + LINE_MAX - len(buffer)]
                buffer += taken
                at += len(taken)
            if complete:
                lines.append(self.take(channel))
        return lines

    def take(self, channel: Channel, whole: bool = True) -> Line:
        """Return what a channel holds as a line; not whole: more of it follows."""
        text = self.buffers[channel].decode("utf-8", "replace").rstrip("\r")
        self.buffers[channel].clear()
        line = Line(channel, text, channel in self.cut)
        (self.cut.discard if whole else self.cut.add)(channel)
        return line

    def rest(self) -> list[Line]:
        """Return the unfinished lines, when the stream has ended."""
        return [self.take(channel) for channel in Channel if self.buffers[channel]]


class Kind(Enum):
    """The events that lines report."""

    KERNEL_STARTED = "kernel started"
    ROOT_STARTED = "root pager started"
    SERVER_READY = "server ready"
    LINUX_STARTED = "linux started"
    INIT = "init started"
    USERLAND = "user land started"
    KERNEL_PANIC = "kernel panic"
    KERNEL_PANIC_END = "end of kernel panic"
    GUEST_PANIC = "guest panic"
    ROOT_ERROR = "root pager error"
    SERVER_DIED = "server died"
    SERVER_WAITS = "server waits"
    POWER_OFF = "power off"
    RESTART = "restart"
    RESUMED = "resumed"


@dataclass(frozen=True)
class Meaning:
    """A line that matters, and the text it carries."""

    kind: Kind
    text: str


USERLAND_MARK = "quoll: userland"
# Any program of the guest can write any line to the guest's channel. So its lines end nothing: that init or user
# land has started, or that the guest has its new keys after a snapshot, which only the guest knows, is all that is
# taken from there, and it counts once, in its stage of the boot. What a program writes may stand in the midst of a
# line: where Linux has several CPUs, another may print a message meanwhile.
# Panics, power-off, restarts and deaths of servers are told by L4 and the root pager, on the log.
# They are compiled (and kept by re) at a channel's first line: that takes 0.03 s, which an import need not wait for.
PATTERNS: dict[Channel, tuple[tuple[Kind, str], ...]] = {
    Channel.LOG: (
        (Kind.KERNEL_PANIC, r"l4: PANIC: (.*)"),
        (Kind.KERNEL_PANIC_END, r"l4: (end of panic)"),
        (Kind.KERNEL_STARTED, r"l4: (Quoll.*)"),
        (Kind.ROOT_STARTED, r"root: (started.*)"),
        (Kind.SERVER_READY, r"root: (\w+) ready"),
        (Kind.LINUX_STARTED, r"root: (linux started.*)"),
        (Kind.GUEST_PANIC, r"root: guest panic: (.*)"),
        (Kind.POWER_OFF, r"root: guest powers off, status (.*)"),
        (Kind.RESTART, r"root: (guest restarts)"),
        (Kind.SERVER_DIED, r"root: server (\w+ died: .*)"),
        (Kind.SERVER_WAITS, r"root: server (\w+ waits: .*)"),
        (Kind.ROOT_ERROR, r"root: error: (.*)"),
    ),
    Channel.GUEST: (
        (Kind.USERLAND, rf".*?({USERLAND_MARK})"),
        (Kind.INIT, r"(?:\[ *\d+\.\d+\] )?Run (/\S+) as init process"),
        (Kind.RESUMED, r".*?(quoll: resumed)"),
    ),
}


def interpret(line: Line) -> Meaning | None:
    """Return what a line means, or None for ordinary text, which the rest of a line that was cut always is."""
    if line.continued:
        return None
    for kind, pattern in PATTERNS[line.channel]:
        match = re.match(pattern, line.text)
        if match:
            return Meaning(kind, match.group(1))
    return None
