# SPDX-License-Identifier: BSD-2-Clause
"""The names of the root file systems that we make; any other name is a file of the user's."""

TINY, DEBIAN = "tiny", "debian"
ROOTS = (TINY, DEBIAN)
