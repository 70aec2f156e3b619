// SPDX-License-Identifier: GPL-2.0-only
/*
 * Untyped: memory that becomes objects. Its capability holds how many bytes are used; objects are placed one after
 * another, each aligned to its size, and come back all together by revoke.
 */
#include <kernel/arch.h>
#include <kernel/cap.h>
#include <kernel/preempt.h>

/* Bytes, slots and objects between two polls for an interrupt. */
#define CLEAR_STEP 0x10000UL
#define CHECK_STEP 256
#define MAKE_STEP  16

/* Make [from, to) of the Untyped zero, a step at a time; false when interrupted. */
static bool clear_memory(struct slot *u, u64 from, u64 to)
{
	/* What lies between the used bytes and an aligned object is not cleared, and a smaller one may come there. */
	if (from < u->clean_from || from > u->clean)
		u->clean_from = u->clean = from;
	while (u->clean < to) {
		u64 step = min_u64(CLEAR_STEP, to - u->clean);

		memset(arch_ptr(u->object + u->clean), 0, step);
		u->clean += step;
		if (u->clean < to && must_stop())
			return false;
	}
	return true;
}

static void make_one(struct slot *u, struct slot *dst, u8 type, u8 bits, u64 offset)
{
	u64 pa = u->object + offset;

	dst->type = type;
	dst->rights = L4_RIGHT_ALL;
	dst->size_bits = bits;
	dst->kind = u->kind;
	if (u->kind == L4_MEM_LOG)
		dst->rights = L4_RIGHT_READ;
	if (type_has_object(type)) {
		struct object *o = arch_ptr(pa);

		o->type = type;
		o->size_bits = bits;
		o->refs = 1;
		object_init(o);
		dst->object = (u64)o;
	} else {
		dst->object = pa;
		if (type == L4_TYPE_FRAME)
			list_init(&dst->in_vspace);
	}
	slot_insert_child(u, dst);
}

/*
 * Are the slots [at, end) empty? A repeated call goes on where it stopped. What is noted names the CNode and its slots:
 * a vCPU may make another RETYPE of this Untyped in an upcall before it repeats the call.
 */
static error_t check_empty(struct invocation *i, struct cnode *c, u64 at, u64 end)
{
	struct thread *t = i->caller;

	if (t->restart == i->slot && t->restart_in == c && t->restart_from <= at && t->restart_at > at &&
	    t->restart_at <= end)
		at = t->restart_at;
	else
		t->restart_from = at;
	for (u64 k = 1; at < end; at++, k++) {
		if (cnode_slot(c, at)->type)
			return L4_ERR_OCCUPIED;
		if (k % CHECK_STEP == 0 && must_stop()) {
			i->again = true;
			at++;
			break;
		}
	}
	t->restart = i->slot;
	t->restart_in = c;
	t->restart_at = at;
	return L4_ERR_OK;
}

/*
 * When it stops early, what is made is made: the Untyped's mark is behind it, and the arguments name the rest. So
 * anybody may use the Untyped, the CNode and the new objects before the call is repeated.
 */
static error_t make_objects(struct invocation *i, struct cnode *c, u8 bits, u64 start)
{
	struct slot *u = i->slot;

	stop_users_of_slots(c);
	for (u64 k = 1; i->arg.untyped_retype.count; k++) {
		struct slot *dst = cnode_slot(c, i->arg.untyped_retype.index);

		/* Another thread filled the slot since check_empty(). */
		if (dst->type)
			return L4_ERR_OCCUPIED;
		make_one(u, dst, i->arg.untyped_retype.type, bits, start);
		start += BIT(bits);
		u->used = start;
		i->arg.untyped_retype.index++;
		i->arg.untyped_retype.count--;
		if (k % MAKE_STEP == 0 && i->arg.untyped_retype.count && must_stop()) {
			i->again = true;
			break;
		}
	}
	return L4_ERR_OK;
}

/* RETYPE: check everything, clear the memory in steps, then make the objects in steps. */
static error_t retype(struct invocation *i)
{
	struct slot *u = i->slot, *cap;
	u64 type = i->arg.untyped_retype.type, bits = i->arg.untyped_retype.size_bits,
	    index = i->arg.untyped_retype.index, n = i->arg.untyped_retype.count;

	if (type >= OBJECT_TYPE_COUNT)
		return L4_ERR_ARG;
	i->arg.untyped_retype.type = type = index_nospec(type, OBJECT_TYPE_COUNT);

	const struct type_sizes *m = &type_sizes[type];

	if (!m->max_bits || !n)
		return L4_ERR_ARG;
	if (m->min_bits == m->max_bits) {
		if (bits)
			return L4_ERR_ARG;
		bits = m->min_bits;
	} else if (bits < m->min_bits || bits > m->max_bits) {
		return L4_ERR_RANGE;
	}
	if (u->kind != L4_MEM_RAM && type != L4_TYPE_FRAME && type != L4_TYPE_UNTYPED)
		return L4_ERR_ARG;

	error_t error =
		cap_lookup_type(i->caller, i->arg.untyped_retype.cnode_cap, L4_TYPE_CNODE, L4_RIGHT_WRITE, &cap);

	if (error)
		return error;

	struct cnode *c = SLOT_OBJECT(cap, cnode);

	if (!cnode_slot(c, index) || n > c->slots_mask || !cnode_slot(c, index + n - 1))
		return L4_ERR_RANGE;
	error = check_empty(i, c, index, index + n);
	if (error || i->again)
		return error;

	u64 start = align_up(u->used, BIT(bits));

	if (start > BIT(u->size_bits) || n > (BIT(u->size_bits) - start) >> bits)
		return L4_ERR_MEMORY;

	u64 end = start + (n << bits);

	if (u->kind == L4_MEM_RAM && type != L4_TYPE_UNTYPED && !clear_memory(u, start, end)) {
		i->again = true;
		return L4_ERR_OK;
	}
	return make_objects(i, c, bits, start);
}

error_t untyped_invoke(struct invocation *i)
{
	struct slot *u = i->slot;
	error_t error;

	switch (i->op) {
	case L4_UNTYPED_RETYPE:
		error = u->rights & L4_RIGHT_WRITE ? retype(i) : L4_ERR_RIGHTS;
		/* What was found holds for the call that is repeated, not for another one with this Untyped. */
		if (!i->again)
			i->caller->restart = NULL;
		return error;
	case L4_UNTYPED_INFO:
		if (!(u->rights & L4_RIGHT_READ))
			return L4_ERR_RIGHTS;
		i->result.untyped_info.paddr = u->object;
		i->result.untyped_info.size_bits = u->size_bits;
		i->result.untyped_info.free_bytes = BIT(u->size_bits) - u->used;
		i->result.untyped_info.kind = u->kind;
		return L4_ERR_OK;
	default:
		return L4_ERR_OP;
	}
}
