# SPDX-License-Identifier: BSD-2-Clause
"""Fills a Description from its layers, and tells where each value came from."""

from __future__ import annotations

import functools
import json
import os
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pydantic

from orchestration.base.arch import ARCHES
from orchestration.base.errors import UsageError
from orchestration.machine import persistent
from orchestration.machine.description import Description, valid_keys

NAME = "quoll.toml"
COMMAND_LINE = "command line"
BUILT_IN = "built-in default"
# Options whose name is not that of their field: they are given once for each item.
SINGULAR = {"disks": "disk", "ports": "port", "shares": "share", "places": "place", "patches": "patch"}


@dataclass(frozen=True)
class Layer:
    """Values from one place. text: of the file; none for the command line."""

    name: str
    values: Mapping[str, Any]
    folder: Path = Path()
    text: str | None = None

    @functools.cached_property
    def lines(self) -> dict[str, int]:
        """Return the line of each key of a file."""
        return lines_of(self.text or "")

    def origin(self, key: str) -> str:
        """Return where the layer has a key, for --show-config."""
        return self.name if self.text is None else f"{self.name}:{self.lines[key]}"

    def complaint(self, key: str, said: str) -> UsageError:
        """Return the error of a key."""
        if self.text is None:
            return UsageError(f"--{SINGULAR.get(key, key).replace('_', '-')}: {said}" if key != "arch" else said)
        return UsageError(f"{self.origin(key)}: {key}: {said}")


@dataclass(frozen=True)
class Resolved:
    """A description, and where the values that are no defaults came from."""

    description: Description
    origins: Mapping[str, str] = field(default_factory=dict)

    def show(self) -> str:
        """Return the description as a quoll.toml, with the origin of each value."""
        shown = self.description.model_dump(mode="json")
        lines = []
        for key in valid_keys():
            text = f"# {key} is not set" if shown[key] is None else f"{key} = {toml(shown[key])}"
            lines.append((text, self.origins.get(key, BUILT_IN)))
        width = max(len(text) for text, _ in lines)
        return "".join(f"{text:{width}}  # {origin}\n" for text, origin in lines)


def toml(value: Any) -> str:
    """Return a text, truth value, number or list of such as TOML has it; that of JSON is the same."""
    return json.dumps(value, ensure_ascii=False)


def lines_of(text: str) -> dict[str, int]:
    """Return the number of the line in which each key of a valid TOML file stands; tomllib tells no places.

    A statement is the shortest run of lines that is valid by itself.
    """
    found: dict[str, int] = {}
    lines = text.split("\n")
    first = 0
    for end in range(1, len(lines) + 1):
        try:
            keys = tomllib.loads("\n".join(lines[first:end]))
        except tomllib.TOMLDecodeError:
            continue
        for key in keys:
            found.setdefault(key, first + 1)
        first = end
    return found


def files() -> list[Path]:
    """Return the files that a description is read from, the one that wins last."""
    base = os.environ.get("XDG_CONFIG_HOME") or str(Path.home() / ".config")
    return [Path(base) / "quoll" / NAME, Path(NAME)]


def read(path: Path) -> Layer:
    """Return the layer of a file, which is empty if there is none."""
    try:
        text = path.read_text()
    except FileNotFoundError:
        text = ""
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot read {path}: {error}") from error
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{path} is no TOML: {error}") from error
    layer = Layer(str(path), values, path.parent, text)
    for key in values:
        if key not in valid_keys():
            raise UsageError(f"{layer.origin(key)}: unknown key '{key}'; valid: {', '.join(valid_keys())}")
    return layer


def checked(layer: Layer) -> dict[str, Any]:
    """Return the values of a layer as a Description has them; raise UsageError that names the key that is wrong."""
    try:
        # Any architecture, for a layer that has none.
        one = Description.model_validate({"arch": "x86_64", **layer.values}, context={"folder": layer.folder})
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        said = first["msg"].removeprefix("Value error, ")
        if first["type"] != "value_error":
            said = f"{said[:1].lower()}{said[1:]}, not {toml_or_text(first['input'])}"
        raise layer.complaint(str(first["loc"][0]), said) from error
    return {key: getattr(one, key) for key in layer.values}


def toml_or_text(value: Any) -> str:
    """Return a wrong value for a message."""
    try:
        return toml(value)
    except TypeError:
        return str(value)


def resolve(given: Mapping[str, Any], paths: Sequence[Path] | None = None) -> Resolved:
    """Return the description of the values that a command line gave, on top of the files."""
    layers = [read(path) for path in (files() if paths is None else paths)]
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    for layer in (*layers, Layer(COMMAND_LINE, given)):
        values |= checked(layer)
        origins |= {key: layer.origin(key) for key in layer.values}
    if values.get("persist") is not None:
        decided = persistent.recall(values["persist"], values)
        values |= decided
        origins |= dict.fromkeys(decided, f"persistent disk '{values['persist']}'")
    if "arch" not in values:
        raise UsageError(f"no ARCH is given, and no {NAME} names one; valid: {', '.join(ARCHES)}")
    return Resolved(Description.model_validate(values), origins)
