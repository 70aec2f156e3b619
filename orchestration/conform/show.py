# SPDX-License-Identifier: BSD-2-Clause
"""Shows a comparison: as text test by test, and by collections as a section of docs/conform.md."""

from __future__ import annotations

import re
import textwrap
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from orchestration.base.arch import Check, GuestMode
from orchestration.base.errors import printable
from orchestration.base.tree import ROOT
from orchestration.conform.compare import Row
from orchestration.conform.outcome import Outcome, Status

PAGE = ROOT / "docs" / "conform.md"
WIDTH = 120
SECTION = re.compile(r"^## (?=[^\n]*\n)", re.MULTILINE)
HEAD = """\
# The guest beside native Linux

Suites of others run in the guest and in native Linux ([how](usage.md#conform)). Both sides run the same programs on the
same root file system, in machines of the same size: Linux on L4, and Linux of the same source with the same options on
the bare machine. Where a section says so, both are the small kernels: then more is skipped on both sides; or the bare
machine has Debian's own kernel, whose options are Debian's.

A difference is what native Linux passes and the guest does not; its reason is in
[expected.toml](../tests/conform/expected.toml). A test may differ in several of its parts, which are the lines of its
own report. What fails on both sides says nothing of the guest: often it asks for what an emulated machine and this root
file system do not have. What was ended at its limit on both is listed apart: that happens where the host is busy. Where
a section names no number of CPUs, both machines have one.

The command prints the table test by test. Its sections here are what `--write` left of it.
"""


@dataclass(frozen=True)
class Result:
    """A suite on one architecture."""

    arch: str
    suite: str
    what: str
    versions: str
    """Of Linux and QEMU."""
    date: str
    rows: list[Row]
    only: tuple[str, ...] = ()
    """Collections that were chosen; nothing: all."""
    small: bool = False
    """With the small kernels."""
    debian: bool = False
    """With Debian's own kernel on the bare machine."""
    mode: GuestMode | None = None
    """The guest mode that was asked for."""
    left: int = 0
    """Tests that were wanted and have not run on both sides."""
    debug: tuple[Check, ...] = ()
    """Checks that were compiled into the guest's Linux."""
    cpus: int = 1
    """Of either machine, and of the guest."""

    @property
    def title(self) -> str:
        """Return what the section is called."""
        return (" ".join([f"{self.arch}:", self.suite, *self.only]) + (", small kernels" if self.small else "")
                + (", against Debian's kernel" if self.debian else "")
                + (f", mode {self.mode}" if self.mode else "")
                + (f", with {' '.join(self.debug)}" if self.debug else "") + self.several)

    @property
    def several(self) -> str:
        """Return how many CPUs both sides had, where that is not one."""
        return f", {self.cpus} CPUs" if self.cpus > 1 else ""

    @property
    def command(self) -> str:
        """Return the command that made it."""
        chosen = [word for name in self.only for word in ("--test", name)]
        return " ".join(["./orchestrate conform", self.arch, "--suite", self.suite, *chosen,
                         *(["--small"] if self.small else []),
                         *(["--against distribution"] if self.debian else []),
                         *([f"--guest-mode {self.mode}"] if self.mode else []),
                         *(f"--debug {check}" for check in self.debug),
                         *([f"--cpus {self.cpus}"] if self.cpus > 1 else [])])

    @property
    def unexplained(self) -> int:
        """Return how many differences have no reason."""
        return sum(len(row.unexplained) for row in self.rows)


def cell(outcome: Outcome) -> str:
    """Return a test's status, and how many of its parts pass."""
    passed = sum(one is Status.PASS for one in outcome.parts.values())
    return outcome.status.value + (f" {passed}/{len(outcome.parts)}" if outcome.parts else "")


def note(row: Row) -> str:
    """Return what the last column says of a test."""
    if row.unexplained:
        return "DIFFERS"
    if row.differences:
        return "explained"
    return "better" if row.native.status is Status.FAIL and row.guest.status is Status.PASS else ""


def text(result: Result) -> list[str]:
    """Return the table test by test, then each difference with its reason."""
    width = max([len(row.name) for row in result.rows] + [4])
    lines = [f"{'test':{width}}  {'guest':14}  {'native':14}"]
    lines += [f"{row.name:{width}}  {cell(row.guest):14}  {cell(row.native):14}  {note(row)}".rstrip()
              for row in result.rows]
    for row in result.rows:
        for one in row.differences:
            why = f" ({one.why})" if one.why else ""
            lines.append(f"{'DIFFERS' if one.reason is None else 'explained'}: {one.name}: {one.guest.value}{why}"
                         + (f": {one.reason}" if one.reason else ""))
    return [printable(line) for line in [*lines, summary(result)]]


def summary(result: Result) -> str:
    """Return one line."""
    both = Counter((row.guest.status, row.native.status) for row in result.rows)
    explained = sum(len(row.differences) for row in result.rows) - result.unexplained
    return (f"{result.suite} on {result.arch}{result.several}: {len(result.rows)} tests; "
            f"{both[Status.PASS, Status.PASS]} pass on both, "
            f"{both[Status.SKIP, Status.SKIP]} are skipped on both, {both[Status.FAIL, Status.FAIL]} fail on both; "
            f"differences: {explained} explained, {result.unexplained} not"
            + (f"; {result.left} more have not run on both sides" if result.left else ""))


def plain(value: str, room: int = 60) -> str:
    """Return a name as it can stand in a cell of Markdown."""
    short = value if len(value) <= room else f"{value[:room - 3]}..."
    return printable(short).replace("|", "/").replace("`", "'")


def section(result: Result) -> str:
    """Return a section of the page: a table by collections, then each difference, then what passes nowhere."""
    lines = [f"## {result.title}", "",
             *wrapped(f"{result.what[:1].upper()}{result.what[1:]}, by `{result.command}` on {result.date}. "
                      f"{result.versions}."
                      + (f" {result.left} more {'test has' if result.left == 1 else 'tests have'} not run."
                         if result.left else ""), ""),
             "", "| collection | tests | pass on both | skipped on both | fail on both | other | differences |",
             "|---|---|---|---|---|---|---|"]
    by_name: dict[str, list[Row]] = {}
    for row in result.rows:
        by_name.setdefault(row.name.partition(":")[0], []).append(row)
    lines += [line(plain(name), rows) for name, rows in by_name.items()]
    if len(by_name) > 1:
        lines.append(line("**all**", result.rows))
    found = [one for row in result.rows for one in row.differences]
    if found:
        lines += ["", "Differences:", ""]
        for one in found:
            lines += wrapped(f"- `{plain(one.name.partition('/')[2], 100)}`: {one.guest.value}. "
                             f"{one.reason or 'No reason is known.'}")
    nowhere = [row for row in result.rows
               if row.guest.status is row.native.status is Status.FAIL and not row.differences]
    for what, late in (("Fail on both", False), ("Ended at their limit on both", True)):
        names = [f"`{plain(row.name)}`" for row in nowhere if (row.guest.late and row.native.late) is late]
        if names:
            lines += ["", *wrapped(f"{what}: {', '.join(names)}.", "")]
    return "\n".join([*lines, ""])


def line(name: str, rows: list[Row]) -> str:
    """Return a line of the table by collections."""
    same = [sum(row.guest.status is row.native.status is status for row in rows)
            for status in (Status.PASS, Status.SKIP, Status.FAIL)]
    cells = [name, len(rows), *same, len(rows) - sum(same), sum(len(row.differences) for row in rows)]
    return f"| {' | '.join(map(str, cells))} |"


def wrapped(text: str, indent: str = "  ") -> list[str]:
    """Return a paragraph, or an item of a list, in lines of at most WIDTH columns."""
    return textwrap.wrap(text, WIDTH, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)


def write(results: Iterable[Result], page: Path = PAGE) -> None:
    """Put sections into the page, in the place of those with the same title. What stands before them stays."""
    head, *before = SECTION.split(page.read_text()) if page.exists() else [f"{HEAD}\n"]
    sections = {one.partition("\n")[0]: f"## {one.rstrip()}\n" for one in before}
    for result in results:
        sections[result.title] = section(result)
    page.write_text(head + "\n".join(sections[title] for title in sorted(sections)))
