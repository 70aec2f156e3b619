#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Each round tells the same boot again. The blame goes to the run's folder, for people.
set -eu
began=$(systemctl show --property UserspaceTimestampMonotonic --value)
ended=$(systemctl show --property FinishTimestampMonotonic --value)
systemd-analyze blame --no-pager > "$OUT/blame"
echo "{\"metric\": \"kernel\", \"value\": ${began}000}"
echo "{\"metric\": \"systemd\", \"value\": $((ended - began))000}"
