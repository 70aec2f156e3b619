# SPDX-License-Identifier: BSD-2-Clause
"""Processes of a guest, and how a test ends one that it has started."""

from __future__ import annotations

from quoll import Guest


def living(guest: Guest) -> list[str]:
    """Return the command lines of the guest's processes.

    One that is dead and whose new parent has not asked for its status yet (state Z) is none of them.
    """
    lines = guest.run(["ps", "-o", "stat,args"]).text.splitlines()[1:]
    return [line.split(maxsplit=1)[1] for line in lines if not line.startswith("Z")]


def end(file: str) -> str:
    """Return a shell command that ends the process whose number is in a file, and waits until it is gone."""
    return f"kill $(cat {file}); while kill -0 $(cat {file}) 2> /dev/null; do sleep 0.1; done"
