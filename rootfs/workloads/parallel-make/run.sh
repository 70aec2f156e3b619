#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
set -eu
zcat source.tar | tar -xf -
cd lua-*/src
jobs=$(nproc)
files="lapi.o lcode.o ldebug.o ldo.o lgc.o lparser.o lstrlib.o ltable.o"
../../timed make 1 sh -c "rm -f $files && make -s -j $jobs CFLAGS='-O0 -DLUA_USE_POSIX' $files"
