# SPDX-License-Identifier: BSD-2-Clause
"""Memory that L4 shares with a guest, rewritten at full rate from outside the machine while the guest runs."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from orchestration import boot, build, kernel_tests, tools
from orchestration.arch import Arch
from orchestration.qemu import value

SIZE = "1536M"
KINDS = ("frame", "vcpu-page", "table", "utcb")
LIMIT = 600


class Writer:
    """Runs tests/system/attack/writer.c on the page that the program in the machine tells of."""

    def __init__(self, program: Path, ram: Path) -> None:
        self.program, self.ram = program, ram
        self.process: subprocess.Popen[str] | None = None
        self.said: list[str] = []

    def on_line(self, line: str) -> None:
        told = re.match(r"# attack ([a-z-]+)$", line)
        if told:
            self.stop()
            self.process = subprocess.Popen(
                [tools.program("setpriv"), "--pdeathsig", "KILL", str(self.program), str(self.ram),
                 str(KINDS.index(told[1]))], stdout=subprocess.PIPE, text=True)

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.said.append(self.process.communicate(timeout=30)[0])
            self.process = None


@pytest.mark.parametrize("variant", [str], ids=["kernel"])
def test_what_others_write_is_not_believed(arch: Arch, made: boot.Artefacts, subtests: pytest.Subtests, tmp_path: Path,
                                           variant: kernel_tests.Variant) -> None:
    program, ram = tmp_path / "writer", tmp_path / "ram"
    subprocess.run(["cc", "-O2", "-Wall", "-Wextra", "-Werror", "-D_GNU_SOURCE",
                    str(Path(__file__).parent / "attack/writer.c"), "-o", str(program)], check=True, timeout=60)
    writer = Writer(program, ram)
    memory = ("-object", f"memory-backend-file,id=ram0,size={SIZE},mem-path={value(ram)},share=on",
              "-machine", "memory-backend=ram0")
    try:
        report, folder = kernel_tests.run(arch, made.bare, limit=LIMIT, extra=memory, program=build.KERNEL_ATTACK,
                                          variant=variant, on_line=writer.on_line)
    finally:
        writer.stop()
        ram.unlink(missing_ok=True)
    for result in report.results:
        with subtests.test(result.name):
            assert result.outcome == "pass", "\n".join(result.diagnostics)
    assert not report.problems, f"{report.problems}, see {folder}"
    assert [said.strip() for said in writer.said] == ["writing"] * len(KINDS)
