# SPDX-License-Identifier: BSD-2-Clause
"""Suites whose tests are in a Debian source package, and run with the programs of the guest's Debian."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from orchestration.base import tools
from orchestration.base.cache import Cache, key_of, recipe
from orchestration.base.errors import InfrastructureError
from orchestration.base.ownership import PREFIX, OwnFolder, temporary
from orchestration.build import rootfs, source
from orchestration.conform.suite import PACKED, NotHereError, Test

LIST = "tests"
PACK_LIMIT = 120


def build(cache: Cache, package: str, module: Path, parts: Iterable[str], found: Callable[[Path], Iterable[str]], *,
          left_out: Iterable[str] = ()) -> Path:
    """Return a folder with PACKED and the names of the tests; the same for every architecture.

    Unpacks the parts (patterns below the archive's first folder) into a tree, of which found() returns the names of
    the tests, and packs it without what is left out. module: the suite's, whose code is in the key.
    """
    wanted, without = list(parts), list(left_out)

    def make(entry: Path) -> None:
        log = cache.root / "build" / f"conform-{package}.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_text("")
        try:
            archive = source.archive(cache, package)
        except InfrastructureError as error:
            raise NotHereError(error.message, error.hint) from error
        with OwnFolder(temporary(), PREFIX) as folder:
            tree = folder / "tree"
            tree.mkdir()
            tools.run(["tar", "-C", str(tree), "--no-same-owner", "--strip-components=1", "--wildcards",
                       "--no-wildcards-match-slash", "-xf", str(archive), *(f"{package}-*/{part}" for part in wanted)],
                      log, f"unpacking {package}'s tests", PACK_LIMIT)
            (entry / LIST).write_text("".join(f"{name}\n" for name in found(tree)))
            tools.run(["tar", "-C", str(tree), "--sort=name", "--mtime=@0", "--owner=0", "--group=0", "-czf",
                       str(entry / PACKED), *(f"--exclude={name}" for name in without),
                       *sorted(path.name for path in tree.iterdir())], log, f"packing {package}'s tests", PACK_LIMIT)

    key = key_of(rootfs.RELEASE, package, *wanted, *without, recipe(module, Path(__file__)))
    return cache.get(f"conform-{package}", key, make)


def tests(folder: Path, command: Callable[[str], str], limit: float) -> list[Test]:
    """Return the tests of a built suite; command() returns how the test of a name is run."""
    return [Test(name, command(name), limit) for name in (folder / LIST).read_text().split()]
