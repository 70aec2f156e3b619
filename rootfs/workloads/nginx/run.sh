#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# wrk's own time is the guest's: two seconds are two thousand million instructions under the clock that counts them.
set -eu
systemctl stop postgresql redis-server
measure() {
	head -c "$2" /dev/zero > "/var/www/html/$1"
	wrk -t 1 -c 8 -d 2s "http://127.0.0.1/$1" > "$OUT/$1"
	if grep -E 'Socket errors|Non-2xx' "$OUT/$1"; then exit 1; fi
	perl -ne '/^Requests\/sec:\s+([\d.]+)/ and printf "{\"metric\": \"%s\", \"value\": %d}\n", "'"$1"'", 1e9 / $1' \
		"$OUT/$1"
}
measure page-1k 1024
measure page-256k 262144
