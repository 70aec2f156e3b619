# SPDX-License-Identifier: BSD-2-Clause
"""Runs inside gdb. The servers share their addresses, so the symbols of one are loaded: of the one that runs.

Which it is says the server_info page that the root pager maps into every server; the root pager itself has boot_info
there. The command `server NAME` chooses by hand, for a breakpoint in one that does not run.
"""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path
from types import SimpleNamespace

import gdb

FACTS = json.loads(Path(globals()["QUOLL_FACTS"]).read_text())
# gdb's Python has no packages of ours; this module needs none.
sys.path.insert(0, FACTS["path"])
sys.dont_write_bytecode = True
from orchestration.build import system  # noqa: E402

ABI = SimpleNamespace(**FACTS["abi"])
SERVERS = [system.Server(**one) for one in FACTS["servers"]]
FILES = FACTS["files"]
LOADED: list[str] = []


def load(name: str) -> None:
    """Replace the symbols of a server by another's."""
    if [name] == LOADED:
        return
    for old in LOADED:
        gdb.execute(f"remove-symbol-file {shlex.quote(FILES[old])}", to_string=True)
    LOADED[:] = [name]
    gdb.execute(f"add-symbol-file {shlex.quote(FILES[name])}", to_string=True)
    gdb.write(f"[symbols of server {name}]\n")


def running() -> str:
    """Return the server whose address space is active, or an empty string."""
    try:
        page = bytes(gdb.selected_inferior().read_memory(ABI.SERVER_INFO_VADDR, ABI.STRUCTS["server_info"][0]))
    except gdb.error:
        return ""
    return system.identified(ABI, page, SERVERS)  # type: ignore[arg-type]


def stopped(event: object) -> None:
    """Load what fits the place where the machine has stopped."""
    name = running()
    if name:
        load(name)


class Server(gdb.Command):  # type: ignore[misc]
    """server NAME: use the symbols of the root pager (root) or of a server (console, block, net, 9p2 ...)."""

    def __init__(self) -> None:
        """Name it."""
        super().__init__("server", gdb.COMMAND_FILES)

    def invoke(self, argument: str, from_tty: bool) -> None:
        """Load its symbols."""
        if argument.strip() not in FILES:
            raise gdb.GdbError(f"server: one of {', '.join(FILES)}")
        load(argument.strip())


Server()
gdb.events.stop.connect(stopped)
