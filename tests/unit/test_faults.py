# SPDX-License-Identifier: BSD-2-Clause
"""Faults in drivers: plans from a seed, the debugger's protocol, instructions, verdicts, tables."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from orchestration.base import doctor, rundir
from orchestration.base.arch import ARCHES
from orchestration.base.errors import BuildError, MissingError, PanicError
from orchestration.base.rundir import RunDirectory
from orchestration.base.tools import program
from orchestration.cli import main as cli
from orchestration.faults import campaign, results
from orchestration.faults import plan as plans
from orchestration.faults.known import KnownStream
from orchestration.faults.verified import COMPLAINT, ConsoleText, Disk, Net
from orchestration.inspect import gdbstub, machine_code
from orchestration.machine import boot
from orchestration.machine.progress import Progress
from orchestration.machine.session import Session

# The instructions of machine_code.CODES, as an assembler reads them.
SOURCES = {
    "x86_64": ["ud2", "1: jmp 1b", "movb %al, (%rdi)", "movl %eax, (%rdi)", "movq %rax, (%rdi)"],
    "riscv64": [".word 0", "1: j 1b", "sb a0, 0(a1)", "sw a0, 0(a1)", "sd a0, 0(a1)"],
    "aarch64": [".word 0", "1: b 1b", "strb w0, [x1]", "str w0, [x1]", "str x0, [x1]"],
}


@pytest.mark.parametrize("number", ["-1", "x"])
def test_a_trial_that_there_cannot_be_is_refused(number: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["faults", "x86_64", "--trial", number]) == 2
    assert "--trial" in capsys.readouterr().err


def test_every_architecture_has_its_instructions() -> None:
    assert set(machine_code.CODES) == set(ARCHES)


@pytest.mark.parametrize("name", ARCHES)
def test_the_instructions_are_what_an_assembler_makes(name: str, tmp_path: Path) -> None:
    code = machine_code.CODES[name]
    wanted = [code.illegal, code.forever, code.stores[1], code.stores[4], code.stores[8]]
    prefix = ARCHES[name].prefix
    try:
        assembler, copier = program(f"{prefix}as"), program(f"{prefix}objcopy")
    except MissingError as error:
        # A run for other architectures has installed those only.
        pytest.skip(error.message)
    for source, bytes_wanted in zip(SOURCES[name], wanted, strict=True):
        (tmp_path / "a.s").write_text((".option norvc\n" if name == "riscv64" else "") + source + "\n")
        subprocess.run([assembler, str(tmp_path / "a.s"), "-o", str(tmp_path / "a.o")], check=True)
        subprocess.run([copier, "-O", "binary", "-j", ".text", str(tmp_path / "a.o"),
                        str(tmp_path / "a.bin")], check=True)
        assert (tmp_path / "a.bin").read_bytes() == bytes_wanted, source


def test_a_plan_comes_from_its_seed_alone() -> None:
    chosen = [plans.plan(7, "net", "wild", number) for number in range(50)]
    assert chosen == [plans.plan(7, "net", "wild", number) for number in range(50)]
    assert len({plan.choice for plan in chosen}) == 50
    assert plans.plan(7, "net", "kill", 0) != plans.plan(7, "block", "kill", 0)
    assert all(0 <= plan.entry < 1 and 1 <= plan.hits <= plans.HITS_MAX for plan in chosen)


@pytest.mark.parametrize("body", [b"", b"OK", b"a}b#c$d*e", bytes(range(256))])
def test_packets_survive_their_framing(body: bytes) -> None:
    framed = gdbstub.packet(body)
    assert framed[:1] == b"$" and framed[-3:-2] == b"#"
    assert framed[1:-3].count(b"#") == 0
    assert gdbstub.unescape(framed[1:-3]) == body
    assert framed[-2:] == gdbstub.checksum(framed[1:-3])


def test_run_lengths_are_undone() -> None:
    assert gdbstub.unescape(b"0* ") == b"0000"
    assert gdbstub.unescape(b"x0*\x22y") == b"x000000y"


def test_registers_are_numbered_as_the_description_says() -> None:
    first = '<target><xi:include href="core.xml"/><xi:include href="more.xml"/></target>'
    core = '<feature><reg name="rax" bitsize="64" type="int64"/><reg name="rip" bitsize="64"/></feature>'
    more = '<feature><reg bitsize="32" name="cs" regnum="40"/><reg name="ss" bitsize="32"/></feature>'
    assert gdbstub.registers_of([first, core, more]) == {"rax": (0, 8), "rip": (1, 8), "cs": (40, 4), "ss": (41, 4)}


@pytest.mark.parametrize("line", [
    "[    9.1] I/O error, dev vda, sector 1 op 0x0:(READ)", "EXT4-fs error (device vda): x", "BUG: unable to handle",
    "virtio_net virtio2: id 3 is not a head!", "INFO: task disk:55 blocked for more than 120 seconds."])
def test_what_linux_complains_of_is_seen(line: str) -> None:
    assert COMPLAINT.search(line)


def test_ordinary_lines_are_no_complaints() -> None:
    for line in ("EXT4-fs (vda): re-mounted", "virtio_blk virtio1: 1/0/0 default/read/poll queues", "seq 1 in 2 oops"):
        assert not COMPLAINT.search(line)


def test_the_texts_of_both_sides_agree(root: Path, tmp_path: Path) -> None:
    """tests/faults/console.c makes the letters that ConsoleText expects."""
    source = (root / "tests/faults/console.c").read_text()
    function = re.search(r"static void text\(.*?^}\n", source, re.DOTALL | re.MULTILINE)
    assert function is not None
    (tmp_path / "a.c").write_text("#include <stdio.h>\n#define TEXT 32\n" + function[0]
                                  + "int main(void){char b[64];for(unsigned long n=0;n<20;n++)"
                                  "{text(b,n*7919);puts(b);}}\n")
    subprocess.run([program("gcc"), str(tmp_path / "a.c"), "-o", str(tmp_path / "a")], check=True)
    made = subprocess.run([str(tmp_path / "a")], capture_output=True, text=True, check=True).stdout.split()
    assert made == [ConsoleText.text(number * 7919) for number in range(20)]


def trials(*outcomes: str) -> list[results.Trial]:
    return [results.Trial(number, outcome, gap=number + 1.0) for number, outcome in enumerate(outcomes)]


def test_a_disk_program_without_a_final_crc_is_wrong() -> None:
    workload = Disk(cast("Session", SimpleNamespace()))
    workload.after_power_off()
    assert workload.wrong == ["the disk program ended without the CRC of its file"]


def test_wrong_bytes_of_the_stream_are_told() -> None:
    stream = KnownStream()
    due = stream.due(1000, 1000)
    assert stream.difference(1000, due[:100] + stream.due(5100, 50) + due[150:]) == (
        "50 wrong bytes in [1100, 1150): those due 4000 later")
    assert stream.difference(1000, due[:980] + bytes(20)) == f"20 wrong bytes in [1980, 2000): {'00' * 16}"


@pytest.mark.parametrize("length", [1, Net.CHUNK, Net.PIECE])
def test_every_piece_of_the_stream_is_compared_to_its_end(length: int) -> None:
    """Wherever in the table it begins: what a busy host receives at once is longer than a period less some bytes."""
    stream = KnownStream()
    whole = stream.table * 3
    for begin in (0, 1, *range(stream.PERIOD - 32, stream.PERIOD)):
        piece = whole[begin:begin + length]
        assert stream.difference(498 * stream.PERIOD + begin, piece) == ""
        last = bytes([piece[-1] ^ 1])
        assert stream.difference(begin, piece[:-1] + last).startswith(
            f"1 wrong bytes in [{begin + length - 1}, {begin + length})")


def test_gaps_are_those_of_recoveries() -> None:
    assert results.gaps(trials("recovered", "no effect", "recovered", "stalled")) == {"median": 2.0, "max": 3.0}
    assert results.gaps(trials("stalled")) == {}


@pytest.mark.parametrize(("message", "outcome"), [("Linux gave up", "guest crash"), ("L4 gave up", "host crash")])
def test_a_crash_is_never_infrastructure(message: str, outcome: str, tmp_path: Path,
                                         monkeypatch: pytest.MonkeyPatch) -> None:
    """It counts for every driver, also when no fault was made yet."""
    def crash(_: campaign.Campaign) -> None:
        raise PanicError(message)

    monkeypatch.setattr(campaign.Campaign, "start", crash)
    made = SimpleNamespace(arch=ARCHES["x86_64"])
    work = campaign.Campaign(made, ["net", "block"], "kill", 1, Progress(quiet=True),  # type: ignore[arg-type]
                             RunDirectory("campaign", tmp_path))
    told: list[results.Trial] = []
    work.go([0], told.append)
    assert [(trial.driver, trial.outcome) for trial in told] == [("net", outcome), ("block", outcome)]
    assert work.bad() == told


def test_the_table_shows_what_happened() -> None:
    found = [{"arch": "x86_64", "cpus": 1, "driver": "net", "kind": "kill",
              "outcomes": {"recovered": 2, "stalled": 1}, "gap": {"median": 0.5, "max": 1.25}, "trials": [{}, {}, {}]},
             {"arch": "x86_64", "cpus": 1, "driver": "net", "kind": "wild", "outcomes": {"no effect": 1}, "gap": {},
              "trials": [{}]}]
    assert results.table(found) == [
        "| architecture | CPUs | driver | kind | trials | recovered | no effect | stalled | gap, median "
        "| gap, longest |",
        "|---|---|---|---|---|---|---|---|---|---|",
        "| x86_64 | 1 | net | kill | 3 | 2 | 0 | 1 | 0.50 s | 1.25 s |",
        "| x86_64 | 1 | net | wild | 1 | 0 | 1 | 0 | - | - |"]


@pytest.mark.parametrize(("arguments", "words"), [
    (["faults", "vax"], ["vax", *ARCHES]),
    (["faults"], ["ARCH", *ARCHES]),
    (["faults", "x86_64", "--driver", "sound"], ["sound", *plans.DRIVERS]),
    (["faults", "x86_64", "--kind", "tickle"], ["tickle", *plans.KINDS]),
    (["faults", "x86_64", "--count", "0"], ["--count"]),
    (["faults", "x86_64", "--cpus", "9"], ["--cpus"]),
    (["faults", "x86_64", "--minutes", "0"], ["--minutes"]),
    (["faults", "x86_64", "--small"], ["--small", "--stress"]),
    (["faults", "x86_64", "--without", "vm"], ["--without", "--stress"]),
])
def test_wrong_use(arguments: list[str], words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert len(err.strip().splitlines()) == 1
    assert all(word in err for word in words)


@pytest.mark.parametrize(("outcomes", "status", "said"), [
    (["recovered", "no effect"], 0, ""),
    (["recovered", "wrong data"], 117, "1 trials did harm"),
    (["infrastructure", "recovered"], 120, "1 trials could not be carried out")])
def test_the_command_tells_what_became_of_its_trials(monkeypatch: pytest.MonkeyPatch, tmp_path: Path,
                                                     capsys: pytest.CaptureFixture[str], outcomes: list[str],
                                                     status: int, said: str) -> None:
    """Without a machine: the outcome of each trial is given."""
    def go(work: campaign.Campaign, numbers: list[int], tell: Callable[[results.Trial], None]) -> None:
        for number in numbers:
            work.trials.append(results.Trial(number, outcomes[number], 0.5, driver="net"))
            tell(work.trials[-1])

    monkeypatch.setattr(campaign.Campaign, "go", go)
    monkeypatch.setattr(boot, "artefacts",
                        lambda description, cache, progress: SimpleNamespace(arch=description.target))
    monkeypatch.setattr(doctor, "ensure", lambda arches: None)
    monkeypatch.setenv(rundir.RUNS_VARIABLE, str(tmp_path))
    assert cli.main(["faults", "x86_64", "--driver", "net", "--kind", "kill", "--count", "2", "--seed", "7", "--json",
                     str(tmp_path / "faults.json")]) == status
    out, err = capsys.readouterr()
    assert said in err
    assert "| x86_64 | 1 | net | kill | 2 |" in out
    trials = json.loads((tmp_path / "faults.json").read_text())[0]["trials"]
    assert [trial["outcome"] for trial in trials] == outcomes


@pytest.mark.parametrize("before", [None, "[]\n"], ids=["new", "of an earlier campaign"])
def test_a_campaign_that_does_not_begin_leaves_the_file_as_it_was(monkeypatch: pytest.MonkeyPatch, tmp_path: Path,
                                                                  before: str | None) -> None:
    def artefacts(*_: object) -> None:
        raise BuildError("Linux does not build", "")

    monkeypatch.setattr(boot, "artefacts", artefacts)
    monkeypatch.setattr(doctor, "ensure", lambda arches: None)
    output = tmp_path / "faults.json"
    if before is not None:
        output.write_text(before)
    assert cli.main(["faults", "x86_64", "--json", str(output)]) == BuildError.exit_code
    assert (output.read_text() if output.exists() else None) == before
