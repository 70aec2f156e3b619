# SPDX-License-Identifier: BSD-2-Clause
"""Gate files: how many instructions the guest's operations may take, by architecture and circumstances.

A count is the same on every machine that has the same emulator, compiler and Linux, and another one elsewhere. So a
file has an entry for each architecture under each set of such conditions, and a run is held to the one that fits.
What is ours (L4, the patches, Linux' options) is no condition: what it costs is what the gate is about.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from orchestration.base.errors import InfrastructureError, RegressionError, UsageError
from orchestration.base.tree import ROOT
from orchestration.bench.compare import CONDITIONS, WORKLOADS, differences
from orchestration.bench.figures import COUNTED
from orchestration.bench.store import Record
from orchestration.bench.tables import rows
from orchestration.bench.terms import GUEST, Clock

GATE = ROOT / "ci" / "gate.yaml"
HEAD = """\
# SPDX-License-Identifier: BSD-2-Clause
# How many instructions operations of the guest may take (docs/usage.md, "Gate"). ./orchestrate bench gate --write
# sets the counts; the tolerances are kept as they stand here.
"""
# A count that grows by less than this share of it is no regression. Counts repeat to the digit as long as nothing is
# changed; what lies elsewhere after a change of something else costs an instruction or two more or less.
TOLERANCE = 0.001
# Processes and threads take many pages and objects from Linux' free lists, and how these lie depends on all that Linux
# did before.
TOLERANCES = {"micro/fork-exit": 0.01, "micro/fork-exec": 0.01, "micro/shell-loop": 0.01, "micro/thread-create": 0.01}
# Those of a run's conditions that decide a count; versions without what a distribution adds to them.
DECISIVE = ("emulator", "machine", "CPU under the counting clock", "memory", "memory of Linux", "compiler", "Linux")
ADDED = re.compile(r" \(.*\)$")
# How a user sets counts: of ci/gate.yaml, or of another file.
WAYS = "bench gate --write, or bench run --write-gate FILE"


class ElsewhereError(UsageError):
    """A gate file has no entry for the circumstances of a run: there is nothing to compare with."""


class Entry(BaseModel):
    """The counts of one architecture under its conditions, by workload/metric; workloads has their digests."""

    model_config = ConfigDict(extra="forbid")

    arch: str
    conditions: dict[str, str]
    workloads: dict[str, str]
    instructions: dict[str, int]


class Gate(BaseModel):
    """A gate file. tolerances are those of single counts, tolerance is that of all the others."""

    model_config = ConfigDict(extra="forbid")

    tolerance: float = Field(default=TOLERANCE, ge=0)
    tolerances: dict[str, Annotated[float, Field(ge=0)]] = TOLERANCES
    gates: list[Entry]


def read(path: Path) -> Gate:
    """Return a gate file; raise UsageError when it is none."""
    try:
        return Gate.model_validate(yaml.safe_load(path.read_text()))
    except OSError as error:
        raise UsageError(f"cannot read the gate file {path}: {error.strerror}",
                         f"make one: {WAYS}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is no gate file: {' '.join(str(error).split())}") from error
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(str(part) for part in fault['loc']) or 'file'}: {fault['msg']}"
                           for fault in error.errors()[:4])
        raise UsageError(f"{path} is no gate file: {faults}") from error


def conditions_of(record: Record) -> dict[str, str]:
    """Return those conditions of a run that decide its counts."""
    told = record.facts.get(CONDITIONS, {})
    return {name: ADDED.sub("", told[name]) for name in DECISIVE if name in told}


def entry_of(record: Record) -> Entry:
    """Return the entry that a run sets."""
    counted = {row.name: round(row.sides[GUEST].median) for row in rows(record, Clock.INSTRUCTIONS)
               if GUEST in row.sides and row.unit == COUNTED}
    return Entry(arch=record.arch, conditions=conditions_of(record),
                 workloads={name: digest for name, digest in record.facts.get(WORKLOADS, {}).items()
                            if any(key.split("/")[0] == name for key in counted)},
                 instructions=counted)


def write(record: Record, path: Path) -> None:
    """Put the entry that a run sets into a file, in the place of the one for the same conditions.

    Entries of workloads that were edited since hold nothing any more, so they go.
    """
    fresh = entry_of(record)
    kept = read(path) if path.exists() else Gate(gates=[])
    kept.gates = [one for one in kept.gates if one.arch != fresh.arch
                  or all(one.workloads.get(name, digest) == digest for name, digest in fresh.workloads.items())]
    old = find(kept.gates, record)
    if old is None:
        kept.gates.append(fresh)
    else:
        kept.gates[kept.gates.index(old)] = fresh
    text = yaml.safe_dump(kept.model_dump(), sort_keys=False, width=120)
    try:
        path.write_text(HEAD + text)
    except OSError as error:
        raise InfrastructureError(f"cannot write {path}: {error.strerror}", "name another file") from error


def check_place(path: Path) -> None:
    """Raise UsageError for a place where write() would fail, before anything is measured."""
    if path.exists():
        read(path)
    elif not path.parent.is_dir():
        raise UsageError(f"cannot write the gate file {path}: {path.parent} is no folder")


def find(entries: Sequence[Entry], record: Record) -> Entry | None:
    """Return the entry for a run's architecture and conditions, or None."""
    return next((one for one in entries if one.arch == record.arch and one.conditions == conditions_of(record)), None)


def entry_for(gate: Gate, record: Record) -> Entry:
    """Return the entry for a run; raise ElsewhereError that names what the nearest one has otherwise."""
    found = find(gate.gates, record)
    if found is not None:
        return found
    own = conditions_of(record)
    others = sorted((differences(one.conditions, own) for one in gate.gates if one.arch == record.arch), key=len)
    raise ElsewhereError(f"the gate has no figures of {record.arch} that are comparable with this run: "
                         f"{'; '.join(others[0]) if others else 'none at all'}",
                         f"look at the run's figures, then add them: {WAYS}")


def check(record: Record, gate: Gate, selected: Sequence[str]) -> list[str]:
    """Hold a run to a gate; return what got better by more than the tolerance.

    Raise ElsewhereError or UsageError when they cannot be compared, RegressionError for a count that grew or is
    missing. selected: the workloads that were asked for; what the gate says of others is not looked at.
    """
    entry = entry_for(gate, record)
    now = record.facts.get(WORKLOADS, {})
    held = [name for name in selected if name in entry.workloads]
    if not held:
        raise UsageError(f"the gate has no figures of {', '.join(selected)}; it has some of: "
                         f"{', '.join(entry.workloads)}")
    edited = [f"the workload {name} is another one now" for name in held if entry.workloads[name] != now.get(name)]
    if edited:
        raise UsageError(f"the gate is not comparable with this run: {'; '.join(edited)}",
                         f"look at the figures, then set it anew: {WAYS}")
    counted = entry_of(record).instructions
    worse, better = [], []
    for name, limit in entry.instructions.items():
        if name.split("/")[0] not in selected:
            continue
        if name not in counted:
            worse.append(f"{name}: not measured (the gate has {limit})")
            continue
        change = counted[name] / limit - 1 if limit else 0.0
        tolerance = gate.tolerances.get(name, gate.tolerance)
        text = f"{name}: {limit} -> {counted[name]} instructions ({change:+.1%}, tolerance {tolerance:.1%})"
        if change > tolerance:
            worse.append(text)
        elif change < -tolerance:
            better.append(text)
    if worse:
        raise RegressionError(f"{len(worse)} of {len(entry.instructions)} figures are worse than the gate allows",
                              f"mend the cause, or set the gate anew and say why: {WAYS}", tuple(worse))
    return better
