/* SPDX-License-Identifier: GPL-2.0-only */
/* One server: its address space, capabilities, time and thread. */
#include <abi_servers.h>
#include <abi_boot.h>
#include <base/lib.h>
#include <base/resource.h>
#include <l4/invoke.h>
#include <platform/platform.h>

#include "device_memory.h"
#include "image.h"
#include "log.h"
#include "memory.h"
#include "messages.h"
#include "program.h"
#include "report.h"
#include "server.h"

#define MEMORY_BITS 20
#define VSPACE_BITS 17
#define CNODE_BITS  (4 + L4_CNODE_SLOT_BITS)
#define DMA_BITS    17
#define SLOTS       160
#define FIRST_SLOT  (L4_SLOT_LOG + 1) /* of a server: those below are the same for all */
#define PRIORITY    200
#define PERIOD_US   10000
#define BUDGET_US   9000 /* less than the period: a server that takes all it gets leaves the others some time */

/* Its name in the boot image. */
static const char *program(const struct server *server) { return (const char *)server->system->program; }

void server_init(struct server *server, const struct l4_system_server *system, unsigned int number,
                 const struct guest_memory *guest_memory, unsigned long guest_notification)
{
	server->system = system;
	if (system->instance)
		l4_snprintf(server->name, sizeof(server->name), "%s%u", program(server), system->instance + 1);
	else
		l4_snprintf(server->name, sizeof(server->name), "%s", program(server));
	server->number = number;
	server->cpu = system_server_cpu(system);
	server->guest_memory = guest_memory;
	server->memory = object_alloc(L4_TYPE_UNTYPED, MEMORY_BITS, 1);
	server->life.owner = server->name;
	server->life.untyped = &server->memory;
	server->life.untypeds = 1;
	server->life.first_slot = server->life.next_slot = slot_alloc(SLOTS);
	server->life.end_slot = server->life.first_slot + SLOTS;
	server->event = object_alloc(L4_TYPE_NOTIFICATION, 0, 1);
	server->dma = object_alloc(L4_TYPE_FRAME, DMA_BITS, 1);
	server->call = messages_sender(BADGE_SERVER_CALL | number);
	server->fault = messages_fault_handler(BADGE_SERVER_FAULT | number);
	server->guest_event = cap_mint(guest_notification, L4_RIGHT_WRITE, 2UL << system->front);
	server->ping = cap_mint(server->event, L4_RIGHT_WRITE, L4_SERVER_EVENT_PING);
	server->irq_event = cap_mint(server->event, L4_RIGHT_WRITE, L4_SERVER_EVENT_IRQ);
	server->kick = cap_mint(server->event, L4_RIGHT_WRITE, L4_SERVER_EVENT_KICK);
	if (system->flags & L4_SYSTEM_WRITES_LOG)
		server->log_event = cap_mint(server->event, L4_RIGHT_WRITE, L4_SERVER_EVENT_LOG);
	platform_claim(&server->device, (const char *)system->device, system->instance);
}

static void map(struct server *server, unsigned long frame, u64 vaddr, unsigned long rights, bool uncached)
{
	check(l4_vspace_map(server->vspace, frame, vaddr, rights, uncached), "map for a server");
}

static void map_copy(struct server *server, unsigned long frame, u64 vaddr, unsigned long rights, bool uncached)
{
	map(server, pool_copy(&server->life, frame), vaddr, rights, uncached);
}

static void give(struct server *server, unsigned long index, unsigned long cap, unsigned long rights)
{
	check(l4_cnode_copy(server->cnode, index, L4_ROOT_SLOT_CNODE, cap, rights), "capability for a server");
}

/* Give a capability in the next free slot; return that, for the list of resources. */
static u32 give_next(struct server *server, unsigned long cap, unsigned long rights)
{
	give(server, server->next_slot, cap, rights);
	return (u32)server->next_slot++;
}

/* Add a resource to the list of its info page. */
static void list(struct l4_server_info *info, struct l4_resource resource)
{
	if (info->resource_count == sizeof(info->resource) / sizeof(info->resource[0]))
		fail("server %s has too many resources", (const char *)info->program);
	if (!resource_find(info, resource.kind, 0))
		info->first[resource.kind] = (u8)info->resource_count;
	info->resource[info->resource_count++] = resource;
}

/* Give registers by capability, or map them from *vaddr on, which becomes the next free page. */
static void give_registers(struct server *server, struct l4_resource *registers, u64 *vaddr)
{
	u64 page = registers->address & ~(L4_PAGE_SIZE - 1UL), end = registers->address + registers->size;

	if (registers->slot) {
		registers->slot = give_next(server, registers->slot, RIGHTS_RW);
		return;
	}
	registers->vaddr = *vaddr + registers->address % L4_PAGE_SIZE;
	registers->address = 0;
	for (; page < end; page += L4_PAGE_SIZE, *vaddr += L4_PAGE_SIZE)
		map_copy(server, device_frame(page, L4_PAGE_BITS), *vaddr, RIGHTS_RW, true);
}

static void give_device(struct server *server, struct l4_server_info *info)
{
	u64 vaddr = L4_SERVER_REGS_VADDR;
	unsigned int i;

	for (i = 0; i < server->device.count; i++) {
		struct l4_resource resource = server->device.resource[i];

		/* An interrupt is the server's to acknowledge, no more. */
		if (resource.kind == L4_RESOURCE_REGISTERS)
			give_registers(server, &resource, &vaddr);
		else
			resource.slot = give_next(server, resource.slot, L4_RIGHT_READ);
		list(info, resource);
	}
}

static void give_dma_memory(struct server *server, struct l4_server_info *info)
{
	struct l4_frame_info dma;

	check(l4_frame_info(server->dma, &dma), "address of DMA memory");
	map_copy(server, server->dma, L4_SERVER_DMA_VADDR, RIGHTS_RW, false);
	list(info, (struct l4_resource){ .kind = L4_RESOURCE_DMA_MEMORY,
	                                 .vaddr = L4_SERVER_DMA_VADDR,
	                                 .address = dma.paddr,
	                                 .size = 1UL << DMA_BITS });
}

/* Give the memory of the guest that it serves, and the page and signal of the device that it is there. */
static void give_guest(struct server *server, struct l4_server_info *info)
{
	const struct guest_memory *guest = server->guest_memory;
	u64 page = L4_GUEST_DEVICE_GPA + server->system->front * (u64)L4_PAGE_SIZE;
	unsigned int i;

	for (i = 0; i < guest->count; i++)
		map_copy(server, guest->region[i].frame, L4_SERVER_GUEST_VADDR + guest->region[i].gpa, RIGHTS_RW,
		         false);
	list(info, (struct l4_resource){ .kind = L4_RESOURCE_GUEST_MEMORY,
	                                 .vaddr = L4_SERVER_GUEST_VADDR,
	                                 .address = guest->paddr,
	                                 .size = guest->bytes });
	list(info, (struct l4_resource){ .kind = L4_RESOURCE_QUEUES,
	                                 .slot = give_next(server, server->guest_event, L4_RIGHT_WRITE),
	                                 .vaddr = L4_SERVER_GUEST_VADDR + page,
	                                 .address = page,
	                                 .size = L4_PAGE_SIZE });
}

static void give_log(struct server *server, struct l4_server_info *info)
{
	map_copy(server, log_frame(), L4_SERVER_LOG_VADDR, L4_RIGHT_READ, false);
	list(info, (struct l4_resource){ .kind = L4_RESOURCE_LOG, .vaddr = L4_SERVER_LOG_VADDR, .size = L4_LOG_SIZE });
}

/* Give all that it has, and map the page that lists it. */
static void give_all(struct server *server)
{
	struct l4_server_info info = {
		.servers_hash = L4_SERVERS_HASH,
		.counter_hz = boot_info->counter_hz,
		.restarts = server->restarts,
	};
	unsigned long frame = pool_objects(&server->life, L4_TYPE_FRAME, L4_PAGE_BITS, 1);

	memcpy(info.program, server->system->program, sizeof(info.program));
	server->next_slot = FIRST_SLOT;
	give(server, L4_SERVER_SLOT_EVENT, server->event, L4_RIGHT_READ);
	give(server, L4_SERVER_SLOT_ROOT, server->call, L4_RIGHT_WRITE);
	give(server, L4_SLOT_LOG, L4_SLOT_LOG, L4_RIGHT_READ);
	give_guest(server, &info);
	give_device(server, &info);
	give_dma_memory(server, &info);
	if (server->system->flags & L4_SYSTEM_WRITES_LOG)
		give_log(server, &info);
	page_fill(frame, 0, &info, sizeof(info));
	map(server, frame, L4_SERVER_INFO_VADDR, L4_RIGHT_READ, false);
}

/* Map the top page of its stack, on which lie the registers of its predecessor; the rest comes on demand. */
static void map_stack(struct server *server)
{
	unsigned long frame = pool_objects(&server->life, L4_TYPE_FRAME, L4_PAGE_BITS, 1);

	page_fill(frame, L4_PAGE_SIZE - sizeof(server->last), &server->last, sizeof(server->last));
	map(server, frame, L4_SERVER_STACK_TOP - L4_PAGE_SIZE, RIGHTS_RW, false);
}

/* Its interrupt goes where it runs; at first every interrupt goes to CPU 0. */
static void route_interrupt(struct server *server)
{
	if (server->interrupt_cpu == server->cpu)
		return;
	if (device_route(&server->device, server->cpu))
		server->interrupt_cpu = server->cpu;
	else
		say("the interrupt of %s stays on CPU %lu: it cannot go to CPU %lu\n", server->name,
		    server->interrupt_cpu, server->cpu);
}

/*
 * Drop what was signalled to its predecessor, since each life begins by looking at everything. From the ACK on, an edge
 * that comes is kept.
 */
static void start_interrupt(struct server *server)
{
	const struct l4_resource *interrupt = device_resource(&server->device, L4_RESOURCE_INTERRUPT);
	unsigned long error = l4_irq_handler_unbind(interrupt->slot), bits;

	if (error != L4_ERR_UNBOUND)
		check(error, "unbind of an interrupt");
	route_interrupt(server);
	check(l4_irq_handler_bind(interrupt->slot, server->irq_event), "bind of an interrupt");
	l4_poll(server->event, &bits);
	check(l4_irq_handler_ack(interrupt->slot), "first ACK of an interrupt");
}

static void give_time(const struct server *server)
{
	check(l4_control_sched_configure(L4_ROOT_SLOT_CONTROL, server->sched, BUDGET_US, PERIOD_US, server->cpu),
	      "time for a server");
}

static void start_thread(struct server *server)
{
	struct l4_frame frame;

	give_time(server);
	check(l4_thread_configure(server->thread, server->cnode, server->vspace, L4_SERVER_UTCB_VADDR, server->fault),
	      "thread of a server");
	check(l4_thread_set_sched(server->thread, server->sched, PRIORITY, PRIORITY), "priority of a server");
	l4_frame_init(&frame, image_entry(program(server)), L4_SERVER_STACK_TOP - sizeof(server->last),
	              L4_SERVER_INFO_VADDR, L4_SERVER_UTCB_VADDR, 0);
	check(l4_thread_write_regs(server->thread, l4_utcb, &frame), "registers of a server");
	check(l4_thread_resume(server->thread), "start of a server");
}

void server_start(struct server *server)
{
	server->ready = false;
	server->started_at = l4_counter();
	server->used = server->waits = server->used_of_tick = 0;
	server->vspace = pool_objects(&server->life, L4_TYPE_VSPACE, VSPACE_BITS, 1);
	server->thread = pool_objects(&server->life, L4_TYPE_THREAD, 0, 1);
	server->cnode = pool_objects(&server->life, L4_TYPE_CNODE, CNODE_BITS, 1);
	server->sched = pool_objects(&server->life, L4_TYPE_SCHED_CONTEXT, 0, 1);
	program_load(program(server), &server->life, server->vspace);
	give_all(server);
	map_stack(server);
	start_interrupt(server);
	if (server->device.start)
		server->device.start(&server->device);
	start_thread(server);
}

void server_end(struct server *server)
{
	check(l4_thread_suspend(server->thread), "end of a server");
	check(l4_thread_read_regs(server->thread, l4_utcb, &server->last), "registers of a server that died");
	if (server->device.stop)
		server->device.stop(&server->device);
	pool_empty(&server->life);
	server->ready = false;
	server->restarts++;
}

void server_move(struct server *server, unsigned long cpu, bool lives)
{
	server->cpu = cpu;
	route_interrupt(server);
	if (lives)
		give_time(server);
}

static unsigned long rights_to(const struct server *server, u64 address)
{
	if (address >= L4_SERVER_STACK_TOP - L4_SERVER_STACK_SIZE && address < L4_SERVER_STACK_TOP)
		return RIGHTS_RW;
	return program_rights(program(server), address);
}

bool server_may_access(const struct server *server, u64 address, unsigned long access)
{
	unsigned long rights = rights_to(server, address);

	return rights && !(access & ~rights);
}

bool server_page_in(struct server *server, u64 address)
{
	unsigned long frame = pool_try_objects(&server->life, L4_TYPE_FRAME, L4_PAGE_BITS, 1);

	return frame && !l4_vspace_map(server->vspace, frame, address & ~(L4_PAGE_SIZE - 1UL),
	                               rights_to(server, address), false);
}

bool server_measure(struct server *server)
{
	struct l4_sched_context_info info;
	bool waited;

	check(l4_sched_context_info(server->sched, &info), "time of a server");
	waited = info.waits != server->waits;
	server->used_of_tick = info.used - server->used;
	server->used = info.used;
	server->waits = info.waits;
	return waited;
}
