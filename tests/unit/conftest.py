# SPDX-License-Identifier: BSD-2-Clause
"""What several unit tests need."""

from __future__ import annotations

import pytest

from orchestration.base import doctor
from orchestration.base.errors import MissingError


@pytest.fixture(scope="module")
def spin() -> None:
    """Install spin, which few tests and no command needs."""
    try:
        doctor.ensure_packages(["spin"])
    except MissingError as error:
        pytest.skip(f"{error}; {error.hint}")
