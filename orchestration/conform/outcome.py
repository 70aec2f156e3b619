# SPDX-License-Identifier: BSD-2-Clause
"""What a test came to, and the parsers that read it from the output of a suite's runner."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum

# A line of KTAP; a number may be missing, as in what older selftests print.
RESULT = re.compile(r"(not )?ok\b(?:\s+(\d+))?(?:\s+-)?\s*(.*?)\s*"
                    r"(?:#\s*(SKIP|TODO|XFAIL|TIMEOUT|exit=\d+)?\b\s*(.*))?$", re.IGNORECASE)
# A line of nolibc's tests, which print no KTAP: its number, its name, what came of it.
NOLIBC = re.compile(r"\d+ (\w+).*\[(OK|FAIL|SKIPPED)\]\s*$")
# The line of TAP that tells how many results there are; 0: the whole is skipped.
PLAN = re.compile(r"^1\.\.(\d+)\s*(?:#\s*(?:skip\b)?)?(.*)$", re.MULTILINE | re.IGNORECASE)
# unittest -v: test_name (module.Class.test_name) ... ok; what it does may stand on a second line, and so may what came
# of it, after a message of the program's.
UNITTEST = re.compile(r"(\w+) \(([\w.]+)\)(?:\n?.*)? \.\.\. (?:.*\s)?(ok|FAIL|ERROR|skipped .*|expected failure)$",
                      re.MULTILINE)
# What its faulthandler says when --timeout has passed for the module, before it ends the program.
UNITTEST_LATE = re.compile(r"\bTimeout \(\d+:\d\d:\d\d\)!$", re.MULTILINE)
# What differs from run to run in the names of tests: addresses, process numbers.
CHANGING = re.compile(r"0x[0-9a-f]+|\b\d{4,}\b", re.IGNORECASE)
NAME_MAX = 96


class Status(Enum):
    """What a test came to."""

    PASS = "pass"  # noqa: S105 - no password
    FAIL = "fail"
    SKIP = "skip"
    ABSENT = "absent"
    """It did not report: its program ended before, or it is not there."""


# The words of NOLIBC.
WORDS = {"OK": Status.PASS, "FAIL": Status.FAIL, "SKIPPED": Status.SKIP}


@dataclass(frozen=True)
class Outcome:
    """A test's status, why, and the same of what it consists of, by name."""

    status: Status
    why: str = ""
    parts: dict[str, Status] = field(default_factory=dict, hash=False)
    lost: bool = False
    """The machine panicked or hung while the test ran."""
    late: bool = False
    """It was ended because it took too long: how far it came is the host's doing."""
    report: str = ""
    """What a check that is compiled into Linux (--debug) reported first while it ran."""


def status_of(failed: bool, directive: str) -> Status:
    """Return the status of a line of KTAP."""
    if directive.upper() == "SKIP":
        return Status.SKIP
    return Status.FAIL if failed and directive.upper() not in ("TODO", "XFAIL") else Status.PASS


def unique(named: Iterable[tuple[str, Status]]) -> dict[str, Status]:
    """Return parts by name: what changes in a name replaced, a number added to a name that comes again."""
    found: dict[str, Status] = {}
    for text, status in named:
        name = CHANGING.sub("*", " ".join(text.split()))[:NAME_MAX] or "(no name)"
        one, number = name, 1
        while one in found:
            number += 1
            one = f"{name} #{number}"
        found[one] = status
    return found


def kselftest(text: str) -> Outcome:
    """Return what the kernel's run_kselftest.sh printed of one test: its line, and as comments those of its parts."""
    parts: list[tuple[str, Status]] = []
    whole: Outcome | None = None
    for line in text.splitlines():
        inner = line.removeprefix("# ")
        match = RESULT.match(inner)
        if match is None:
            if inner != line and (other := NOLIBC.match(inner)):
                parts.append((other[1], WORDS[other[2]]))
            continue
        status = status_of(bool(match[1]), match[4] or "")
        if inner != line:
            parts.append((match[3], status))
        elif match[3].startswith("selftests:"):
            whole = Outcome(status, " ".join(filter(None, (match[4], match[5]))))
    if whole is None:
        return Outcome(Status.FAIL, "its runner told no result", unique(parts))
    return Outcome(whole.status, whole.why, unique(parts), late=whole.why.startswith("TIMEOUT"))


def tap(text: str, status: int) -> Outcome:
    """Return what a program came to that prints TAP and ended with a status."""
    matches = [match for line in text.splitlines() if (match := RESULT.match(line)) and match[2]]
    parts = unique((match[3], status_of(bool(match[1]), match[4] or "")) for match in matches)
    plan = PLAN.search(text)
    failed = sum(one is Status.FAIL for one in parts.values())
    if status:
        return Outcome(Status.FAIL, f"exit={status}", parts)
    if plan is None:
        return Outcome(Status.FAIL, "it told no plan", parts)
    if plan[1] == "0":
        return Outcome(Status.SKIP, plan[2].strip(), parts)
    if failed or len(parts) != int(plan[1]):
        return Outcome(Status.FAIL, f"{failed} failed, {len(parts)} of {plan[1]} reported", parts)
    return Outcome(Status.PASS, "", parts)


def unittest(text: str, status: int) -> Outcome:
    """Return what python3 -m test -v printed of one module, which ended with a status."""
    words = {"ok": Status.PASS, "expected failure": Status.PASS, "FAIL": Status.FAIL, "ERROR": Status.FAIL}
    parts = [(f"{match[2].rpartition('.')[0].rpartition('.')[2]}.{match[1]}", words.get(match[3], Status.SKIP))
             for match in UNITTEST.finditer(text)]
    if status:
        whole = Outcome(Status.FAIL, f"exit={status}")
    elif re.search(r"^(\d+ tests?|All \d+ tests?) skipped", text, re.MULTILINE) and not parts:
        whole = Outcome(Status.SKIP)
    else:
        whole = Outcome(Status.PASS)
    return Outcome(whole.status, whole.why, unique(parts), late=bool(status and UNITTEST_LATE.search(text)))
