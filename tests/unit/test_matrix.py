# SPDX-License-Identifier: BSD-2-Clause
"""Matrix files, cells, attempts and whose failure they are, JUnit, KTAP, the page, the generated jobs."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from xml.etree import ElementTree

import pytest
import yaml

from orchestration.base import doctor
from orchestration.base.arch import ARCHES
from orchestration.base.errors import BuildError, UsageError
from orchestration.bench.store import Store
from orchestration.cli import main as cli
from orchestration.machine import boot, ktap
from orchestration.machine.description import Description
from orchestration.matrix import output, plan, runner, services
from orchestration.matrix.plan import Cell


def matrix_file(folder: Path, **more: object) -> Path:
    path = folder / "m.yaml"
    path.write_text(yaml.safe_dump({"name": "m", **more}))
    return path


@pytest.mark.parametrize(("content", "words"), [
    ({"flavour": 1}, ["flavour", "architectures", "faults"]),
    ({"architectures": ["vax"]}, ["vax", *ARCHES]),
    ({"bench": {"workloads": ["doom"]}}, ["doom", "micro"]),
    ({"bench": {"workload": ["micro"]}}, ["bench.workload"]),
    ({"faults": {"drivers": ["sound"]}}, ["sound", "console"]),
    ({"faults": {"kinds": ["tickle"]}}, ["tickle", "wild"]),
    ({"faults": {"count": 0}}, ["faults.count"]),
    ({"faults": {"cpus": [9]}}, ["faults.cpus"]),
    ({"stress": {"drivers": ["sound"]}}, ["sound", "console"]),
    ({"stress": {"kind": "tickle"}}, ["tickle", "wild"]),
    ({"stress": {"minutes": 0}}, ["stress.minutes"]),
    ({"retries": -1}, ["retries"]),
    ({"skip": [{"cell": "bench doom", "reason": "r"}]}, ["bench doom"]),
    ({"name": None}, ["name"]),
])
def test_a_wrong_file_is_named_with_its_key(tmp_path: Path, content: dict[str, object], words: list[str]) -> None:
    with pytest.raises(UsageError) as caught:
        plan.load(matrix_file(tmp_path, **content))
    assert all(word in caught.value.message for word in [*words, "m.yaml"])


@pytest.mark.parametrize("text", ["name: [", "- a", "", "\x00"])
def test_no_matrix_at_all(tmp_path: Path, text: str) -> None:
    (tmp_path / "m.yaml").write_text(text)
    with pytest.raises(UsageError, match=r"m\.yaml"):
        plan.load(tmp_path / "m.yaml")
    with pytest.raises(UsageError, match="cannot read"):
        plan.load(tmp_path / "none.yaml")


def test_cells_are_the_product(tmp_path: Path) -> None:
    matrix = plan.load(matrix_file(tmp_path, architectures=["x86_64", "riscv64"], commands={"boot": "uname"},
                                   bench={"workloads": ["micro"]},
                                   faults={"drivers": ["net", "block"], "kinds": ["kill", "hang"], "cpus": [1, 4]},
                                   stress={"drivers": ["net"], "minutes": 3, "cpus": 2},
                                   skip=[{"cell": "faults", "architectures": ["riscv64"], "reason": "not yet"}]))
    cells = plan.cells(matrix)
    assert [cell.label for cell in cells] == [f"{arch}/{name}" for arch in ("x86_64", "riscv64") for name in (
        "run boot", "bench micro", "faults kill", "faults kill 4 CPUs", "faults hang", "faults hang 4 CPUs",
        "stress kill 2 CPUs")]
    assert [cell.skipped for cell in cells] == [""] * 9 + ["not yet"] * 4 + [""]
    assert "{store}" in cells[1].arguments
    assert cells[2].arguments[:6] == ("faults", "x86_64", "--driver", "net", "--driver", "block")
    assert [cell.arguments[cell.arguments.index("--cpus") + 1] for cell in cells[2:6]] == ["1", "4", "1", "4"]
    assert cells[6].arguments[:9] == ("faults", "x86_64", "--driver", "net", "--kind", "kill", "--stress", "--minutes",
                                      "3")


def test_cells_of_tests_say_which_machines_they_have(tmp_path: Path) -> None:
    options = ["", " --above", " --cpus=4", " --above --cpus=2"]
    matrix = plan.load(matrix_file(tmp_path, architectures=["x86_64"],
                                   tests=[f"tests/system/test_guest.py --nightly{one}" for one in options]))
    assert [cell.name.removeprefix("test system/test_guest") for cell in plan.cells(matrix)] == [
        "", " above", " 4 CPUs", " above 2 CPUs"]


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An orchestrate that says its arguments and ends as the first of them says; 'once' fails the first time."""
    monkeypatch.setattr(runner, "ROOT", tmp_path)
    (tmp_path / "orchestrate").write_text("""#!/bin/sh
echo "args $*"
case $1 in
once) if [ -e done ]; then exit 0; else touch done; echo "orchestrate: it broke"; exit 122; fi;;
sleep) sleep 60;;
*) echo "orchestrate: ended with $1"; exit "$1";;
esac
""")
    (tmp_path / "orchestrate").chmod(0o755)
    return tmp_path


def run(folder: Path, *words: str, retries: int = 1, minutes: float = 1, jobs: int = 2) -> list[runner.CellResult]:
    cells = [Cell("x86_64", word, (word, "{folder}")) for word in words]
    (folder / "out").mkdir()
    return runner.Runner(folder / "out", folder / "store", retries, minutes, lambda line: None).run(cells, jobs)


def test_attempts_are_kept_and_judged(fake: Path) -> None:
    results = run(fake, "0", "once", "122", "117", "120", "3", "121")
    assert [result.outcome for result in results] == [
        runner.PASS, runner.RETRIED, runner.FAIL, runner.FAIL, *[runner.INFRASTRUCTURE] * 3]
    assert [len(result.attempts) for result in results] == [1, 2, 2, 2, 2, 2, 2]
    assert results[1].attempts[0].outcome == runner.FAIL
    assert results[1].message == "it broke"
    assert (fake / "out" / results[1].attempts[0].folder / "output.log").read_text().startswith("args once")
    assert len((fake / "out/attempts.jsonl").read_text().splitlines()) == 13


@pytest.mark.parametrize("status", sorted(runner.TOOL_CODES))
def test_a_commands_own_status_is_not_taken_for_the_tools(status: int) -> None:
    """grep's 2, or pytest's when a module cannot be imported, is a failure; ours come with words."""
    assert runner.judge(status, ("grep: no such file",)) == runner.FAIL
    assert runner.judge(status, ("orchestrate: no space left", "  hint: make room")) == runner.INFRASTRUCTURE


def test_an_interrupted_matrix_has_what_was_finished(fake: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (fake / "out").mkdir()
    work = runner.Runner(fake / "out", fake / "store", 0, 1, lambda line: None)
    original = work.run_cell

    def interrupt(result: runner.CellResult) -> None:
        if result.cell.name == "second":
            raise KeyboardInterrupt
        original(result)

    monkeypatch.setattr(work, "run_cell", interrupt)
    with pytest.raises(KeyboardInterrupt):
        work.run([Cell("x86_64", name, ("0",)) for name in ("first", "second")], 1)
    assert [result.outcome for result in work.results] == [runner.PASS, runner.INFRASTRUCTURE]
    assert "interrupted" in work.results[1].message


def test_what_does_not_end_is_ended(fake: Path) -> None:
    result = run(fake, "sleep", retries=0, minutes=0.01)[0]
    assert result.outcome == runner.INFRASTRUCTURE
    assert result.attempts[0].status == runner.TIME_UP
    assert "limit" in result.message


def attempt(number: int, outcome: str, status: int = 0) -> runner.Attempt:
    return runner.Attempt(number, outcome, status, 1.5, ("a & <b>\x1b", "orchestrate: why"), f"cells/{number}")


@pytest.fixture
def results() -> list[runner.CellResult]:
    def result(name: str, *outcomes: str, skipped: str = "", arch: str = "x86_64") -> runner.CellResult:
        return runner.CellResult(Cell(arch, name, ("boot",), skipped),
                                 [attempt(number, one) for number, one in enumerate(outcomes, 1)])

    return [result("good", "pass"), result("second", "fail", "pass"), result("bad", "fail", "infrastructure"),
            result("lost", "infrastructure", "infrastructure"), result("left", skipped="not yet"),
            result("good", "pass", arch="aarch64")]


def test_junit_tells_them_apart(results: list[runner.CellResult]) -> None:
    root = ElementTree.fromstring(output.junit("m", results))
    suite = root.find("testsuite")
    assert suite is not None
    assert {key: suite.get(key) for key in ("tests", "failures", "errors", "skipped")} == {
        "tests": "5", "failures": "1", "errors": "1", "skipped": "1"}
    tags = {case.get("name"): [child.tag for child in case] for case in suite}
    assert tags == {"good": [], "second": ["flakyFailure"], "bad": ["failure", "rerunFailure"],
                    "lost": ["error", "rerunError"], "left": ["skipped"]}
    assert len(root) == 2


def test_ktap_is_what_our_own_parser_reads(results: list[runner.CellResult]) -> None:
    report = ktap.parse(output.ktap(results).splitlines())
    assert not report.problems
    assert [result.outcome for result in report.results] == ["pass", "pass", "fail", "skip", "skip", "pass"]


def test_the_page_loads_nothing(results: list[runner.CellResult]) -> None:
    rows = [["architecture", "driver"], ["x86_64", "net"]]
    page = output.html("m", results, {"commit": "abc"}, rows)
    assert not re.search(r"(src|href)=\"(?!#)|https?://|@import", page)
    assert "a &amp; &lt;b&gt;" in page
    assert "pass after retry" in page and "not yet" in page and "<th>driver</th>" in page and "<td>net</td>" in page


def test_the_store_has_what_passed_and_what_did_not(tmp_path: Path, results: list[runner.CellResult]) -> None:
    ids = output.store(tmp_path, "m", results, {"commit": "abc"})
    store = Store(tmp_path)
    first, second = (store.load(name) for name in ids)
    assert [sample.workload for sample in first.samples] == ["good", "second"]
    assert [(one.workload, one.outcome) for one in first.failures] == [
        ("second", "fail"), ("bad", "fail"), ("bad", "infrastructure"), ("lost", "infrastructure"),
        ("lost", "infrastructure")]
    assert (first.outcome, second.outcome) == ("fail", "done")
    store.close()


def test_a_test_that_failed_by_the_tool_is_not_the_systems(tmp_path: Path) -> None:
    def report(*messages: str) -> Path:
        cases = "".join(f'<testcase><failure message="{text}"/></testcase>' for text in messages)
        (tmp_path / "junit.xml").write_text(f"<testsuites><testsuite>{cases}</testsuite></testsuites>")
        return tmp_path / "junit.xml"

    assert runner.blames_tool(report("orchestration.base.errors.InfrastructureError: no port"))
    assert not runner.blames_tool(report("InfrastructureError: x", "AssertionError"))
    assert not runner.blames_tool(report())
    assert not runner.blames_tool(tmp_path / "none.xml")


@pytest.mark.parametrize("name", ["nightly", "push"])
def test_the_jobs_are_what_their_file_makes(root: Path, name: str) -> None:
    path = root / f"ci/{name}.yaml"
    matrix = plan.load(path)
    assert services.differences(matrix, path) == []
    assert cli.main(["ci", str(path), "--check"]) == 0
    parts = list(dict.fromkeys(cell.name.split()[0] for cell in plan.cells(matrix)))
    texts = services.generate(matrix, path)
    assert set(texts) == {f"github-{name}.yml", f"gitlab-{name}.yml"}
    assert all(f"./orchestrate matrix ci/{name}.yaml" in text and "disk.ext4" in text for text in texts.values())
    # YAML 1.1 reads the key "on" as true.
    github, gitlab = (yaml.safe_load(texts[f"{service}-{name}.yml"]) for service in ("github", "gitlab"))
    triggers = {"schedule"} if name == "nightly" else {"push", "pull_request"}
    assert set(github[True]) == {"workflow_dispatch", *triggers}
    assert github["concurrency"]["cancel-in-progress"] is (name == "push")
    job = github["jobs"]["matrix"]
    assert job["strategy"]["matrix"] == {"arch": list(ARCHES), "part": parts}
    key = next(step["with"]["key"] for step in job["steps"] if "cache" in step.get("uses", ""))
    assert "run_id" not in key and "hashFiles" in key
    assert gitlab[name]["parallel"]["matrix"] == [{"ARCH": list(ARCHES), "PART": parts}]
    assert int(gitlab[name]["timeout"].split()[0]) == job["timeout-minutes"] <= 180


def test_every_test_of_a_machine_is_in_the_nightly(root: Path) -> None:
    listed = {path.split()[0].partition("::")[0] for path in plan.load(root / "ci/nightly.yaml").tests}
    assert listed == {str(path.relative_to(root)) for path in (root / "tests/system").glob("test_*.py")}


def test_every_part_of_the_jobs_has_cells(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("nightly", "push"):
        path = root / f"ci/{name}.yaml"
        for arch in ARCHES:
            shown = []
            for part in dict.fromkeys(cell.name.split()[0] for cell in plan.cells(plan.load(path))):
                assert cli.main(["matrix", str(path), "--dry-run", "--arch", arch, "--cell", part]) == 0
                shown += capsys.readouterr().out.splitlines()
            assert cli.main(["matrix", str(path), "--dry-run", "--arch", arch]) == 0
            assert sorted(shown) == sorted(capsys.readouterr().out.splitlines())


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


MATRIX = """
import signal, sys
from pathlib import Path
from orchestration.matrix import runner
from orchestration.matrix.plan import Cell
def interrupt(number, frame):
    raise KeyboardInterrupt
signal.signal(signal.SIGINT, interrupt)
folder = Path(sys.argv[1])
runner.ROOT = folder
work = runner.Runner(folder / "out", folder / "store", 1, 5, print)
try:
    work.run([Cell("x86_64", name, ("stay", name, "{folder}")) for name in "ab"], 1)
except KeyboardInterrupt:
    print([(one.outcome, one.message) for one in work.results])
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_matrix_that_ends_ends_its_cells(root: Path, tmp_path: Path, number: signal.Signals) -> None:
    """What ends a cell then is no failure of what it tests, and nothing of it goes on."""
    (tmp_path / "out").mkdir()
    (tmp_path / "orchestrate").write_text("#!/bin/sh\nsleep 300 &\necho $! $$ > ids.new\nmv ids.new ids\nwait\n")
    (tmp_path / "orchestrate").chmod(0o755)
    matrix = subprocess.Popen([sys.executable, "-c", MATRIX, str(tmp_path)], cwd=root, stdout=subprocess.PIPE,
                              text=True)
    deadline = time.monotonic() + 30
    while not (tmp_path / "ids").exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    ids = [int(word) for word in (tmp_path / "ids").read_text().split()]
    matrix.send_signal(number)
    said = matrix.communicate(timeout=30)[0]
    while any(alive(pid) for pid in ids):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    if number is signal.SIGINT:
        assert said.splitlines()[-1] == str([(runner.INFRASTRUCTURE, "the matrix was interrupted"),
                                             (runner.INFRASTRUCTURE, "not run: the matrix was interrupted")])


def test_a_failed_attempt_has_the_folders_of_its_runs(fake: Path) -> None:
    (fake / "orchestrate").write_text("#!/bin/sh\nmkdir -p $QUOLL_RUNS/one\nexit $1\n")
    results = run(fake, "0", "122", retries=0)
    found = [(fake / "out" / result.attempts[0].folder / "runs/one").exists() for result in results]
    assert found == [False, True]


def test_a_stale_nightly_is_told(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "m.yaml"
    path.write_text((root / "ci/nightly.yaml").read_text())
    assert cli.main(["ci", str(path), "--check"]) == 121
    assert "github-nightly.yml, gitlab-nightly.yml" in capsys.readouterr().err
    assert cli.main(["ci", str(path)]) == 0
    assert cli.main(["ci", str(path), "--check"]) == 0
    assert (tmp_path / "gitlab-nightly.yml").exists()


def test_a_dry_run_prints_commands(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["matrix", str(root / "ci/nightly.yaml"), "--dry-run", "--arch", "aarch64", "--cell", "run"]) == 0
    assert capsys.readouterr().out == ("aarch64/run boot: ./orchestrate boot aarch64 --no-config --quiet -- "
                                       "sh -c 'uname -srm'\n")
    assert cli.main(["matrix", str(root / "ci/nightly.yaml"), "--dry-run", "--cell", "nothing"]) == 2


def test_the_command_runs_its_cells_and_keeps_what_they_gave(fake: Path, root: Path, monkeypatch: pytest.MonkeyPatch,
                                                             capsys: pytest.CaptureFixture[str]) -> None:
    """With commands that boot nothing: an architecture does not build, a cell fails, the results are written."""
    def artefacts(description: Description, cache: object, progress: object) -> None:
        if description.arch == "riscv64":
            raise BuildError("a patch does not apply")

    monkeypatch.setattr(boot, "artefacts", artefacts)
    monkeypatch.setattr(doctor, "ensure", lambda arches, tests=False: None)
    monkeypatch.setattr(doctor, "check_space", lambda: None)
    # The fake orchestrate ends with the status that is its first argument.
    monkeypatch.setattr(plan, "cells", lambda matrix: [
        Cell("x86_64", "run 0", ("0",)), Cell("x86_64", "run 117", ("117",)), Cell("riscv64", "run 0", ("0",))])
    path = matrix_file(fake, commands={"boot": "uname"}, retries=0)
    command = ["matrix", str(path), "--store", str(fake / "store"), "-o"]
    assert cli.main([*command, str(fake / "both")]) == BuildError.exit_code
    out, err = capsys.readouterr()
    assert out == f"{fake}/both/index.html\n"
    assert "riscv64 did not build, so none of its cells ran" in err and "a patch does not apply" in err
    seen = {(node.get("classname"), node.get("name")): [child.tag for child in node]
            for node in ElementTree.parse(fake / "both/junit.xml").iter("testcase")}
    assert len(seen) == 3
    assert cli.main([*command, str(fake / "one"), "--arch", "x86_64"]) == runner.CellsFailedError.exit_code
    assert "x86_64/run 117: ended with 117" in capsys.readouterr().err
    assert cli.main([*command, str(fake / "good"), "--cell", "run 0", "--arch", "x86_64"]) == 0
    assert cli.main([*command, str(fake / "good")]) == UsageError.exit_code
    assert "has the results of another matrix" in capsys.readouterr().err
