#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
set -eu
zcat source.tar | tar -xf -
cd lua-*/src
jobs=$(nproc)
../../timed make 1 sh -c "make -s clean && make -s -j $jobs posix CFLAGS='-O0 -DLUA_USE_POSIX' > /dev/null"
[ "$(./lua -e 'print(6 * 7)')" = 42 ]
