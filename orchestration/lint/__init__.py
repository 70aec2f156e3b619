# SPDX-License-Identifier: BSD-2-Clause
"""The linters: what ./orchestrate lint checks in the files of the tree, whatever is committed of them."""
