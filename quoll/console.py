# SPDX-License-Identifier: BSD-2-Clause
"""One channel of a machine's serial line: the guest's console, or the log of L4 and its servers.

Any program of the guest can write on its console: what is read there is a claim.
"""

from __future__ import annotations

import codecs
import io
import re
import threading
import time
from collections.abc import Callable

from orchestration.base.errors import HangError, InfrastructureError, UsageError

# Characters that are kept; a guest that prints for ever fills no memory of the host.
KEPT = 1 << 24
POLL = 0.1
SHOWN = 20


class Console:
    """Text of a channel from the machine's start, with a place up to which it has been read."""

    def __init__(self, name: str, check: Callable[[], bool], send: Callable[[bytes], None] | None = None,
                 scale: float = 1.0) -> None:
        """Begin empty. check tells whether the machine is off, and raises when it is lost; scale multiplies limits."""
        self.name, self.check, self.type, self.scale = name, check, send, scale
        self.arrived = threading.Condition()
        # What has arrived, and how much of it has been read.
        self.kept, self.place = "", 0
        self.decoder = io.IncrementalNewlineDecoder(codecs.getincrementaldecoder("utf-8")("replace"), translate=True)

    def feed(self, data: bytes) -> None:
        """Take bytes of the channel; the machine's thread calls this."""
        with self.arrived:
            self.kept += self.decoder.decode(data)
            if len(self.kept) > KEPT:
                cut = len(self.kept) - KEPT // 2
                self.kept, self.place = self.kept[cut:], max(0, self.place - cut)
            self.arrived.notify_all()

    @property
    def text(self) -> str:
        """Return all of the text, read or not (the last 8 Mi characters at least)."""
        with self.arrived:
            return self.kept

    def lines(self) -> list[str]:
        """Return all lines of the text, read or not."""
        return self.text.splitlines()

    def read(self) -> str:
        """Return what has arrived and has not been read yet; it may be empty."""
        with self.arrived:
            text, self.place = self.kept[self.place:], len(self.kept)
            return text

    def readline(self, timeout: float = 60.0) -> str:
        """Return the next line, without its end; raise HangError when it is not whole after timeout seconds."""
        return self.expect(re.compile(r"([^\n]*)\n"), timeout)[1]

    def expect(self, pattern: str | re.Pattern[str], timeout: float = 60.0) -> re.Match[str]:
        """Wait until a regular expression matches in what has not been read, and return the match.

        What stands before its end counts as read then. Raises HangError after timeout seconds, which QUOLL_TIME_SCALE
        multiplies, InfrastructureError when the machine is off, and the machine's error when it is lost.
        """
        wanted = re.compile(pattern, re.MULTILINE) if isinstance(pattern, str) else pattern
        deadline = time.monotonic() + timeout * self.scale
        over = False
        while True:
            with self.arrived:
                found = wanted.search(self.kept, self.place)
                if found is not None:
                    self.place = found.end()
                    return found
                # All that a machine said before it was off has arrived by now.
                if over:
                    raise InfrastructureError(f"the machine is off, and {self.name} did not show {wanted.pattern!r}",
                                              details=tuple(self.kept.splitlines()[-SHOWN:]))
                self.arrived.wait(min(POLL, max(deadline - time.monotonic(), 0.0)))
            if time.monotonic() > deadline:
                raise HangError(f"{self.name} does not show {wanted.pattern!r} in {timeout * self.scale:g} s",
                                details=tuple(self.lines()[-SHOWN:]))
            over = self.check()

    def send(self, text: str | bytes) -> None:
        """Type text, as it is."""
        if self.type is None:
            raise UsageError(f"{self.name} takes no input")
        self.type(text.encode() if isinstance(text, str) else text)

    def sendline(self, text: str = "") -> None:
        """Type a line and Enter."""
        self.send(f"{text}\r")
