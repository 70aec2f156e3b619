# SPDX-License-Identifier: BSD-2-Clause
"""./orchestrate bench and report: what workloads cost in the guest, against Linux on the bare machine."""
