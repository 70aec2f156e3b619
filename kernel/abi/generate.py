#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Generate C headers, Python constants and the reference page from abi.yaml.

Usage: generate.py --arch ARCH (--headers FOLDER | --page) [--output FILE]
       generate.py --python [--output FILE]     one module for all architectures

Exits with 2 and one line on a malformed source. A header that would not change is not written, so that nothing
that includes it is built again.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import yaml
from abi_model import FRAME, SOURCE, load, load_all
from abi_types import Abi, AbiError
from jinja2 import Environment, FileSystemLoader, StrictUndefined, TemplateError

C_TYPES = {"u8": "unsigned char", "u16": "unsigned short", "u32": "unsigned int", "u64": "unsigned long"}
# Headers besides those of the parts, each made from the template of its name.
HEADERS = ("abi_hash.h", "abi_msg.h", "abi_call.h", "abi_frame.h", "abi_invoke.h", "abi_args.h",
           "abi_names.h")


def c_number(value: int) -> str:
    """Return a number as C and assembler read it: unsigned long if it does not fit an int."""
    return f"L4_U({value:#x})" if value > 0x7FFFFFFF else str(value)


def c_type(name: str) -> str:
    """Return the C type of a field."""
    return C_TYPES.get(name, f"struct l4_{name}")


def environment() -> Environment:
    """Return Jinja2 with the filters that the templates use."""
    env = Environment(loader=FileSystemLoader(Path(__file__).with_name("templates")), undefined=StrictUndefined,
                      trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True, autoescape=False)  # noqa: S701 - C, Python and Markdown, no HTML
    env.filters["c_number"] = c_number
    env.filters["c_type"] = c_type
    env.filters["snake"] = lambda text: text.lower().replace(" ", "_")
    return env


def render(abi: Abi, template: str, **values: Any) -> str:
    """Return the text that a template makes of the ABI."""
    return environment().get_template(template).render(abi=abi, r=abi.registers, FRAME=FRAME, **values)


def headers(abi: Abi) -> dict[str, str]:
    """Return every C header by name."""
    found = {part.header: render(abi, "part.h.j2", part=part) for part in abi.parts}
    return found | {name: render(abi, f"{name}.j2") for name in HEADERS}


def python(abis: list[Abi]) -> str:
    """Python module: a class with a typed field for each constant that all architectures have, and its values."""
    values = {abi.arch: {number.name: number.value for number in abi.numbers()} for abi in abis}
    common = [name for name in values[abis[0].arch] if all(name in names for names in values.values())]
    return render(abis[0], "quoll_abi.py.j2", abis=abis, common=common, values=values)


def page(abi: Abi) -> str:
    """Markdown reference."""
    return render(abi, "page.md.j2")


def write_headers(abi: Abi, folder: Path) -> None:
    """Write every C header whose text has changed."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in headers(abi).items():
        if not (folder / name).exists() or (folder / name).read_text() != text:
            (folder / name).write_text(text)


def main() -> int:
    """Command line entry."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--arch")
    parser.add_argument("--output", type=Path)
    form = parser.add_mutually_exclusive_group(required=True)
    form.add_argument("--headers", type=Path, metavar="FOLDER")
    form.add_argument("--python", action="store_true")
    form.add_argument("--page", action="store_true")
    args = parser.parse_args()
    if not args.python and not args.arch:
        parser.error("--headers and --page need --arch")
    try:
        if args.headers:
            write_headers(load(args.arch), args.headers)
            return 0
        text = python(load_all()) if args.python else page(load(args.arch))
    except (AbiError, KeyError, ValueError, TypeError, AttributeError, IndexError, yaml.YAMLError,
            TemplateError) as error:
        print(f"{SOURCE.name}: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    if args.output:
        args.output.write_text(text)
    else:
        sys.stdout.write(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
