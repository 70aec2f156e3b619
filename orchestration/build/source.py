# SPDX-License-Identifier: BSD-2-Clause
"""Fetches the upstream archive of a Debian source package by apt, which checks its hash by the release's signature."""

from __future__ import annotations

from pathlib import Path

from orchestration.base import tools
from orchestration.base.cache import Cache, key_of
from orchestration.base.errors import InfrastructureError, QuollError
from orchestration.base.ownership import PREFIX, OwnFolder, temporary
from orchestration.build import rootfs

FETCH_LIMIT = 600


def archive(cache: Cache, name: str) -> Path:
    """Return the archive of a source package's release in the suite, packed as its authors packed it.

    Raises InfrastructureError when apt does not get it.
    """
    log = cache.root / "build" / f"source-{name}.log"

    def make(entry: Path) -> None:
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_text("")
        with OwnFolder(temporary(), PREFIX) as folder:
            # apt downloads as user _apt.
            folder.chmod(0o711)
            try:
                fetch(folder, name, log)
                found = next(iter(sorted(folder.glob(f"{name}_*.orig.tar.*[!c]"))))
            except (QuollError, StopIteration) as error:
                raise InfrastructureError(f"the source of {name} cannot be fetched by apt",
                                          f"see whether apt reaches its mirror, and {log}") from error
            (entry / found.name).write_bytes(found.read_bytes())

    entry = cache.get("source", key_of(rootfs.RELEASE, name), make)
    return next(path for path in entry.iterdir() if path.name.startswith(f"{name}_"))


def fetch(folder: Path, name: str, log: Path) -> None:
    """Put a source package's archive into a folder, by a list of sources that apt keeps in the folder as well."""
    for place in ("lists/partial", "cache/archives/partial"):
        (folder / place).mkdir(parents=True)
    (folder / "sources.list").write_text(rootfs.RELEASE.replace("deb ", "deb-src ", 1) + "\n")
    (folder / "status").touch()
    own = ["-o", f"Dir::Etc::sourcelist={folder}/sources.list", "-o", "Dir::Etc::sourceparts=/dev/null",
           "-o", f"Dir::State::lists={folder}/lists", "-o", f"Dir::Cache={folder}/cache",
           "-o", f"Dir::State::status={folder}/status"]
    tools.run(["apt-get", *own, "update"], log, "fetching the list of sources", FETCH_LIMIT, cwd=folder)
    tools.run(["apt-get", *own, "source", "--download-only", "--tar-only", name], log,
              f"fetching the source of {name}", FETCH_LIMIT, cwd=folder)
