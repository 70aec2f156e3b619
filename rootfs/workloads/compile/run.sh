#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
set -eu
tar -xf source.tar
cd lua-*/src
../../timed make 1 sh -c 'make -s clean && make -s posix > /dev/null'
[ "$(./lua -e 'print(6 * 7)')" = 42 ]
