#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
set -eu
export DEBIAN_FRONTEND=noninteractive
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
chmod 755 "$place"
mkdir -p "$place/own/DEBIAN" "$place/own/usr/bin"
printf '#!/bin/sh\ntrue\n' > "$place/own/DEBIAN/postinst"
printf '#!/bin/sh\ntrue\n' > "$place/own/usr/bin/own"
chmod 755 "$place/own/DEBIAN/postinst" "$place/own/usr/bin/own"
printf 'Package: own\nVersion: 1\nArchitecture: all\nMaintainer: nobody <nobody@localhost>\nDescription: own\n' \
	> "$place/own/DEBIAN/control"
dpkg-deb --build "$place/own" "$place/own.deb" > /dev/null
./timed install 2 sh -c "apt-get -qq install $place/own.deb > /dev/null && apt-get -qq purge own > /dev/null"
