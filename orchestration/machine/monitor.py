# SPDX-License-Identifier: BSD-2-Clause
"""QEMU's monitor for code that is not asynchronous: a QMP client on a thread of its own."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from contextlib import suppress
from pathlib import Path
from typing import Any

from qemu.qmp import EventListener, QMPClient
from qemu.qmp.protocol import Runstate

from orchestration.base.errors import InfrastructureError

COMMAND_LIMIT = 20.0


class Monitor:
    """The server end of QEMU's monitor socket. QEMU connects to it when it starts."""

    def __init__(self, socket: Path, on_event: Callable[[dict[str, Any]], None]) -> None:
        """Listen on socket; on_event gets every event, on the monitor's thread."""
        self.on_event = on_event
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True, name="monitor")
        self.thread.start()
        self.client: QMPClient | None = None
        self.forwarding: asyncio.Task[None] | None = None
        self.call(self.listen(socket), 10)
        self.accepted: Future[None] = asyncio.run_coroutine_threadsafe(self.accept(), self.loop)

    def call(self, coroutine: Coroutine[Any, Any, Any], limit: float) -> Any:
        """Run a coroutine on the monitor's thread and return its result."""
        future = asyncio.run_coroutine_threadsafe(coroutine, self.loop)
        try:
            return future.result(limit)
        except FutureTimeout:
            future.cancel()
            raise InfrastructureError(f"QEMU's monitor did not answer in {limit:.0f} s") from None

    async def listen(self, socket: Path) -> None:
        """Open the socket. This comes before QEMU's start, which connects to it."""
        self.client = QMPClient("quoll")
        await self.client.start_server(str(socket))

    async def accept(self) -> None:
        """Wait for QEMU, then pass its events to on_event until it disconnects."""
        assert self.client is not None
        logging.getLogger("qemu.qmp").setLevel(logging.CRITICAL)  # its failures are reported as ours
        listener = EventListener()
        self.client.register_listener(listener)
        await self.client.accept()
        self.forwarding = self.loop.create_task(self.forward(listener))

    async def forward(self, listener: EventListener) -> None:
        """Pass events to on_event until close(): the listener itself never ends."""
        async for event in listener:
            self.on_event(dict(event))

    def execute(self, command: str, **arguments: Any) -> Any:
        """Run a QMP command and return its answer; raise InfrastructureError when there is none."""
        client = self.client
        if client is None or client.runstate is not Runstate.RUNNING:
            raise InfrastructureError("QEMU's monitor is not connected")
        try:
            return self.call(client.execute(command, arguments or None), COMMAND_LIMIT)
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
        try:
            if self.client is not None:
                await asyncio.wait_for(self.client.disconnect(), 3)
        except Exception:  # noqa: S110 - whatever a dead peer causes no longer matters
            pass

    def close(self) -> None:
        """Disconnect and end the thread."""
        if self.loop.is_running():
            self.accepted.cancel()
            with suppress(FutureTimeout):
                asyncio.run_coroutine_threadsafe(self.leave(), self.loop).result(5)
            self.loop.call_soon_threadsafe(self.loop.stop)
            self.thread.join(5)
