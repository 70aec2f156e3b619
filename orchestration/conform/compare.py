# SPDX-License-Identifier: BSD-2-Clause
"""Compares the outcomes of the guest with those of native Linux, and looks for the reason of a difference."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import pydantic

from orchestration.base import arch as arches
from orchestration.base.errors import UsageError
from orchestration.base.tree import ROOT
from orchestration.conform.outcome import Outcome, Status
from orchestration.conform.suite import Test

EXPECTED = ROOT / "tests" / "conform" / "expected.toml"
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
        """Tell whether this is about a test, or a part of one."""
        pattern = ".*".join(re.escape(part) for part in self.test.split("*"))
        return arch in self.architectures and re.fullmatch(f"{pattern}(/.*)?", name) is not None


class File(pydantic.BaseModel):
    """The content of expected.toml."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)

    expected: tuple[Expected, ...] = ()


def read(path: Path = EXPECTED) -> tuple[Expected, ...]:
    """Return the differences that have a reason; raise UsageError that names what is wrong in the file."""
    try:
        return File.model_validate(tomllib.loads(path.read_text())).expected
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

    A part that the guest's test did not report counts when the test is worse as a whole: names may differ from run to
    run.
    """
    whole = worse(guest.status, native.status)
    found = []
    for part, status in native.parts.items():
        ours = guest.parts.get(part, Status.ABSENT)
        if worse(ours, status) and (ours is not Status.ABSENT or whole):
            found.append((f"{name}/{part}", ours, ""))
    failed = [one for one in found if one[1] is not Status.ABSENT]
    # Parts that come after the program's end follow from it.
    if whole and not failed:
        return [(name, guest.status, guest.why)]
    return failed


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


def idle(expected: Iterable[Expected], arch: str, suite: str, found: list[Row]) -> list[str]:
    """Return the lines of expected.toml that fit a test which ran, and no difference: they can go."""
    ran = [f"{suite}/{row.name}" for row in found]
    differ = [one.name for row in found for one in row.differences]
    return [one.test for one in expected
            if any(name.startswith(one.test.partition("*")[0]) or one.covers(arch, name) or
                   one.test.startswith(f"{name}/") for name in ran) and arch in one.architectures
            and not any(one.covers(arch, name) for name in differ)]
