# SPDX-License-Identifier: BSD-2-Clause
"""A machine's serial line for others: what comes out goes to everyone who is attached, what they type goes in."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

NAME = "attach"
# Bytes that someone who attaches sees of what came before, and that one who does not read may be behind.
HISTORY = 8192
BEHIND = 1 << 20


class Tee:
    """Listens in the folder of a machine's sockets."""

    def __init__(self, folder: Path, send: Callable[[bytes], None]) -> None:
        """Listen; send types on the serial line."""
        self.send = send
        self.recent = bytearray()
        self.lock = threading.Lock()
        self.clients: list[socket.socket] = []
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(folder / NAME))
        self.listener.listen(4)
        threading.Thread(target=self.accept, daemon=True, name="attach").start()

    def accept(self) -> None:
        """Take everyone who comes."""
        with suppress(OSError):
            while True:
                client = self.listener.accept()[0]
                client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BEHIND)
                with self.lock:
                    client.sendall(bytes(self.recent))
                    client.setblocking(False)
                    self.clients.append(client)
                threading.Thread(target=self.read, args=(client,), daemon=True, name="attached").start()

    def read(self, client: socket.socket) -> None:
        """Type what one of them types."""
        with suppress(OSError):
            other = client.dup()
            other.setblocking(True)
            while data := other.recv(4096):
                self.send(data)

    def feed(self, data: bytes) -> None:
        """Take bytes of the line; whoever cannot keep up is let go."""
        with self.lock:
            self.recent = (self.recent + data)[-HISTORY:]
            for client in list(self.clients):
                try:
                    if client.send(data) != len(data):
                        raise BlockingIOError
                except OSError:
                    self.clients.remove(client)
                    client.close()

    def close(self) -> None:
        """Let everyone go."""
        with suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        with self.lock:
            for client in self.clients:
                with suppress(OSError):
                    client.shutdown(socket.SHUT_RDWR)
                client.close()
            self.clients.clear()
