#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# A group of 40 processes, each half sending to the other.
set -eu
./timed sockets 3 /bin/sh -c 'hackbench --groups 1 --loops 20 > /dev/null'
./timed pipes 3 /bin/sh -c 'hackbench --pipe --groups 1 --loops 20 > /dev/null'
