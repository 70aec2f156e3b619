# SPDX-License-Identifier: BSD-2-Clause
"""What all commands share: groups that import a command when it is given, --version, help, completion of words."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from typing import Annotated, Any, ClassVar

import typer
from typer.core import TyperCommand, TyperGroup

from orchestration.base.tree import version

EPILOG = ("Exit codes: a guest command's own; 2 usage; 3 something is missing (see doctor); "
          "115 a check of --debug reported a bug; 116 cells of a matrix failed; 117 a driver's fault did harm; "
          "118 a workload failed; 119 a cost grew beyond its gate, or the guest differs from native Linux; "
          "120 infrastructure; 121 build; 122 panic; 123 hang; 130 interrupted.")
# How the metavar of an argument begins that takes every word behind --.
REST = "-- "


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


def first_sentence(text: str) -> str:
    """Return the first sentence of a docstring, without its full stop."""
    paragraph = " ".join(inspect.cleandoc(text).split("\n\n")[0].split())
    return paragraph.partition(". ")[0].removesuffix(".")


def light(option: Any) -> Any:
    """Set the default of --help, which is None, to False, and return it: to convert None Typer loads pydantic."""
    if option is not None:
        option.default = False
    return option


class Command(TyperCommand):
    """A command whose usage shows arguments as they are named, and whose last argument may take all words behind --."""

    begin: Callable[[], None] | None = None

    def get_help_option(self, ctx: typer.Context) -> Any:  # type: ignore[override]
        """Return the option --help."""
        return light(super().get_help_option(ctx))

    def collect_usage_pieces(self, ctx: typer.Context) -> list[str]:  # type: ignore[override]
        """Return the words of the line of usage; Typer would put brackets and dots of its own around arguments."""
        return ["[OPTIONS]", *(shown(one) for one in self.params if one.param_type_name == "argument")]

    def parse_args(self, ctx: typer.Context, args: list[str]) -> list[str]:  # type: ignore[override]
        """Parse what stands before --, and append what stands behind it to the argument that takes the rest."""
        at = args.index("--") if "--" in args else len(args)
        if self.begin is not None and not ctx.resilient_parsing and not {"-h", "--help"}.intersection(args[:at]):
            self.begin()
        rest = next((one for one in self.params if (one.metavar or "").startswith(REST)), None)
        if rest is None or "--" not in args:
            return super().parse_args(ctx, args)
        left = super().parse_args(ctx, args[:at])
        ctx.params[rest.name] = [*(ctx.params[rest.name] or ()), *args[at + 1:]]
        return left


def shown(argument: Any) -> str:
    """Return how an argument stands in the line of usage."""
    text = str(argument.metavar or argument.name.upper())
    return text if argument.required or text.startswith("[") else f"[{text}]"


class Plain(TyperGroup):
    """Commands whose help is a list of whole sentences."""

    def get_help_option(self, ctx: typer.Context) -> Any:  # type: ignore[override]
        """Return the option --help."""
        return light(super().get_help_option(ctx))

    def format_commands(self, ctx: typer.Context, formatter: Any) -> None:  # type: ignore[override]
        """Write the first sentence of each."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, self.sentence(ctx, name)) for name in self.list_commands(ctx)])

    def sentence(self, ctx: typer.Context, name: str) -> str:
        """Return the first sentence of a command's help."""
        command = self.get_command(ctx, name)
        return first_sentence(command.help or "") if command is not None else ""


@dataclass(frozen=True)
class Lazy:
    """A command that is not imported yet: a module of this package, and its function or group; Typer's settings.

    begins: the module's function that is called before the command's words are parsed, which takes 0.2 s.
    """

    module: str
    name: str
    settings: dict[str, Any] = field(default_factory=dict)
    begins: str | None = None

    def found(self) -> Any:
        """Import the module; return the function, or the group (typer.Typer)."""
        return getattr(import_module(f"{__package__}.{self.module}"), self.name)


class Group(Plain):
    """The commands of ./orchestrate. A module is imported when its command is given. All of them have --version.

    lazy: the commands by name, set by whoever makes the group.
    """

    lazy: ClassVar[dict[str, Lazy]] = {}

    def list_commands(self, ctx: typer.Context) -> list[str]:  # type: ignore[override]
        """Return the names."""
        return list(self.lazy)

    def sentence(self, ctx: typer.Context, name: str) -> str:
        """Return the first sentence of a command's help, without making the command's parameters."""
        found = self.lazy[name].found()
        return first_sentence(str(found.info.help) if isinstance(found, typer.Typer) else found.__doc__ or "")

    def get_command(self, ctx: typer.Context, cmd_name: str) -> Any:  # type: ignore[override]
        """Return a command, imported now, or None for a name that is unknown."""
        if cmd_name not in self.commands and cmd_name in self.lazy:
            entry = self.lazy[cmd_name]
            found = entry.found()
            if not isinstance(found, typer.Typer):
                function, found = found, typer.Typer(add_completion=False, rich_markup_mode=None)
                epilog = getattr(import_module(function.__module__), "EPILOG", EPILOG)
                found.command(name=cmd_name, cls=Command, epilog=epilog, context_settings=entry.settings)(function)
            command = typer.main.get_command(found)
            command.name = cmd_name
            if entry.begins is not None and isinstance(command, Command):
                command.begin = getattr(import_module(f"{__package__}.{entry.module}"), entry.begins)
            self.complete(command)
            self.commands[cmd_name] = command
        return self.commands.get(cmd_name)

    def complete(self, command: Any) -> None:
        """Add the option --version to a command and to those below it."""
        command.params.append(next(parameter for parameter in self.params if "--version" in parameter.opts))
        for below in getattr(command, "commands", {}).values():
            self.complete(below)

    def shell_complete(self, ctx: typer.Context, incomplete: str) -> Any:  # type: ignore[override]
        """Return the commands that begin so; only these are imported, for their help."""
        from typer._click.shell_completion import CompletionItem

        return [CompletionItem(name, help=self.sentence(ctx, name)) for name in self.lazy
                if name.startswith(incomplete)]

    def main(self, args: Sequence[str], prog_name: str, **ignored: Any) -> Any:  # type: ignore[override]
        """Give the exceptions of a command to failures.explained(); Typer's own method makes other things of them."""
        self._main_shell_completion({}, prog_name)
        with self.make_context(prog_name, list(args)) as context:
            return self.invoke(context)
