# SPDX-License-Identifier: BSD-2-Clause
"""The L4 kernel's own tests, which run on it in the root pager's place: each is a subtest here."""

from __future__ import annotations

import pytest

from orchestration import boot, kernel_tests
from orchestration.arch import Arch
from orchestration.measurements import counted


def test_kernel(arch: Arch, made: boot.Artefacts, subtests: pytest.Subtests) -> None:
    # Time counts instructions, so that a busy host cannot take a thread's slice away.
    report, folder = kernel_tests.run(arch, made.bare, extra=counted(arch))
    for result in report.results:
        with subtests.test(result.name):
            if result.outcome == "skip":
                pytest.skip("\n".join(result.diagnostics))
            assert result.outcome == "pass", "\n".join(result.diagnostics)
    assert not report.problems, f"{report.problems}, see {folder}"
    assert report.results
