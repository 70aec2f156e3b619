# SPDX-License-Identifier: BSD-2-Clause
"""Reads a machine from outside: symbols, kernel objects, traces, gdb's protocol."""
