# SPDX-License-Identifier: BSD-2-Clause
"""How a command ends: its exit code, and each failure or wrong use as one line on standard error."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable

import typer
from typer._click.exceptions import MissingParameter, NoArgsIsHelpError, NoSuchOption
from typer._click.exceptions import UsageError as WrongUse
from typer.core import TyperGroup

from orchestration.base import arch as arches
from orchestration.base import doctor
from orchestration.base.errors import EXIT_INTERRUPTED, INTERRUPTED, QuollError, UsageError


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
    """Flush standard output; return the status, or that of a failed flush."""
    return explained(lambda: status)


def bug() -> int:
    """Print the exception that is being handled as a bug of the orchestrator; return the exit code."""
    traceback.print_exc()
    print("orchestrate: this is a bug of the orchestrator", file=sys.stderr)
    return QuollError.exit_code
