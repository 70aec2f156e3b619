#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# The image is made of the guest's own files: a program and its libraries.
set -eu
systemctl stop nginx postgresql redis-server
tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
mkdir -p "$tree/usr/bin" "$tree/proc" "$tree/sys" "$tree/dev" "$tree/etc"
cp -L /usr/bin/true "$tree/usr/bin"
for library in $(ldd /usr/bin/true | grep -o '/[^ ]*'); do
	mkdir -p "$tree/$(dirname "$library")"
	cp -L "$library" "$tree/$library"
done
tar -C "$tree" -cf "$tree.tar" .
podman import -q "$tree.tar" localhost/own > /dev/null
rm "$tree.tar"
./timed run 2 podman run --rm --network none localhost/own /usr/bin/true
./timed run-network 2 podman run --rm localhost/own /usr/bin/true
