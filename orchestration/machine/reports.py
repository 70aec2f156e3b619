# SPDX-License-Identifier: BSD-2-Clause
"""What Linux prints when one of its checks, or an assertion of its own, has found a bug."""

from __future__ import annotations

import re

# The first line of a report, with the time that Linux puts before each of its lines.
FIRST_LINE = re.compile(r"\[ *\d+\.\d+\] ((?:WARNING: |BUG: |UBSAN: |INFO: (?:possible |task |trying |rcu)"
                        r"|Oops: |kernel BUG at |[^:]+: page allocation failure).*)")


def first_line(line: str) -> str | None:
    """Return the first line of a report without its time, or None for any other line of Linux' console.

    A program can print such a line itself, so that nothing of the machine ends by one.
    """
    match = FIRST_LINE.match(line)
    return match.group(1) if match else None


def found(text: str) -> list[str]:
    """Return the first line of each report in what Linux has printed."""
    return [first for line in text.splitlines() if (first := first_line(line)) is not None]
