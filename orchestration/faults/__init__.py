# SPDX-License-Identifier: BSD-2-Clause
"""./orchestrate faults: drivers that are made to fail under a verified workload, and what the guest saw of it."""
