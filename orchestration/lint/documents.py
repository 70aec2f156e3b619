# SPDX-License-Identifier: BSD-2-Clause
"""Checks of Markdown: links, anchors, names of files, widths. Checks of drawings: each is what its source draws."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from fnmatch import fnmatch
from functools import cached_property
from itertools import product
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token

from orchestration.lint.architectures import added
from orchestration.lint.core import FOREIGN, LIMIT, Finding, Tree

WIDTH = 120
# Pages that a command writes: their lines may be longer.
WRITTEN = ("docs/measurements.md", "docs/bench.md")
# Patterns of what is made and never committed, and where other services want it.
MADE = ("docs/abi.md", "abi.md", "abi*.h", ".github/workflows", "quoll.toml")
# A word of code that names a file by how it ends; other words count when they begin with one of our folders.
SOURCE = re.compile(r"[\w.<>*{},/+-]+\.(?:c|h|S|py|md|yaml|toml|ini|patch|config|build|svg|sh|ld)")
PATH = re.compile(r"[\w.<>*{},/+-]+")
HTML_TARGET = re.compile(r"(?:src|srcset|href)=\"([^\"]+)\"")
BRACES = re.compile(r"\{([^{}]*)\}")


def slug(heading: str) -> str:
    """Return the anchor that GitHub and GitLab make of a heading."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


def spread(text: str) -> list[str]:
    """Return the patterns that a word stands for: {a,b} is both, <isa> and ARCH are any name."""
    parts = BRACES.split(re.sub(r"<[^<>]*>|\bARCH\b", "*", text))
    return ["".join(one) for one in product(*(part.split(",") if at % 2 else [part]
                                              for at, part in enumerate(parts)))]


class Page:
    """One Markdown file, parsed."""

    def __init__(self, path: Path) -> None:
        """Parse it."""
        self.path = path
        self.lines = path.read_text().splitlines()
        self.tokens = MarkdownIt("commonmark").enable("table").parse(path.read_text())

    @cached_property
    def anchors(self) -> set[str]:
        """Return what a link to this page may name after #."""
        found: dict[str, int] = {}
        for token, text in zip(self.tokens, self.tokens[1:], strict=False):
            if token.type == "heading_open":
                words = "".join(one.content for one in text.children or () if one.type in ("text", "code_inline"))
                found[slug(words)] = found.get(slug(words), 0) + 1
        return {f"{name}-{at}" if at else name for name, times in found.items() for at in range(times)}

    @cached_property
    def headings(self) -> set[int]:
        """Return the lines of headings, counted from 0."""
        return {token.map[0] for token in self.tokens if token.type == "heading_open" and token.map}

    def parts(self) -> Iterator[tuple[Token, Token]]:
        """Give each piece of text with the block that it stands in."""
        for block in self.tokens:
            yield from ((piece, block) for piece in block.children or (block,))

    def line(self, block: Token, word: str) -> int:
        """Return the line of a word of a block."""
        first, last = block.map or [0, len(self.lines)]
        return next((at + 1 for at in range(first, last) if word in self.lines[at]), first + 1)

    def targets(self) -> Iterator[tuple[str, int]]:
        """Give what links, images and HTML of the page refer to, each with its line."""
        for piece, block in self.parts():
            if piece.type in ("link_open", "image"):
                target = str(piece.attrs.get("href") or piece.attrs.get("src"))
                yield target, self.line(block, target)
            elif piece.type in ("html_inline", "html_block"):
                for target in HTML_TARGET.findall(piece.content):
                    yield target, self.line(block, target)

    def code_words(self) -> Iterator[tuple[str, int]]:
        """Give the words that are set as code within text, each with its line."""
        for piece, block in self.parts():
            if piece.type == "code_inline":
                for word in piece.content.split():
                    yield word.strip(",;:"), self.line(block, word)


class Names:
    """The paths that a page may name: those of the tree, and those that the Linux port adds to Linux."""

    def __init__(self, tree: Tree) -> None:
        """Look them up once."""
        self.root = tree.root
        self.top = {path.name for path in tree.root.iterdir() if path.is_dir()} - FOREIGN
        files = {Path(tree.name(path)) for path in tree.files()} | {Path(name) for name in added(tree)}
        self.all = {str(path) for file in files for path in (file, *file.parents)}

    def mentions(self, word: str) -> bool:
        """Say whether a word of code names a file or a folder of ours."""
        if not PATH.fullmatch(word) or word.startswith(("/", "*.")):
            return False
        plain = word.removeprefix("./")
        return bool(SOURCE.fullmatch(word)) or ("/" in plain and plain.split("/")[0] in self.top)

    def known(self, word: str) -> bool:
        """Say whether each path that a word stands for exists; it may leave out leading folders."""
        for pattern in spread(re.sub(r"^(?:\.\.?/)+", "", word).rstrip("/")):
            if pattern in self.all or any(fnmatch(pattern, made) for made in MADE):
                continue
            if not any(fnmatch(name, pattern) or fnmatch(name, f"*/{pattern}") for name in self.all):
                return False
        return True


def broken(target: str, page: Page, pages: dict[Path, Page]) -> str:
    """Return what is wrong with a link, or an empty string. Links to other machines are not followed."""
    if re.match(r"[a-z][a-z0-9+.-]*:", target):
        return ""
    file, _, anchor = target.partition("#")
    path = (page.path.parent / file).resolve() if file else page.path
    if not path.exists():
        return f"the link leads nowhere: {target}"
    if anchor and (path not in pages or anchor not in pages[path].anchors):
        return f"no heading has this anchor: {target}"
    return ""


def check(tree: Tree) -> list[Finding]:
    """Return what is wrong with the pages."""
    pages = {path.resolve(): Page(path.resolve()) for path in tree.files("*.md")}
    names, found = Names(tree), []
    for path, page in pages.items():
        name = str(path.relative_to(tree.root.resolve()))
        found += [Finding(name, line, wrong) for target, line in page.targets()
                  if (wrong := broken(target, page, pages))]
        found += [Finding(name, line, f"no such file or folder: {word}") for word, line in page.code_words()
                  if names.mentions(word) and not names.known(word)]
        if name not in WRITTEN:
            # Rows of tables and headings cannot be wrapped.
            found += [Finding(name, at + 1, f"{len(line)} columns; at most {WIDTH}")
                      for at, line in enumerate(page.lines)
                      if len(line) > WIDTH and not line.lstrip().startswith("|") and at not in page.headings]
    return sorted(set(found))


def drawn(source: Path) -> str:
    """Return the drawing that a script prints."""
    return subprocess.run([sys.executable, str(source)], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          check=True, timeout=LIMIT).stdout


def drawings(tree: Tree) -> list[Finding]:
    """Return the drawings that have no script of their name, or are not what it prints."""
    found = []
    for path in tree.files("*.svg"):
        source = path.with_suffix(".py")
        if not source.exists():
            found.append(tree.finding(path, 0, f"has no source {source.name} beside it"))
        elif drawn(source) != path.read_text():
            found.append(tree.finding(path, 0, f"is not what {source.name} draws: run ./orchestrate lint --fix"))
    return found


def draw(tree: Tree) -> None:
    """Make the drawings anew."""
    for path in tree.files("*.svg"):
        if path.with_suffix(".py").exists():
            path.write_text(drawn(path.with_suffix(".py")))
