# SPDX-License-Identifier: BSD-2-Clause
"""The console's two channels, and what lines on them mean, on recorded logs."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestration.machine.console import LINE_MAX, Channel, Demultiplexer, Kind, Line, Meaning, Splitter, interpret
from orchestration.machine.stages import BOOT_STAGES, Tracker

LOGS = Path(__file__).with_name("logs")


def kinds(name: str) -> list[Kind]:
    split = Demultiplexer()
    lines = split.feed((LOGS / name).read_bytes()) + split.rest()
    return [meaning.kind for line in lines if (meaning := interpret(line)) is not None]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_cut_anywhere_the_lines_are_the_same(size: int) -> None:
    data = b"early\r\n\x01Lroot: started\nlog \x01GLinux version\nhalf\x01Lrest\n\x01G line\n"
    split = Demultiplexer()
    lines = [line for start in range(0, len(data), size) for line in split.feed(data[start:start + size])]
    assert lines == [Line(Channel.LOG, "early"), Line(Channel.LOG, "root: started"),
                     Line(Channel.GUEST, "Linux version"), Line(Channel.LOG, "log rest"),
                     Line(Channel.GUEST, "half line")]
    assert split.rest() == []


def test_bytes_that_are_no_text_do_no_harm() -> None:
    split = Demultiplexer()
    lines = split.feed(b"\xff\xfe\x01\x01Lx\n" + bytes(range(256)) + b"\n")
    assert lines
    assert all("\n" not in line.text for line in lines)


def test_a_line_without_end_is_cut() -> None:
    split = Demultiplexer()
    assert len(split.feed(b"x" * 10000)) == 2


def test_unfinished_lines_are_not_lost() -> None:
    split = Demultiplexer()
    assert split.feed(b"l4: PANIC: cut sho") == []
    assert split.rest() == [Line(Channel.LOG, "l4: PANIC: cut sho")]


def test_the_guest_cannot_speak_for_the_log() -> None:
    assert interpret(Line(Channel.GUEST, "l4: PANIC: forged")) is None
    assert interpret(Line(Channel.GUEST, "root: linux started")) is None
    assert interpret(Line(Channel.LOG, "quoll: userland")) is None


@pytest.mark.parametrize("text", ["quoll: userland", "[    6.222278] systemd[1]: Starting quoll: userlandrom Kernel"])
def test_user_land_is_told_in_the_midst_of_a_message(text: str) -> None:
    assert interpret(Line(Channel.GUEST, text)) == Meaning(Kind.USERLAND, "quoll: userland")
    assert interpret(Line(Channel.GUEST, "Starting quoll-userland.service - Tell that user land runs")) is None


def test_programs_of_the_guest_decide_nothing() -> None:
    """Whatever a program writes to /dev/console or /dev/kmsg is text; that user land runs is the guest's to say."""
    for text in ("Kernel panic - not syncing: x", "[    1.234567] Kernel panic - not syncing: x",
                 "root: guest panic: x", "root: guest powers off, status 0", "root: guest restarts",
                 "root: server block died: x", "root: error: x", "l4: end of panic"):
        assert interpret(Line(Channel.GUEST, text)) is None, text


def test_the_rest_of_a_line_that_was_cut_means_nothing() -> None:
    """A very long text without a line end must not be taken for a line of L4's."""
    split = Demultiplexer()
    lines = split.feed(b"root: guest panic: ".ljust(LINE_MAX, b"x") + b"l4: PANIC: forged\nl4: PANIC: true\n")
    assert [line.continued for line in lines] == [False, True, False]
    assert [interpret(line) is None for line in lines] == [False, True, False]


def test_linux_on_the_bare_machine_has_no_marks() -> None:
    """Without a console server the bytes of programs are not doubled."""
    split = Demultiplexer(Channel.GUEST)
    lines = split.feed(b"quoll: userland\n\x01Ll4: PANIC: forged\n\x01") + split.feed(b"Lroot: error: forged\n")
    assert {line.channel for line in lines} == {Channel.GUEST}
    assert [meaning.kind for line in lines if (meaning := interpret(line))] == [Kind.USERLAND]


def test_the_channels_are_taken_apart_wherever_they_are_cut() -> None:
    data = b"early\x01Gguest\x01\x01\x01Llog\n"
    for cut in range(len(data)):
        split = Splitter()
        got = dict.fromkeys(Channel, b"")
        for channel, run in split.feed(data[:cut]) + split.feed(data[cut:]):
            got[channel] += run
        assert got[Channel.GUEST] == b"guest\x01"
        assert got[Channel.LOG] == b"earlylog\n"


def test_a_good_boot() -> None:
    tracker = Tracker()
    for kind in kinds("good.raw"):
        tracker.see(kind)
    assert tracker.current is not None
    assert tracker.current.name == "ssh"
    assert list(tracker.times) == [stage.name for stage in BOOT_STAGES[:-1]]


def test_a_kernel_panic() -> None:
    found = kinds("kernel-panic.raw")
    assert found[-2:] == [Kind.KERNEL_PANIC, Kind.KERNEL_PANIC_END]


def test_a_guest_panic() -> None:
    assert Kind.GUEST_PANIC in kinds("guest-panic.raw")


def test_a_hang_ends_in_its_stage() -> None:
    now = [0.0]
    tracker = Tracker(clock=lambda: now[0])
    for kind in kinds("hang.raw"):
        now[0] += 1
        tracker.see(kind)
    assert tracker.current is not None
    assert tracker.current.name == "drivers"
    now[0] += tracker.current.limit + 1
    assert tracker.left() < 0


def test_a_later_marker_ends_earlier_stages() -> None:
    tracker = Tracker()
    assert tracker.see(Kind.LINUX_STARTED) == ["firmware", "kernel", "root pager", "drivers"]
    assert tracker.see(Kind.KERNEL_STARTED) == []


def test_limits_scale() -> None:
    tracker = Tracker(scale=3, clock=lambda: 0.0)
    assert tracker.left() == BOOT_STAGES[0].limit * 3
