# SPDX-License-Identifier: BSD-2-Clause
"""The kinds of Linux that are built, and the options that each wants: ours, and those of a user who works on the port.

A fragment is a text file of lines CONFIG_NAME=value and "# CONFIG_NAME is not set"; of several, later ones win.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from orchestration.base.arch import Arch
from orchestration.base.errors import BuildError, UsageError
from orchestration.base.tree import ROOT

PATCHES = ROOT / "l4linux-patches"
NATIVE_CONFIGS = ROOT / "orchestration" / "build" / "configs"
# The fragments that make the small kernel the full one.
FULL = ("full", "modules")
# By the name of ARCH: what the guest has and native Linux of that CPU does not offer.
NATIVE_LACKS = {"riscv": ("CONFIG_MEM_SOFT_DIRTY", "CONFIG_HIST_TRIGGERS"), "arm64": ("CONFIG_MEM_SOFT_DIRTY",)}
# One line of a fragment or of a .config: an option with its value, or one that is not set.
OPTION = re.compile(r"^(?:(CONFIG_\w+)=(.+?)|# (CONFIG_\w+) is not set)[ \t]*$", re.MULTILINE)
# What every patch has for each file that it changes.
CHANGE = re.compile(r"^(?:\+\+\+ |diff --git )", re.MULTILINE)
# How many lost options a message names.
NAMED = 5


@dataclass(frozen=True)
class Flavour:
    """A build of Linux: the guest (our port) or, for comparisons, the same source on the bare machine.

    configs are fragments, later ones win; base is the make target that fills in the rest. fragments are the user's, and
    come after configs. patches are the user's, and come after our series.
    """

    name: str
    patched: bool
    make_arch: str
    configs: tuple[Path, ...]
    base: str
    image: str
    targets: tuple[str, ...]
    fragments: tuple[Path, ...] = ()
    patches: tuple[Path, ...] = ()


def guest(arch: Arch, *, full: bool = False, smp: bool = False, debug: Iterable[str] = (),
          fragments: Sequence[Path] = (), patches: Sequence[Path] = ()) -> Flavour:
    """Return the flavour that runs on L4: the small kernel of the tiny root file system, or the full one.

    smp: for several CPUs, as the full one always is, like those of distributions. debug names checks that are compiled
    in (configs/debug-NAME.config).
    """
    for path in fragments:
        check_fragment(path)
    for path in patches:
        check_patch(path)
    smp = smp or full
    kind = [*(["full"] if full else []), *(["smp"] if smp else [])]
    checks = sorted(set(debug))
    name = "-".join(["l4", arch.name, *kind, *checks, *(["own"] if fragments or patches else [])])
    configs = ["base", arch.name, *(FULL if full else ()), *(["smp"] if smp else []),
               *(f"debug-{one}" for one in checks)]
    return Flavour(name, True, "l4", tuple(PATCHES / f"configs/{one}.config" for one in configs), "alldefconfig",
                   "vmlinux", ("vmlinux", "modules"), tuple(fragments), tuple(patches))


def native(arch: Arch, *, full: bool = False, suites: bool = False, smp: bool = False) -> Flavour:
    """Return the flavour that runs on the bare machine: beside the small kernel, or beside the full one.

    suites: beside the small one, with all that it has and figures are not compared of. smp: beside the small one for
    several CPUs; the full one always is.
    """
    several = (PATCHES / "configs/smp.config",) if smp else ()
    name = f"native-{arch.name}{'-smp' if smp else ''}"
    own = (NATIVE_CONFIGS / "native.config", NATIVE_CONFIGS / f"native-{arch.name}.config")
    image = Path(arch.linux_image).name
    if suites and not full:
        return Flavour(f"{name}-suites", False, arch.linux_arch,
                       (*own, NATIVE_CONFIGS / "native-suites.config", *several), "allnoconfig", arch.linux_image,
                       (image, "modules"))
    if not full:
        return Flavour(name, False, arch.linux_arch, (*own, *several), "allnoconfig", arch.linux_image, (image,))
    # What serves to compare figures stands in native.config and is off there; full.config wins over it.
    configs = (PATCHES / "configs/base.config", *own,
               *(PATCHES / f"configs/{one}.config" for one in (*FULL, "smp")))
    return Flavour(f"native-{arch.name}-full", False, arch.linux_arch, configs, "alldefconfig", arch.linux_image,
                   (image, "modules"))


def read(path: Path, option: str) -> str:
    """Return the text of a file that the user named with an option; raise UsageError when it has none."""
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        said = error.strerror if isinstance(error, OSError) else "it is no text in UTF-8"
        raise UsageError(f"{option}: cannot read {path}: {said}") from error


def check_fragment(path: Path) -> None:
    """Raise UsageError with file and line when a user's fragment has a line that is neither option nor comment."""
    lines = read(path, "--kernel-config").splitlines()
    for number, line in enumerate(lines, 1):
        if line.strip() and not line.startswith("#") and not OPTION.match(line):
            raise UsageError(f"{path}:{number}: '{line.strip()}' sets no option",
                             "write CONFIG_NAME=value, or: # CONFIG_NAME is not set")
    if not options("\n".join(lines)):
        raise UsageError(f"--kernel-config: {path} sets no option", "write CONFIG_NAME=value, one a line")


def check_patch(path: Path) -> None:
    """Raise UsageError when a user's patch changes no file."""
    if not CHANGE.search(read(path, "--patch")):
        raise UsageError(f"--patch: {path} is no patch: it changes no file",
                         "write it with git diff or git format-patch")


def options(text: str) -> dict[str, str]:
    """Return the options of a fragment or a .config and their values; "is not set" is n, and the last line wins."""
    return {name or unset: value or "n" for name, value, unset in OPTION.findall(text)}


def wanted(flavour: Flavour) -> dict[str, str]:
    """Return the options that all fragments of a flavour set; native Linux has none that it does not offer."""
    for config in flavour.configs:
        if not config.exists():
            raise BuildError(f"{config.relative_to(ROOT)} is missing", "every architecture needs one")
    found = options("\n".join(path.read_text() for path in (*flavour.configs, *flavour.fragments)))
    lacks = NATIVE_LACKS.get(flavour.make_arch, ())
    return {name: value for name, value in found.items()
            if flavour.patched or not ("L4" in name or name in lacks)}


def text_of(values: dict[str, str]) -> str:
    """Return options as the text of one fragment."""
    return "".join(f"{name}={value}\n" for name, value in values.items())


def check(flavour: Flavour, got: str) -> None:
    """Raise BuildError when Linux' configuration does not have the options that a flavour wants.

    Of ours, what is off in a fragment may be on: another option may select it. What a user's fragment takes away may
    take our options with it: then the user's options have to be there, off ones too, and the CPU's, without which
    nothing boots.
    """
    have = options(got)
    users = options("\n".join(path.read_text() for path in flavour.fragments))
    ours = options(flavour.configs[1].read_text()) if users else wanted(flavour)
    strict = {name: value for name, value in ours.items() if value != "n"} | users
    lost = [f"{name}={value}" for name, value in strict.items() if have.get(name, "n") != value]
    if lost:
        more = f" and {len(lost) - NAMED} more" if len(lost) > NAMED else ""
        hint = ("there is no such option, or one that it depends on is missing, or one that is on needs it" if users
                else "its fragments miss a dependency of that option")
        raise BuildError(f"Linux' configuration does not take {', '.join(lost[:NAMED])}{more}", hint)
