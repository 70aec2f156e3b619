# SPDX-License-Identifier: BSD-2-Clause
"""Random cases of threads, scheduling, messages and lent time: the kernel's results are those of a model."""

from __future__ import annotations

from collections.abc import Callable
from itertools import zip_longest
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, example, given, seed, settings
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from orchestration.base.arch import Arch
from orchestration.base.errors import HangError, PanicError
from orchestration.bench.sides import counted
from orchestration.bench.terms import Clock
from orchestration.build import quoll
from orchestration.machine import kernel_tests
from tests.system.kernel_case import KINDS, Case, Outcome, Placed, Step, Worker, pack
from tests.system.kernel_model import Machine

# Number of cases without --examples: half a minute. ci/nightly.yaml runs more.
EXAMPLES = 300
PRIORITIES = st.integers(10, 12)


def name(kind: str, none: bool = False) -> SearchStrategy[str]:
    names = [f"{kind}{index}" for index in range(KINDS[kind][1])]
    return st.sampled_from([*names, "-"] if none else names)


def steps(weights: dict[str, int], workers: int) -> SearchStrategy[Step]:
    thread = st.sampled_from([f"T{index}" for index in range(workers)])
    value = st.integers(1, 99)
    made = {
        "call": st.builds(Step, st.just("call"), name("E"), st.just("-"), value),
        "send": st.builds(Step, st.just("send"), name("E"), st.just("-"), value),
        "nb_send": st.builds(Step, st.just("nb_send"), name("E"), st.just("-"), value),
        "answer": st.builds(Step, st.just("send"), name("R"), st.just("-"), value),
        "recv": st.builds(Step, st.just("recv"), name("E"), name("R", none=True)),
        "nb_recv": st.builds(Step, st.just("nb_recv"), name("E"), name("R", none=True)),
        "reply_recv": st.builds(Step, st.just("reply_recv"), name("E"), name("R"), value),
        "signal": st.builds(Step, st.just("signal"), name("N")),
        "wait": st.builds(Step, st.just("wait"), name("N")),
        "poll": st.builds(Step, st.just("poll"), name("N")),
        "yield": st.just(Step("yield")),
        "settle": st.just(Step("settle")),
        "suspend": st.builds(Step, st.just("suspend"), thread),
        "resume": st.builds(Step, st.just("resume"), thread),
        "own": st.integers(0, workers - 1).flatmap(
            lambda i: st.builds(Step, st.just("set_sched"), st.just(f"T{i}"), st.just(f"S{i}"), PRIORITIES)),
        "passive": st.builds(Step, st.just("set_sched"), thread, st.just("-"), PRIORITIES),
        "set_sched": st.builds(Step, st.just("set_sched"), thread, name("S", none=True), PRIORITIES),
        "configure": st.builds(Step, st.just("configure"), name("S"), st.just("-"), st.integers(0, 1)),
        "bind": st.builds(Step, st.just("bind"), thread, name("N", none=True)),
        "delete": st.builds(Step, st.just("delete"), st.one_of(name("E"), name("R"), name("S"), name("N"))),
        "delete_thread": st.builds(Step, st.just("delete"), thread),
    }
    return st.sampled_from([key for key, weight in weights.items() for _ in range(weight)]).flatmap(made.__getitem__)


OF_WORKERS = {"call": 8, "send": 2, "nb_send": 1, "answer": 3, "recv": 5, "nb_recv": 1, "reply_recv": 8, "signal": 2,
              "wait": 1, "poll": 1, "yield": 1, "suspend": 1, "resume": 1, "own": 1, "passive": 1, "set_sched": 1,
              "configure": 1, "bind": 1, "delete": 1}
OF_ROOT = {"settle": 10, "nb_send": 1, "answer": 2, "nb_recv": 1, "signal": 2, "poll": 1, "suspend": 3, "resume": 5,
           "own": 2, "passive": 4, "set_sched": 2, "configure": 1, "bind": 1, "delete": 1, "delete_thread": 1}
OF_CHAINS = {"settle": 6, "signal": 3, "answer": 3, "suspend": 5, "resume": 6, "own": 2, "set_sched": 2, "delete": 2,
             "delete_thread": 1, "nb_send": 1}


@st.composite
def cases(draw: st.DrawFn) -> Case:
    workers = draw(st.integers(2, KINDS["T"][1]))
    script = st.lists(steps(OF_WORKERS, workers), max_size=12).map(tuple)
    made = draw(st.tuples(*[st.builds(Worker, PRIORITIES, script) for _ in range(workers)]))
    root = draw(st.lists(steps(OF_ROOT, workers), max_size=25))
    return Case(made, (Step("settle"), *root, Step("settle")))


@st.composite
def chains(draw: st.DrawFn) -> Case:
    """Make passive servers that call each other, clients of them, and operations that end their calls."""
    servers = draw(st.integers(1, 2))
    workers = servers + draw(st.integers(1, KINDS["T"][1] - servers))
    made = []
    for index in range(workers):
        at, kept = f"E{index}", f"R{index}"
        calls = st.builds(Step, st.just("call"), name("E"), st.just("-"), st.integers(1, 99))
        script = [Step("call", "E0", value=9), *draw(st.lists(calls, max_size=3))]
        if index < servers:
            waits = st.builds(Step, st.just("wait"), name("N"))
            answers = st.just(Step("reply_recv", at, kept, 1 + index))
            held = Step("call", f"E{index + 1}", value=50) if index + 1 < servers else draw(waits)
            work = draw(st.lists(st.one_of(answers, calls, waits), min_size=1, max_size=8))
            script = [Step("recv", at, kept), held, *work]
        made.append(Worker(draw(PRIORITIES), tuple(script)))
    clients = [f"T{index}" for index in range(servers, workers)]
    begin = [*[Step("suspend", client) for client in clients], Step("settle"),
             *[Step("set_sched", f"T{index}", "-", made[index].priority) for index in range(servers)],
             *[Step("resume", client) for client in clients], Step("settle")]
    root = draw(st.lists(steps(OF_CHAINS, workers), max_size=20))
    return Case(tuple(made), (*begin, *root, Step("settle")))


def disagreement(case: Case, place: Placed, lines: list[list[int]]) -> str:
    """Return where the kernel's trace differs from the model's; an empty string if it does not."""
    named = dict(step for script in [place.root, *place.workers] for step in script)
    expected = Machine(place, [worker.priority for worker in case.workers]).run()
    seen = [Outcome(*line) for line in lines if line[1] in named]
    for index, (want, got) in enumerate(zip_longest(expected, seen)):
        if want is None or got is None or got.known_as(want) != want:
            before = "\n".join(f"  {outcome} {named[outcome.step]}" for outcome in expected[:index])
            return f"{case}\n{before}\nmodel: {want}\nkernel: {got} {named[got.step] if got else ''}"
    return ""


def tried(arch: Arch, bare: Path, batch: list[Case]) -> list[str]:
    """Run cases on the kernel, in one boot; return each one's disagreement."""
    blob, places = pack(batch)
    try:
        report, folder = kernel_tests.run(arch, bare, extra=counted(arch, Clock.INSTRUCTIONS),
                                          program=quoll.KERNEL_MODEL, variant=quoll.checked, blobs={"steps": blob})
        problems = [] if report.passed else [*report.problems, *report.results, f"see {folder}"]
    except (PanicError, HangError) as error:
        problems = [error.message, *error.details]
    if problems:
        # One case stopped the rest: run each by itself.
        return [f"{batch}\n{problems}"] if len(batch) == 1 else [tried(arch, bare, [case])[0] for case in batch]
    lines = [[int(word) for word in line.split()[2:]] for line in report.results[0].diagnostics
             if line.startswith("# m ")]
    steps_of_cases = {number for place in places for script in [place.root, *place.workers] for number, _ in script}
    assert not [line for line in lines if line[1] not in steps_of_cases and line[2]], "a case could not be prepared"
    return [disagreement(case, place, lines) for case, place in zip(batch, places, strict=True)]


# Two cases that random ones seldom reach: time lent twice, and a message to a thread without time.
LENT_TWICE = Case((Worker(10, (Step("call", "E0", value=1), Step("poll", "N0"))),
                   Worker(11, (Step("recv", "E0", "R0"), Step("call", "E1", value=2), Step("poll", "N0"))),
                   Worker(12, (Step("recv", "E1", "R1"), Step("wait", "N0"), Step("send", "R1", value=3)))), (
    Step("suspend", "T0"), Step("settle"), Step("set_sched", "T1", "-", 11), Step("set_sched", "T2", "-", 12),
    Step("resume", "T0"), Step("settle"), Step("suspend", "T0"), Step("resume", "T0"), Step("suspend", "T1"),
    Step("settle"), Step("signal", "N0"), Step("settle"), Step("set_sched", "T2", "S0", 10), Step("settle")))
NO_TIME = Case((Worker(10, (Step("send", "E0", value=1), Step("call", "E0", value=2))),
                Worker(11, (Step("recv", "E0", "R0"), Step("reply_recv", "E0", "R0", 3)))), (
    Step("suspend", "T0"), Step("settle"), Step("set_sched", "T1", "-", 11), Step("resume", "T0"), Step("settle")))


def over_cases(test: Callable[[Case], None], number: int, *phases: Phase) -> None:
    """Call test with each case: the same ones each time, because the seed is fixed and there is no database."""
    @example(NO_TIME)
    @example(LENT_TWICE)
    @seed(1)
    @settings(max_examples=number, phases=[Phase.explicit, Phase.generate, *phases], deadline=None, database=None,
              suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
    @given(case=st.one_of(cases(), chains()))
    def each(case: Case) -> None:
        test(case)

    each()


def test_the_kernel_does_what_its_model_says(arch: Arch, bare: Path, request: pytest.FixtureRequest) -> None:
    """All cases run in one boot; if one disagrees, each that Hypothesis makes of it has a boot of its own."""
    number = request.config.getoption("--examples") or EXAMPLES
    listed: list[Case] = []
    known: dict[Case, str] = {}

    def check(case: Case) -> None:
        if case not in known:
            known[case] = tried(arch, bare, [case])[0]
        assert not known[case], known[case]

    over_cases(lambda case: listed.append(case), number)
    known.update(zip(listed, tried(arch, bare, listed), strict=True))
    over_cases(check, number, Phase.shrink)
