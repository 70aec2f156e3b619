# SPDX-License-Identifier: BSD-2-Clause
"""Files of the root pager and of the console stand in layers, in the order of their meson.build."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from orchestration.base.tree import ROOT
from orchestration.lint.circles import c_graph
from orchestration.lint.core import Tree

SERVERS = ROOT / "servers"


def listed(folder: str, name: str) -> list[str]:
    """Return the files that a meson.build assigns to a name, in its order."""
    body = re.search(rf"^{name} = files\((.*?)\)", (SERVERS / folder / "meson.build").read_text(),
                     re.DOTALL | re.MULTILINE)
    assert body is not None
    return [f"servers/{folder}/{file}" for file in re.findall(r"'([^']+\.c)'", body[1])]


@pytest.mark.parametrize(("folder", "name", "under"), [("root", "root_sources", "root"),
                                                       ("services", "console", "services/console")])
def test_no_file_needs_one_that_stands_after_it(folder: str, name: str, under: str) -> None:
    files = listed(folder, name)
    assert {Path(file).name for file in files} == {path.name for path in (SERVERS / under).glob("*.c")}
    graph = c_graph(Tree(ROOT), "servers")
    wrong = {file: needed for at, file in enumerate(files) if (needed := graph[file] & set(files[at + 1:]))}
    assert not wrong


def test_the_platform_is_told_nothing_of_servers_and_guests() -> None:
    graph = c_graph(Tree(ROOT), "servers")
    needed = {one for file, others in graph.items() if file.startswith("servers/platform/") for one in others
              if one.startswith("servers/root/")}
    assert needed == {f"servers/root/{name}.c" for name in ("report", "memory", "device_memory")}
