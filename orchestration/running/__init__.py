# SPDX-License-Identifier: BSD-2-Clause
"""Commands on a machine that another process runs: ssh, cp, attach, gdb, trace, a repeated run."""
