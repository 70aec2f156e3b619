# SPDX-License-Identifier: BSD-2-Clause
"""The source tree: where it is, where its Python packages are, which version it is.

Standard library only.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tomllib
from pathlib import Path

from orchestration.base import doctor

ROOT = Path(__file__).resolve().parents[2]
REQUIREMENTS = ROOT / "orchestration" / "requirements.txt"


def digest() -> str:
    """Return what tells these requirements and this Python from others.

    Two Pythons of one version share a .venv: its packages suit both, and neither removes what the other uses.
    """
    return hashlib.sha256(REQUIREMENTS.read_bytes() + str(sys.implementation.cache_tag).encode()).hexdigest()[:16]


def venv_folder() -> Path:
    """Return where the Python packages are: .venv, or a folder of the cache when the checkout is read-only."""
    usual = ROOT / ".venv"
    if (usual / f"quoll-{digest()}").exists() or os.access(ROOT, os.W_OK):
        return usual
    return doctor.cache_root() / "venv" / digest()


VENV = venv_folder()


def is_ready() -> bool:
    """Return whether the .venv is whole, and the Python that it was made from is still there."""
    return stamp().exists() and (VENV / "bin" / "python").exists()


def stamp() -> Path:
    """Return the file that marks a .venv made from these requirements by this Python."""
    return VENV / f"quoll-{digest()}"


def describe() -> str:
    """Return the commit of the checkout, marked when it is not quite that; an empty string when git does not tell.

    In a container the checkout may belong to another user, which git takes for a danger unless told otherwise.
    """
    try:
        done = subprocess.run(["git", "-c", f"safe.directory={ROOT}", "-C", str(ROOT), "describe", "--always",
                               "--dirty", "--abbrev=12"], capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return done.stdout.strip()


def version() -> str:
    """Return the line that --version prints."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    commit = describe()
    return f"Quoll {project['version']}" + (f" ({commit})" if commit else "")
