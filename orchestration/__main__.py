# SPDX-License-Identifier: BSD-2-Clause
"""python -m orchestration: the command line, when the .venv is active."""

from __future__ import annotations

import gc
import os
import signal
import sys

from orchestration.base.errors import EXIT_INTERRUPTED, INTERRUPTS
from orchestration.base.ownership import leave

# Objects that are made between two looks for garbage. A command's modules make several hundred thousand, which stay.
COLLECT_AFTER = 50_000

if __name__ == "__main__":
    gc.set_threshold(COLLECT_AFTER)
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
    # Python's end looks for garbage among all objects, which takes 0.2 s once the modules of boot are loaded.
    gc.freeze()
    sys.exit(status)
