# SPDX-License-Identifier: BSD-2-Clause
"""Medians with intervals that assume no distribution, ratios of interleaved runs, and geometric means."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Estimate:
    """A median, and the order statistics between which it lies with the given confidence (at most, for few values)."""

    median: float
    low: float
    high: float
    count: int
    confidence: float


def coverage(count: int, rank: int) -> float:
    """Return the chance that the median is between the values of that rank from below and from above (from 0)."""
    return 1.0 - 2.0 * sum(math.comb(count, i) for i in range(rank + 1)) / float(2**count)


def estimate(values: Sequence[float]) -> Estimate:
    """Return the median with the narrowest pair of order statistics that covers it at CONFIDENCE, or the extremes."""
    ordered = sorted(values)
    count = len(ordered)
    rank = max((rank for rank in range(count // 2) if coverage(count, rank) >= CONFIDENCE), default=0)
    return Estimate(statistics.median(ordered), ordered[rank], ordered[count - 1 - rank], count,
                    max(coverage(count, rank), 0.0))


def ratios(ours: Sequence[float], theirs: Sequence[float]) -> Estimate | None:
    """Return the estimate of ours over theirs, taken round by round, or None where there is nothing to divide by."""
    pairs = [own / other for own, other in zip(ours, theirs, strict=False) if other]
    return estimate(pairs) if pairs else None


def geometric_mean(values: Sequence[float]) -> float:
    """Return the geometric mean of values above 0."""
    return math.exp(statistics.fmean(math.log(value) for value in values))
