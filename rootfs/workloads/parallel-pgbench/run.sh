#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# The server refuses to be root.
set -eu
PATH=$(echo /usr/lib/postgresql/*/bin):$PATH
grep -q ^postgres: /etc/passwd || echo postgres:x:990:990::/tmp:/bin/sh >> /etc/passwd
place=/var/tmp/pg
rm -rf $place
mkdir $place
chown 990:990 $place
as() { su postgres -c "PATH=$PATH $*"; }
as initdb -D $place/data --no-locale --no-sync > /dev/null
echo "listen_addresses = ''
unix_socket_directories = '$place'" >> $place/data/postgresql.conf
as pg_ctl -D $place/data -w -l $place/log start > /dev/null
trap 'as pg_ctl -D $place/data -m immediate stop > /dev/null; rm -rf $place' EXIT
measure() {
	name=$1
	shift
	as pgbench -h $place --no-vacuum -c 8 -j "$(nproc)" "$@" postgres | awk -v name="$name" '
		/^tps = / { printf "{\"metric\": \"%s\", \"value\": %.0f}\n", name, 1e9 / $3 }'
}
as pgbench -h $place --quiet --initialize --scale=8 postgres > /dev/null 2>&1
measure query --select-only --transactions=250
measure transaction --transactions=40
