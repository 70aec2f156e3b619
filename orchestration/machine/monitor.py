# SPDX-License-Identifier: BSD-2-Clause
"""QEMU's monitor for code that is not asynchronous: a QMP client on a thread of its own.

Imported when QEMU runs: the libraries take as long to load as QEMU takes to open its monitor.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import TimeoutError as FutureTimeout
from contextlib import suppress
from pathlib import Path
from typing import Any

from qemu.qmp import ConnectError, EventListener, QMPClient
from qemu.qmp.protocol import Runstate

from orchestration.base.errors import InfrastructureError

COMMAND_LIMIT = 20.0


class Monitor:
    """Our end of the connection that QEMU makes to its monitor's socket when it starts."""

    def __init__(self, connection: socket.socket, on_event: Callable[[dict[str, Any]], None], limit: float) -> None:
        """Take a connection and wait for QEMU's greeting, limit seconds; raise InfrastructureError when none comes.

        on_event gets every event, on the monitor's thread.
        """
        self.on_event = on_event
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True, name="monitor")
        self.thread.start()
        self.client = QMPClient("quoll")
        self.forwarding: asyncio.Task[None] | None = None
        try:
            self.call(self.greeted(connection), limit)
        except BaseException as error:
            self.close()
            if isinstance(error, ConnectError):
                raise InfrastructureError(f"QEMU's monitor does not answer: {error}") from error
            raise

    def call(self, coroutine: Coroutine[Any, Any, Any], limit: float) -> Any:
        """Run a coroutine on the monitor's thread and return its result."""
        future = asyncio.run_coroutine_threadsafe(coroutine, self.loop)
        try:
            return future.result(limit)
        except FutureTimeout:
            future.cancel()
            raise InfrastructureError(f"QEMU's monitor did not answer in {limit:.0f} s") from None

    async def greeted(self, connection: socket.socket) -> None:
        """Wait for QEMU's greeting, then pass its events to on_event until it disconnects."""
        logging.getLogger("qemu.qmp").setLevel(logging.CRITICAL)  # its failures are reported as ours
        listener = EventListener()
        self.client.register_listener(listener)
        await self.client.connect(connection)
        self.forwarding = self.loop.create_task(self.forward(listener))

    async def forward(self, listener: EventListener) -> None:
        """Pass events to on_event until close(): the listener itself never ends."""
        async for event in listener:
            self.on_event(dict(event))

    def execute(self, command: str, **arguments: Any) -> Any:
        """Run a QMP command and return its answer; raise InfrastructureError when there is none."""
        if self.client.runstate is not Runstate.RUNNING:
            raise InfrastructureError("QEMU's monitor is not connected")
        try:
            return self.call(self.client.execute(command, arguments or None), COMMAND_LIMIT)
        except InfrastructureError:
            raise
        except Exception as error:
            raise InfrastructureError(f"QEMU's monitor refused {command}: {error}") from error

    def save(self, address: int, size: int, file: Path) -> None:
        """Write physical memory to a file, all of it of one moment: a machine that runs is stopped meanwhile."""
        ran = self.execute("query-status")["status"] == "running"
        if ran:
            self.execute("stop")
        try:
            self.execute("pmemsave", val=address, size=size, filename=str(file))
        finally:
            # A machine that came to its end meanwhile stands in another state, and stays there.
            if ran and self.execute("query-status")["status"] == "paused":
                self.execute("cont")

    def human(self, command: str) -> str:
        """Run a command of the human monitor and return its text."""
        return str(self.execute("human-monitor-command", **{"command-line": command}))

    async def leave(self) -> None:
        """Disconnect; QEMU may have gone already."""
        if self.forwarding is not None:
            self.forwarding.cancel()
        # Whatever a dead peer causes no longer matters.
        with suppress(Exception):
            await asyncio.wait_for(self.client.disconnect(), 3)

    def close(self) -> None:
        """Disconnect and end the thread."""
        if self.loop.is_running():
            with suppress(FutureTimeout):
                asyncio.run_coroutine_threadsafe(self.leave(), self.loop).result(5)
            self.loop.call_soon_threadsafe(self.loop.stop)
            self.thread.join(5)
