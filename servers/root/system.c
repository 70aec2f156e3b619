/* SPDX-License-Identifier: GPL-2.0-only */
/* Description of the system. Nothing else in the root pager names a server, a device or a guest. */
#include "system.h"

const struct system_server system_server[] = {
	{ .program = "console", .device = "serial line", .guest = 0, .front = 0, .writes_log = true },
	{ .program = "block", .device = "disk", .guest = 0, .front = 1 },
	{ .program = "net", .device = "network card", .guest = 0, .front = 2 },
};

const struct system_guest system_guest[] = {
	{ .kernel = "linux", .device_tree = "dtb", .archive = "initrd", .fronts = 3 },
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

const unsigned int system_servers = COUNT(system_server), system_guests = COUNT(system_guest);

_Static_assert(COUNT(system_server) <= SYSTEM_SERVERS && COUNT(system_guest) <= SYSTEM_GUESTS, "there is room");
