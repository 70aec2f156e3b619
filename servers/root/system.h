/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Description of the system, the blob "system" of the boot image: which servers run, on which CPU, which device
 * each drives, and which device of which guest it is; how many vCPUs a guest has, and where. Nothing in the root pager
 * names a server or a device.
 */
#ifndef ROOT_SYSTEM_H
#define ROOT_SYSTEM_H

#include <abi_servers.h>
#include <l4/types.h>

#define SYSTEM_SERVERS 16 /* at most */
#define SYSTEM_GUESTS  1  /* at most: the boot image has one Linux */

/* Names in the boot image. */
struct system_guest {
	const char *kernel, *device_tree, *archive;
};

extern const struct system_guest system_guest[SYSTEM_GUESTS];

/* Check the description. */
void system_init(void);

/* Server number i; NULL: there are no more. */
const struct l4_system_server *system_server(unsigned int i);

/* How many vCPUs each guest has. */
unsigned int system_vcpus(void);

/* The CPU of the machine that a server, or a guest's vCPU n, is to run on now. */
unsigned long system_server_cpu(const struct l4_system_server *server);
unsigned long system_vcpu_cpu(unsigned int n);

/* Say where the description is, for who changes CPUs in it while the system runs: they are read again each second. */
void system_announce(void);

/* Pages that the devices of a guest take. */
unsigned int system_fronts(unsigned int guest);

#endif
