# SPDX-License-Identifier: BSD-2-Clause
"""Suites of others run in the guest and in native Linux of the same source, compared test by test."""
