#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# PEER_HOST and PEER_PORT are the orchestrator's.
set -eu
iperf3 --client "$PEER_HOST" --port "$PEER_PORT" --time 3 --json > "$OUT/out.json"
iperf3 --client "$PEER_HOST" --port "$PEER_PORT" --time 3 --reverse --json > "$OUT/in.json"
