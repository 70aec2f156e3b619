# SPDX-License-Identifier: BSD-2-Clause
"""Machines that run: a register of them, and the commands that reach into one from another terminal."""
