# SPDX-License-Identifier: BSD-2-Clause
"""The words that measurements are named by: clocks, sides, the suite that is counted, the kind of run in the store."""

from __future__ import annotations

from enum import StrEnum

# SCALE: how figures change with the number of CPUs.
KIND, SCALE = "bench", "scale"
MICRO = "micro"
# The sides: our guest, our guest on the L4 that counts (what was counted, not how long it took), and the others, one of
# which is our guest in guest mode above.
GUEST, TRACED, NATIVE, XEN, DISTRIBUTION, ABOVE = "guest", "traced", "native", "xen", "distribution", "above"
PEERS = (NATIVE, XEN, DISTRIBUTION, ABOVE, TRACED)


class Clock(StrEnum):
    """What time is measured in. Figures of one are never set beside figures of the other."""

    INSTRUCTIONS = "instructions"
    WALL = "wall"
