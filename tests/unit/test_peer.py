# SPDX-License-Identifier: BSD-2-Clause
"""The program of this machine that a workload talks to: it listens while the workload runs, and has ended after it."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from orchestration.base.errors import InfrastructureError
from orchestration.bench import peer
from orchestration.bench.terms import Clock
from orchestration.bench.workload import Description, Metric, Workload

LISTENS = "import socket, sys; s = socket.create_server(('127.0.0.1', int(sys.argv[1]))); s.accept()"


def workload(*argv: str) -> Workload:
    return Workload("one", Path(), Description(
        description="one", run="./go", clocks=(Clock.WALL,), limit=1.0, peer=argv,
        metrics=(Metric(name="m", unit="time", better="lower"),)))


def test_a_workload_without_a_peer_gets_to_know_nothing() -> None:
    with peer.peer(workload()) as told:
        assert told == {}


def test_a_peer_listens_as_long_as_the_workload_runs() -> None:
    with peer.peer(workload("python3", "-c", LISTENS, "{port}")) as told:
        assert told["PEER_HOST"] == "10.0.2.2"
        port = int(told["PEER_PORT"])
        assert peer.taken(port)
    assert not peer.taken(port)


def test_a_peer_that_ends_at_once_is_named() -> None:
    with pytest.raises(InfrastructureError, match="the peer of one does not listen: python3 -c pass"), \
            peer.peer(workload("python3", "-c", "pass")):
        pass


def test_a_port_is_taken_while_somebody_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert peer.taken(server.getsockname()[1])
