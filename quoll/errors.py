# SPDX-License-Identifier: BSD-2-Clause
"""How a command in the guest fails. All other errors are those of orchestration.base.errors."""

from __future__ import annotations

from orchestration.base.errors import WorkloadError

# Lines of a command's output that its error shows.
SHOWN = 12


def ending(*texts: str | bytes) -> tuple[str, ...]:
    """Return the last lines of outputs."""
    lines = [line for text in texts
             for line in (text.decode(errors="replace") if isinstance(text, bytes) else text).splitlines()]
    return tuple(lines[-SHOWN:])


class CommandError(WorkloadError):
    """A command in the guest failed, and check=True was asked for."""

    def __init__(self, command: str, returncode: int | None, stdout: str | bytes, stderr: str | bytes,
                 said: str = "") -> None:
        """Take what was run and how it ended: 128 + n is signal n, None is none."""
        super().__init__(said or f"status {returncode} of the guest's command: {command}",
                         details=ending(stdout, stderr))
        self.command, self.returncode, self.stdout, self.stderr = command, returncode, stdout, stderr

    def __str__(self) -> str:
        """Return the message and the end of the output: whoever sees the exception sees why."""
        return "\n".join([self.message, *(f"  | {line}" for line in self.details)])


class CommandTimeout(CommandError):
    """A command in the guest did not end in time. It was killed, and the guest goes on."""

    def __init__(self, command: str, timeout: float, stdout: str | bytes, stderr: str | bytes) -> None:
        """Take what it had written until then."""
        super().__init__(command, None, stdout, stderr,
                         f"the guest's command did not end in {timeout:g} s and was killed: {command}")
        self.timeout = timeout
