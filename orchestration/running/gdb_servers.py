# SPDX-License-Identifier: BSD-2-Clause
"""Runs inside gdb. The servers share their addresses, so the symbols of one are loaded: of the one that runs.

Which it is says the server_info page that the root pager maps into every server; the root pager itself has boot_info
there. The command `server NAME` chooses by hand, for a breakpoint in one that does not run.
"""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import gdb

FACTS = json.loads(Path(globals()["QUOLL_FACTS"]).read_text())
LOADED: list[str] = []


def load(name: str) -> None:
    """Replace the symbols of a server by another's."""
    if [name] == LOADED:
        return
    for old in LOADED:
        gdb.execute(f"remove-symbol-file {shlex.quote(FACTS['servers'][old])}", to_string=True)
    LOADED[:] = [name]
    gdb.execute(f"add-symbol-file {shlex.quote(FACTS['servers'][name])}", to_string=True)
    gdb.write(f"[symbols of server {name}]\n")


def running() -> str | None:
    """Return the server whose address space is active, or None."""
    try:
        page = bytes(gdb.selected_inferior().read_memory(FACTS["info"], FACTS["info_size"]))
    except gdb.error:
        return None
    if int.from_bytes(page[:8], "little") == FACTS["boot_magic"]:
        return "root"
    if int.from_bytes(page[:8], "little") != FACTS["hash"]:
        return None
    at, size = FACTS["program"]
    name = page[at:at + size].split(b"\0")[0].decode(errors="replace")
    return name if name in FACTS["servers"] else None


def stopped(event: object) -> None:
    """Load what fits the place where the machine has stopped."""
    name = running()
    if name is not None:
        load(name)


class Server(gdb.Command):  # type: ignore[misc]
    """server NAME: use the symbols of the root pager (root) or of a server (console, block, net, 9p)."""

    def __init__(self) -> None:
        """Name it."""
        super().__init__("server", gdb.COMMAND_FILES)

    def invoke(self, argument: str, from_tty: bool) -> None:
        """Load its symbols."""
        if argument.strip() not in FACTS["servers"]:
            raise gdb.GdbError(f"server: one of {', '.join(FACTS['servers'])}")
        load(argument.strip())


Server()
gdb.events.stop.connect(stopped)
