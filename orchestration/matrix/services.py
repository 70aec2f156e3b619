# SPDX-License-Identifier: BSD-2-Clause
"""The jobs of GitHub Actions and GitLab CI, made from a matrix file.

One job an architecture and kind of cell, each one command: a service's limit of time is for a job.
"""

from __future__ import annotations

from pathlib import Path

import jinja2

from orchestration.base.tree import ROOT
from orchestration.matrix.plan import Matrix, cells

TEMPLATES = Path(__file__).with_name("templates")
SERVICES = ("github", "gitlab")


def generate(matrix: Matrix, path: Path) -> dict[str, str]:
    """Return the files' texts by name."""
    # A marker of our own: both services have braces in their files.
    environment = jinja2.Environment(loader=jinja2.FileSystemLoader(TEMPLATES), variable_start_string="<<",
                                     variable_end_string=">>", trim_blocks=True, lstrip_blocks=True,
                                     keep_trailing_newline=True, undefined=jinja2.StrictUndefined, autoescape=False)  # noqa: S701
    resolved = path.resolve()
    shown = resolved.relative_to(ROOT) if resolved.is_relative_to(ROOT) else path
    parts = list(dict.fromkeys(cell.name.split()[0] for cell in cells(matrix)))
    return {f"{service}-{matrix.name}.yml": environment.get_template(f"{service}.yml.j2").render(
        matrix=matrix, path=shown, jobs=matrix.jobs, parts=parts) for service in SERVICES}


def differences(matrix: Matrix, path: Path) -> list[str]:
    """Return the names of the files beside the matrix file that are not what it makes."""
    return [name for name, text in generate(matrix, path).items()
            if not (path.parent / name).exists() or (path.parent / name).read_text() != text]


def write(matrix: Matrix, path: Path) -> list[Path]:
    """Write the files beside the matrix file."""
    written = []
    for name, text in generate(matrix, path).items():
        target = path.parent / name
        target.write_text(text)
        written.append(target)
    return written
