#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Each job works on the same file; a verification that fails makes fio's status, and this one's, 1.
set -eu
job() {
	name=$1
	shift
	fio --name="$name" --filename=data --size=64M --direct=1 --ioengine=libaio --randseed=1 --thread \
		--output-format=json --output="$OUT/$name.json" "$@"
}
dd if=/dev/zero of=data bs=1M count=64 2> /dev/null
sync
job randread --rw=randread --bs=4k --runtime=2 --time_based
job randwrite --rw=randwrite --bs=4k --runtime=2 --time_based
job seqread --rw=read --bs=1M --runtime=2 --time_based
job seqwrite --rw=write --bs=1M --runtime=2 --time_based
job randwrite-verified --rw=randwrite --bs=4k --io_size=4M --verify=crc32c --do_verify=1 --verify_fatal=1
job seqwrite-verified --rw=write --bs=1M --verify=crc32c --do_verify=1 --verify_fatal=1
