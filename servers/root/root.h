/* SPDX-License-Identifier: GPL-2.0-only */
/* What the parts of the root pager share. */
#ifndef ROOT_H
#define ROOT_H

#include <l4/invoke.h>
#include <base/lib.h>

#define RW  (L4_RIGHT_READ | L4_RIGHT_WRITE)
#define RWX (RW | L4_RIGHT_EXEC)

/* Its address space, beside what the ABI says. Each window starts a table of its own. */
#define SCRATCH_VADDR 0x0ffff000UL /* one page at a time */
#define LOG_VADDR     0x11000000UL
#define IMAGE_VADDR   0x1000000000UL /* plus physical address */
#define GUEST_VADDR   0x2000000000UL /* plus guest-physical address, while Linux is loaded */
#define DEVICE_VADDR  0x3000000000UL

#define SERVER_PRIORITY 200
#define GUEST_PRIORITY  100
#define PERIOD_US       10000

/* Badges of the Endpoint: who calls, and whose fault it is. */
#define BADGE_GUEST L4_DEVICES
#define BADGE_CALL  0x100UL
#define BADGE_FAULT 0x200UL
/* Badge of our own Notification. */
#define BADGE_TICK 0x10000UL

extern const struct l4_boot_info *boot_info;

/* main.c */
extern unsigned long root_endpoint, tick_notification;

/* A line of ours in the log, "root: " before it, never behind somebody else's unfinished one. */
void say(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The guest cannot go on without this: say so and switch off. */
void fail(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));

/* What the CPU's counter says, in nanoseconds. */
u64 counter_nanoseconds(u64 counter);

/* As fail() if a system call went wrong. */
void check(unsigned long error, const char *what);

/* memory.c: slots and objects */
unsigned long slot_alloc(unsigned long count);
void memory_init(void);
void memory_report(void);
unsigned long object_alloc(unsigned long type, unsigned long size_bits, unsigned long count);
void object_alloc_at(unsigned long slot, unsigned long type, unsigned long size_bits, unsigned long count);
unsigned long cap_copy(unsigned long cap);
unsigned long cap_mint(unsigned long cap, unsigned long rights, unsigned long badge);

/* A Frame of device memory: the capability that all others of it are copied from. */
unsigned long device_frame(u64 paddr, unsigned long size_bits);

/* Device memory or firmware tables, in our address space. */
void *device_map(u64 paddr, u64 bytes, bool uncached);

/* Fill a Frame of one page that is (or will be) mapped elsewhere. */
void page_fill(unsigned long frame, u64 offset, const void *from, u64 bytes);

/* Guest RAM: physically contiguous, in at most GUEST_REGIONS Frames. */
struct region {
	unsigned long frame;
	u64 gpa;
	unsigned long size_bits;
};

struct guest_memory {
	u64 paddr, bytes;
	unsigned int count;
	struct region region[L4_GUEST_REGIONS];
};

extern struct guest_memory guest_memory;
void guest_memory_alloc(u64 bytes);

/* image.c */
void image_init(void);
u64 image_guest_ram(void);
const struct l4_image_segment *image_segment(unsigned int index); /* NULL: no more */
bool image_is(const struct l4_image_segment *segment, const char *program);
const void *image_data(const struct l4_image_segment *segment);
u64 image_entry(const char *program);

/* server.c: device registers that a driver may touch, in the order in which it sees them */
#define REGS_PAGES 16

struct regs {
	u64 page[REGS_PAGES]; /* physical addresses */
	unsigned int pages;
};

/* Add a range; returns its offset for the driver. */
u64 regs_add(struct regs *regs, u64 paddr, u64 bytes);

/* pci.c */
struct pci_device {
	volatile u8 *config; /* NULL: this is none */
	volatile u8 *common; /* registers by which we can stop it */
	unsigned int msix;   /* place of its MSI-X capability; 0: it has a line */
	unsigned int bus, number;
	u64 common_offset, notify_offset, notify_multiplier, isr_offset, device_offset;
};

struct server;

/* Find a virtio device, make its registers and interrupt usable. */
void pci_claim_virtio(struct server *server, u16 device_id, const char *name);

/* From the start to the end of a driver's life its device may reach memory and interrupt. */
void pci_start(struct server *server);
void pci_stop(struct server *server);

/* server.c */
struct server {
	const char *name;
	unsigned int number;  /* DEVICE_... */
	unsigned long memory; /* Untyped of all that goes when it dies */
	unsigned long first_slot, next_slot;
	unsigned long thread, vspace, cnode, sched;
	/* These outlive it. */
	unsigned long event, irq, dma, irq_event, call, fault, guest_event, ping;
	unsigned long regs_cap; /* of registers that are not mapped; 0: none */
	u64 ioport_base, uart;
	bool irq_line; /* its interrupt is a line that the driver takes back, not a message or an edge */
	struct regs regs;
	struct pci_device pci;
	struct l4_frame last; /* registers with which it died, for its successor */
	u64 restarts, deaths, started_at;
	u64 log_position; /* where in the kernel's log a console goes on that finds nothing of a predecessor */
	u64 used, waits;  /* of its SchedContext, at the last tick */
	u64 used_of_tick;
	unsigned int pings;      /* that it has still to answer */
	unsigned int unanswered; /* ticks */
	unsigned int pause;      /* ticks until it is started again; 0: it runs */
	bool ready, ever_ready;
	bool given_up; /* the guest does not wait for it; it is started again all the same */
};

extern struct server servers[L4_DEVICES];
extern unsigned long guest_notification;

void servers_init(void);
void server_start(struct server *server);
void server_died(struct server *server, const char *format, ...) __attribute__((format(printf, 2, 3)));
bool server_fault(struct server *server, const struct l4_msg *msg);
void servers_tick(void);
void servers_stop_all_but(const struct server *server);
unsigned long server_log_position(void);
bool server_log_line_open(void);
void server_bind_log(void); /* from now on the console writes the log */

/* guest.c */
void guest_create(void);
void guest_start(void);

#endif
