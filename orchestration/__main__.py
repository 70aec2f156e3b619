# SPDX-License-Identifier: BSD-2-Clause
"""python -m orchestration: the command line, when the .venv is active."""

from __future__ import annotations

import os
import signal
import sys

from orchestration.base.errors import EXIT_INTERRUPTED, INTERRUPTS
from orchestration.base.ownership import leave

if __name__ == "__main__":
    # What is ignored, as by nohup or in a shell's background, stays ignored.
    heeded = [one for one in INTERRUPTS if signal.getsignal(one) is not signal.SIG_IGN]
    for one in heeded:
        signal.signal(one, leave)
    # Held back since bootstrap.py became this process.
    signal.pthread_sigmask(signal.SIG_UNBLOCK, INTERRUPTS)
    from orchestration.cli.main import main
    from orchestration.cli.output import own_output

    own_output()
    status = main(sys.argv[1:])
    for one in heeded:
        signal.signal(one, leave)
    if status == EXIT_INTERRUPTED:
        # Python would end itself by SIGINT when the interruption came while it evaluated text.
        sys.stdout.flush()
        os._exit(status)
    sys.exit(status)
