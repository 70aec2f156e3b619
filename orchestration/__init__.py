# SPDX-License-Identifier: BSD-2-Clause
"""Everything behind ./orchestrate: building, booting and testing Quoll under QEMU.

bootstrap and base use the standard library alone, since they run before there is a .venv.
"""
