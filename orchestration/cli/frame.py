# SPDX-License-Identifier: BSD-2-Clause
"""What all commands share: how they are found, wrong use and failures in one line, exit codes, signals, the version.

A command's module is imported when the command is given, so that one of them does not wait for what others need.
"""

from __future__ import annotations

import errno
import io
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from importlib import import_module
from types import FrameType
from typing import Annotated, Any

import typer
from typer._click.exceptions import MissingParameter, NoArgsIsHelpError, NoSuchOption
from typer._click.exceptions import UsageError as WrongUse
from typer.core import TyperGroup

from orchestration.base import arch as arches
from orchestration.base import doctor
from orchestration.base.errors import EXIT_INTERRUPTED, INTERRUPTED, INTERRUPTS, QuollError, UsageError
from orchestration.base.ownership import HELD, leave
from orchestration.base.tree import version

EPILOG = ("Exit codes: a guest command's own; 2 usage; 3 something is missing (see doctor); "
          "116 cells of a matrix failed; 117 a driver's fault did harm; 118 a workload failed; "
          "119 a cost grew beyond its gate; 120 infrastructure; "
          "121 build; 122 panic; 123 hang; 130 interrupted.")
# Commands by name: the module, and what in it is the command, or the group of them.
ELSEWHERE = {"faults": ("orchestration.cli.faults", "faults"),
             "coverage": ("orchestration.cli.coverage", "coverage"),
             "matrix": ("orchestration.cli.matrix", "matrix_command"),
             "ci": ("orchestration.cli.matrix", "ci_command"),
             "bench": ("orchestration.cli.bench", "app"),
             "report": ("orchestration.cli.bench", "report_command"),
             "lint": ("orchestration.cli.lint", "lint_command")}
# Seconds after which a signal comes again that came during an import, and in which another one is the same one.
IMPORT_PAUSE, TWICE = 0.05, 0.5


class OutputError(QuollError):
    """Standard output does not take what is written there."""


class ReaderGoneError(OutputError):
    """Whoever read our standard output has ended, which is no failure that needs words: the status is SIGPIPE's."""

    exit_code = 128 + signal.SIGPIPE

    def lines(self) -> list[str]:
        """Return nothing."""
        return []


class StandardOutput(io.FileIO):
    """Descriptor 1, whose errors are told from those of files."""

    def write(self, data: Any) -> int:
        """Write; raise OutputError when that fails, and let nothing else be written."""
        try:
            return super().write(data) or 0
        except OSError as error:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, 1)
            os.close(nowhere)
            if error.errno == errno.EPIPE:
                raise ReaderGoneError("") from error
            raise OutputError(f"cannot write to standard output: {error.strerror}") from error


def own_output() -> None:
    """Make this process' standard output one that tells its errors; bytes that are no text leave as they came."""
    raw = StandardOutput(1, "w", closefd=False)
    sys.stdout = io.TextIOWrapper(io.BufferedWriter(raw), encoding="utf-8", errors="surrogateescape",
                                  line_buffering=raw.isatty())


def show_version(wanted: bool) -> None:
    """Print the version and end."""
    if wanted:
        print(version())
        raise typer.Exit


def common(wanted: Annotated[bool, typer.Option("--version", callback=show_version, is_eager=True, expose_value=False,
                                                help="show the version and exit")] = False) -> None:
    """Build, boot and test Quoll: Linux on an L4 microkernel."""


def one_of(valid: Iterable[str]) -> Callable[[str], list[str]]:
    """Return the completion of a word that is one of the valid ones."""

    def complete(incomplete: str) -> list[str]:
        return [word for word in valid if word.startswith(incomplete)]

    return complete


class Plain(TyperGroup):
    """Commands whose help is a list of whole sentences."""

    def format_commands(self, ctx: typer.Context, formatter: Any) -> None:  # type: ignore[override]
        """Write the first sentence of each."""
        found = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        with formatter.section("Commands"):
            formatter.write_dl([(name, command.get_short_help_str(1000)) for name, command in found if command])


class Group(Plain):
    """The commands: those of cli.py, and those of ELSEWHERE. Each of them has the group's own --version."""

    def list_commands(self, ctx: typer.Context) -> list[str]:  # type: ignore[override]
        """Return the names."""
        return list(dict.fromkeys([*self.commands, *ELSEWHERE]))

    def get_command(self, ctx: typer.Context, cmd_name: str) -> Any:  # type: ignore[override]
        """Return a command; import it, if need be."""
        if cmd_name not in self.commands and cmd_name in ELSEWHERE:
            module, name = ELSEWHERE[cmd_name]
            self.commands[cmd_name] = typer.main.get_command(app_of(cmd_name, getattr(import_module(module), name)))
            self.commands[cmd_name].name = cmd_name
        command = self.commands.get(cmd_name)
        if command is not None:
            self.complete(command)
        return command

    def complete(self, command: Any) -> None:
        """Add the option --version to a command and to those below it, and show its arguments as it names them."""
        option = next(parameter for parameter in self.params if "--version" in parameter.opts)
        if option not in command.params:
            for argument in command.params:
                if argument.param_type_name == "argument":
                    argument.get_usage_pieces = partial(usage, argument)
            command.params.append(option)
        for below in getattr(command, "commands", {}).values():
            self.complete(below)

    def main(self, args: Sequence[str], prog_name: str, **ignored: Any) -> Any:  # type: ignore[override]
        """Give the exceptions of a command to explained(); Typer's own method makes other things of them."""
        self._main_shell_completion({}, prog_name)
        with self.make_context(prog_name, list(args)) as context:
            return self.invoke(context)


def usage(argument: Any, ctx: typer.Context) -> list[str]:
    """Return how an argument stands in the line of usage: Typer puts brackets and dots of its own around that."""
    text = argument.metavar or argument.name.upper()
    return [text if argument.required or text.startswith("[") else f"[{text}]"]


def app_of(name: str, found: Any) -> typer.Typer:
    """Return a group as it is, and a function as an app of one command."""
    if isinstance(found, typer.Typer):
        return found
    app = typer.Typer(add_completion=False, rich_markup_mode=None)
    app.command(name=name, epilog=getattr(import_module(found.__module__), "EPILOG", EPILOG))(found)
    return app


def one_line(error: typer.TyperException) -> str:
    """Return a usage error as one line that lists what is valid."""
    text = error.format_message().rstrip(".").replace("\n", " ")
    context = error.ctx if isinstance(error, WrongUse) else None
    if context is None:
        return text
    if isinstance(error, NoSuchOption):
        options = [name for one in context.command.params for name in one.opts if name.startswith("-")]
        return f"{text}; valid: {', '.join([*options, '--help'])}"
    if isinstance(error, MissingParameter) and error.param is not None and error.param.name == "arch":
        return f"{text}; valid: {', '.join(arches.ARCHES)}"
    if isinstance(context.command, TyperGroup) and type(error) is WrongUse:
        return f"{text}; valid: {', '.join(sorted(context.command.list_commands(context)))}"
    return text


def explained(work: Callable[[], int | None]) -> int:
    """Run something; return its exit code, or explain its failure and return that."""
    try:
        status = int(work() or 0)
        if sys.stdout is not None:
            sys.stdout.flush()
        return status
    except typer.Exit as done:
        return flushed(done.exit_code)
    except QuollError as error:
        print(*error.lines(), sep="\n", end="\n" if error.lines() else "", file=sys.stderr)
        return error.exit_code
    except NoArgsIsHelpError as error:
        print(error.format_message(), file=sys.stderr)
        return UsageError.exit_code
    except typer.TyperException as error:
        print(f"orchestrate: {one_line(error)}", file=sys.stderr)
        return UsageError.exit_code
    except KeyboardInterrupt:
        print(INTERRUPTED, file=sys.stderr)
        return EXIT_INTERRUPTED
    except OSError as error:
        said = doctor.refused(error)
        if said is None:
            return bug()
        print(*said.lines(), sep="\n", file=sys.stderr)
        return said.exit_code
    except Exception:
        return bug()


def flushed(status: int) -> int:
    """Return a status when what was printed is out."""
    return explained(lambda: status)


def bug() -> int:
    """Show the exception that is being handled."""
    traceback.print_exc()
    print("orchestrate: this is a bug of the orchestrator", file=sys.stderr)
    return QuollError.exit_code


def importing(frame: FrameType | None) -> bool:
    """Say whether a module is being imported."""
    while frame is not None and not frame.f_code.co_filename.startswith("<frozen importlib"):
        frame = frame.f_back
    return frame is not None


class Interrupter:
    """Makes SIGINT, SIGTERM and SIGHUP end a command through every clean-up."""

    def __init__(self) -> None:
        """Begin with none."""
        self.last = float("-inf")

    def __call__(self, number: int, frame: FrameType | None) -> None:
        """Raise KeyboardInterrupt where that is sure to arrive, and once: timeout sends its signal twice."""
        if importing(frame):
            # An exception there may be shown and forgotten.
            if not HELD:
                leave(number, frame)
            again = threading.Timer(IMPORT_PAUSE, os.kill, (os.getpid(), number))
            again.daemon = True
            again.start()
        elif time.monotonic() - self.last > TWICE:
            self.last = time.monotonic()
            raise KeyboardInterrupt


def heed_signals() -> None:
    """Have signals end a command, but for those that whoever started us ignores."""
    handler = Interrupter()
    for number in INTERRUPTS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, handler)
