# SPDX-License-Identifier: BSD-2-Clause
"""The stream of known bytes that the net workload sends each way: tests/faults/net.c makes the same."""

from __future__ import annotations


class KnownStream:
    """Byte n is byte n modulo PERIOD of a table."""

    PERIOD = 65521

    def __init__(self) -> None:
        """Make the table."""
        table = bytearray()
        x = 1
        for _ in range(self.PERIOD):
            x = (x * 1664525 + 1013904223) & 0xFFFFFFFF
            table.append(x >> 24)
        self.table = bytes(table)

    def due(self, at: int, length: int) -> bytes:
        """Return so many bytes of the stream, from byte at on."""
        begin = at % self.PERIOD
        periods = (begin + length - 1) // self.PERIOD + 1
        return (self.table * periods)[begin:begin + length]

    def difference(self, at: int, data: bytes) -> str:
        """Tell which bytes are wrong in data, received from byte at on, and where they would be right; "": none is."""
        due = self.due(at, len(data))
        if data == due:
            return ""
        wrong = [index for index, (one, other) in enumerate(zip(data, due, strict=True)) if one != other]
        first = wrong[0]
        begin = data[first:first + 16]
        place = self.due(0, 2 * self.PERIOD).find(begin)
        known = begin.hex() if place < 0 else f"those due {(place - at - first) % self.PERIOD} later"
        return f"{len(wrong)} wrong bytes in [{at + first}, {at + wrong[-1] + 1}): {known}"
