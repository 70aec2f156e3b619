# SPDX-License-Identifier: BSD-2-Clause
"""stress-ng beside the verified workloads: the guest runs one stressor after the other, of all classes in turn."""

from __future__ import annotations

import random
import re
from collections import Counter
from dataclasses import dataclass, replace
from itertools import chain, zip_longest

from orchestration.base.arch import Arch, Check
from orchestration.base.cache import Cache
from orchestration.base.errors import InfrastructureError
from orchestration.base.limits import time_scale
from orchestration.base.roots import DEBIAN
from orchestration.build import rootfs
from orchestration.faults.program import GuestProgram
from orchestration.faults.verified import COMPLAINT, SOURCES, START_LIMIT, Verified
from orchestration.machine import boot
from orchestration.machine.description import Description
from orchestration.machine.progress import Progress
from orchestration.machine.session import Session

PACKAGE = "stress-ng"
# File in the folder of a run: Linux' log.
LOG = "dmesg.log"
# Of the guest. Of stress-ng's classes vm's take 256 MiB, filesystem's and io's files of 1 GiB for each CPU.
MEMORY, DISK = "2G", "16G"
# Seconds of a stressor; and until one must have ended, with what it does before and afterwards on a busy host.
SECONDS, STRESSOR_LIMIT = 4, 300.0
# Seconds in which stress-ng, started for each class, tells its stressors.
LISTING_LIMIT = 300.0
# Seconds after which Linux complains of a CPU, or of a task, that does not get on: its own limits, which are made
# longer as all others are on a busy host.
RCU_LIMIT, TASK_LIMIT = 21, 120
# Stressors that are left out, and why.
LEFT_OUT = {
    "dev": "it sets each terminal's mode, that of the console, too, which is a workload's",
}
CLASSES = f"for class in $({PACKAGE} --class '?' 2>&1 | sed 's/.*: //'); do {PACKAGE} --class \"$class?\" 2>&1; done"
CLASS = re.compile(r"class '([\w-]+)' stressors: (.*)")
# stress-ng's exit statuses.
WORDS = {0: "passed", 3: "not on this machine", 4: "not on this kernel"}
NOT_HERE = (3, 4)


def patience() -> str:
    """Return boot arguments by which Linux has these limits."""
    scale = time_scale()
    return (f"rcupdate.rcu_cpu_stall_timeout={round(RCU_LIMIT * scale)} "
            f"sysctl.kernel.hung_task_timeout_secs={round(TASK_LIMIT * scale)}")


@dataclass(frozen=True)
class Setting:
    """Of a campaign: the CPUs of its machines, whether stress-ng runs there, and whether that is in a small guest."""

    cpus: int = 1
    stressed: bool = False
    small: bool = False
    without: tuple[str, ...] = ()
    """Stressors that do not run."""
    debug: tuple[Check, ...] = ()
    """What is compiled into Linux; what it reports is a complaint of Linux."""

    def machine(self, arch: Arch) -> Description:
        """Return the machine, without what drivers add."""
        if not self.stressed:
            return Description(arch=arch.name, cpus=self.cpus, debug=self.debug)
        root = {} if self.small else {"rootfs": DEBIAN, "include": (PACKAGE,)}
        return Description.model_validate({"arch": arch.name, "cpus": self.cpus, "debug": self.debug, "memory": MEMORY,
                                           "disk_size": DISK, "append": patience(), **root})

    def artefacts(self, arch: Arch, cache: Cache, progress: Progress) -> boot.Artefacts:
        """Build all that the machine needs."""
        made = boot.artefacts(self.machine(arch), cache, progress)
        if not (self.stressed and self.small):
            return made
        with progress.step("root disk"):
            return replace(made, disk=rootfs.base_image(arch, cache, rootfs.Spec(extra=(PACKAGE,)),
                                                        made.linux / "modules.tar"))


def stressors(listing: str, seed: int, without: tuple[str, ...] = ()) -> list[str]:
    """Return the stressors of what CLASSES prints: one of each class in turn, each once, their order by the seed."""
    classes = {match[1]: match[2].split() for match in map(CLASS.search, listing.splitlines()) if match}
    source = random.Random(seed)
    for names in classes.values():
        names.sort()
        source.shuffle(names)
    turns = chain.from_iterable(zip_longest(*classes.values()))
    return [name for name in dict.fromkeys(turns) if name is not None and name not in {*LEFT_OUT, *without}]


class Stress(Verified):
    """The stressors. What one finds wrong is wrong data, what Linux complains of an error."""

    program = "stress"

    def __init__(self, session: Session, seed: int, setting: Setting) -> None:
        """Prepare it; the seed decides the order."""
        super().__init__(session)
        self.seed, self.setting = seed, setting
        self.now = ""
        """The stressor that runs."""
        self.results: list[tuple[str, int]] = []
        """Stressors that have ended, with their statuses."""
        self.messages: GuestProgram | None = None
        self.checked, self.over = (0, 0), False

    def told(self, line: str) -> None:
        """Take a line of the script."""
        word, _, rest = line.partition(" ")
        if word == "stressor":
            self.now = rest
        elif word == "ended":
            name, status = rest.split()
            self.results.append((name, int(status)))
        else:
            super().told(line)

    def message(self, line: str) -> None:
        """Take a line of Linux' log, and keep it: the console has none of them."""
        with self.session.machine.run.file(LOG).open("a") as stream:
            stream.write(f"{line}\n")
        if COMPLAINT.search(line):
            self.errors.append(f"while {self.now} runs: {line}")

    def prepare(self) -> None:
        """Write the list of stressors while nothing else runs, and leave the console to its workload."""
        names = stressors(self.session.shell_run(CLASSES, limit=LISTING_LIMIT).text, self.seed, self.setting.without)
        if not names:
            raise InfrastructureError(f"{PACKAGE} names no stressors")
        listed = "".join(f"{name}\n" for name in names).encode()
        self.session.shell_run("dmesg -n 1; cat > /tmp/stressors", source=listed)
        self.session.push(SOURCES / "stress.sh", "/tmp/stress.sh")

    def start(self) -> None:
        """Start the stressors, and what reads Linux' log."""
        self.messages = GuestProgram(self.session, "exec 3<&0; cat /dev/kmsg & cat <&3; kill $!", self.message)
        self.messages.start()
        command = f"sh /tmp/stress.sh /tmp/stressors {SECONDS} {self.setting.cpus}"
        self.remote = GuestProgram(self.session, command, self.told)
        self.remote.start()
        self.session.wait_for(lambda: bool(self.now) or self.ended(), "the first stressor", START_LIMIT)

    def check(self) -> list[str]:
        """Return what was found since the last time; raise HangError when no stressor ends."""
        limit = STRESSOR_LIMIT * self.session.tracker.scale
        if self.stamps and self.quiet(self.stamps[-1]) > limit:
            raise self.session.hang(f"stressor {self.now}", limit)
        if self.ended() and not self.over:
            self.over = True
            self.errors.append(f"the stressors ended with {self.now}")
        found = [*self.wrong[self.checked[0]:], *self.errors[self.checked[1]:]]
        self.checked = len(self.wrong), len(self.errors)
        return found

    def stop(self) -> None:
        """Let the stressor that runs end."""
        super().stop()
        assert self.messages is not None
        self.messages.close_input()


def summary(results: list[tuple[str, int]], complaints: list[str]) -> dict[str, object]:
    """Return what became of stressors, for JSON."""
    counted = Counter(WORDS.get(status, "failed") for _, status in results)
    return {"runs": len(results), "stressors": len({name for name, _ in results}), "seconds": SECONDS,
            "outcomes": dict(counted),
            "failed": [f"{name} {status}" for name, status in results if status not in WORDS],
            "complaints": complaints, "not here": sorted({name for name, status in results if status in NOT_HERE})}


def describe(results: list[tuple[str, int]]) -> str:
    """Return a line on what became of stressors."""
    found = Counter(WORDS.get(status, "failed") for _, status in results)
    return (f"{PACKAGE}: {len(results)} runs of {len({name for name, _ in results})} stressors, {SECONDS} s each: "
            + ", ".join(f"{count} {word}" for word, count in found.most_common()))
