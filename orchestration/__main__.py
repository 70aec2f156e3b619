# SPDX-License-Identifier: BSD-2-Clause
"""python -m orchestration: the command line."""

import sys

from orchestration.cli import main

sys.exit(main(sys.argv[1:]))
