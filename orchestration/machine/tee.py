# SPDX-License-Identifier: BSD-2-Clause
"""A machine's serial line for others: what comes out goes to everyone who is attached, what they type goes in.

They get it as it is on the wire (console.Splitter), with the marks of channels made anew: it begins with one, wherever
in the stream that is.
"""

from __future__ import annotations

import errno
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from orchestration.machine.console import MARK, Channel

NAME = "attach"
# Bytes that someone who attaches sees of what came before, and that one who does not read may be behind.
HISTORY = 8192
BEHIND = 1 << 20
# Why accept() fails for now, and how long to wait then.
WITHOUT_MEANS = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.ECONNABORTED}
PAUSE = 0.2


def mark(channel: Channel) -> bytes:
    """Return what switches the line to a channel."""
    return bytes([MARK]) + channel.value.encode()


def text(data: bytes) -> bytes:
    """Return a channel's bytes as they are on the line."""
    return data.replace(bytes([MARK]), bytes([MARK, MARK]))


def disconnect(client: socket.socket) -> None:
    """End a client's connection, for the thread that reads from it too."""
    with suppress(OSError):
        client.shutdown(socket.SHUT_RDWR)
    client.close()


class Tee:
    """Listens in the folder of a machine's sockets."""

    def __init__(self, folder: Path, send: Callable[[bytes], None]) -> None:
        """Listen; send types on the serial line."""
        self.send = send
        self.channel = Channel.LOG
        self.recent: list[tuple[Channel, bytes]] = []
        self.lock = threading.Lock()
        self.clients: list[socket.socket] = []
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(folder / NAME))
        self.listener.listen(4)
        threading.Thread(target=self.accept, daemon=True, name="attach").start()

    def accept(self) -> None:
        """Accept clients until the listener is closed; one for which the host has no means is refused."""
        while True:
            try:
                client = self.listener.accept()[0]
            except OSError as error:
                if error.errno not in WITHOUT_MEANS:
                    return
                time.sleep(PAUSE)
                continue
            try:
                self.begin(client)
            except (OSError, RuntimeError):
                # No descriptor, no memory, or no thread is left.
                disconnect(client)

    def begin(self, client: socket.socket) -> None:
        """Send a client the history, then the line."""
        client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BEHIND)
        typed = client.dup()
        reader = threading.Thread(target=self.read, args=(typed,), daemon=True, name="attached")
        try:
            reader.start()
        except RuntimeError:
            typed.close()
            raise
        with self.lock:
            self.clients.append(client)
            self.give(client, b"".join(mark(channel) + text(data) for channel, data in self.recent)
                      + mark(self.channel))

    def read(self, typed: socket.socket) -> None:
        """Send what a client types to the serial line. Only this thread closes the socket, the client's second one."""
        with typed, suppress(OSError):
            while data := typed.recv(4096):
                self.send(data)

    def give(self, client: socket.socket, line: bytes) -> None:
        """Send a client all of this without waiting, or disconnect it: who does not read must not hold the machine up.

        Whether a socket waits is a property of its file, which both sockets of a client share: so the call says it.
        """
        try:
            if client.send(line, socket.MSG_DONTWAIT) == len(line):
                return
        except OSError:
            pass
        self.clients.remove(client)
        disconnect(client)

    def feed(self, runs: list[tuple[Channel, bytes]]) -> None:
        """Take bytes of the line with their channels; a client that is too far behind is disconnected."""
        with self.lock:
            line = bytearray()
            for channel, data in runs:
                if channel is not self.channel:
                    line += mark(channel)
                    self.channel = channel
                line += text(data)
            self.remember(runs)
            for client in list(self.clients) if line else []:
                self.give(client, bytes(line))

    def remember(self, runs: list[tuple[Channel, bytes]]) -> None:
        """Keep the last HISTORY bytes."""
        kept: list[tuple[Channel, bytes]] = []
        room = HISTORY
        for channel, data in reversed(self.recent + runs):
            if room <= 0:
                break
            after = kept.pop()[1] if kept and kept[-1][0] is channel else b""
            kept.append((channel, data[-room:] + after))
            room -= len(data)
        self.recent = kept[::-1]

    def close(self) -> None:
        """Disconnect all clients and stop listening."""
        with suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        with self.lock:
            for client in self.clients:
                disconnect(client)
            self.clients.clear()
