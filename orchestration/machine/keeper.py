# SPDX-License-Identifier: BSD-2-Clause
"""boot --detach: a machine that outlives the command. Its orchestrator goes on in a process of its own.

The parent waits until the guest is ready and shows all progress; what fails until then is its failure too.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
from collections.abc import Callable

from orchestration.base.errors import EXIT_INTERRUPTED, InfrastructureError, QuollError
from orchestration.machine.progress import Progress
from orchestration.machine.session import Session

PR_SET_PDEATHSIG = 1


def keep(session: Session) -> None:
    """Follow a machine to its end."""
    while not session.ended:
        session.wait(1.0)


def end_with_parent(number: int) -> None:
    """Have the system send this process a signal when its parent ends; 0: none."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, number)


def detach(session: Session, child: Callable[[Callable[[], int]], int]) -> int:
    """Boot in a child process, return when the guest is ready. child runs a function as main() would: errors explained.

    Threads do not survive a fork, so this comes before the machine is started.
    """
    reading, writing = os.pipe()
    pid = os.fork()
    if pid:
        os.close(writing)
        try:
            with os.fdopen(reading) as stream:
                name = stream.readline().strip()
            if name:
                print(name, flush=True)
                return 0
            return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        except (KeyboardInterrupt, QuollError):
            # The machine's name is not printed yet, so the machine ends with the command.
            os.kill(pid, signal.SIGTERM)
            os.waitpid(pid, 0)
            raise
    os.close(reading)
    os.setsid()
    # Until the machine's name is printed.
    end_with_parent(signal.SIGTERM)

    def work() -> int:
        session.machine.run.adopt()
        try:
            with session:
                assert session.registered is not None
                end_with_parent(0)
                os.write(writing, (json.loads(session.registered.read_text())["name"] + "\n").encode())
                os.close(writing)
                nowhere = os.open(os.devnull, os.O_RDWR)
                for number in (0, 1, 2):
                    os.dup2(nowhere, number)
                session.progress = Progress(quiet=True)
                keep(session)
        except (KeyboardInterrupt, BrokenPipeError):
            # The parent reports the interruption; after a broken pipe there is no parent.
            return EXIT_INTERRUPTED
        return 0

    code = InfrastructureError.exit_code
    try:
        code = child(work)
    finally:
        sys.stderr.flush()
        os._exit(code)
