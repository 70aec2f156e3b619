# SPDX-License-Identifier: BSD-2-Clause
"""./orchestrate matrix and ci: architectures x tests, workloads and faults from one file, and jobs of CI services."""
