# SPDX-License-Identifier: BSD-2-Clause
"""QEMU's monitor: a greeting, none, and a QEMU that ends before it."""

from __future__ import annotations

import json
import socket
import threading
from typing import Any

import pytest

from orchestration.base.errors import InfrastructureError
from orchestration.machine.monitor import Monitor

GREETING = {"QMP": {"version": {"qemu": {"major": 7, "minor": 2, "micro": 0}, "package": ""}, "capabilities": []}}


def ignore(event: dict[str, Any]) -> None:
    """Take an event that no test looks at."""


def answer(line: socket.socket) -> None:
    """Greet, and answer each command with its name, until the other end has gone."""
    with line:
        line.sendall(json.dumps(GREETING).encode() + b"\r\n")
        # The client sends a command once it has the answer to the one before.
        while text := line.recv(1 << 16):
            asked = json.loads(text)
            said = {"return": {"asked": asked["execute"]}, **({"id": asked["id"]} if "id" in asked else {})}
            line.sendall(json.dumps(said).encode() + b"\r\n")


def test_a_monitor_that_greets_takes_commands() -> None:
    ours, theirs = socket.socketpair()
    threading.Thread(target=answer, args=(theirs,), daemon=True).start()
    monitor = Monitor(ours, ignore, 30.0)
    assert monitor.execute("query-status") == {"asked": "query-status"}
    monitor.close()
    assert not monitor.thread.is_alive()


def test_a_qemu_that_ends_before_its_greeting_is_an_error() -> None:
    ours, theirs = socket.socketpair()
    theirs.close()
    threads = threading.active_count()
    with pytest.raises(InfrastructureError, match="monitor does not answer"):
        Monitor(ours, ignore, 30.0)
    assert threading.active_count() == threads


def test_a_qemu_that_never_greets_is_an_error() -> None:
    ours, theirs = socket.socketpair()
    with theirs, pytest.raises(InfrastructureError, match="did not answer"):
        Monitor(ours, ignore, 0.2)
