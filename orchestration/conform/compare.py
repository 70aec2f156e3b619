# SPDX-License-Identifier: BSD-2-Clause
"""Compares the outcomes of the guest with those of native Linux, and looks for the reason of a difference."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import pydantic

from orchestration.base import arch as arches
from orchestration.base.errors import UsageError
from orchestration.base.tree import ROOT
from orchestration.conform.outcome import Outcome, Status
from orchestration.conform.suite import Test

EXPECTED = ROOT / "tests" / "conform" / "expected.toml"
# Name under which the parts that a test of the guest did not report are a difference; a test has no such part.
MISSING = "(missing parts)"
# Name under which a report of a check that is compiled into Linux (--debug) is a difference, whatever the test came to.
REPORT = "(report)"
# Reasons that are none.
NO_REASON = re.compile(r"\b(not done|todo|fixme|unknown)\b", re.IGNORECASE)

Text = Annotated[str, pydantic.StringConstraints(strip_whitespace=True, min_length=1)]


class Expected(pydantic.BaseModel):
    """Why the guest may differ from native Linux in tests whose names match."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)

    test: Text
    """SUITE/COLLECTION:TEST or SUITE/COLLECTION:TEST/PART; * stands for any text. A test covers its parts."""
    architectures: Annotated[tuple[str, ...], pydantic.Field(min_length=1)]
    reason: Text
    against: Literal["native", "distribution"] | None = None
    """Only where this is the peer: Debian's kernel has options that the guest's has not."""
    kernels: Literal["small", "full"] | None = None
    """Only with these kernels: a CPU's native Linux has options that the guest's small one has not."""

    @pydantic.field_validator("architectures")
    @classmethod
    def are_known(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        """Return names of architectures that exist."""
        for name in value:
            if name not in arches.ARCHES:
                raise ValueError(f"unknown architecture '{name}'; valid: {', '.join(arches.ARCHES)}")
        return value

    @pydantic.field_validator("reason")
    @classmethod
    def is_a_reason(cls, value: str) -> str:
        """Return a text that says why."""
        if NO_REASON.search(value):
            raise ValueError(f"'{value}' is no reason: say what differs and why that is right")
        return value

    def covers(self, arch: str, name: str) -> bool:
        """Tell whether this is about a test, or a part of one. A report is explained where it is named only."""
        pattern = ".*".join(re.escape(part) for part in self.test.split("*"))
        if name.endswith(f"/{REPORT}") and not self.test.endswith(f"/{REPORT}"):
            return False
        return arch in self.architectures and re.fullmatch(f"{pattern}(/.*)?", name) is not None


class File(pydantic.BaseModel):
    """The content of expected.toml."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)

    expected: tuple[Expected, ...] = ()


def read(path: Path = EXPECTED, against: str = "native", kernels: str = "full") -> tuple[Expected, ...]:
    """Return the differences from a peer, with the small or the full kernels, that have a reason.

    Raises UsageError that names what is wrong in the file.
    """
    try:
        listed = File.model_validate(tomllib.loads(path.read_text())).expected
        return tuple(one for one in listed if one.against in (None, against) and one.kernels in (None, kernels))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"cannot read {path}: {error}") from error
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise UsageError(f"{path}: {place}: {first['msg'].removeprefix('Value error, ')}",
                         "each [[expected]] has test, architectures and reason") from error


@dataclass(frozen=True)
class Difference:
    """What native Linux passes and the guest does not."""

    name: str
    """SUITE/COLLECTION:TEST, or a part of it."""
    guest: Status
    why: str
    reason: str | None
    """Of expected.toml; None: nothing explains it."""


@dataclass(frozen=True)
class Row:
    """A test on both sides."""

    name: str
    guest: Outcome
    native: Outcome
    differences: tuple[Difference, ...]

    @property
    def unexplained(self) -> list[Difference]:
        """Return the differences without a reason."""
        return [one for one in self.differences if one.reason is None]


def worse(guest: Status, native: Status) -> bool:
    """Tell whether the guest does not pass what native Linux passes."""
    return native is Status.PASS and guest is not Status.PASS


def differences(name: str, guest: Outcome, native: Outcome) -> list[tuple[str, Status, str]]:
    """Return where the guest is worse, by name: the parts of a test, or the test where no part tells.

    A name may differ from run to run, so the parts that only one side reports are compared by number: when native
    Linux passes more of them than the guest, the guest's test has left out parts. Of two tests that were both ended
    because they took too long, nothing tells which parts would have come.
    """
    reported = [(f"{name}/{REPORT}", Status.FAIL, guest.report)] if guest.report else []
    return reported + worse_parts(name, guest, native)


def worse_parts(name: str, guest: Outcome, native: Outcome) -> list[tuple[str, Status, str]]:
    """Return the same without reports, which are no result of the test."""
    found = [(f"{name}/{part}", ours, "") for part, status in native.parts.items()
             if (ours := guest.parts.get(part)) is not None and worse(ours, status)]
    if guest.lost and not native.lost:
        return [*found, (name, guest.status, guest.why)]
    if worse(guest.status, native.status) and not found:
        return [(name, guest.status, guest.why)]
    left_out = passed_alone(native, guest) - passed_alone(guest, native)
    if left_out > 0 and not (guest.late and native.late):
        found.append((f"{name}/{MISSING}", Status.ABSENT, f"native Linux passes {left_out} more that are not reported"))
    return found


def passed_alone(one: Outcome, other: Outcome) -> int:
    """Return how many parts one side passes that the other does not report."""
    return sum(status is Status.PASS for part, status in one.parts.items() if part not in other.parts)


def rows(arch: str, suite: str, tests: Iterable[Test], guest: dict[str, Outcome], native: dict[str, Outcome],
         expected: Iterable[Expected]) -> list[Row]:
    """Return the tests that have run on both sides, with their differences."""
    known = tuple(expected)
    found = []
    for test in tests:
        if test.name not in guest or test.name not in native:
            continue
        mine, other = guest[test.name], native[test.name]
        parts = tuple(Difference(name, status, why, reason(known, arch, name))
                      for name, status, why in differences(f"{suite}/{test.name}", mine, other))
        found.append(Row(test.name, mine, other, parts))
    return found


def reason(expected: Iterable[Expected], arch: str, name: str) -> str | None:
    """Return why a difference is expected; None when nothing tells."""
    return next((one.reason for one in expected if one.covers(arch, name)), None)


def is_vain(found: Iterable[Row]) -> bool:
    """Tell whether a comparison says nothing: native Linux passes no test, or was lost so often that some never ran."""
    natives = [row.native.status for row in found]
    return Status.PASS not in natives or Status.ABSENT in natives


def idle(expected: Iterable[Expected], arch: str, suite: str, found: list[Row]) -> list[str]:
    """Return the lines of expected.toml that fit a test which ran, and no difference: they can go."""
    ran = [f"{suite}/{row.name}" for row in found]
    differ = [one.name for row in found for one in row.differences]
    return [one.test for one in expected
            if any(one.covers(arch, name) or one.test.startswith(f"{name}/") or
                   ("*" in one.test and name.startswith(one.test.partition("*")[0])) for name in ran)
            and arch in one.architectures
            and not any(one.covers(arch, name) for name in differ)]
