/* SPDX-License-Identifier: GPL-2.0-only */
/* Description of the system. */
#include <abi_vcpus.h>
#include <base/lib.h>

#include "image.h"
#include "memory.h"
#include "report.h"
#include "system.h"

static const struct l4_system_header *header;
static const struct l4_system_server *servers;
static unsigned int count;

const struct system_guest system_guest[SYSTEM_GUESTS] = {
	{ .kernel = "linux", .device_tree = "dtb", .archive = "initrd" },
};

/* Two servers of one description: a device has one driver, a guest's device one back end, the log one way out. */
static void check_pair(const struct l4_system_server *a, const struct l4_system_server *b)
{
	const char *first = (const char *)a->program, *second = (const char *)b->program;

	if (a->guest == b->guest && a->front == b->front)
		fail("system: %s and %s are the same device", first, second);
	if (a->instance == b->instance && !strncmp((const char *)a->device, (const char *)b->device, sizeof(a->device)))
		fail("system: %s and %s drive the same %s", first, second, (const char *)a->device);
	if (a->flags & b->flags & L4_SYSTEM_WRITES_LOG)
		fail("system: %s and %s write the log", first, second);
}

static void check_server(const struct l4_system_server *server)
{
	const struct l4_system_server *other;

	if (server->program[sizeof(server->program) - 1] || server->device[sizeof(server->device) - 1])
		fail("system: server %ld has no name that ends", (long)(server - servers));
	if (server->guest >= SYSTEM_GUESTS || server->front >= L4_GUEST_DEVICES)
		fail("system: %s is device %u of guest %u, which there is not", (const char *)server->program,
		     server->front, server->guest);
	if (server->flags & ~(u32)L4_SYSTEM_WRITES_LOG)
		fail("system: %s has flags %x, of which some are unknown", (const char *)server->program,
		     server->flags);
	for (other = servers; other != server; other++)
		check_pair(other, server);
}

void system_init(void)
{
	const struct l4_image_segment *segment;
	unsigned int i;

	for (i = 0; (segment = image_segment(i)); i++)
		if (segment->kind == L4_SEGMENT_BLOB && image_is(segment, "system"))
			break;
	if (!segment)
		fail("boot image has no description of the system");
	header = image_data(segment);
	if (segment->file_size < sizeof(*header) || header->servers > SYSTEM_SERVERS ||
	    segment->file_size != sizeof(*header) + header->servers * sizeof(*servers))
		fail("system: %lu bytes are not a head and at most %u servers", segment->file_size, SYSTEM_SERVERS);
	if (!header->vcpus || header->vcpus > L4_GUEST_VCPUS)
		fail("system: a guest with %u vCPUs, and it can have from 1 to %u", header->vcpus, L4_GUEST_VCPUS);
	servers = (const void *)(header + 1);
	count = header->servers;
	for (i = 0; i < count; i++)
		check_server(&servers[i]);
}

const struct l4_system_server *system_server(unsigned int i) { return i < count ? &servers[i] : NULL; }

unsigned int system_vcpus(void) { return header->vcpus; }

/* The CPU that stands for CPU n of a description, which may be of a machine with more. */
static unsigned long system_cpu(unsigned int n) { return n % boot_info->cpus; }

unsigned long system_server_cpu(const struct l4_system_server *server) { return system_cpu(l4_read_once(server->cpu)); }

unsigned long system_vcpu_cpu(unsigned int n) { return system_cpu(l4_read_once(header->vcpu_cpu[n])); }

void system_announce(void)
{
	if (boot_info->cpus > 1)
		say("%lu CPUs, described at %lx\n", boot_info->cpus, (u64)header - IMAGE_VADDR);
}

unsigned int system_fronts(unsigned int guest)
{
	unsigned int i, fronts = 0;

	for (i = 0; i < count; i++)
		if (servers[i].guest == guest && fronts <= servers[i].front)
			fronts = servers[i].front + 1;
	return fronts;
}
