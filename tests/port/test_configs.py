# SPDX-License-Identifier: BSD-2-Clause
"""Linux takes every option that a flavour of it wants: an option whose dependencies are not met is left out silently.

The tree is the one that the guest's kernels are built from; it has Kconfig of native Linux, too. Nothing is compiled.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestration.base import tools
from orchestration.base.arch import ARCHES, Arch
from orchestration.base.cache import Cache
from orchestration.build import flavours, linux

LIMIT = 120


def kinds(arch: Arch) -> list[flavours.Flavour]:
    """Return the flavours of an architecture that are built without options of a user's."""
    return [flavours.guest(arch), flavours.guest(arch, smp=True), flavours.guest(arch, full=True),
            flavours.native(arch), flavours.native(arch, suites=True, smp=True), flavours.native(arch, full=True)]


@pytest.mark.parametrize("one", ARCHES.values(), ids=lambda arch: arch.name)
def test_linux_takes_every_option(cache: Cache, tmp_path: Path, one: Arch) -> None:
    guest = flavours.guest(one)
    objects = tmp_path / "objects"
    objects.mkdir()
    with linux.patched(cache, guest, linux.source_key(guest), tmp_path / "log") as tree:
        for flavour in kinds(one):
            wanted = objects / "wanted.config"
            wanted.write_text(flavours.text_of(flavours.wanted(flavour)))
            tools.run(["make", "-s", "-C", str(tree), f"O={objects}", f"ARCH={flavour.make_arch}",
                       f"CROSS_COMPILE={one.prefix}", f"KCONFIG_ALLCONFIG={wanted}", flavour.base], tmp_path / "log",
                      f"the configuration of {flavour.name}", LIMIT)
            flavours.check(flavour, (objects / ".config").read_text())
