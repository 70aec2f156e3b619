#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
set -eu
cpus=$(nproc)
redis-server --bind 127.0.0.1 --save "" --appendonly no --io-threads "$cpus" --dir /tmp > /tmp/redis.log 2>&1 &
server=$!
trap 'kill $server' EXIT
for _ in $(seq 100); do
	redis-cli ping > /dev/null 2>&1 && break
	sleep 0.1
done
# CSV: "SET","12345.67",...
redis-benchmark --csv -t set,get --threads "$cpus" -c 16 -P 4 -n 16000 | tr -d '"' | awk -F , '
	$1 == "SET" || $1 == "GET" { printf "{\"metric\": \"%s\", \"value\": %.0f}\n", tolower($1), 1e9 / $2 }'
