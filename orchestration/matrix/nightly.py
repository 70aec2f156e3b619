# SPDX-License-Identifier: BSD-2-Clause
"""The nightly jobs of GitHub Actions and GitLab CI, made from the matrix file: one job an architecture, one command."""

from __future__ import annotations

from pathlib import Path

import jinja2

from orchestration.bootstrap import ROOT
from orchestration.matrix.plan import Matrix

TEMPLATES = Path(__file__).with_name("templates")
FILES = {"github-nightly.yml": "github.yml.j2", "gitlab-nightly.yml": "gitlab.yml.j2"}


def generate(matrix: Matrix, path: Path) -> dict[str, str]:
    """Return the files' texts by name."""
    # A marker of our own: both services have braces in their files.
    environment = jinja2.Environment(loader=jinja2.FileSystemLoader(TEMPLATES), variable_start_string="<<",
                                     variable_end_string=">>", trim_blocks=True, lstrip_blocks=True,
                                     keep_trailing_newline=True, undefined=jinja2.StrictUndefined, autoescape=False)  # noqa: S701
    resolved = path.resolve()
    shown = resolved.relative_to(ROOT) if resolved.is_relative_to(ROOT) else path
    return {name: environment.get_template(template).render(matrix=matrix, path=shown, nightly=matrix.nightly)
            for name, template in FILES.items()}


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
