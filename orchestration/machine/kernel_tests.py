# SPDX-License-Identifier: BSD-2-Clause
"""Runs the tests that stand in for the root pager on L4, and reads their KTAP."""

from __future__ import annotations

import queue
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from orchestration.base.arch import Arch
from orchestration.base.errors import HangError, InfrastructureError, PanicError
from orchestration.base.limits import time_scale
from orchestration.base.rundir import RunDirectory
from orchestration.build import image, quoll
from orchestration.machine import ktap
from orchestration.machine.console import Channel, Kind, interpret
from orchestration.machine.qemu import Config, Machine

# A test that takes this long without a word hangs; all of them together may take long on a busy host.
SILENCE_LIMIT = 60.0
LIMIT = 1200.0
PROBE_LIMIT = 60.0
GUEST_RAM = 2 << 20
# Devices that the tests of one architecture drive.
DEVICES = {("x86_64", quoll.KERNEL_TESTS): ("-device", "edu")}
# From the name of the kernel that is shipped to that of another: quoll.traced, quoll.checked.
Variant = Callable[[str], str]


def run(arch: Arch, bare: Path, accel: str = "tcg", limit: float = LIMIT, extra: tuple[str, ...] = (),
        program: str = quoll.KERNEL_TESTS, variant: Variant = str,
        blobs: Mapping[str, bytes] | None = None,
        on_line: Callable[[str], None] = lambda line: None,
        started: Callable[[Machine], None] = lambda machine: None) -> tuple[ktap.Report, Path]:
    """Boot a program of ours instead of the root pager; return its report and the run's folder.

    variant: name of the kernel to boot, of the usual one's: quoll.traced, quoll.checked. blobs: of the boot image, by
    name. on_line gets each line of the log when it comes, and started the machine before the first one.

    Raises PanicError, or HangError when it does not come to an end by itself within limit seconds (scaled), or says
    nothing for SILENCE_LIMIT of them.
    """
    folder = RunDirectory(f"{program}-{arch.name}")
    initrd = folder.file("boot.img")
    # All modes are tested, those too that a guest kernel can break out of here.
    initrd.write_bytes(image.pack(arch, quoll.abi(arch), {"root": bare / program}, blobs or {}, GUEST_RAM,
                                  guest_mode=arch.guest_modes[-1]))
    kernel = bare / variant(arch.kernel)
    machine = Machine(arch, Config(kernel=kernel, initrd=initrd, network=False, accel=accel,
                                   extra=(*extra, *DEVICES.get((arch.name, program), ()))), folder)
    lines: list[str] = []
    scale = time_scale()
    deadline = time.monotonic() + limit * scale
    machine.start()
    try:
        started(machine)
        while True:
            left, silence = deadline - time.monotonic(), SILENCE_LIMIT * scale
            try:
                message = machine.messages.get(timeout=max(0.01, min(left, silence)))
            except queue.Empty:
                why = f"says nothing for {silence:.0f} s" if silence < left else f"did not end in {limit * scale:.0f} s"
                raise HangError(f"{program} {why}", f"the run's logs are in {folder.path}",
                                machine.last_lines()) from None
            if message.ended:
                break
            if message.line is not None and message.line.channel is Channel.LOG:
                lines.append(message.line.text)
                on_line(message.line.text)
                meaning = interpret(message.line)
                if meaning is not None and meaning.kind is Kind.KERNEL_PANIC_END:
                    raise PanicError(f"the L4 kernel gave up under {program}",
                                     f"the run's logs are in {folder.path}", tuple(lines[-20:]))
    finally:
        machine.close()
    initrd.unlink()
    report = ktap.parse(lines)
    folder.write_json("result.json", {"outcome": "done", "passed": report.passed, "problems": report.problems,
                                      "results": [vars(result) for result in report.results]})
    return report, folder.path


def probe(arch: Arch, bare: Path) -> None:
    """Run our tests under KVM; raise InfrastructureError unless they pass as they do under emulation."""
    hint = "leave --accel kvm away: emulation (TCG) works everywhere"
    if not Path("/dev/kvm").exists():
        raise InfrastructureError("this machine has no /dev/kvm", hint)
    try:
        report, folder = run(arch, bare, "kvm", PROBE_LIMIT)
    except (PanicError, HangError, InfrastructureError) as error:
        raise InfrastructureError(f"KVM on this machine does not run our probe: {error.message}", hint,
                                  error.details) from error
    if not report.passed:
        reasons = report.problems or [result.name for result in report.results if result.outcome == "fail"]
        raise InfrastructureError(f"KVM on this machine runs our probe wrongly: {'; '.join(reasons[:3])}",
                                  f"{hint} (see {folder})")
