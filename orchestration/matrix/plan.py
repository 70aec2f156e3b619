# SPDX-License-Identifier: BSD-2-Clause
"""The matrix file: what it may say, and the cells that come of it.

A cell is one of our own commands on one architecture, so it can be given by hand, and a cell that fails takes nothing
with it. A key that is not known is an error with its name.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import pydantic
import yaml

from orchestration.base.arch import ARCHES
from orchestration.base.errors import UsageError
from orchestration.bench import workload as workloads
from orchestration.faults import plan as plans


class Model(pydantic.BaseModel):
    """Nothing beyond the fields that are declared."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)


class Faults(Model):
    """Campaigns: one a kind, in which the drivers take turns on one machine."""

    drivers: tuple[str, ...] = plans.USUAL_DRIVERS
    kinds: tuple[str, ...] = plans.USUAL
    count: Annotated[int, pydantic.Field(ge=1)] = 10
    seed: int = 1
    cpus: tuple[Annotated[int, pydantic.Field(ge=1, le=8)], ...] = (1,)
    """Numbers of CPUs, each a campaign of its own."""


class Stress(Model):
    """A campaign in Debian, where stress-ng runs its stressors meanwhile."""

    drivers: tuple[str, ...] = plans.USUAL_DRIVERS
    kind: str = "kill"
    minutes: Annotated[float, pydantic.Field(gt=0)] = 30
    seed: int = 1
    cpus: Annotated[int, pydantic.Field(ge=1, le=8)] = 4


class Bench(Model):
    """Workloads, each a cell."""

    workloads: tuple[str, ...] = ()
    clocks: tuple[str, ...] = ("instructions",)
    against: str = "none"


class Skip(Model):
    """Cells that are left out, by their name or its beginning, and why."""

    cell: str
    architectures: tuple[str, ...] = tuple(ARCHES)
    reason: str


class Jobs(Model):
    """What the generated jobs need beside the cells."""

    trigger: Literal["nightly", "push"] = "nightly"
    """When they run: at the time of cron, or for each push and pull request."""
    cron: str = "17 2 * * *"
    image: str = "debian:13"
    minutes: Annotated[int, pydantic.Field(ge=1, le=180)] = 170
    """Limit of a job; shared runners of GitLab end it after 180, those of GitHub after 360."""
    at_a_time: Annotated[int, pydantic.Field(ge=1)] = 2
    """Cells."""
    time_scale: Annotated[float, pydantic.Field(gt=0)] = 3


class Matrix(Model):
    """A matrix file."""

    name: Annotated[str, pydantic.Field(pattern=r"^[\w-]+$")]
    """Also part of the names of the generated files."""
    architectures: tuple[str, ...] = tuple(ARCHES)
    commands: dict[str, str] = {}
    """Name of a cell: command in the guest."""
    tests: tuple[str, ...] = ()
    """Paths for pytest."""
    bench: Bench = Bench()
    faults: Faults | None = None
    stress: Stress | None = None
    skip: tuple[Skip, ...] = ()
    retries: Annotated[int, pydantic.Field(ge=0, le=5)] = 1
    minutes: Annotated[float, pydantic.Field(gt=0)] = 120
    """Limit of one attempt; the commands have tighter ones of their own."""
    jobs: Jobs = Jobs()


@dataclass(frozen=True)
class Cell:
    """One command on one architecture; arguments may hold {folder}, the attempt's own, and {store}."""

    arch: str
    name: str
    arguments: tuple[str, ...]
    skipped: str = ""

    @property
    def label(self) -> str:
        """Return how it is called everywhere."""
        return f"{self.arch}/{self.name}"


def known(what: str, words: tuple[str, ...], valid: tuple[str, ...] | list[str], path: Path) -> None:
    """Raise UsageError that names a word which is none of the valid ones."""
    for word in words:
        if word not in valid:
            raise UsageError(f"{path}: unknown {what} '{word}'; valid: {', '.join(valid)}")


def load(path: Path) -> Matrix:
    """Read and check a matrix file."""
    try:
        value = yaml.safe_load(path.read_text())
    except OSError as error:
        raise UsageError(f"cannot read the matrix file {path}: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is no YAML: {' '.join(str(error).split())}") from error
    try:
        matrix = Matrix.model_validate(value)
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        known_keys = f"; valid: {', '.join(Matrix.model_fields)}" if len(first["loc"]) == 1 \
            and first["type"] == "extra_forbidden" else ""
        raise UsageError(f"{path}: {where}: {first['msg']}{known_keys}") from error
    known("architecture", matrix.architectures, list(ARCHES), path)
    known("workload", matrix.bench.workloads, workloads.available(), path)
    for part in (matrix.faults, matrix.stress):
        if part is not None:
            known("driver", part.drivers, plans.DRIVERS, path)
            known("kind of fault", (part.kind,) if isinstance(part, Stress) else part.kinds, plans.KINDS, path)
    for skip in matrix.skip:
        known("architecture", skip.architectures, list(ARCHES), path)
        if not any(cell.name.startswith(skip.cell) for cell in cells(matrix)):
            raise UsageError(f"{path}: skip names '{skip.cell}', which no cell begins with")
    return matrix


def campaign(part: Faults | Stress, arch: str, kind: str, cpus: int, *options: str) -> list[str]:
    """Return the command of a campaign."""
    drivers = [word for driver in part.drivers for word in ("--driver", driver)]
    return ["faults", arch, *drivers, "--kind", kind, *options, "--seed", str(part.seed), "--cpus", str(cpus),
            "--json", "{folder}/faults.json"]


def campaigns(matrix: Matrix, arch: str) -> list[tuple[str, list[str]]]:
    """Return the name and the command of each campaign."""
    faults, stress = matrix.faults, matrix.stress
    found = [] if faults is None else [
        (f"faults {kind}" + (f" {cpus} CPUs" if cpus > 1 else ""),
         campaign(faults, arch, kind, cpus, "--count", str(faults.count)))
        for kind in faults.kinds for cpus in faults.cpus]
    if stress is not None:
        found.append((f"stress {stress.kind} {stress.cpus} CPUs",
                      campaign(stress, arch, stress.kind, stress.cpus, "--stress", "--minutes", f"{stress.minutes:g}")))
    return found


def setting(options: Sequence[str]) -> str:
    """Return what options of tests say of the machines, as a part of a cell's name."""
    cpus = next((option.removeprefix("--cpus=") for option in options if option.startswith("--cpus=")), "")
    return (" above" if "--above" in options else "") + (f" {cpus} CPUs" if cpus else "")


def cells(matrix: Matrix) -> list[Cell]:
    """Return all cells, architecture by architecture."""
    found = []
    for arch in matrix.architectures:
        listed: list[tuple[str, list[str]]] = []
        for name, command in matrix.commands.items():
            listed.append((f"run {name}", ["boot", arch, "--no-config", "--quiet", "--", "sh", "-c", command]))
        for path in matrix.tests:
            file, *options = path.split()
            listed.append((f"test {file.removeprefix('tests/').removesuffix('.py')}{setting(options)}",
                           ["test", arch, file, "-n0", *options, "--junit-xml={folder}/junit.xml"]))
        for name in matrix.bench.workloads:
            clocks = [word for clock in matrix.bench.clocks for word in ("--clock", clock)]
            listed.append((f"bench {name}", ["bench", arch, "--workload", name, *clocks, "--against",
                                             matrix.bench.against, "--store", "{store}"]))
        listed += campaigns(matrix, arch)
        for name, arguments in listed:
            reason = next((skip.reason for skip in matrix.skip
                           if name.startswith(skip.cell) and arch in skip.architectures), "")
            found.append(Cell(arch, name, tuple(arguments), reason))
    return found
