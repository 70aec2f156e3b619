# SPDX-License-Identifier: BSD-2-Clause
"""What tests of Debian's own programs share: scripts that have to succeed, and a second host."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from quoll import Guest

# Behind a pair of network devices: 10.9.0.2 in the namespace box, 10.9.0.1 here.
MAKE_BOX = """
set -e
ip netns add box
ip link add outer type veth peer name inner netns box
ip addr add 10.9.0.1/24 dev outer
ip link set outer up
ip -n box link set lo up
ip -n box addr add 10.9.0.2/24 dev inner
ip -n box link set inner up
"""


def out(guest: Guest, script: str, timeout: float = 300.0) -> str:
    """Run a script that has to succeed; return its output."""
    done = guest.run(script, timeout=timeout)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.text


@contextmanager
def second_host(guest: Guest, undo: str) -> Iterator[str]:
    """Make a network namespace with an address of its own; yield its name. At the end undo is run as well."""
    out(guest, MAKE_BOX)
    try:
        yield "box"
    finally:
        guest.run(f"ip netns del box; {undo}")
