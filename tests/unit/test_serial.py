# SPDX-License-Identifier: BSD-2-Clause
"""The serial line: room for everything, an end, and nobody at the other one."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from orchestration.machine.serial import SerialLine


def test_a_serial_line_has_room(tmp_path: Path) -> None:
    """QEMU writes single bytes; a guest must not find the line full because we are late."""
    line = SerialLine(tmp_path)
    with open(tmp_path / "serial.in", "r+b", buffering=0) as typed, open(tmp_path / "serial.out", "r+b",
                                                                          buffering=0) as said:
        line.connect()
        ended = threading.Event()

        def write() -> None:
            for _ in range(100_000):
                said.write(b"x")
            ended.set()

        threading.Thread(target=write, daemon=True).start()
        assert ended.wait(60)
        line.send(b"stop\n")
        assert typed.read(5) == b"stop\n"
    found = b""
    while data := line.receive():
        found += data
    assert found == b"x" * 100_000
    line.close()
    assert line.receive() == b""


def test_a_serial_line_to_nobody_is_told(tmp_path: Path) -> None:
    line = SerialLine(tmp_path)
    with pytest.raises(OSError, match="No such device"):
        line.connect()
    line.close()
