# SPDX-License-Identifier: BSD-2-Clause
"""Makes what is booted: kernel and servers, Linux, root file systems, the boot image."""
