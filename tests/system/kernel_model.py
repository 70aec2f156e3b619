# SPDX-License-Identifier: BSD-2-Clause
"""A model of L4's threads, scheduling, messages and lent time: it computes what each system call of a case returns.

It says who runs, in which order, and what each call returns, as docs/architecture.md describes it; there is no time in
it, as a case is shorter than a time slice. tests/kernel/model.c executes the same case on the kernel.
"""

from __future__ import annotations

from tests.system.kernel_case import ABI, KINDS, ROOT, Outcome, Placed, Step
from tests.system.kernel_threads import (
    RECV,
    REPLY,
    RUN,
    SEND,
    STOPPED,
    WAIT,
    Context,
    Endpoint,
    Notification,
    ReplyObject,
    Scheduler,
    Thread,
)

OK, CAP, BUSY, UNBOUND, AGAIN, CANCELLED = (
    ABI.ERR_OK, ABI.ERR_CAP, ABI.ERR_BUSY, ABI.ERR_UNBOUND, ABI.ERR_AGAIN, ABI.ERR_CANCELLED)
ROOT_PRIORITY = 254


class Machine(Scheduler):
    """The kernel and a case's threads. run() returns the outcome of each step, in the order of model.c's output."""

    def __init__(self, case: Placed, priorities: list[int]) -> None:
        self.root = Thread(ROOT, ROOT_PRIORITY, case.root, RUN, sc=Context())
        super().__init__(self.root)
        self.objects: dict[str, object] = {}
        self.outcomes: list[Outcome] = []
        for kind, made in {"S": Context, "E": Endpoint, "R": ReplyObject, "N": Notification}.items():
            self.objects |= {f"{kind}{index}": made() for index in range(KINDS[kind][1])}
        for index, script in enumerate(case.workers):
            self.objects[f"T{index}"] = thread = Thread(index, priorities[index], list(script))
            context = self.objects[f"S{index}"]
            assert isinstance(context, Context)
            self.own(context, thread)
            self.wake(thread)

    def run(self) -> list[Outcome]:
        for number, step in self.root.script:
            if step.name == "settle":
                self.settle()
                continue
            self.execute(self.root, number, step)
            self.tell(self.root)
        return self.outcomes

    def settle(self) -> None:
        self.current = None
        while self.schedule():
            thread = self.current
            assert thread is not None
            self.tell(thread)
            if thread.script:
                self.execute(thread, *thread.script.pop(0))
            else:
                self.stop(thread)
        self.current = self.root

    def execute(self, t: Thread, number: int, step: Step) -> None:
        t.step, t.error, t.got_badge, t.got_word = number, OK, None, None
        named = [self.objects.get(name) for name in (step.first, step.second)]
        if any(name != "-" and found is None for name, found in zip((step.first, step.second), named, strict=True)):
            t.error = CAP
            return
        if step.name == "delete":
            self.delete(step.first)
            return
        t.error = getattr(self, f"do_{step.name}")(t, *named, step.value) or OK

    def tell(self, t: Thread) -> None:
        if t.step is not None:
            self.outcomes.append(Outcome(t.index, t.step, t.error, *(
                (None, None) if t.error else (t.got_badge, t.got_word))))
        t.step = None

    # Messages.

    def arrive(self, t: Thread, badge: int, word: int | None) -> None:
        t.error, t.got_badge, t.got_word = OK, badge, word

    def leave_queue(self, t: Thread) -> None:
        if t.queue is not None:
            t.queue.remove(t)
        t.queue = None

    def free_reply(self, t: Thread) -> None:
        if t.reply is not None:
            t.reply.receiver = None
        t.reply = None

    def keep_caller(self, caller: Thread, receiver: Thread, reply: ReplyObject) -> None:
        reply.receiver, reply.caller, caller.reply = None, caller, reply
        self.block(caller, REPLY)
        if receiver.sc is None and caller.sc is not None:
            reply.lent = caller.sc
            caller.sc.loans.append(reply)
            self.move(caller.sc, receiver)

    def end_call(self, reply: ReplyObject) -> Thread:
        caller, sc = reply.caller, reply.lent
        assert caller is not None
        reply.caller, caller.reply = None, None
        while sc is not None and reply.lent is not None:
            sc.loans.pop().lent = None
        if sc is not None:
            self.move(sc, None if caller.sc else caller)
        return caller

    def cancel(self, t: Thread, error: int) -> None:
        if t.state in (STOPPED, RUN):
            return
        self.leave_queue(t)
        if t.state == RECV:
            self.free_reply(t)
        elif t.state == REPLY and t.reply is not None:
            self.end_call(t.reply)
        t.error = error
        self.wake(t)

    def stop(self, t: Thread) -> None:
        self.cancel(t, CANCELLED)
        self.block(t, STOPPED)

    def send(self, t: Thread, to: Endpoint | ReplyObject, word: int, wait: bool, calls: bool) -> int:
        if isinstance(to, ReplyObject):
            if to.caller is None:
                return UNBOUND
            self.arrive(to.caller, 0, word)
            self.wake(self.end_call(to))
            return OK
        if to.queue and to.queue[0].state == RECV:
            receiver = to.queue[0]
            reply = receiver.reply
            if (reply is None) if calls else (receiver.sc is None):
                return UNBOUND
            self.leave_queue(receiver)
            self.arrive(receiver, 0, word)
            self.free_reply(receiver)
            if calls:
                assert reply is not None
                self.keep_caller(t, receiver, reply)
            self.wake(receiver)
            return OK
        if not wait:
            return AGAIN
        t.calls, t.word, t.queue = calls, word, to.queue
        to.queue.append(t)
        self.block(t, SEND)
        return OK

    def receive(self, t: Thread, at: Endpoint, reply: ReplyObject | None, wait: bool) -> int:
        if reply is not None and (reply.caller or reply.receiver):
            return BUSY
        if t.bound is not None and t.bound.word and t.sc is not None:
            self.arrive(t, t.bound.word, None)
            t.bound.word = 0
            return OK
        while at.queue and at.queue[0].state == SEND:
            sender = at.queue[0]
            if (reply is None or not (t.sc or sender.sc)) if sender.calls else t.sc is None:
                self.cancel(sender, UNBOUND)
                continue
            self.leave_queue(sender)
            self.arrive(t, 0, sender.word)
            if sender.calls:
                assert reply is not None
                self.keep_caller(sender, t, reply)
            else:
                sender.error = OK
                self.wake(sender)
            return OK
        if not wait:
            return AGAIN
        t.reply = reply
        if reply is not None:
            reply.receiver = t
        t.queue = at.queue
        at.queue.append(t)
        self.block(t, RECV)
        return OK

    def deliver(self, t: Thread, n: Notification) -> None:
        self.leave_queue(t)
        self.free_reply(t)
        self.arrive(t, n.word, None)
        n.word = 0
        self.wake(t)

    def deliver_bound(self, t: Thread) -> None:
        if t.bound is not None and t.bound.word and t.state == RECV and t.sc is not None:
            self.deliver(t, t.bound)

    def wait_for(self, t: Thread, n: Notification, wait: bool) -> int:
        if n.word:
            self.arrive(t, n.word, None)
            n.word = 0
            return OK
        if n.bound is not None and n.bound is not t:
            return BUSY
        if not wait:
            return AGAIN
        t.queue = n.queue
        n.queue.append(t)
        self.block(t, WAIT)
        return OK

    # System calls: the caller, two objects, a number.

    def do_call(self, t: Thread, e: Endpoint, _: None, word: int) -> int:
        return self.send(t, e, word, True, True)

    def do_send(self, t: Thread, e: Endpoint | ReplyObject, _: None, word: int) -> int:
        return self.send(t, e, word, True, False)

    def do_nb_send(self, t: Thread, e: Endpoint | ReplyObject, _: None, word: int) -> int:
        return self.send(t, e, word, False, False)

    def do_recv(self, t: Thread, e: Endpoint, reply: ReplyObject | None, _: int) -> int:
        return self.receive(t, e, reply, True)

    def do_nb_recv(self, t: Thread, e: Endpoint, reply: ReplyObject | None, _: int) -> int:
        return self.receive(t, e, reply, False)

    def do_reply_recv(self, t: Thread, e: Endpoint, reply: ReplyObject, word: int) -> int:
        answered = None
        if reply.caller is not None:
            self.arrive(reply.caller, 0, word)
            answered = self.end_call(reply)
        error = self.receive(t, e, reply, True)
        if answered is not None:
            self.wake(answered)
        return error

    def do_signal(self, t: Thread, n: Notification, _: None, __: int) -> None:
        n.word |= 1
        if n.bound is not None and n.bound.state == RECV:
            self.deliver_bound(n.bound)
        elif n.queue:
            self.deliver(n.queue[0], n)

    def do_wait(self, t: Thread, n: Notification, _: None, __: int) -> int:
        return self.wait_for(t, n, True)

    def do_poll(self, t: Thread, n: Notification, _: None, __: int) -> int:
        return self.wait_for(t, n, False)

    def do_yield(self, *_: object) -> None:
        self.yielding = True

    def do_suspend(self, _: Thread, t: Thread, *__: object) -> None:
        self.stop(t)

    def do_resume(self, _: Thread, t: Thread, *__: object) -> None:
        if t.state == STOPPED:
            self.wake(t)

    def do_set_sched(self, _: Thread, t: Thread, sc: Context | None, priority: int) -> int:
        if sc is not None and sc.thread is not None and sc.thread is not t:
            return BUSY
        if sc is not None and sc.owner is not None and sc.owner is not t:
            self.disown(sc)
        if t.sc is not sc:
            if t.own is not None:
                self.disown(t.own)
            if t.sc is not None and (sc is not None or not t.sc.loans):
                self.move(t.sc, None)
            if sc is not None:
                self.own(sc, t)
        if t.priority != priority:
            queued = t in self.ready
            if queued:
                self.ready.remove(t)
            t.priority = priority
            if queued or t is self.current:
                self.requeue(t)
        self.deliver_bound(t)
        return OK

    def do_configure(self, _: Thread, sc: Context, *__: object) -> None:
        if sc.thread is not None:
            self.requeue(sc.thread)

    def do_bind(self, _: Thread, t: Thread, n: Notification | None, __: int) -> int:
        if n is None:
            if t.bound is not None:
                t.bound.bound = None
            t.bound = None
            return OK
        if t.bound is not None or n.bound is not None or n.queue:
            return BUSY
        t.bound, n.bound = n, t
        self.deliver_bound(t)
        return OK

    def delete(self, name: str) -> None:
        gone = self.objects.pop(name)
        if isinstance(gone, Endpoint | Notification):
            if isinstance(gone, Notification) and gone.bound is not None:
                gone.bound.bound = None
            # Deleting drops the senders' capabilities first, the latest before the others.
            while gone.queue:
                self.cancel(gone.queue[-1 if gone.queue[0].state == SEND else 0], CANCELLED)
        elif isinstance(gone, ReplyObject):
            for t in (gone.receiver, gone.caller):
                if t is not None:
                    self.cancel(t, CANCELLED)
        elif isinstance(gone, Context):
            self.disown(gone)
        elif isinstance(gone, Thread):
            self.stop(gone)
            if gone.bound is not None:
                gone.bound.bound = None
            if gone.own is not None:
                self.disown(gone.own)
            if gone.sc is not None:
                self.move(gone.sc, None)
