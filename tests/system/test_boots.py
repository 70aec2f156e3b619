# SPDX-License-Identifier: BSD-2-Clause
"""Power-off, panics, restarts, lost machines: each test here boots a machine of its own."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import quoll
from orchestration.base.arch import Arch
from orchestration.base.errors import HangError, InfrastructureError, PanicError
from orchestration.base.rundir import RunDirectory
from orchestration.inspect import machine_code
from orchestration.inspect.gdbstub import Stub
from orchestration.inspect.symbols import Symbols
from orchestration.machine import boot, qemu
from orchestration.machine.description import Description
from orchestration.machine.progress import Progress

THREAD_SIZE = 16384


def test_data_survives_power_off(description: Description, made: boot.Artefacts, progress: Progress,
                                 tmp_path: Path) -> None:
    run = RunDirectory("first", tmp_path)
    session = boot.prepare(description, made, progress, run)
    with session:
        want = session.shell_run("dd if=/dev/urandom of=/root/data bs=64k count=100 2>/dev/null; "
                                 "sha256sum /root/data").text
        session.power_off()
    assert session.power_off_status == "0"
    assert session.shutdown_reason == "guest-shutdown"
    again = boot.prepare(description, made, progress, RunDirectory("second", tmp_path), root=run.file("disk.ext4"),
                         run_keys=session.keys)
    with again:
        assert again.run(["sha256sum", "/root/data"]).text == want
        log = again.run(["dmesg"]).text
        assert "recovery" not in log, "the disk was not left clean"
        again.power_off()


def test_a_guest_panic_is_a_panic_with_a_dossier(arch: Arch) -> None:
    with pytest.raises(PanicError) as caught, quoll.boot(arch.name, files=False) as guest:
        guest.run("echo c > /proc/sysrq-trigger", timeout=60)
    assert not guest.alive
    assert "sysrq" in str(caught.value).lower() + " ".join(caught.value.details).lower()
    # QEMU before 8.2 exits when riscv64's test device is told to power off, so there is no dossier.
    if guest.session.ended:
        assert arch.name == "riscv64"
    else:
        # Newer Linux has the body of panic() in vpanic(). With several vCPUs each has a stack.
        stacks = [part for part in (guest.folder / "hang.txt").read_text().split("\n\n")
                  if re.match(r"== stack of (CPU \d, )?Linux", part)]
        assert any(re.search(r"<v?panic\+", stack) and "sysrq" in stack for stack in stacks), stacks


@pytest.mark.parametrize(("where", "what"), [("end", "kernel stack overflow"),
                                             ("nowhere", "bad kernel stack pointer")])
def test_a_kernel_without_a_stack_says_so(description: Description, made: boot.Artefacts, progress: Progress,
                                          where: str, what: str) -> None:
    """A debugger sets the stack pointer of a task in the guest's kernel to the end of its stack, or to no memory."""
    entry = next(start for start, _, name in Symbols(made.linux / "vmlinux").symbols if name == "write_sysrq_trigger")
    session = boot.prepare(description, made, progress, RunDirectory("stack"))
    with pytest.raises(PanicError) as caught, session:  # noqa: PT012 - where the machine panics is not known
        # Again and again: the debugger may come late.
        session.shell_run("(while sleep 1; do echo h > /proc/sysrq-trigger; done) > /dev/null 2>&1 &")
        with Stub(session.machine) as stub, stub.breakpoint(entry):
            assert stub.resume(60.0)
            name = machine_code.CODES[made.arch.name].sp
            stub.set_register(name, stub.register(name) // THREAD_SIZE * THREAD_SIZE if where == "end" else 0x1000)
        session.shell_run("sleep 60", limit=90.0)
    assert str(caught.value).endswith(what)
    assert any(f"BUG: {what}: sp " in line for line in caught.value.details)


def test_restart_ends_the_machine(arch: Arch) -> None:
    with pytest.raises(InfrastructureError, match="switched itself off"), quoll.boot(arch.name, files=False) as guest:
        guest.run("reboot; sleep 60", timeout=90)
    assert guest.session.shutdown_reason == "guest-reset"
    assert not guest.alive


def test_a_linux_without_its_disk_says_so(description: Description, made: boot.Artefacts, progress: Progress) -> None:
    nowhere = description.model_copy(update={"append": "root=/dev/none rootwait=1 init=/none"})
    session = boot.prepare(nowhere, made, progress, RunDirectory("no-root"))
    with pytest.raises(PanicError, match="root fs|VFS|init"), session:
        pass


def test_a_killed_qemu_is_named(description: Description, made: boot.Artefacts, progress: Progress) -> None:
    with boot.prepare(description, made, progress, RunDirectory("killed")) as session:
        assert session.machine.process is not None
        session.machine.process.kill()
        with pytest.raises(InfrastructureError, match="QEMU ended with status -9"):
            session.shell_run("sleep 30")


def test_a_stopped_machine_is_a_hang(description: Description, made: boot.Artefacts, progress: Progress) -> None:
    """The kernel is started with the CPU stopped: the first stage must end by its limit."""
    session = boot.prepare(description, made, progress, RunDirectory("hang"), extra=("-S",))
    session.tracker.scale = 0.05
    with pytest.raises(HangError, match="firmware"), session:
        pass
    assert session.machine.run.file("hang.txt").exists()


def test_qemu_that_refuses_its_arguments_is_named(description: Description, made: boot.Artefacts,
                                                  progress: Progress) -> None:
    session = boot.prepare(description, made, progress, RunDirectory("refused"), extra=("-device", "no-such-device"))
    with pytest.raises(InfrastructureError, match="ended at once") as caught, session:
        pass
    assert "no-such-device" in " ".join(caught.value.details)


def test_a_taken_port_is_tried_again(description: Description, made: boot.Artefacts, progress: Progress,
                                     monkeypatch: pytest.MonkeyPatch) -> None:
    import socket

    real, taken = qemu.free_port, socket.socket()
    taken.bind(("127.0.0.1", 0))
    taken.listen()
    ports = [taken.getsockname()[1]]
    monkeypatch.setattr(qemu, "free_port", lambda: ports.pop() if ports else real())
    session = boot.prepare(description, made, progress, RunDirectory("port"), extra=("-S",))
    session.machine.start()
    session.machine.close()
    assert session.machine.port != taken.getsockname()[1]
    assert "port taken" in session.machine.run.file("events.jsonl").read_text()
    taken.close()
