# SPDX-License-Identifier: BSD-2-Clause
"""Reads a tar file that a guest has sent: what arrives is bounded by what was sent, and so is the time it takes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

from backports import tarfile

# Bytes of names and times that do not fit a header: tarfile looks at each of them as often as there are some.
EXTENDED_MAX = 1 << 14
EXTENDED = (tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE)
Error = tarfile.TarError


class Member(tarfile.TarInfo):  # type: ignore[misc]
    """A member whose extended header is not too long."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Member:
        """Return the member of a header; raise ReadError for an extended one that is too long."""
        found: Member = super().frombuf(buf, encoding, errors)
        if found.type in EXTENDED and found.size > EXTENDED_MAX:
            raise tarfile.ReadError(f"an extended header of {found.size} bytes")
        return found


@contextmanager
def opened(stream: IO[bytes]) -> Iterator[tarfile.TarFile]:
    """Give the archive, which is not compressed; whatever is wrong in it is a TarError."""
    try:
        with tarfile.open(fileobj=stream, mode="r:", tarinfo=Member) as found:
            yield found
    except (ArithmeticError, LookupError, RecursionError, ValueError) as error:
        raise tarfile.ReadError(f"the archive contradicts itself: {error}") from error
