# SPDX-License-Identifier: BSD-2-Clause
"""The stages of a boot, each with its own time limit, and the tracker that follows them."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from orchestration.machine.console import Kind


@dataclass(frozen=True)
class Stage:
    """What is going on, how long it may take (seconds under emulation), and the line that ends it."""

    name: str
    limit: float
    ends_with: Kind | None


SSH_LIMIT = 120
BOOT_STAGES = (
    Stage("firmware", 60, Kind.KERNEL_STARTED),
    Stage("kernel", 60, Kind.ROOT_STARTED),
    Stage("root pager", 60, Kind.SERVER_READY),
    Stage("drivers", 60, Kind.LINUX_STARTED),
    Stage("Linux", 240, Kind.USERLAND),
    Stage("ssh", SSH_LIMIT, None),
)
# For systemd, whose SSH server is one of many services: what it takes to start them all under emulation.
SYSTEMD_LIMIT = 300
# Of a machine that starts from a snapshot.
RESUME_STAGES = (Stage("resume", 60, Kind.RESUMED), Stage("ssh", SSH_LIMIT, None))
NATIVE_STAGES = (Stage("Linux", 240, Kind.USERLAND), Stage("ssh", SSH_LIMIT, None))
# For each GiB of the guest's memory.
CLEAR_LIMIT = 20
POWER_OFF_LIMIT = 60.0


def without_mark(stages: tuple[Stage, ...]) -> tuple[Stage, ...]:
    """Return the stages of a user land that does not say that it runs: Linux says that it starts init."""
    return tuple(replace(stage, ends_with=Kind.INIT) if stage.ends_with is Kind.USERLAND else stage
                 for stage in stages)


def with_systemd(stages: tuple[Stage, ...]) -> tuple[Stage, ...]:
    """Return the stages of a machine whose init is systemd: more time for SSH, then what else it starts."""
    return (*(replace(stage, limit=SYSTEMD_LIMIT) if stage.name == "ssh" else stage for stage in stages),
            Stage("services", SYSTEMD_LIMIT, None))


def without_ssh(stages: tuple[Stage, ...]) -> tuple[Stage, ...]:
    """Return the stages of a machine that has no way in: it is booted when its user land runs."""
    return tuple(stage for stage in stages if stage.ends_with is not None)


def with_memory(stages: tuple[Stage, ...], size: int) -> tuple[Stage, ...]:
    """Return the stages of a machine whose guest has so many bytes of memory, which L4 clears for the root pager."""
    more = CLEAR_LIMIT * (size >> 30)
    return tuple(replace(stage, limit=stage.limit + more) if stage.name == "root pager" else stage for stage in stages)


@dataclass
class Tracker:
    """The current stage of a boot. A line that ends a later stage ends the earlier ones as well."""

    stages: tuple[Stage, ...] = BOOT_STAGES
    scale: float = 1.0
    clock: Callable[[], float] = time.monotonic
    index: int = 0
    times: dict[str, float] = field(default_factory=dict)
    began: float = 0.0

    def __post_init__(self) -> None:
        """Start the first stage's clock."""
        self.restart()

    def restart(self) -> None:
        """Start the current stage's clock, such as when the machine starts some time after its tracker was made."""
        self.began = self.clock()

    @property
    def current(self) -> Stage | None:
        """Return the stage that is going on, None after the last."""
        return self.stages[self.index] if self.index < len(self.stages) else None

    def left(self) -> float:
        """Return the seconds left of the current stage; negative when it is overdue."""
        if self.current is None:
            return float("inf")
        return self.began + self.current.limit * self.scale - self.clock()

    def finish(self, name: str) -> None:
        """Note that the stage called name, and all before it, have ended."""
        names = [stage.name for stage in self.stages]
        while self.index <= names.index(name):
            now = self.clock()
            self.times[self.stages[self.index].name] = round(now - self.began, 3)
            self.began = now
            self.index += 1

    def see(self, kind: Kind) -> list[str]:
        """Handle an event of the console; return the names of the stages that it ended."""
        before = self.index
        for position in range(self.index, len(self.stages)):
            if self.stages[position].ends_with is kind:
                self.finish(self.stages[position].name)
                break
        return [stage.name for stage in self.stages[before:self.index]]
