# SPDX-License-Identifier: BSD-2-Clause
"""LTP's source from where its authors publish it: one release, whose content is checked by the hash of its commit."""

from __future__ import annotations

import subprocess
from pathlib import Path

from orchestration.base import tools
from orchestration.base.cache import Cache, key_of
from orchestration.base.errors import QuollError
from orchestration.base.ownership import PREFIX, OwnFolder, temporary
from orchestration.conform.suite import NotHereError

URL = "https://github.com/linux-test-project/ltp"
TAG, COMMIT = "20260529", "3a64d78f58bdceba93ed321e91215fb969a047ed"
LIMIT = 900


def archive(cache: Cache) -> Path:
    """Return a tar file of the release; raise NotHereError when it cannot be fetched or is not what it was."""
    log = cache.root / "build" / "ltp-clone.log"

    def make(entry: Path) -> None:
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_text("")
        with OwnFolder(temporary(), PREFIX) as folder:
            tree = folder / "ltp"
            try:
                # It asks for no name and no password.
                tools.run(["git", "clone", "--quiet", "--depth", "1", "--branch", TAG, URL, str(tree)], log,
                          "cloning LTP", LIMIT, env={"GIT_TERMINAL_PROMPT": "0"})
            except QuollError as error:
                raise NotHereError(f"LTP's source cannot be cloned from {URL}",
                                   f"see {log}, or name its source, or a folder where it is installed: --ltp"
                                   ) from error
            found = subprocess.run([tools.program("git"), "-C", str(tree), "rev-parse", "HEAD"], capture_output=True,
                                   text=True, check=True).stdout.strip()
            if found != COMMIT:
                raise NotHereError(f"{URL} has another content for {TAG}: {found}, not {COMMIT}",
                                   "name a source that you trust: --ltp")
            tools.run(["git", "-C", str(tree), "archive", "--prefix=ltp/", f"--output={entry / 'ltp.tar'}", COMMIT],
                      log, "packing LTP", LIMIT)

    return cache.get("ltp-source", key_of(URL, TAG, COMMIT), make) / "ltp.tar"
