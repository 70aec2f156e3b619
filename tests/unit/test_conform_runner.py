# SPDX-License-Identifier: BSD-2-Clause
"""How tests of conformance run in machines, which are Python here: lost ones, reports, results that are kept."""

from __future__ import annotations

import json
import os
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from orchestration.base.cache import Cache, key_of
from orchestration.base.errors import HangError, InfrastructureError, PanicError
from orchestration.conform import run, runner
from orchestration.conform.kept import Kept, command_key, content
from orchestration.conform.outcome import Outcome, Status
from orchestration.conform.suite import Suite, Test
from orchestration.machine import boot, ssh

PASS, FAIL, SKIP, ABSENT = Status.PASS, Status.FAIL, Status.SKIP, Status.ABSENT


def suite(tmp_path: Path) -> Suite:
    return Suite("s", "w", (), "/opt/s", lambda arch, cache: tmp_path, lambda folder: [],
                 lambda output, status: Outcome(FAIL if status else PASS), quick=("exec",))


def test_which_tests_run(tmp_path: Path) -> None:
    tests = [Test(name, "true", 1.0) for name in ("exec:one", "exec:two", "mm:one")]
    def names(quick: bool, *only: str) -> list[str]:
        return [test.name for test in run.select(tests, suite(tmp_path), run.Choice(only, quick))]
    assert names(False) == ["exec:one", "exec:two", "mm:one"]
    assert names(True) == ["exec:one", "exec:two"]
    assert names(False, "mm", "exec:two") == ["exec:two", "mm:one"]
    assert not names(True, "mm")
    assert names(False, "exec:t*", "m*") == ["exec:two", "mm:one"]
    assert names(False, "*:one") == ["exec:one", "mm:one"]
    assert not names(False, "xec*", "exec:[nt]*")


class Machine:
    """A session whose tests are Python; it notes its end."""

    def __init__(self, tmp_path: Path, ended: list[str]) -> None:
        self.ended, self.connection, self.killed = ended, "connection", threading.Event()
        self.tracker = type("Tracker", (), {"scale": 1.0})
        self.machine = self
        self.run = self
        self.folder = tmp_path
        self.reports: list[str] = []
        self.watches = False

    def file(self, name: str) -> Path:
        return self.folder / name

    def open(self) -> None: ...
    def shell_run(self, command: str, **ignored: object) -> ssh.Done: return ssh.Done(0, b"", b"")
    def check(self) -> bool: return False

    def kill(self) -> None:
        self.killed.set()

    def finish(self, error: BaseException | None) -> None:
        self.ended.append(type(error).__name__)


def side(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ended: list[str]) -> runner.Side:
    def execute(connection: object, command: str, *, check: object, **ignored: object) -> int:
        for word, error in (("panic", PanicError("Linux gave up")), ("late", ssh.Overdue("late"))):
            if word in command:
                raise error
        if "wait" in command:
            while not check():  # type: ignore[operator]
                pass
        return int("fail" in command)

    monkeypatch.setattr(ssh, "run", execute)
    monkeypatch.setattr(boot, "discard_large_files", lambda run: None)
    return runner.Side("guest", lambda: Machine(tmp_path, ended), suite(tmp_path), None)  # type: ignore[arg-type, return-value]


def test_a_machine_that_a_test_lost_is_booted_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ended: list[str] = []
    one = side(tmp_path, monkeypatch, ended)
    tests = [Test(f"exec:{word}", word, 5.0) for word in ("true", "panic", "fail", "late", "again")]
    runner.run([one], tests, lambda side, test: None)
    assert {name: found.status for name, found in one.outcomes.items()} == {
        "exec:true": PASS, "exec:panic": FAIL, "exec:fail": FAIL, "exec:late": FAIL, "exec:again": PASS}
    assert one.outcomes["exec:panic"].why == "lost the machine: Linux gave up"
    assert [name for name, found in one.outcomes.items() if found.lost] == ["exec:panic"]
    assert one.outcomes["exec:late"].why == "did not end in 5 s"
    assert [name for name, found in one.outcomes.items() if found.late] == ["exec:late"]
    assert ended == ["PanicError", "NoneType", "NoneType"]
    assert one.boots == 3


def test_a_report_is_of_the_test_in_whose_time_it_came(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the second machine reports at boot is of its first test; each test has its first report."""
    ended: list[str] = []
    one = side(tmp_path, monkeypatch, ended)
    prepare, execute = one.prepare, ssh.run

    def reporting(connection: object, command: str, **words: object) -> int:
        if "bug" in command:
            one.reports += ["BUG: first", "BUG: second"]
        return execute(connection, command, **words)  # type: ignore[arg-type]

    def at_boot() -> Machine:
        machine = prepare()
        machine.reports += ["WARNING: at boot"] if ended else []
        return machine  # type: ignore[return-value]

    monkeypatch.setattr(ssh, "run", reporting)
    one.prepare = at_boot  # type: ignore[assignment]
    tests = [Test(f"exec:{word.replace(' ', '-')}", word, 5.0) for word in ("true", "bug", "no", "bug panic", "more",
                                                                            "fail")]
    runner.run([one], tests, lambda side, test: None)
    assert {name: found.report for name, found in one.outcomes.items() if found.report} == {
        "exec:bug": "BUG: first", "exec:bug-panic": "BUG: first", "exec:more": "WARNING: at boot"}
    assert one.outcomes["exec:bug"].status is PASS


def test_a_report_that_comes_after_the_status_is_of_its_test(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first test's would be the second's, and the last test's would be lost; so would that of one that is late."""
    one = side(tmp_path, monkeypatch, [])

    class Watched(Machine):
        def hear_out(self) -> None:
            self.reports.append(f"BUG: {len(self.reports) + 1}")

    def watched() -> Watched:
        machine = Watched(tmp_path, [])
        machine.watches = True
        return machine

    one.prepare = watched  # type: ignore[assignment]
    runner.run([one], [Test(f"exec:{word}", word, 5.0) for word in ("true", "fail", "late", "last")],
               lambda side, test: None)
    assert {name: found.report for name, found in one.outcomes.items()} == {
        "exec:true": "BUG: 1", "exec:fail": "BUG: 2", "exec:late": "BUG: 3", "exec:last": "BUG: 1"}


def test_results_are_kept_as_they_come(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that is cut off in its third test goes on there; what has a result does not run again."""
    one = side(tmp_path, monkeypatch, [])
    one.kept = Kept(tmp_path / "kept/side.jsonl")
    tests = [Test(f"exec:{word}", word, 5.0) for word in ("true", "panic", "wait", "fail")]
    ran: list[str] = []

    def tell(side: runner.Side, test: Test) -> None:
        ran.append(test.name)
        if test.name == "exec:panic":
            one.stopped.set()

    with pytest.raises(runner.Stopped):
        one.run(tests, tell)
    again = side(tmp_path, monkeypatch, [])
    again.kept = Kept(one.kept.path)
    again.outcomes = again.kept.read(tests)
    assert again.outcomes == {"exec:true": Outcome(PASS),
                              "exec:panic": Outcome(FAIL, "lost the machine: Linux gave up", lost=True)}
    again.run([test for test in tests if test.name != "exec:wait"], tell)
    assert ran == ["exec:true", "exec:panic", "exec:fail"]
    assert {name: one.status for name, one in again.kept.read(tests).items()} == {
        "exec:true": PASS, "exec:panic": FAIL, "exec:fail": FAIL}


def test_a_result_is_of_one_command(tmp_path: Path) -> None:
    kept = Kept(tmp_path / "kept.jsonl")
    one, other = Test("a:one", "true", 5.0), Test("a:two", "true", 5.0)
    kept.note(one, Outcome(FAIL, "exit=1", {"x": PASS, "y": SKIP}, late=True, report="BUG: z"), 1.0)
    kept.note(other, Outcome(PASS), 1.0)
    kept.note(other, Outcome(ABSENT, "lost before"), 1.0)
    failed = Outcome(FAIL, "exit=1", {"x": PASS, "y": SKIP}, late=True, report="BUG: z")
    assert kept.read([one, other]) == {"a:one": failed, "a:two": Outcome(PASS)}
    assert not kept.read([replace(one, command="false"), replace(other, limit=6.0)])
    # A later result wins; what was cut off in the middle is none, and hides none.
    kept.path.write_text(kept.path.read_text()[:-20])
    assert list(kept.read([one, other])) == ["a:one"]
    with kept.path.open("a") as stream:
        stream.write("\n5\n{}\n[]\n" + json.dumps({"test": "a:one", "command": command_key(one), "parts": 1}) + "\n")
    kept.note(one, Outcome(PASS), 1.0)
    assert kept.read([one, other]) == {"a:one": Outcome(PASS)}


def test_a_result_of_before_there_were_reports_has_none(tmp_path: Path) -> None:
    kept = Kept(tmp_path / "kept.jsonl")
    one = Test("a:one", "true", 5.0)
    kept.note(one, Outcome(FAIL, "exit=1", {"x": PASS}), 1.0)
    kept.path.write_text(kept.path.read_text().replace(', "report": ""', ""))
    assert "report" not in kept.path.read_text()
    assert kept.read([one]) == {"a:one": Outcome(FAIL, "exit=1", {"x": PASS})}


def test_results_outlive_files_that_do_not_boot(tmp_path: Path) -> None:
    def entry(**files: str) -> Path:
        def make(folder: Path) -> None:
            for name, text in files.items():
                (folder / name).write_text(text)

        return Cache(tmp_path).get("bare", key_of(*files.values()), make)

    one, tests, kernel = (entry(kernel=kernel, ktest=ktest, root="r") for kernel, ktest in ("kt", "ku", "lt"))
    assert content(one, "root", "kernel") == content(tests, "kernel", "root") != content(kernel, "kernel", "root")
    assert len({content(folder) for folder in (one, tests, kernel)}) == 3


def test_results_of_old_kernels_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orchestration.conform.kept.FILES_MAX", 2)
    for number in range(3):
        path = tmp_path / f"{number}.jsonl"
        Kept(path).note(Test("a:one", "true", 5.0), Outcome(PASS), 1.0)
        os.utime(path, (number, number))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["1.jsonl", "2.jsonl"]


def test_no_test_starts_after_the_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = side(tmp_path, monkeypatch, [])
    one.until = time.monotonic() - 1
    runner.run([one], [Test("exec:true", "true", 5.0)], lambda side, test: None)
    assert not one.outcomes
    assert not one.boots


def test_a_machine_that_is_lost_again_and_again_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "LOSSES", 2)
    one = side(tmp_path, monkeypatch, [])
    runner.run([one], [Test(f"exec:{number}", "panic", 5.0) for number in range(3)], lambda side, test: None)
    assert [found.status for found in one.outcomes.values()] == [FAIL, FAIL, ABSENT]


def test_a_machine_that_does_not_boot_again_costs_one_test(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ended: list[str] = []
    one = side(tmp_path, monkeypatch, ended)
    boots = iter([None, HangError("stage 'Linux' did not end"), None])

    def prepare() -> Machine:
        machine, error = Machine(tmp_path, ended), next(boots)

        def fail() -> None:
            assert error is not None
            raise error

        if error is not None:
            machine.open = fail  # type: ignore[method-assign]
        return machine

    one.prepare = prepare  # type: ignore[assignment]
    tests = [Test(f"exec:{word}", word, 5.0) for word in ("panic", "unlucky", "true")]
    runner.run([one], tests, lambda side, test: None)
    assert [found.status for found in one.outcomes.values()] == [FAIL, FAIL, PASS]
    assert one.outcomes["exec:unlucky"].why == "the machine did not boot again: stage 'Linux' did not end"
    assert ended == ["PanicError", "HangError", "NoneType"]


def test_a_machine_that_does_not_boot_ends_both(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ended: list[str] = []
    one, other = side(tmp_path, monkeypatch, ended), side(tmp_path, monkeypatch, ended)

    def refuse(self: Machine) -> None:
        raise HangError("stage 'Linux' did not end")

    broken = Machine(tmp_path, ended)
    broken.open = lambda: refuse(broken)  # type: ignore[method-assign]
    other.prepare = lambda: broken  # type: ignore[assignment, return-value]
    with pytest.raises(HangError):
        runner.run([one, other], [Test("exec:wait", "wait", 5.0)], lambda side, test: None)
    assert ended.count("NoneType") == 2


def test_a_boot_that_is_stopped_does_not_hide_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second machine does not boot; the first one, which is stopped in its boot therefore, is not what is told."""
    one, other = side(tmp_path, monkeypatch, []), side(tmp_path, monkeypatch, [])

    def be_stopped() -> None:
        one.stopped.wait(10)
        raise InfrastructureError("QEMU ended with status -9")

    def refuse() -> None:
        raise HangError("stage 'Linux' did not end")

    first, second = Machine(tmp_path, []), Machine(tmp_path, [])
    first.open, second.open = be_stopped, refuse  # type: ignore[method-assign]
    one.prepare, other.prepare = lambda: first, lambda: second  # type: ignore[assignment, return-value]
    with pytest.raises(HangError):
        runner.run([one, other], [Test("exec:wait", "wait", 5.0)], lambda side, test: None)


def test_an_interruption_ends_both(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ended: list[str] = []
    sides = [side(tmp_path, monkeypatch, ended) for _ in range(2)]

    def interrupt(futures: object, timeout: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(runner, "wait_for", interrupt)
    with pytest.raises(KeyboardInterrupt):
        runner.run(sides, [Test("exec:wait", "wait", 5.0)], lambda side, test: None)
    assert ended == ["NoneType", "NoneType"]
    assert threading.active_count() < 20
