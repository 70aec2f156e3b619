// SPDX-License-Identifier: GPL-2.0-only
/* What a panic shows: the current thread, its capabilities, all threads. Changes nothing. */
#include <abi_names.h>
#include <kernel/arch.h>
#include <kernel/cnode.h>
#include <kernel/debug.h>
#include <kernel/lock.h>

/* The root pager's: everything is derived from what is in it. Debuggers read it, too (inspect/kernel_objects.py). */
static struct cnode *root_cnode __used;

void dump_set_root(struct cnode *c) { root_cnode = c; }

static const char *state_name(const struct thread *t)
{
	static const char *const names[] = {
		[THREAD_STOPPED] = "stopped",     [THREAD_RUN] = "run",     [THREAD_SEND] = "send",
		[THREAD_RECV] = "recv",           [THREAD_REPLY] = "reply", [THREAD_WAIT] = "wait",
		[THREAD_VCPU_WAIT] = "vcpu-wait",
	};

	return names[t->state];
}

static void dump_thread(struct thread *t)
{
	printk("l4:   thread %p priority %d %s%s ip %p sp %p\n", t, t->priority, state_name(t),
	       t->in_guest_user ? " in guest user" : "", (void *)l4_frame_ip(thread_frame(t)),
	       (void *)l4_frame_sp(thread_frame(t)));
}

/* Capabilities of the current thread, a line for each run of one type. */
static void dump_caps(struct cnode *c)
{
	u64 first = 1;

	for (u64 i = 1; i <= c->slots_mask + 1; i++) {
		struct slot *a = (struct slot *)c + first;

		if (i <= c->slots_mask && ((struct slot *)c + i)->type == a->type)
			continue;
		if (a->type)
			printk("l4:   slots %lu-%lu: %s, first %lx rights %x badge %lx\n", first, i - 1,
			       l4_object_type_name(a->type), a->object, a->rights, a->word);
		first = i;
	}
}

/* Every thread is derived from one of the root pager's Untypeds, which are where the kernel put them. */
static void dump_threads(void)
{
	u64 last = 0;

	for (u64 i = 1; root_cnode && i <= root_cnode->slots_mask; i++) {
		struct slot *u = cnode_slot(root_cnode, i), *s = u->next;

		if (u->type == L4_TYPE_THREAD && !u->depth)
			dump_thread(SLOT_OBJECT(u, thread));
		for (; u->type == L4_TYPE_UNTYPED && !u->depth && s && s->depth; s = s->next) {
			if (s->type != L4_TYPE_THREAD || s->object == last)
				continue;
			last = s->object;
			dump_thread(SLOT_OBJECT(s, thread));
		}
	}
}

static void dump_cpu(const struct cpu *cpu)
{
	printk("l4: CPU %u%s%s:%s\n", cpu->number, cpu->locked ? ", holds the lock" : "",
	       cpu->stands ? "" : ", does not stop", cpu->current == &cpu->idle ? " idle" : "");
	if (cpu->current == &cpu->idle)
		return;
	dump_thread(cpu->current);
	arch_dump_frame(thread_frame(cpu->current));
}

void dump_all(void)
{
	struct cpu *cpu = this_cpu();

	for (u32 n = 0; cpu_count > 1 && n < cpu_count; n++)
		if (cpus[n] != cpu)
			dump_cpu(cpus[n]);
	if (cpu_count > 1)
		printk("l4: CPU %u%s panics\n", cpu->number, cpu->locked ? ", which holds the lock," : "");
	if (cpu && cpu->current && cpu->current != &cpu->idle) {
		printk("l4: current:\n");
		dump_thread(cpu->current);
		arch_dump_frame(thread_frame(cpu->current));
		if (cpu->current->cnode) {
			printk("l4: its capabilities:\n");
			dump_caps(cpu->current->cnode);
		}
	}
	printk("l4: threads:\n");
	dump_threads();
}
