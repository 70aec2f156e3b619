# SPDX-License-Identifier: BSD-2-Clause
"""Workloads: folders below rootfs/workloads with a workload.toml."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from orchestration.base.errors import UsageError
from orchestration.base.roots import TINY
from orchestration.base.tree import ROOT
from orchestration.bench.terms import Clock

FOLDER = ROOT / "rootfs" / "workloads"
DESCRIPTION = "workload.toml"
EVERY = "*"
PACKAGE = re.compile(r"[a-z0-9][a-z0-9+.-]+")


class Strict(BaseModel):
    """A part of a description: it cannot change, and a key that it does not know is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Metric(Strict):
    """One figure, or with the name * all that the program prints as JSON lines.

    Where it is: in a JSON file that the program leaves in $OUT, at a path of keys and indices; or the one group of a
    pattern in that file, or in the standard output; or a JSON line {"metric": name, ...} of the standard output.
    """

    name: str = Field(pattern=r"^(\*|[a-z0-9][a-z0-9-]*)$")
    unit: str = Field(min_length=1)
    better: Literal["lower", "higher"]
    file: str | None = None
    path: str | None = None
    pattern: str | None = None
    clocks: tuple[Clock, ...] | None = Field(default=None, min_length=1)
    """The clocks that tell it; None: those of the workload."""

    @field_validator("pattern")
    @classmethod
    def one_group(cls, text: str | None) -> str | None:
        """Refuse a pattern that does not compile, or has not the one group that is the figure."""
        if text is not None:
            try:
                groups = re.compile(text).groups
            except re.error as error:
                raise ValueError(f"no regular expression: {error}") from error
            if groups != 1:
                raise ValueError(f"a pattern has one group, the figure; this one has {groups}")
        return text

    @model_validator(mode="after")
    def one_place(self) -> Metric:
        """Refuse a figure that could be in two places, or in none."""
        if self.path is not None and (self.pattern is not None or self.file is None):
            raise ValueError("a path needs a file, and excludes a pattern")
        if self.file is not None and self.path is None and self.pattern is None:
            raise ValueError("a file needs a path or a pattern")
        if self.name == EVERY and (self.file or self.pattern):
            raise ValueError("the name * stands for JSON lines of the standard output")
        return self


class Description(Strict):
    """What a workload.toml says. limit in seconds of wall time, disk in MiB."""

    description: str = Field(min_length=1)
    rootfs: Literal["tiny", "debian"] = "tiny"
    """The root file system, and with it the kernel: the small one of tiny, or the full one."""
    packages: tuple[str, ...] = ()
    source: str | None = None
    """A Debian source package, whose upstream archive is in the workload's folder as source.tar."""
    host_packages: tuple[str, ...] = ()
    """Debian packages of this machine, for the peer."""
    sources: tuple[str, ...] = ()
    """C files, compiled into one static program that is named as the folder."""
    run: str = Field(min_length=1)
    """A shell command; its folder is the workload's."""
    benches: tuple[Literal["run", "scale"], ...] = Field(default=("run",), min_length=1)
    """The commands of bench that measure it when none is named. What is for scale does its work on all CPUs."""
    clocks: tuple[Clock, ...] = Field(min_length=1)
    counted_in: Literal["disk", "memory"] = "disk"
    """Where the root file system is while instructions are counted. In memory nothing waits for a device and nobody
    talks to the guest, so that counts repeat to the digit."""
    limit: float = Field(gt=0)
    disk: int = Field(default=16, ge=0)
    peer: tuple[str, ...] = ()
    """A program of this machine that the workload talks to: $PEER_HOST, $PEER_PORT; {port} stands for the port."""
    metrics: tuple[Metric, ...] = Field(min_length=1)

    @field_validator("packages", "host_packages")
    @classmethod
    def package_names(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        """Refuse what cannot be a Debian package (and could be an option of a command)."""
        for name in names:
            if not PACKAGE.fullmatch(name):
                raise ValueError(f"'{name}' cannot be a Debian package")
        return names

    @field_validator("source")
    @classmethod
    def source_name(cls, name: str | None) -> str | None:
        """Refuse what cannot be a Debian source package."""
        if name is not None and not PACKAGE.fullmatch(name):
            raise ValueError(f"'{name}' cannot be a Debian source package")
        return name

    @model_validator(mode="after")
    def distinct_metrics(self) -> Description:
        """Refuse two figures of one name."""
        names = [metric.name for metric in self.metrics]
        if len(set(names)) < len(names):
            raise ValueError("two metrics have the same name")
        return self

    @model_validator(mode="after")
    def clocks_of_metrics(self) -> Description:
        """Refuse a figure under a clock that the workload does not run under, and a clock that tells nothing."""
        if any(set(metric.clocks or ()) - set(self.clocks) for metric in self.metrics):
            raise ValueError("a metric has a clock that the workload has not")
        if any(all(metric.clocks and clock not in metric.clocks for metric in self.metrics) for clock in self.clocks):
            raise ValueError("a clock of the workload tells no metric")
        return self


    @model_validator(mode="after")
    def memory_is_enough(self) -> Description:
        """Refuse a workload in memory that needs more than that, or is not counted at all."""
        if self.counted_in == "memory" and self.peer:
            raise ValueError("what is counted in memory has no network, and a peer needs one")
        if self.counted_in == "memory" and self.rootfs != TINY:
            raise ValueError("Debian's files and systemd need a disk: what is counted in memory has tiny")
        if self.counted_in == "memory" and Clock.INSTRUCTIONS not in self.clocks:
            raise ValueError("what is counted in memory needs the clock that counts")
        return self


@dataclass(frozen=True)
class Workload:
    """A workload and where it is."""

    name: str
    folder: Path
    description: Description

    @property
    def sources(self) -> list[Path]:
        """Return the C files."""
        return [self.folder / name for name in self.description.sources]

    def in_memory(self, clock: Clock) -> bool:
        """Tell whether it runs without a disk under this clock."""
        return clock is Clock.INSTRUCTIONS and self.description.counted_in == "memory"

    def scripts(self) -> list[Path]:
        """Return the files that go into the guest as they are."""
        return [path for path in sorted(self.folder.rglob("*"))
                if path.is_file() and path.suffix not in (".c", ".h", ".toml")]

    def files(self) -> list[Path]:
        """Return everything that decides what the workload does."""
        return [path for path in sorted(self.folder.rglob("*")) if path.is_file()]


def available(folder: Path = FOLDER, rootfs: str | None = None, bench: str | None = None) -> list[str]:
    """Return the names of all workloads, or of those on a root file system, or for a command of bench."""
    names = sorted(path.parent.name for path in folder.glob(f"*/{DESCRIPTION}"))
    if rootfs is None and bench is None:
        return names
    told = {name: load(name, folder).description for name in names}
    return [name for name, one in told.items() if rootfs in (None, one.rootfs) and bench in (None, *one.benches)]


def one_rootfs(workloads: Iterable[Workload]) -> str:
    """Return the root file system that all of some workloads run on; raise UsageError when they do not agree."""
    found = {one.description.rootfs for one in workloads}
    if len(found) > 1:
        raise UsageError("workloads on tiny and workloads on Debian are measured in runs of their own",
                         "their kernels differ; see ./orchestrate bench workloads")
    return found.pop() if found else TINY


def load(name: str, folder: Path = FOLDER) -> Workload:
    """Return a workload; raise UsageError when there is none of that name, or its description is wrong."""
    path = folder / name / DESCRIPTION
    if name not in available(folder):
        raise UsageError(f"unknown workload '{name}'; valid: {', '.join(available(folder))}")
    try:
        description = Description.model_validate(tomllib.loads(path.read_text()))
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{name}/{DESCRIPTION} is no TOML: {error}") from error
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(str(part) for part in fault['loc']) or 'file'}: {fault['msg']}"
                           for fault in error.errors())
        raise UsageError(f"{name}/{DESCRIPTION}: {faults}", "rootfs/workloads/README.md has the keys") from error
    found = Workload(name, path.parent, description)
    for source in found.sources:
        if not source.exists():
            raise UsageError(f"{name}/{DESCRIPTION} names {source.name}, which is not there")
    return found
