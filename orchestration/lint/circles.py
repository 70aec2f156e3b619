# SPDX-License-Identifier: BSD-2-Clause
"""Looks for C files that need each other in a circle: none can be read, tested or replaced without the others.

A file needs the file that defines a function that it names. (import-linter does this for Python.)
"""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatch

from orchestration.lint.architectures import DEFINED, USED, plain
from orchestration.lint.core import Finding, Tree

# Folders whose C files are looked at together.
C_FOLDERS = ("kernel/src", "servers")
FUNCTION = DEFINED[".c"][0]
# Files that only dispatch to what is above them, and so stand for tables of functions: what they need does not count.
# The kernel's is a switch because it has no indirect branch (docs/architecture.md, "CPU hardening"): a revoke of the
# lowest layer ends any object through it.
DISPATCH = ("kernel/src/object/types.c",)
# Circles that are meant: patterns of the files that may be in one, and the reason.
KNOWN: tuple[tuple[tuple[str, ...], str], ...] = ()

Graph = dict[str, set[str]]


def c_graph(tree: Tree, folder: str) -> Graph:
    """Return which C file needs which. A name that several files define is a program's own and not counted."""
    files = {tree.name(path): path for path in tree.files("*.c", under=(folder,))}
    owners: dict[str, list[str]] = {}
    for name, path in files.items():
        for word in set(FUNCTION.findall(plain(path))):
            owners.setdefault(word, []).append(name)
    owner = {word: names[0] for word, names in owners.items() if len(names) == 1}
    return {name: {owner[word] for word in USED.findall(plain(path)) if word in owner and name not in DISPATCH} - {name}
            for name, path in files.items()}


def reached(graph: Graph, start: str) -> set[str]:
    """Return all that a node needs, by whatever way."""
    found: set[str] = set()
    ahead = [start]
    while ahead:
        more = graph.get(ahead.pop(), set()) - found
        found |= more
        ahead += more
    return found


def circles(graph: Graph) -> list[frozenset[str]]:
    """Return the sets of nodes that need each other, the largest first."""
    all_reached = {node: reached(graph, node) for node in graph}
    found = {frozenset(other for other in all_reached[node] if node in all_reached.get(other, ()))
             for node in graph if node in all_reached[node]}
    return sorted(found, key=lambda one: (-len(one), sorted(one)))


def example(graph: Graph, circle: frozenset[str]) -> str:
    """Return a short way round."""
    first = min(circle)
    ways = [[first]]
    seen = {first}
    while ways:
        way = ways.pop(0)
        for one in sorted(graph[way[-1]] & circle):
            if one == first:
                return " -> ".join([*way, first])
            if one not in seen:
                seen.add(one)
                ways.append([*way, one])
    return first


def unknown(graph: Graph) -> Iterable[Finding]:
    """Return the circles that nobody has given a reason for."""
    for circle in circles(graph):
        if not any(all(any(fnmatch(one, pattern) for pattern in patterns) for one in circle) for patterns, _ in KNOWN):
            yield Finding(min(circle), 0, f"{len(circle)} need each other ({', '.join(sorted(circle))}), such as "
                                          f"{example(graph, circle)}")


def check(tree: Tree) -> list[Finding]:
    """Return the circles that have no reason."""
    return [finding for folder in C_FOLDERS for finding in unknown(c_graph(tree, folder))]
