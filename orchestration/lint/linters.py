# SPDX-License-Identifier: BSD-2-Clause
"""The list of linters, and how they run."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

from orchestration.base.errors import QuollError
from orchestration.lint import architectures, circles, documents, programs, rules, warnings
from orchestration.lint.core import Finding, Linter, Tree

LINTERS = {one.name: one for one in (
    Linter("mypy", "types of the Python (strict)", programs.mypy),
    Linter("warnings", "C compiles with -Wall -Wextra -Werror, by each compiler that is installed", warnings.check),
    Linter("ruff", "rules of the Python (pyproject.toml)", programs.ruff, programs.mend_python),
    Linter("imports", "rooms of the orchestration import only what lies below them, and there is no circle",
           programs.imports),
    Linter("clang-format", "layout of the C (.clang-format)", programs.clang_format, programs.format_c),
    Linter("shellcheck", "shell scripts", programs.shellcheck),
    Linter("codespell", "misspelt words", programs.codespell),
    Linter("architectures", "folders of architectures offer the same names, and nothing else tests for one",
           architectures.check),
    Linter("circles", "C files that need each other in a circle are listed with a reason", circles.check),
    Linter("documents",
           "links, anchors and names of files in Markdown; its lines have at most 120 columns", documents.check),
    Linter("drawings", "each .svg is what the .py beside it draws", documents.drawings, documents.draw),
    Linter("licences", "each file begins with the licence of its folder", rules.licences),
    Linter("sizes", "C files of at most 600 lines, their functions of 75; Python of 300", rules.sizes),
)}


def outcome(one: Linter, tree: Tree) -> list[Finding] | QuollError:
    """Return a linter's findings, or why it cannot run."""
    try:
        return one.check(tree)
    except QuollError as error:
        return error


def lint(tree: Tree, chosen: list[Linter], fix: bool = False) -> list[list[Finding] | QuollError]:
    """Mend what can be mended, by one linter after the other; then run all at once and return what came of each."""
    for one in chosen:
        if fix and one.mend is not None:
            one.mend(tree)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(lambda one: outcome(one, tree), chosen))
