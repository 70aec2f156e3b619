# SPDX-License-Identifier: BSD-2-Clause
"""What the injector does with a debugger's stub whose steps are not always done."""

from __future__ import annotations

import pytest

from orchestration.base.errors import InfrastructureError
from orchestration.faults.inject import STEPS_LOST_MAX, Injector
from orchestration.inspect.gdbstub import Stub
from orchestration.inspect.machine_code import CODES

CODE = CODES["x86_64"]
PLACE, VARIABLE = 0x4011d0, 0x408288


class Losing(Stub):
    """A stub that loses as many steps as it is told, and knows of one instruction: the store of eight bytes."""

    def __init__(self, lost: int) -> None:
        self.lost = lost
        self.values = {CODE.pc: PLACE, CODE.address: 1, CODE.value: 2}
        self.memory = {PLACE: b"\x90\x90\x90", VARIABLE: bytes(8)}

    def register(self, name: str) -> int:
        return self.values[name]

    def set_register(self, name: str, value: int) -> None:
        self.values[name] = value

    def read(self, address: int, size: int) -> bytes | None:
        return self.memory[address][:size]

    def write(self, address: int, data: bytes) -> None:
        self.memory[address] = data

    def step(self) -> None:
        if self.lost:
            self.lost -= 1
            return
        assert self.memory[self.values[CODE.pc]] == CODE.stores[8]
        self.memory[self.values[CODE.address]] = self.values[CODE.value].to_bytes(8, "little")
        self.values[CODE.pc] += len(CODE.stores[8])


def injector() -> Injector:
    made = object.__new__(Injector)
    made.code = CODE
    return made


@pytest.mark.parametrize("lost", [0, 1, STEPS_LOST_MAX - 1])
def test_a_store_is_made_though_steps_are_lost(lost: int) -> None:
    stub = Losing(lost)
    assert injector().store(stub, VARIABLE, 8, 1 << 30)
    assert stub.memory == {PLACE: b"\x90\x90\x90", VARIABLE: (1 << 30).to_bytes(8, "little")}
    assert stub.values == {CODE.pc: PLACE, CODE.address: 1, CODE.value: 2}


def test_a_stub_that_never_steps_is_named() -> None:
    with pytest.raises(InfrastructureError, match=f"does not step past {PLACE:#x}"):
        injector().store(Losing(STEPS_LOST_MAX), VARIABLE, 8, 1)
