#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
set -eu
systemctl stop nginx postgresql
redis-cli config set save "" > /dev/null
measure() {
	suffix=$1
	shift
	redis-benchmark --csv -t set,get "$@" | perl -ne '
		/^"(SET|GET)","([\d.]+)"/ and printf "{\"metric\": \"%s%s\", \"value\": %d}\n", lc $1, "'"$suffix"'", 1e9 / $2'
}
measure "" -c 1 -n 1000
measure -pipelined -c 8 -P 16 -n 16000
