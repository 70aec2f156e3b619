#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
set -eu
systemctl stop nginx redis-server
cd /
as() { setpriv --reuid=postgres --regid=postgres --init-groups "$@"; }
measure() {
	name=$1
	shift
	as pgbench --no-vacuum "$@" bench | perl -ne '
		/latency average = ([\d.]+) ms/ and printf "{\"metric\": \"%s\", \"value\": %d}\n", "'"$name"'", $1 * 1e6'
}
as dropdb --if-exists bench
as createdb bench
as pgbench --quiet --initialize --scale=1 bench
measure query --select-only --transactions=500
measure transaction --transactions=100
