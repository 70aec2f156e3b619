#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# One after the other, three seconds each; a check that fails makes the status 2.
set -eu
for stressor in context fork malloc mmap pipe sock switch vm; do
	stress-ng --"$stressor" 1 --vm-bytes 16M --mmap-bytes 1M --malloc-bytes 8M --verify --metrics --timeout 3s 2>&1
done
