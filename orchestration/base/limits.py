# SPDX-License-Identifier: BSD-2-Clause
"""How much longer than written everything may take here."""

from __future__ import annotations

import os

from orchestration.base.errors import UsageError


def time_scale() -> float:
    """Return the factor on every limit, from QUOLL_TIME_SCALE (for slow or busy machines)."""
    text = os.environ.get("QUOLL_TIME_SCALE", "1")
    try:
        scale = float(text)
    except ValueError:
        scale = 0.0
    if not 0 < scale < float("inf"):
        raise UsageError(f"QUOLL_TIME_SCALE is '{text}'; it must be a number above 0")
    return scale
