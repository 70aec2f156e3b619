#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
set -eu
./timed sockets 3 sh -c 'hackbench --groups 1 --loops 20 > /dev/null'
./timed pipes 3 sh -c 'hackbench --pipe --groups 1 --loops 20 > /dev/null'
