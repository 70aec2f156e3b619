# SPDX-License-Identifier: BSD-2-Clause
"""What all other rooms use: architectures, errors, the cache, locks, the host's programs, run folders.

Standard library only, since the launcher runs this before there is a .venv.
"""
