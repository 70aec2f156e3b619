/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The servers: start, page, watch, restart. All that belongs to one life of a server comes from one Untyped,
 * so a revoke ends it. What must outlive it (event Notification, interrupt, DMA memory, the guest's side)
 * does not.
 */
#include "../platform/platform.h"
#include "root.h"

#define MEMORY_BITS    20
#define VSPACE_BITS    17
#define CNODE_BITS     (4 + L4_CNODE_SLOT_BITS)
#define DMA_BITS       16
#define SLOTS          160
#define PINGS          2    /* unanswered, after which it counts as dead */
#define BUDGET_US      9000 /* of PERIOD_US, so that the others live with one that takes all it gets */
#define FULL_TENTHS    5    /* of the time: with more, one that never waits for FULL_TICKS counts as dead */
#define FULL_TICKS     4
#define DEATHS         6  /* of a server that has never been ready, after which the guest starts without it */
#define PINGS_OUT      2  /* that a server may have to answer: one that it has taken, one that waits */
#define SILENT         15 /* ticks in which none of them answers, after which all count as dead */
#define STEADY_SECONDS 2  /* of life, after which the deaths before no longer count */
#define AT_ONCE        2  /* deaths in a row after which it is started again without a pause */
#define PAUSE_BITS     6  /* log2 of the longest pause, in ticks */

unsigned long guest_notification;

struct server servers[L4_DEVICES] = {
	[L4_DEVICE_CONSOLE] = { .name = "console", .number = L4_DEVICE_CONSOLE },
	[L4_DEVICE_BLOCK] = { .name = "block", .number = L4_DEVICE_BLOCK },
	[L4_DEVICE_NET] = { .name = "net", .number = L4_DEVICE_NET },
};

static unsigned long log_frame, log_event;
static bool have_tick;

u64 regs_add(struct regs *regs, u64 paddr, u64 bytes)
{
	u64 page = paddr & ~(L4_PAGE_SIZE - 1UL), offset = regs->pages * (u64)L4_PAGE_SIZE + paddr % L4_PAGE_SIZE;

	for (; page < paddr + bytes && regs->pages < REGS_PAGES; page += L4_PAGE_SIZE)
		regs->page[regs->pages++] = page;
	return offset;
}

unsigned long server_log_position(void) { return l4_load_acquire(&((struct l4_log_header *)LOG_VADDR)->head); }

bool server_log_line_open(void)
{
	u64 head;

	if (!log_frame)
		return false;
	head = server_log_position();
	return head && ((const char *)LOG_VADDR)[L4_LOG_TEXT_OFFSET + (head - 1) % L4_LOG_TEXT_SIZE] != '\n';
}

static void log_init(void)
{
	unsigned long frame;
	unsigned int i;

	for (i = 0; i < boot_info->untyped_count && boot_info->untyped[i].kind != L4_MEM_LOG; i++)
		;
	if (i == boot_info->untyped_count)
		fail("the kernel shows no log");
	frame = slot_alloc(1);
	check(l4_untyped_retype(L4_ROOT_SLOT_UNTYPED + i, L4_TYPE_FRAME, boot_info->untyped[i].size_bits,
	                        L4_ROOT_SLOT_CNODE, frame, 1),
	      "Frame of the log");
	check(l4_vspace_map(L4_ROOT_SLOT_VSPACE, cap_copy(frame), LOG_VADDR, L4_RIGHT_READ, 0), "map of the log");
	log_frame = frame;
	log_event = cap_mint(servers[L4_DEVICE_CONSOLE].event, L4_RIGHT_WRITE, L4_SERVER_EVENT_LOG);
}

void servers_init(void)
{
	unsigned int i;

	guest_notification = object_alloc(L4_TYPE_NOTIFICATION, 0, 1);
	for (i = 0; i < L4_DEVICES; i++) {
		struct server *server = &servers[i];

		server->memory = object_alloc(L4_TYPE_UNTYPED, MEMORY_BITS, 1);
		server->first_slot = slot_alloc(SLOTS);
		server->event = object_alloc(L4_TYPE_NOTIFICATION, 0, 1);
		server->dma = object_alloc(L4_TYPE_FRAME, DMA_BITS, 1);
		server->irq = slot_alloc(1);
		server->call = cap_mint(root_endpoint, L4_RIGHT_WRITE, BADGE_CALL | i);
		server->fault = cap_mint(root_endpoint, L4_RIGHT_WRITE | L4_RIGHT_GRANT, BADGE_FAULT | i);
		server->guest_event = cap_mint(guest_notification, L4_RIGHT_WRITE, 2UL << i);
		server->ping = cap_mint(server->event, L4_RIGHT_WRITE, L4_SERVER_EVENT_PING);
		server->irq_event = cap_mint(server->event, L4_RIGHT_WRITE, L4_SERVER_EVENT_IRQ);
	}
	log_init();
	plat_console(&servers[L4_DEVICE_CONSOLE]);
	pci_claim_virtio(&servers[L4_DEVICE_BLOCK], 0x1042, "virtio-blk-pci");
	pci_claim_virtio(&servers[L4_DEVICE_NET], 0x1041, "virtio-net-pci");
	have_tick = plat_tick_start();
	for (i = 0; i < L4_DEVICES; i++)
		server_start(&servers[i]);
}

static unsigned long take_slot(struct server *server)
{
	if (server->next_slot == server->first_slot + SLOTS)
		return 0;
	return server->next_slot++;
}

/* 0: no memory is left for it. */
static unsigned long try_make(struct server *server, unsigned long type, unsigned long size_bits)
{
	unsigned long slot = take_slot(server);

	if (!slot || l4_untyped_retype(server->memory, type, size_bits, L4_ROOT_SLOT_CNODE, slot, 1))
		return 0;
	return slot;
}

/* What each life of a server begins with is the same, so only the first can fail. */
static unsigned long make(struct server *server, unsigned long type, unsigned long size_bits)
{
	unsigned long slot = try_make(server, type, size_bits);

	if (!slot)
		fail("no memory left for server %s", server->name);
	return slot;
}

static void map(struct server *server, unsigned long frame, u64 vaddr, unsigned long rights, bool uncached)
{
	check(l4_vspace_map(server->vspace, frame, vaddr, rights, uncached), "map for a server");
}

static void map_copy(struct server *server, unsigned long frame, u64 vaddr, unsigned long rights, bool uncached)
{
	unsigned long slot = take_slot(server);

	if (!slot)
		fail("no slots left for server %s", server->name);
	check(l4_cnode_copy(L4_ROOT_SLOT_CNODE, slot, L4_ROOT_SLOT_CNODE, frame, L4_RIGHT_ALL), "copy for a server");
	map(server, slot, vaddr, rights, uncached);
}

static void give(struct server *server, unsigned long index, unsigned long cap, unsigned long rights)
{
	check(l4_cnode_copy(server->cnode, index, L4_ROOT_SLOT_CNODE, cap, rights), "capability for a server");
}

/* What the image has of it; the rest of its segments comes on demand. */
static void load(struct server *server)
{
	const struct l4_image_segment *segment;
	unsigned int i;
	u64 at, part;

	for (i = 0; (segment = image_segment(i)); i++) {
		if (!image_is(segment, server->name) || segment->kind != L4_SEGMENT_PROGRAM)
			continue;
		for (at = 0; at < segment->file_size; at += L4_PAGE_SIZE) {
			unsigned long frame = make(server, L4_TYPE_FRAME, L4_PAGE_BITS);

			part = segment->file_size - at < L4_PAGE_SIZE ? segment->file_size - at : L4_PAGE_SIZE;
			page_fill(frame, 0, (const char *)image_data(segment) + at, part);
			map(server, frame, segment->vaddr + at, segment->rights, false);
		}
	}
}

static void map_memory(struct server *server)
{
	struct l4_frame_info dma;
	struct l4_server_info info = {
		.abi_hash = L4_ABI_HASH,
		.counter_hz = boot_info->counter_hz,
		.guest_size = guest_memory.bytes,
		.guest_paddr = guest_memory.paddr,
		.device_page = L4_GUEST_DEVICE_GPA + server->number * (u64)L4_PAGE_SIZE,
		.regs_size = server->regs.pages * (u64)L4_PAGE_SIZE,
		.common_offset = server->pci.common_offset,
		.notify_offset = server->pci.notify_offset,
		.notify_multiplier = server->pci.notify_multiplier,
		.isr_offset = server->pci.isr_offset,
		.device_offset = server->pci.device_offset,
		.dma_size = 1UL << DMA_BITS,
		.restarts = server->restarts,
		.ioport_base = server->ioport_base,
		.irq_line = server->irq_line,
		.uart = server->uart,
	};
	unsigned long frame = make(server, L4_TYPE_FRAME, L4_PAGE_BITS);
	unsigned int i;

	check(l4_frame_info(server->dma, &dma), "address of DMA memory");
	info.dma_paddr = dma.paddr;
	page_fill(frame, 0, &info, sizeof(info));
	map(server, frame, L4_SERVER_INFO_VADDR, L4_RIGHT_READ, false);
	map_copy(server, server->dma, L4_SERVER_DMA_VADDR, RW, false);
	for (i = 0; i < guest_memory.count; i++)
		map_copy(server, guest_memory.region[i].frame, L4_SERVER_GUEST_VADDR + guest_memory.region[i].gpa, RW,
		         false);
	for (i = 0; i < server->regs.pages; i++)
		map_copy(server, device_frame(server->regs.page[i], L4_PAGE_BITS),
		         L4_SERVER_REGS_VADDR + i * (u64)L4_PAGE_SIZE, RW, true);
	if (server->number == L4_DEVICE_CONSOLE)
		map_copy(server, log_frame, L4_SERVER_LOG_VADDR, L4_RIGHT_READ, false);
}

/* The top page of its stack, on which lie the registers of its predecessor; the rest comes on demand. */
static void map_stack(struct server *server)
{
	unsigned long frame = make(server, L4_TYPE_FRAME, L4_PAGE_BITS);

	page_fill(frame, L4_PAGE_SIZE - sizeof(server->last), &server->last, sizeof(server->last));
	map(server, frame, L4_SERVER_STACK_TOP - L4_PAGE_SIZE, RW, false);
}

/* What was signalled to its predecessor, it looks for itself. From the ACK on, an edge that comes is kept. */
static void start_events(struct server *server)
{
	unsigned long error = l4_irq_handler_unbind(server->irq), bits;

	if (error != L4_ERR_UNBOUND)
		check(error, "unbind of an interrupt");
	check(l4_irq_handler_bind(server->irq, server->irq_event), "bind of an interrupt");
	l4_poll(server->event, &bits);
	check(l4_irq_handler_ack(server->irq), "first ACK of an interrupt");
}

static void ping(struct server *server)
{
	if (server->pings < PINGS_OUT)
		server->pings++;
	l4_signal(server->ping);
}

void server_start(struct server *server)
{
	struct l4_frame frame;

	server->next_slot = server->first_slot;
	server->ready = false;
	server->pings = 0;
	server->unanswered = 0;
	server->pause = 0;
	server->started_at = l4_counter();
	server->used = server->waits = server->used_of_tick = 0;
	server->vspace = make(server, L4_TYPE_VSPACE, VSPACE_BITS);
	server->thread = make(server, L4_TYPE_THREAD, 0);
	server->cnode = make(server, L4_TYPE_CNODE, CNODE_BITS);
	server->sched = make(server, L4_TYPE_SCHED_CONTEXT, 0);
	load(server);
	map_memory(server);
	map_stack(server);
	give(server, L4_SERVER_SLOT_EVENT, server->event, L4_RIGHT_READ);
	give(server, L4_SERVER_SLOT_GUEST, server->guest_event, L4_RIGHT_WRITE);
	give(server, L4_SERVER_SLOT_IRQ, server->irq, L4_RIGHT_READ);
	give(server, L4_SERVER_SLOT_ROOT, server->call, L4_RIGHT_WRITE);
	give(server, L4_SLOT_LOG, L4_SLOT_LOG, L4_RIGHT_READ);
	if (server->regs_cap)
		give(server, L4_SERVER_SLOT_REGS, server->regs_cap, RW);
	start_events(server);
	if (server->pci.config)
		pci_start(server);

	check(l4_control_sched_configure(L4_ROOT_SLOT_CONTROL, server->sched, BUDGET_US, PERIOD_US),
	      "time for a server");
	check(l4_thread_configure(server->thread, server->cnode, server->vspace, L4_SERVER_UTCB_VADDR, server->fault),
	      "thread of a server");
	check(l4_thread_set_sched(server->thread, server->sched, SERVER_PRIORITY, SERVER_PRIORITY),
	      "priority of a server");
	l4_frame_init(&frame, image_entry(server->name), L4_SERVER_STACK_TOP - sizeof(server->last),
	              L4_SERVER_INFO_VADDR, L4_SERVER_UTCB_VADDR, 0);
	check(l4_thread_write_regs(server->thread, l4_utcb, &frame), "registers of a server");
	check(l4_thread_resume(server->thread), "start of a server");
}

static void tear_down(struct server *server)
{
	unsigned long slot;

	check(l4_thread_suspend(server->thread), "end of a server");
	check(l4_thread_read_regs(server->thread, l4_utcb, &server->last), "registers of a server that died");
	if (server->pci.config)
		pci_stop(server);
	for (slot = server->first_slot; slot < server->next_slot; slot++)
		l4_cnode_delete(L4_ROOT_SLOT_CNODE, slot);
	check(l4_cnode_revoke(L4_ROOT_SLOT_CNODE, server->memory), "end of a server");
}

void server_died(struct server *server, const char *format, ...)
{
	char reason[160];
	unsigned int pause;
	va_list args;

	va_start(args, format);
	l4_vsnprintf(reason, sizeof(reason), format, args);
	va_end(args);
	say("server %s died: %s\n", server->name, reason);
	tear_down(server);
	server->ready = false;
	server->restarts++;
	if ((l4_counter() - server->started_at) / boot_info->counter_hz >= STEADY_SECONDS)
		server->deaths = 0;
	server->deaths++;
	if (server->deaths >= DEATHS && !server->ever_ready && !server->given_up) {
		say("server %s does not stay alive: linux starts without it\n", server->name);
		server->given_up = true;
	}
	if (server->deaths <= AT_ONCE || !have_tick) {
		server_start(server);
		return;
	}
	/* Each pause twice as long as the one before; the guest waits for this device, and the rest goes on. */
	pause = (unsigned int)server->deaths - AT_ONCE - 1;
	server->pause = 1U << (pause < PAUSE_BITS ? pause : PAUSE_BITS);
	say("server %s waits: %lu deaths in a row, next try in %u s\n", server->name, server->deaths, server->pause);
}

bool server_fault(struct server *server, const struct l4_msg *msg)
{
	u64 address = msg->words[0], access = msg->words[1], ip = msg->words[2], page;
	const struct l4_image_segment *segment;
	unsigned long rights = 0, frame;
	unsigned int i;

	if (l4_tag_label(msg->tag) != L4_FAULT_PAGE) {
		server_died(server, "exception %lu (%lx) at %lx", address, access, ip);
		return false;
	}
	page = address & ~(L4_PAGE_SIZE - 1UL);
	if (address >= L4_SERVER_STACK_TOP - L4_SERVER_STACK_SIZE && address < L4_SERVER_STACK_TOP)
		rights = RW;
	for (i = 0; (segment = image_segment(i)); i++)
		if (image_is(segment, server->name) && address >= segment->vaddr &&
		    address - segment->vaddr < segment->mem_size)
			rights = segment->rights;
	if (msg->words[3] || (access & ~rights) || !rights) {
		server_died(server, "access %lx to %lx at %lx", access, address, ip);
		return false;
	}
	frame = try_make(server, L4_TYPE_FRAME, L4_PAGE_BITS);
	if (!frame || l4_vspace_map(server->vspace, frame, page, rights, false)) {
		server_died(server, "no memory left for its page at %lx", page);
		return false;
	}
	return true;
}

/* Since the last tick. Returns the sum; *first is the one that used most without waiting once, NULL: none. */
static u64 time_used(struct server **first)
{
	struct l4_sched_context_info info;
	unsigned int i;
	u64 sum = 0;

	*first = NULL;
	for (i = 0; i < L4_DEVICES; i++) {
		struct server *server = &servers[i];

		server->used_of_tick = 0;
		if (server->pause)
			continue;
		check(l4_sched_context_info(server->sched, &info), "time of a server");
		server->used_of_tick = info.used - server->used;
		sum += server->used_of_tick;
		if (info.waits == server->waits && (!*first || server->used_of_tick > (*first)->used_of_tick))
			*first = server;
		server->used = info.used;
		server->waits = info.waits;
	}
	return sum;
}

/*
 * A server works for the guest and its device, and waits for them thousands of times a second when it has much to do.
 * One that uses what the others want to have and never waits is at fault, whatever it answers. Returns whether the
 * servers used nearly all of the time, so that one of them may have had none.
 */
static bool find_hog(void)
{
	static unsigned int full;
	static u64 last;
	struct server *first;
	u64 now = l4_counter(), used = time_used(&first);
	bool is_full = used > (now - last) / 10 * FULL_TENTHS;

	last = now;
	full = is_full && first ? full + 1 : 0;
	if (full >= FULL_TICKS) {
		full = 0;
		server_died(first, "takes the time of all and never waits");
	}
	return is_full;
}

static void server_tick(struct server *server, bool counts)
{
	if (server->pause) {
		if (!--server->pause)
			server_start(server);
		return;
	}
	if (counts && server->unanswered > PINGS) {
		server_died(server, "does not answer");
		return;
	}
	if (counts || !server->unanswered)
		server->unanswered++;
	ping(server);
}

/*
 * Servers of one priority take turns, so while one hangs the others answer, and are its witnesses. When none does, it
 * is rather the machine that has had no time for any of them: an emulator on a busy host. That counts too, but later.
 * Who got no time, while others took all, cannot have answered.
 */
void servers_tick(void)
{
	static unsigned int silent;
	bool heard = false, full;
	unsigned int i;

	for (i = 0; i < L4_DEVICES; i++)
		heard |= servers[i].ready && !servers[i].unanswered;
	silent = heard ? 0 : silent + 1;
	full = find_hog();
	for (i = 0; i < L4_DEVICES; i++)
		server_tick(&servers[i], (heard || silent > SILENT) && !(full && !servers[i].used_of_tick));
}

void servers_stop_all_but(const struct server *server)
{
	unsigned int i;

	for (i = 0; i < L4_DEVICES; i++)
		if (&servers[i] != server && servers[i].thread && !servers[i].pause)
			l4_thread_suspend(servers[i].thread);
}

void server_bind_log(void) { check(l4_control_log_bind(L4_ROOT_SLOT_CONTROL, log_event), "bind of the log"); }
