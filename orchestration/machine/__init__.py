# SPDX-License-Identifier: BSD-2-Clause
"""A machine under QEMU: starting it, its console, SSH, sessions, and the register of those that run."""
