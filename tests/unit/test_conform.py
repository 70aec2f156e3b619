# SPDX-License-Identifier: BSD-2-Clause
"""Conformance without machines: what runners print, which differences count, expected.toml, the page."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from orchestration.base.errors import UsageError
from orchestration.conform import compare, outcome, show, suites
from orchestration.conform.outcome import Outcome, Status
from orchestration.conform.suite import Test

PASS, FAIL, SKIP, ABSENT = Status.PASS, Status.FAIL, Status.SKIP, Status.ABSENT
KSELFTEST = """\
TAP version 13
1..1
# overriding timeout to 90
# selftests: timers: posix_timers
# TAP version 13
# 1..4
# ok 1 check_itimer 4242
# # ok 9 deeper than a part
# not ok 2 check_itimer 777777
# ok 3 at 0xffff1234 # SKIP no such clock
# not ok 4 - known # TODO later
not ok 1 selftests: timers: posix_timers # exit=1
"""


def test_the_kernels_runner_is_read() -> None:
    found = outcome.kselftest(KSELFTEST)
    assert (found.status, found.why) == (FAIL, "exit=1")
    assert found.parts == {"check_itimer *": PASS, "check_itimer * #2": FAIL, "at *": SKIP, "known": PASS}


@pytest.mark.parametrize(("line", "status", "why"), [
    ("ok 1 selftests: a: b", PASS, ""), ("ok 1 selftests: a: b # SKIP", SKIP, "SKIP"),
    ("not ok 1 selftests: a: b # TIMEOUT 90 seconds", FAIL, "TIMEOUT 90 seconds")])
def test_the_line_of_a_test_decides(line: str, status: Status, why: str) -> None:
    found = outcome.kselftest(f"# ok 1 part\n{line}\n")
    assert (found.status, found.why, found.late) == (status, why, why.startswith("TIMEOUT"))


def test_the_parts_of_nolibcs_tests_are_read() -> None:
    text = ("# Running test 'syscall'\n# 3 getpid = 71                [OK]\n# 4 chroot_exe = -1 ENOTDIR  [FAIL]\n"
            "# 5 chown_self = 0 != (-1 EPERM)  [SKIPPED]\n# Errors during this test: 1\n"
            "not ok 1 selftests: nolibc: nolibc-test # exit=1\n")
    found = outcome.kselftest(text)
    assert (found.status, found.parts) == (FAIL, {"getpid": PASS, "chroot_exe": FAIL, "chown_self": SKIP})


@pytest.mark.parametrize("text", ["", KSELFTEST.rpartition("not ok")[0], "ok 1 something: else\n"])
def test_a_runner_that_tells_nothing_is_a_failure(text: str) -> None:
    assert outcome.kselftest(text).status is FAIL


PYTHON = """\
test_one (test.test_signal.PosixTests.test_one) ... ok
test_two (test.test_signal.PosixTests.test_two) ... skipped 'no reason'
test_three (test.test_signal.PosixTests.test_three)
What it does ... FAIL
test_four (test.test_signal.Other.test_four) ... ERROR
test_slow (test.test_signal.Other.test_slow) ... Executing <Task pending> took 0.206 seconds
ok
"""


def test_cpythons_runner_is_read() -> None:
    found = outcome.unittest(PYTHON, 2)
    assert (found.status, found.why) == (FAIL, "exit=2")
    assert found.parts == {"PosixTests.test_one": PASS, "PosixTests.test_two": SKIP, "PosixTests.test_three": FAIL,
                           "Other.test_four": FAIL, "Other.test_slow": PASS}
    assert not found.late
    timeout = "test_five (test.test_signal.Other.test_five) ... Timeout (0:07:30)!\nThread 1 (most recent):\n"
    late = outcome.unittest(f"{PYTHON}{timeout}", 1)
    assert (late.status, late.late, len(late.parts)) == (FAIL, True, 5)
    assert outcome.unittest(PYTHON, 0).status is PASS
    assert outcome.unittest("1 test skipped:\n    test_epoll\n", 0).status is SKIP


MISSING = ("s/a:b/(missing parts)", ABSENT, "native Linux passes 1 more that are not reported")


@pytest.mark.parametrize(("guest", "native", "differs"), [
    (Outcome(PASS), Outcome(PASS), []),
    (Outcome(PASS), Outcome(FAIL), []),
    (Outcome(FAIL, "exit=1"), Outcome(FAIL, "exit=1"), []),
    (Outcome(FAIL, "exit=1"), Outcome(SKIP), []),
    (Outcome(FAIL, "exit=1"), Outcome(PASS), [("s/a:b", FAIL, "exit=1")]),
    (Outcome(SKIP), Outcome(PASS), [("s/a:b", SKIP, "")]),
    # The parts tell more than the whole.
    (Outcome(FAIL, "exit=1", {"x": PASS, "y": FAIL}), Outcome(PASS, "", {"x": PASS, "y": PASS}),
     [("s/a:b/y", FAIL, "")]),
    # A part is skipped, and the whole passes all the same.
    (Outcome(PASS, "", {"x": SKIP}), Outcome(PASS, "", {"x": PASS}), [("s/a:b/x", SKIP, "")]),
    # Both fail, each for a reason of its own.
    (Outcome(FAIL, "", {"x": FAIL, "y": PASS}), Outcome(FAIL, "", {"x": PASS, "y": FAIL}), [("s/a:b/x", FAIL, "")]),
    # Names that change from run to run are no difference while the whole passes; after a death the whole is.
    (Outcome(PASS, "", {"x 1": PASS}), Outcome(PASS, "", {"x 2": PASS}), []),
    (Outcome(FAIL, "lost", {"x": PASS}), Outcome(PASS, "", {"x": PASS, "y": PASS}), [("s/a:b", FAIL, "lost")]),
    # The guest reports fewer parts, whatever both come to as a whole.
    (Outcome(PASS, "", {"x": PASS}), Outcome(PASS, "", {"x": PASS, "y": PASS}), [MISSING]),
    (Outcome(FAIL, "exit=1", {"x": PASS}), Outcome(FAIL, "exit=1", {"x": PASS, "y": PASS, "z": FAIL}), [MISSING]),
    (Outcome(FAIL, "", {"x 1": FAIL}), Outcome(FAIL, "", {"x 2": PASS}), [MISSING]),
    (Outcome(FAIL, "", {"x": FAIL}), Outcome(PASS, "", {"x": PASS, "y": PASS}), [("s/a:b/x", FAIL, ""), MISSING]),
    (Outcome(PASS, "", {"x": PASS}), Outcome(PASS, "", {"x": PASS, "y": FAIL, "z": SKIP}), []),
    # Both took too long, and native Linux came farther; what both report is compared.
    (Outcome(FAIL, "TIMEOUT", {"x": PASS}, late=True), Outcome(FAIL, "TIMEOUT", {"x": PASS, "y": PASS}, late=True), []),
    (Outcome(FAIL, "TIMEOUT", {"x": FAIL}, late=True), Outcome(FAIL, "TIMEOUT", {"x": PASS, "y": PASS}, late=True),
     [("s/a:b/x", FAIL, "")]),
    (Outcome(FAIL, "TIMEOUT", {"x": PASS}, late=True), Outcome(FAIL, "", {"x": PASS, "y": PASS}), [MISSING]),
    # What Linux reports is a difference whatever the test came to.
    (Outcome(PASS, report="BUG: x"), Outcome(PASS), [("s/a:b/(report)", FAIL, "BUG: x")]),
    (Outcome(FAIL, "exit=1", report="BUG: x"), Outcome(FAIL, "exit=1"), [("s/a:b/(report)", FAIL, "BUG: x")]),
    (Outcome(FAIL, "exit=1", report="BUG: x"), Outcome(PASS),
     [("s/a:b/(report)", FAIL, "BUG: x"), ("s/a:b", FAIL, "exit=1")]),
    # A machine that is lost is more than a failure of both.
    (Outcome(FAIL, "panic", {}, lost=True), Outcome(FAIL, "exit=1"), [("s/a:b", FAIL, "panic")]),
    (Outcome(FAIL, "panic", {}, lost=True), Outcome(FAIL, "panic", {}, lost=True), [])])
def test_what_is_a_difference(guest: Outcome, native: Outcome, differs: list[tuple[str, Status, str]]) -> None:
    assert compare.differences("s/a:b", guest, native) == differs


def expected(tmp_path: Path, text: str) -> tuple[compare.Expected, ...]:
    path = tmp_path / "expected.toml"
    path.write_text(text)
    return compare.read(path)


GOOD = """
[[expected]]
test = "s/x86:fs*"
architectures = ["x86_64"]
reason = "L4 keeps the selectors"
"""


def test_a_reason_covers_a_test_and_its_parts_on_its_architectures(tmp_path: Path) -> None:
    (one,) = expected(tmp_path, GOOD)
    assert one.covers("x86_64", "s/x86:fsgsbase_64")
    assert one.covers("x86_64", "s/x86:fsgsbase_64/a part")
    assert not one.covers("x86_64", "s/x86:other")
    assert not one.covers("x86_64", "t/s/x86:fsgsbase_64")
    assert not one.covers("riscv64", "s/x86:fsgsbase_64")
    exact = compare.Expected(test="s/a:b", architectures=("x86_64",), reason="r")
    assert exact.covers("x86_64", "s/a:b/part [1]")
    assert not exact.covers("x86_64", "s/a:bc")
    # A report of --debug is explained by its own name only.
    named = exact.model_copy(update={"test": "s/*/(report)"})
    assert (exact.covers("x86_64", "s/a:b/(report)"), named.covers("x86_64", "s/a:b/(report)")) == (False, True)


@pytest.mark.parametrize(("text", "said"), [
    (GOOD.replace("reason", "why"), "expected.0"), (GOOD.replace("L4 keeps the selectors", " "), "expected.0.reason"),
    (GOOD.replace("L4 keeps the selectors", "Not done yet"), "'Not done yet' is no reason"),
    (GOOD + 'against = "xen"\n', "expected.0.against"), (GOOD + 'kernels = "tiny"\n', "expected.0.kernels"),
    (GOOD.replace("x86_64", "vax"), "unknown architecture 'vax'; valid: x86_64, riscv64, aarch64"),
    (GOOD.replace('["x86_64"]', "[]"), "architectures"), (GOOD.replace("]]", "]"), "expected"), ("[[", "cannot read"),
    ("other = 1", "other")])
def test_a_wrong_file_is_named(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        expected(tmp_path, text)
    assert said in str(caught.value)
    assert "expected.toml" in str(caught.value)


def test_a_reason_may_be_of_one_peer(tmp_path: Path) -> None:
    path = tmp_path / "expected.toml"
    path.write_text(GOOD + 'against = "distribution"\n' + GOOD.replace("fs*", "all"))
    assert [one.test for one in compare.read(path)] == ["s/x86:all"]
    assert [one.test for one in compare.read(path, "distribution")] == ["s/x86:fs*", "s/x86:all"]


def test_a_reason_may_be_of_small_kernels(tmp_path: Path) -> None:
    path = tmp_path / "expected.toml"
    path.write_text(GOOD + 'kernels = "small"\n' + GOOD.replace("fs*", "all"))
    assert [one.test for one in compare.read(path)] == ["s/x86:all"]
    assert [one.test for one in compare.read(path, kernels="small")] == ["s/x86:fs*", "s/x86:all"]


def test_the_file_of_the_tree_is_right() -> None:
    """Each line is about a suite that exists."""
    listed = [one for against in ("native", "distribution") for kernels in ("small", "full")
              for one in compare.read(against=against, kernels=kernels)]
    assert all(one.test.partition("/")[0] in suites.known() for one in listed)


def rows(tmp_path: Path) -> list[compare.Row]:
    tests = [Test(name, "true", 1.0) for name in ("x86:fsgsbase", "exec:one", "exec:two", "exec:native-only")]
    guest = {"x86:fsgsbase": Outcome(FAIL, "exit=1"), "exec:one": Outcome(PASS), "exec:two": Outcome(SKIP)}
    native = {test.name: Outcome(PASS) for test in tests}
    return compare.rows("x86_64", "s", tests, guest, native, expected(tmp_path, GOOD))


def test_rows_have_reasons(tmp_path: Path) -> None:
    found = rows(tmp_path)
    assert [row.name for row in found] == ["x86:fsgsbase", "exec:one", "exec:two"]
    assert [[one.name for one in row.unexplained] for row in found] == [[], [], ["s/exec:two"]]
    assert found[0].differences[0].reason == "L4 keeps the selectors"


def test_lines_that_explain_nothing_are_told(tmp_path: Path) -> None:
    found = rows(tmp_path)
    known = expected(tmp_path, GOOD + GOOD.replace("x86:fs*", "exec:one") + GOOD.replace("x86:fs*", "mm:none"))
    assert compare.idle(known, "x86_64", "s", found) == ["s/exec:one"]
    # A test whose name only begins like that of one which ran has not run.
    assert not compare.idle(expected(tmp_path, GOOD.replace("x86:fs*", "exec:on")), "x86_64", "s", found)


def test_a_comparison_with_nothing_is_none(tmp_path: Path) -> None:
    found = rows(tmp_path)
    assert not compare.is_vain(found)
    for natives in ([FAIL, FAIL], [PASS, ABSENT], []):
        assert compare.is_vain([replace(found[0], native=Outcome(status)) for status in natives])


def test_what_was_ended_at_its_limit_on_both_is_listed_apart() -> None:
    """Such a failure is the host's doing, as long as neither side has failed by itself."""
    failed, late = Outcome(FAIL, "exit=1"), Outcome(FAIL, "did not end in 5 s", late=True)
    found = [compare.Row(f"exec:{name}", guest, native, ())
             for name, guest, native in (("one", failed, failed), ("two", late, late), ("three", late, failed))]
    made = show.section(show.Result("x86_64", "s", "some tests", "v", "2026-11-26", found))
    assert "Fail on both: `exec:one`, `exec:three`.\n" in made
    assert "Ended at their limit on both: `exec:two`.\n" in made
    assert "limit" not in show.section(show.Result("x86_64", "s", "some tests", "v", "2026-11-26", found[:1]))


def test_the_table_and_the_page(tmp_path: Path) -> None:
    result = show.Result("x86_64", "s", "some tests", "Linux 6.12, QEMU 7", "2026-11-26", rows(tmp_path))
    text = "\n".join(show.text(result))
    assert "DIFFERS: s/exec:two: skip" in text
    assert "explained: s/x86:fsgsbase: fail (exit=1): L4 keeps the selectors" in text
    assert "3 tests; 1 pass on both" in text
    assert "differences: 1 explained, 1 not" in text
    page = tmp_path / "conform.md"
    show.write([result, show.Result("riscv64", "s", "some tests", "v", "2026-11-26", [], ("exec",), small=True)], page)
    first = page.read_text()
    assert "| exec | 2 | 1 | 0 | 0 | 1 | 1 |" in first
    assert "| **all** | 3 | 1 | 0 | 0 | 2 | 2 |" in first
    assert "- `exec:two`: skip. No reason is known." in first
    assert first.index("## riscv64: s exec, small kernels\n") < first.index("## x86_64: s")
    assert "by `./orchestrate conform riscv64 --suite s --test exec --small` on 2026-11-26. v." in first
    show.write([result], page)
    assert page.read_text() == first
    assert max(map(len, first.splitlines())) <= 120
    show.write([replace(result, debian=True)], page)
    assert "## x86_64: s, against Debian's kernel\n" in page.read_text()
    assert "by `./orchestrate conform x86_64 --suite s --against distribution` on 2026-11-26" in page.read_text()
    show.write([replace(result, left=7)], page)
    assert "Linux 6.12, QEMU 7. 7 more tests have not run." in " ".join(page.read_text().split())
    assert show.summary(replace(result, left=7)).endswith("1 not; 7 more have not run on both sides")
    show.write([replace(result, mode="above")], page)
    assert "## x86_64: s, mode above\n" in page.read_text()
    assert "by `./orchestrate conform x86_64 --suite s --guest-mode above` on 2026-11-26" in page.read_text()
    show.write([replace(result, debug=("kasan", "ubsan"))], page)
    assert "## x86_64: s, with kasan ubsan\n" in page.read_text()
    assert "by `./orchestrate conform x86_64 --suite s --debug kasan --debug ubsan` on" in page.read_text()


def test_a_table_says_how_many_cpus_there_were(tmp_path: Path) -> None:
    """A section of its own, beside that of one CPU, which names no number."""
    page = tmp_path / "conform.md"
    one = show.Result("x86_64", "s", "some tests", "v", "2026-11-26", rows(tmp_path), debian=True)
    show.write([one, replace(one, cpus=4)], page)
    titles = [line for line in page.read_text().splitlines() if line.startswith("## ")]
    assert titles == ["## x86_64: s, against Debian's kernel", "## x86_64: s, against Debian's kernel, 4 CPUs"]
    assert "by `./orchestrate conform x86_64 --suite s --against distribution --cpus 4` on" in page.read_text()
    assert show.summary(replace(one, cpus=4)).startswith("s on x86_64, 4 CPUs: 3 tests; ")
    assert show.summary(one).startswith("s on x86_64: 3 tests; ")


def test_what_was_written_before_the_sections_stays(tmp_path: Path) -> None:
    page = tmp_path / "conform.md"
    result = show.Result("x86_64", "s", "some tests", "v", "2026-11-26", rows(tmp_path))
    show.write([result], page)
    assert page.read_text().startswith(show.HEAD)
    page.write_text(page.read_text().replace("\n## ", "\nThese results are of an older kernel.\n\n## ", 1))
    before = page.read_text()
    show.write([result], page)
    assert page.read_text() == before
