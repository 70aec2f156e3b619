# SPDX-License-Identifier: BSD-2-Clause
"""The program of this machine that a workload talks to, on a port of the loopback device."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager

from orchestration.base import tools
from orchestration.base.errors import InfrastructureError
from orchestration.bench.workload import Workload
from orchestration.machine import qemu

# QEMU's user network shows this machine's loopback device to the guest under this address.
HOST = "10.0.2.2"
START_LIMIT = 10.0


def taken(port: int) -> bool:
    """Tell whether somebody listens, without being taken for a client."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return True
    return False


@contextmanager
def peer(workload: Workload) -> Iterator[dict[str, str]]:
    """Run a workload's peer; the value is what the workload gets to know of it, as environment variables."""
    if not workload.description.peer:
        yield {}
        return
    port = qemu.free_port()
    argv = [word.replace("{port}", str(port)) for word in workload.description.peer]
    with tools.group() as group:
        process = subprocess.Popen([tools.program(argv[0]), *argv[1:]], stdin=subprocess.DEVNULL,
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, process_group=group)
        try:
            deadline = time.monotonic() + START_LIMIT
            while not taken(port):
                if process.poll() is not None or time.monotonic() > deadline:
                    raise InfrastructureError(f"the peer of {workload.name} does not listen: {' '.join(argv)}",
                                              "try the command by hand")
                time.sleep(0.05)
            yield {"PEER_HOST": HOST, "PEER_PORT": str(port)}
        finally:
            process.kill()
            process.wait()
