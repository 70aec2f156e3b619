# SPDX-License-Identifier: BSD-2-Clause
"""Cases for the kernel and its model: threads with scripts, and how tests/kernel/model.c is told of them."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from orchestration.base.arch import ARCHES
from orchestration.build.quoll import abi

ABI = abi(ARCHES["x86_64"])
STEP = struct.Struct("<10Q")
WORDS = 6
# What model.c calls them: directives, the root in a trace, the Untyped of a case.
SCRIPT, START, SETTLE, END = range(1000, 1004)
ROOT = 8
UNTYPED = 1000
# Objects of a case by kind: type, number, first slot. S4 is nobody's.
KINDS = {"T": (ABI.TYPE_THREAD, 4, 1001), "S": (ABI.TYPE_SCHED_CONTEXT, 5, 1011), "E": (ABI.TYPE_ENDPOINT, 2, 1021),
         "R": (ABI.TYPE_REPLY, 4, 1031), "N": (ABI.TYPE_NOTIFICATION, 2, 1041)}
SEND_NUMBERS = {"call": ABI.SYS_CALL, "send": ABI.SYS_SEND, "nb_send": ABI.SYS_NB_SEND}
RECEIVE_NUMBERS = {"recv": ABI.SYS_RECV, "nb_recv": ABI.SYS_NB_RECV, "reply_recv": ABI.SYS_REPLY_RECV}
SIGNAL_NUMBERS = {"signal": ABI.SYS_SIGNAL, "wait": ABI.SYS_WAIT, "poll": ABI.SYS_POLL, "yield": ABI.SYS_YIELD}
# Budgets that no case uses up: the model has no clock.
LIMITED = (5_000_000, 10_000_000)
UNLIMITED = (10_000, 10_000)
MAX_PRIORITY = 200


@dataclass(frozen=True)
class Step:
    """One operation of a thread; objects are named by kind and number, such as E0, and - is none."""

    name: str
    first: str = "-"
    second: str = "-"
    value: int = 0


@dataclass(frozen=True)
class Worker:
    """A thread of a case: its priority and the steps that it executes."""

    priority: int
    script: tuple[Step, ...]


@dataclass(frozen=True)
class Case:
    """Threads, each with a SchedContext of its own, and what the root does; settle lets all others run."""

    workers: tuple[Worker, ...]
    root: tuple[Step, ...]


@dataclass(frozen=True)
class Outcome:
    """What one step returned. badge and word: of a message or signal that arrived, else None."""

    thread: int
    step: int
    error: int
    badge: int | None = None
    word: int | None = None

    def known_as(self, other: Outcome) -> Outcome:
        """Return this without the badge and the word if the other has none."""
        return replace(self, badge=None if other.badge is None else self.badge,
                       word=None if other.word is None else self.word)


@dataclass(frozen=True)
class Placed:
    """A case with the number of each step in the blob."""

    root: list[tuple[int, Step]]
    workers: list[list[tuple[int, Step]]]


def slot(name: str) -> int:
    """Return the slot of an object; 0 is none."""
    return 0 if name == "-" else KINDS[name[0]][2] + int(name[1:])


def packed(number: int, cap: int = 0, tag: int = 0, reply: int = 0, *words: int) -> bytes:
    """Return a step: a system call, or a directive."""
    return STEP.pack(number, cap, tag, reply, *words, *[0] * (WORDS - len(words)))


def invoke(cap: int, operation: int, *words: int) -> bytes:
    """Return an invocation."""
    return packed(ABI.SYS_INVOKE, cap, operation, 0, *words)


def encode(step: Step) -> bytes:
    """Return the system call of a step."""
    first, second = slot(step.first), slot(step.second)
    if step.name == "settle":
        return packed(SETTLE)
    if step.name in SEND_NUMBERS:
        return packed(SEND_NUMBERS[step.name], first, 1, 0, step.value)
    if step.name in RECEIVE_NUMBERS:
        return packed(RECEIVE_NUMBERS[step.name], first, 1, second, step.value)
    if step.name in SIGNAL_NUMBERS:
        return packed(SIGNAL_NUMBERS[step.name], first)
    return {
        "suspend": lambda: invoke(first, ABI.THREAD_SUSPEND),
        "resume": lambda: invoke(first, ABI.THREAD_RESUME),
        "set_sched": lambda: invoke(first, ABI.THREAD_SET_SCHED, second, step.value, MAX_PRIORITY),
        "bind": lambda: invoke(first, ABI.THREAD_BIND_NOTIFICATION, second),
        "configure": lambda: invoke(ABI.ROOT_SLOT_CONTROL, ABI.CONTROL_SCHED_CONFIGURE, first,
                                    *(LIMITED if step.value else UNLIMITED)),
        "delete": lambda: invoke(ABI.ROOT_SLOT_CNODE, ABI.CNODE_DELETE, first),
    }[step.name]()


def preparation(case: Case, first_steps: Sequence[int]) -> Iterator[bytes]:
    """Yield the calls that make a case's objects and start its threads, whose scripts begin at first_steps."""
    for kind, number, at in KINDS.values():
        yield invoke(UNTYPED, ABI.UNTYPED_RETYPE, kind, 0, ABI.ROOT_SLOT_CNODE, at, number)
    for index in range(KINDS["S"][1]):
        yield encode(Step("configure", f"S{index}"))
    for index, worker in enumerate(case.workers):
        yield packed(START, slot(f"T{index}"), 0, 0, index)
        yield encode(Step("set_sched", f"T{index}", f"S{index}", worker.priority))
        yield packed(SCRIPT, index, 0, 0, first_steps[index], len(worker.script))
    for index in range(len(case.workers)):
        yield encode(Step("resume", f"T{index}"))


def pack(cases: Sequence[Case]) -> tuple[bytes, list[Placed]]:
    """Return the blob for model.c, and where the steps of each case are in it."""
    places: list[Placed] = []
    of_root: list[bytes] = []
    scripts: list[bytes] = []
    nowhere = [0] * KINDS["T"][1]
    at = sum(len(list(preparation(case, nowhere))) + len(case.root) + 1 for case in cases)
    for case in cases:
        starts = []
        workers = []
        for worker in case.workers:
            starts.append(at)
            workers.append([(at + offset, step) for offset, step in enumerate(worker.script)])
            scripts += map(encode, worker.script)
            at += len(worker.script)
        of_root += preparation(case, starts)
        places.append(Placed([(len(of_root) + offset, step) for offset, step in enumerate(case.root)], workers))
        of_root += [*map(encode, case.root), packed(END)]
    return packed(len(of_root)) + b"".join(of_root + scripts), places
