# SPDX-License-Identifier: BSD-2-Clause
"""The command line: one module for each group of commands, and what they share."""
