// SPDX-License-Identifier: GPL-2.0-only
/* Messages: what may be in one, and its copy from the sender to the receiver. */
#include <kernel/arch.h>
#include <kernel/cap.h>
#include <kernel/ipc.h>
#include <kernel/lock.h>

/* Check everything in a message that can be wrong, before anything is moved. grant: may capabilities be in it? */
error_t ipc_check_message(struct thread *t, u64 tag, bool grant)
{
	if (unlikely(TAG_WORDS(tag) > L4_MSG_WORDS || TAG_CAPS(tag) > L4_MSG_CAPS))
		return L4_ERR_ARG;
	for (u64 k = 0; k < TAG_CAPS(tag); k++) {
		struct slot *s;
		error_t error = cap_lookup(t, READ_ONCE(t->utcb->caps[k]), &s);

		if (error)
			return error;
		if (s->type == L4_TYPE_UNTYPED)
			return L4_ERR_TYPE;
		if (!grant)
			return L4_ERR_RIGHTS;
	}
	return L4_ERR_OK;
}

/* Copy the capabilities. Returns how many arrived: the sender's slots may have changed since the check. */
static u64 transfer_caps(struct thread *from, struct thread *to, u64 n)
{
	u64 first = READ_ONCE(to->utcb->recv_slot), k;

	/* Others may look at these slots without the lock. */
	if (to->cnode)
		stop_users_of_slots(to->cnode);
	for (k = 0; k < n && first; k++) {
		struct slot *src, *dst = to->cnode ? cnode_slot(to->cnode, first + k) : NULL;

		if (!dst || dst->type || cap_lookup(from, READ_ONCE(from->utcb->caps[k]), &src) ||
		    src->type == L4_TYPE_UNTYPED)
			break;
		slot_copy(dst, src, L4_RIGHT_ALL, src->word, true);
	}
	return k;
}

void ipc_transfer(struct thread *from, struct thread *to, u64 badge, bool grant)
{
	struct l4_frame *d = thread_frame(to), *s = thread_frame(from);

	if (unlikely(from->fault_label)) {
		u64 words[L4_MSG_REG_WORDS] = { from->fault_words[0], from->fault_words[1], from->fault_words[2],
		                                from->fault_words[3] };

		l4_frame_set_words(d, words);
		l4_frame_set_tag(d, (u64)from->fault_label << L4_TAG_LABEL_SHIFT | 4);
	} else {
		u64 tag = l4_frame_tag(s), words = TAG_WORDS(tag);

		l4_frame_copy_words(d, s, words);
		if (unlikely(words > L4_MSG_REG_WORDS))
			memcpy(&to->utcb->mr[L4_MSG_REG_WORDS], &from->utcb->mr[L4_MSG_REG_WORDS],
			       (words - L4_MSG_REG_WORDS) * sizeof(u64));
		if (unlikely(TAG_CAPS(tag))) {
			u64 caps = grant ? transfer_caps(from, to, TAG_CAPS(tag)) : 0;

			tag = (tag & ~(0xffUL << L4_TAG_CAPS_SHIFT)) | caps << L4_TAG_CAPS_SHIFT;
		}
		l4_frame_set_tag(d, tag);
	}
	l4_frame_set_badge(d, badge);
	l4_frame_set_error(d, L4_ERR_OK);
}
