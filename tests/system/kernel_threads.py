# SPDX-License-Identifier: BSD-2-Clause
"""The model's objects and its scheduler: which threads are ready, in which order, and whose time is running."""

from __future__ import annotations

from dataclasses import dataclass, field

from tests.system.kernel_case import Step

STOPPED, RUN, SEND, RECV, REPLY, WAIT = range(6)


@dataclass(eq=False)
class Context:
    """A SchedContext. owner: the thread of SET_SCHED; loans: Replies of the calls that lent it, the latest last."""

    owner: Thread | None = None
    thread: Thread | None = None
    loans: list[ReplyObject] = field(default_factory=list)


@dataclass(eq=False)
class ReplyObject:
    """A Reply object: a receiver has named it, or a caller waits in it."""

    caller: Thread | None = None
    receiver: Thread | None = None
    lent: Context | None = None


@dataclass(eq=False)
class Endpoint:
    """An Endpoint; its queue holds either senders or receivers."""

    queue: list[Thread] = field(default_factory=list)


@dataclass(eq=False)
class Notification:
    """A Notification: its word, the threads that wait for it, and the thread that it is bound to."""

    word: int = 0
    queue: list[Thread] = field(default_factory=list)
    bound: Thread | None = None


@dataclass(eq=False)
class Thread:
    """A thread. result: of its latest step, which it reports when it runs again."""

    index: int
    priority: int
    script: list[tuple[int, Step]]
    state: int = STOPPED
    own: Context | None = None
    sc: Context | None = None
    reply: ReplyObject | None = None
    queue: list[Thread] | None = None
    bound: Notification | None = None
    calls: bool = False
    word: int = 0
    step: int | None = None
    error: int = 0
    got_badge: int | None = None
    got_word: int | None = None


class Scheduler:
    """The threads that are ready, in the order in which they will run, and who runs."""

    def __init__(self, current: Thread) -> None:
        self.ready: list[Thread] = []
        self.current: Thread | None = current
        self.yielding = False

    def can_run(self, t: Thread) -> bool:
        return t.state == RUN and t.sc is not None

    def schedule(self) -> bool:
        """Choose who runs next. A preempted thread goes to the head of its priority, one that yields to the tail."""
        t, behind = self.current, self.yielding
        self.yielding = False
        if t is not None and self.can_run(t):
            self.enqueue(t, not behind)
        self.current = self.ready.pop(0) if self.ready else None
        return self.current is not None

    def enqueue(self, t: Thread, head: bool = False) -> None:
        at = sum(other.priority > t.priority or (not head and other.priority == t.priority) for other in self.ready)
        self.ready.insert(at, t)

    def make_ready(self, t: Thread) -> None:
        if t is not self.current and t not in self.ready and self.can_run(t):
            self.enqueue(t)

    def wake(self, t: Thread) -> None:
        t.state = RUN
        self.make_ready(t)

    def block(self, t: Thread, state: int) -> None:
        t.state = state
        if t in self.ready:
            self.ready.remove(t)

    def requeue(self, t: Thread) -> None:
        if t in self.ready:
            self.ready.remove(t)
        self.make_ready(t)
        if t is self.current:
            self.yielding = True

    def move(self, sc: Context, to: Thread | None) -> None:
        if sc.thread is not None:
            sc.thread.sc = None
            if sc.thread in self.ready:
                self.ready.remove(sc.thread)
        sc.thread = to
        if to is not None:
            to.sc = sc
            if to is self.current:
                self.yielding = True
            self.make_ready(to)

    def bind(self, sc: Context, to: Thread | None) -> None:
        for reply in sc.loans:
            reply.lent = None
        sc.loans.clear()
        self.move(sc, to)

    def own(self, sc: Context, to: Thread) -> None:
        self.bind(sc, to)
        sc.owner, to.own = to, sc

    def disown(self, sc: Context) -> None:
        if sc.owner is not None:
            sc.owner.own = None
        sc.owner = None
        self.bind(sc, None)
