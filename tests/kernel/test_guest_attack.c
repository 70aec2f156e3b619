/* SPDX-License-Identifier: GPL-2.0-only */
/* Attacks on the property that a guest kernel never maps or reaches memory that it was not given. */
#include "guest.h"

#define S0     guest.space[0]
#define SECRET 0x5ec2e75ec2e75ec2

/* Leaves of every kind, to memory that is not or only partly the guest's. */
GUEST_TEST(attack_leaf_outside_guest_memory)
{
	static const u64 bad[] = { GUEST_RAM,
	                           GUEST_RAM + 0x1000,
	                           0x40000000,
	                           0xfee00000,
	                           0x100000000,
	                           1UL << 47,
	                           (u64)L4_PTE_ADDR_MASK,
	                           (u64)L4_PTE_ADDR_MASK - 0xfff };
	u64 value = 0;

	for (u64 i = 0; i < sizeof(bad) / 8; i++) {
		u64 vaddr = DATA_VADDR + i * 0x200000;

		table_map(user_root, vaddr, bad[i], LEAF_RW);
		CHECK(!user_load(S0, vaddr, &value));
		CHECK(!user_store(S0, vaddr, 1));
		EQ(*table_entry(user_root, vaddr, 0), bad[i] | LEAF_RW);
		*table_entry(user_root, vaddr, 1) = (bad[i] & ~0x1fffffUL) | LEAF_RW;
		CHECK(!user_load(S0, vaddr, &value) || bad[i] < GUEST_RAM);
	}
	/* the last page is the guest's; a large leaf is one only if it is aligned, or its low bits are
	 * ignored */
	table_map(user_root, DATA_VADDR + 0x40000000, GUEST_RAM - L4_PAGE_SIZE, LEAF_RW);
	CHECK(user_load(S0, DATA_VADDR + 0x40000000, &value));
	*table_entry(user_root, DATA_VADDR + 0x50000000, 1) = (GUEST_RAM - L4_PAGE_SIZE) | LEAF_RW;
	CHECK(!user_load(S0, DATA_VADDR + 0x50000000 + 0x1000, &value) || value == 0);
	EQ(user_store(S0, DATA_VADDR + 0x50000000 + 0x1ff000, SECRET) &&
	           *(u64 *)gp(GUEST_RAM - L4_PAGE_SIZE) != SECRET && *(u64 *)gp(LARGE_GPA + 0x1ff000) != SECRET,
	   0);
}

GUEST_TEST(attack_table_outside_guest_memory)
{
	static const u64 bad[] = { GUEST_RAM, 0x40000000, 1UL << 47, (u64)L4_PTE_ADDR_MASK };
	u64 value;

	for (int level = 1; level <= 3; level++) {
		for (u64 i = 0; i < 4; i++) {
			u64 vaddr = (1UL << 40) * (level + 1) + (1UL << 39) * i;

			*table_entry(user_root, vaddr, level) = bad[i] | L4_PTE_VALID;
			CHECK(!user_load(S0, vaddr, &value));
			CHECK(!user_store(S0, vaddr + 8, 1));
		}
	}
	for (u64 i = 0; i < 4; i++) {
		ERR(INV(S0, L4_GUESTSPACE_SET_ROOT, bad[i]), RANGE);
		flush(S0, L4_FLUSH_ROOT, bad[i], 0);
		user_call(PROGRAM(load), CODE_VADDR, 0);
		CHECK(enter(S0) != L4_EXIT_SYSCALL);
	}
	flush(S0, L4_FLUSH_ROOT, user_root + 8, 0);
	user_call(PROGRAM(load), CODE_VADDR, 0);
	enter(S0);
	flush(S0, L4_FLUSH_ROOT, user_root, 0);
	user_call(PROGRAM(load), CODE_VADDR, 0);
	EQ(enter(S0), L4_EXIT_SYSCALL);
}

GUEST_TEST(attack_table_that_contains_itself)
{
	u64 root = table_new(), value;

	for (u64 i = 0; i < 255; i++)
		*((u64 *)gp(root) + i) = root | L4_PTE_VALID;
	*((u64 *)gp(root) + (CODE_VADDR >> L4_PAGE_BITS)) = CODE_GPA | LEAF_RX;
	*((u64 *)gp(root) + 200) = root | LEAF_RW; /* as a last level: the table maps itself */
	ERR(INV(S0, L4_GUESTSPACE_SET_ROOT, root), OK);
	CHECK(!user_load(S0, 1UL << 30 | 1UL << 21 | 1UL << 12, &value));
	CHECK(user_load(S0, 1UL << 30 | 1UL << 21 | 200UL << 12, &value));
	/* user mode writes the table that L4 walks: it adds a page of the guest's, and one outside */
	CHECK(user_store(S0, (1UL << 30 | 1UL << 21 | 200UL << 12) + 8 * 3, GUEST_RAM | LEAF_RW));
	CHECK(!user_load(S0, 1UL << 30 | 1UL << 21 | 3UL << 12, &value));
}

/* A second implementation of the walk: the guest-physical address of a user read, or all ones. */
static u64 walk(u64 root, u64 vaddr)
{
	u64 table = root;

	for (int level = 3; level >= 0; level--) {
		u64 entry, gpa, size = 1UL << (12 + 9 * level);

		if (table >= GUEST_RAM)
			return ALL_ONES;
		entry = *((u64 *)gp(table) + (vaddr >> (12 + 9 * level) & 511));
		gpa = entry & L4_PTE_ADDR_MASK;
		if (!(entry & L4_PTE_VALID))
			return ALL_ONES;
		if (entry & L4_PTE_LEAF) {
			u64 need = L4_PTE_USER | L4_PTE_READ;

			if (level > 1 || (entry & need) != need)
				return ALL_ONES;
			gpa = (gpa & ~(size - 1)) | (vaddr & (size - 1));
			return gpa < GUEST_RAM ? gpa : ALL_ONES;
		}
		if (!level)
			return ALL_ONES;
		table = gpa;
	}
	return ALL_ONES;
}

#define RANDOM_TABLES  12
#define RANDOM_ENTRIES 8 /* entries used in each table, so that random addresses often hit a valid one */

/* L4 and the second implementation agree on every access, with random tables. */
GUEST_TEST(attack_random_tables)
{
	u64 seed = 20240601, table[RANDOM_TABLES], reached = 0, value, root = table_new();
	/* a machine of 38 bits reaches only what is below the root's first entry */
	int levels = vcpu->user_top >> 39 ? 4 : 3;

	table[0] = levels == 4 ? root : *(u64 *)gp(root) & L4_PTE_ADDR_MASK;
	for (int i = 1; i < RANDOM_TABLES; i++)
		table[i] = page_new();
	for (u64 gpa = LARGE_GPA; gpa < GUEST_RAM; gpa += L4_PAGE_SIZE)
		*(u64 *)gp(gpa) = ~gpa;
	for (int round = 0; round < 40; round++) {
		for (int i = 0; i < RANDOM_TABLES; i++) {
			for (int n = 1; n <= RANDOM_ENTRIES; n++) {
				u64 r = random64(&seed), kind = r >> 60, gpa;

				if (kind < 6)
					gpa = table[r >> 20 & 7];
				else if (kind < 13)
					gpa = LARGE_GPA + (r >> 12 & 0x1ff000);
				else
					gpa = r & L4_PTE_ADDR_MASK;
				r = random64(&seed);
				*((u64 *)gp(table[i]) + n) = gpa | (r & 0xff) | (r >> 40 & 7 ? L4_PTE_VALID : 0) |
				                             (kind < 6      ? 0
				                              : r >> 44 & 3 ? LEAF_RW
				                                            : 0);
				if (kind < 6)
					*((u64 *)gp(table[i]) + n) &= ~(u64)L4_PTE_LEAF;
			}
		}
		flush(S0, L4_FLUSH_ROOT, root, 0);
		for (int n = 0; n < 40; n++) {
			u64 r = random64(&seed), vaddr = 0, gpa;

			for (int level = 0; level < levels; level++)
				vaddr |= (1 + (r >> (3 * level)) % RANDOM_ENTRIES) << (12 + 9 * level);
			gpa = walk(root, vaddr);
			value = 0;
			if (!EQ(user_load(S0, vaddr, &value), gpa != ALL_ONES))
				return;
			if (gpa != ALL_ONES && gpa >= LARGE_GPA)
				EQ(value, ~gpa);
			reached += gpa != ALL_ONES;
		}
	}
	CHECK(reached > 10);
}

/* Random values in every field of the vCPU page that L4 reads. */
GUEST_TEST(attack_random_vcpu_page)
{
	u64 seed = 77, value;
	struct l4_vcpu_page good = *(struct l4_vcpu_page *)vcpu;

	for (int round = 0; round < 2000; round++) {
		for (u64 n = 0; n < 8; n++) {
			u64 r = random64(&seed);

			vcpu->flush[n].space = r & 1 ? S0 : r >> 20;
			vcpu->flush[n].op = r >> 8 & 3;
			vcpu->flush[n].start = random64(&seed) >> (r >> 32 & 63);
			vcpu->flush[n].end = random64(&seed) >> (r >> 40 & 63);
		}
		vcpu->flush_count = round & 7 ? random64(&seed) & 7 : random64(&seed);
		vcpu->hint_addr = random64(&seed) >> (random64(&seed) & 63);
		vcpu->hint_count = random64(&seed) & 1 ? 1 : random64(&seed);
		vcpu->hint_access = random64(&seed) & 1 ? random64(&seed) : 0;
		vcpu->hint_space = random64(&seed) & 1 ? S0 : random64(&seed);
		vcpu->frame_gpa = round & 1 ? good.frame_gpa : random64(&seed) >> (random64(&seed) & 63);
		vcpu->exit_reason = random64(&seed);
		user_call(PROGRAM(load), CODE_VADDR, 0);
		value = enter(S0);
		if (!CHECK(value <= L4_EXIT_ERROR))
			return;
		if (vcpu->flush_count)
			vcpu->flush_count = 0;
	}
	vcpu->frame_gpa = good.frame_gpa;
	flush(S0, L4_FLUSH_ROOT, user_root, 0);
	CHECK(user_load(S0, CODE_VADDR, &value));
}

GUEST_TEST(attack_random_user_frames)
{
	u64 seed = 99, value;

	for (int round = 0; round < 2000; round++) {
		for (u64 n = 0; n < sizeof(struct l4_frame) / 8; n++)
			((u64 *)guest_frame)[n] = random64(&seed) >> (random64(&seed) & 63);
		if (round & 1)
			*frame_ip(guest_frame) = CODE_VADDR + PROGRAM(load);
		if (!CHECK(enter(S0) <= L4_EXIT_EXCEPTION))
			return;
	}
	CHECK(user_load(S0, CODE_VADDR, &value));
}

/* The user of a guest sees neither the guest kernel's memory nor L4's. */
GUEST_TEST(attack_user_reaches_no_kernel_address)
{
	static const u64 bad[] = { L4_GUEST_VCPU_VADDR,
	                           L4_GUEST_RAM_VADDR + GUEST_RAM,
	                           SHARED_VADDR,
	                           0x400000,
	                           L4_USER_TOP,
	                           0xffff800000000000,
	                           0xffffffff80000000,
	                           0xffffffffffffff00,
	                           1UL << 47 };
	u64 value;

	for (u64 i = 0; i < sizeof(bad) / 8; i++) {
		user_call(PROGRAM(load), bad[i], 0);
		value = enter(S0);
		CHECK(value == L4_EXIT_FAULT || value == L4_EXIT_EXCEPTION);
	}
	/* and the guest kernel does not see L4's memory */
	for (u64 i = 4; i < 8; i++) {
		EQ(arch_try_load(bad[i], &value), 1);
		EQ(arch_try_store(bad[i], 1), 1);
	}
}

/* memory that is taken back */

static void spins(struct helper *self)
{
	u64 reason;

	table_map(user_root, DATA_VADDR, LARGE_GPA, LEAF_RW);
	user_call(PROGRAM(count), DATA_VADDR, 0);
	shared[1] = 1;
	reason = enter(S0);
	/* All guest RAM is gone: L4 cannot save the registers and says so in some way, but not by a syscall
	 * exit. */
	CHECK(reason != L4_EXIT_SYSCALL);
	shared[2] = 1;
}

static void take_back(struct helper *self)
{
	while (!shared[1])
		SYS(L4_SYS_YIELD, 0, 0);
	for (int i = 0; i < 3; i++)
		SYS(L4_SYS_YIELD, 0, 0);
}

/* Detaches guest memory while user mode runs on it: after that the guest must not write it. */
GUEST_SCENE(attack_detached_while_user_mode_runs)
{
	volatile u64 *view = (volatile u64 *)TEST_VADDR;
	struct helper *h;
	u64 copy, seen;

	guest_make(spins);
	copy = cap_copy(guest.ram, L4_RIGHT_ALL);
	MUST(INV(L4_ROOT_SLOT_VSPACE, L4_VSPACE_MAP, copy, TEST_VADDR, L4_RIGHT_READ | L4_RIGHT_WRITE));
	view += LARGE_GPA / 8;
	*view = 0;
	helper_start(guest.helper);
	h = helper_make(take_back, 0, 100);
	helper_start(h);
	helper_join(h);
	CHECK(*view > 0);
	ERR(INV(guest.attached, L4_FRAME_UNMAP), OK);
	seen = *view;
	h = helper_make(take_back, 0, 50);
	helper_start(h); /* has a lower priority: runs when the guest has ended, faulted or waits */
	helper_join(guest.helper);
	EQ(shared[2], 1);
	EQ(*view, seen);
}

/* The same by revoking the Untyped of the memory, which is then reused. */
GUEST_SCENE(attack_revoked_while_user_mode_runs)
{
	struct helper *h;
	u64 memory = slot_new(), fresh;

	guest_make(spins);
	/* the guest's RAM from an Untyped of its own */
	MUST(INV(guest.attached, L4_FRAME_UNMAP));
	MUST(INV(guest.mapped, L4_FRAME_UNMAP));
	MUST(retype(test_untyped, L4_TYPE_UNTYPED, GUEST_RAM_BITS, memory, 1));
	guest.ram = slot_new();
	MUST(retype(memory, L4_TYPE_FRAME, GUEST_RAM_BITS, guest.ram, 1));
	guest.attached = cap_copy(guest.ram, L4_RIGHT_ALL);
	guest.mapped = cap_copy(guest.ram, L4_RIGHT_ALL);
	MUST(INV(guest.helper->vspace, L4_VSPACE_MAP, guest.mapped, guest_ram, L4_RIGHT_ALL));
	MUST(INV(guest.helper->vspace, L4_VSPACE_ATTACH, guest.attached, 0));
	helper_start(guest.helper);
	h = helper_make(take_back, 0, 100);
	helper_start(h);
	helper_join(h);
	ERR(slot_revoke(memory), OK);
	fresh = slot_new();
	MUST(retype(memory, L4_TYPE_FRAME, GUEST_RAM_BITS, fresh, 1));
	MUST(INV(L4_ROOT_SLOT_VSPACE, L4_VSPACE_MAP, fresh, TEST_VADDR, L4_RIGHT_READ | L4_RIGHT_WRITE));
	h = helper_make(take_back, 0, 50);
	helper_start(h);
	helper_join(guest.helper);
	for (u64 i = 0; i < GUEST_RAM / 8; i++)
		if (!EQ(*(volatile u64 *)(TEST_VADDR + i * 8), 0))
			break;
}

static void detaches_data(struct helper *self)
{
	u64 value, data = GUEST_RAM; /* second region, beside the first */

	table_map(user_root, DATA_VADDR, data, LEAF_RW);
	vcpu->kernel_root = page_new();
	table_map(vcpu->kernel_root, guest_own, data, LEAF_KERNEL);
	CHECK(user_store(S0, DATA_VADDR, 7));
	CHECK(user_load(S0, DATA_VADDR, &value));
	EQ(value, 7);
	EQ(arch_try_load(guest_own, &value), 0);
	EQ(value, 7);
	/* a register frame that crosses the border of two regions is refused */
	vcpu->frame_gpa = GUEST_RAM - 16 * ((sizeof(struct l4_frame) / 32)) - 8;
	user_call(PROGRAM(load), CODE_VADDR, 0);
	EQ(enter(S0), L4_EXIT_ERROR);
	vcpu->frame_gpa = FRAME_END_GPA - sizeof(struct l4_frame);
	ERR(INV(shared[1], L4_FRAME_UNMAP), OK);
	CHECK(!user_load(S0, DATA_VADDR, &value));
	EQ(arch_try_load(guest_own, &value), 1);
	CHECK(user_load(S0, CODE_VADDR, &value));
}

GUEST_SCENE(attack_detached_region_is_gone_from_all_tables)
{
	u64 page = obj_new(L4_TYPE_FRAME, L4_PAGE_BITS);

	guest_make(detaches_data);
	MUST(INV(guest.helper->vspace, L4_VSPACE_ATTACH, page, GUEST_RAM));
	shared[1] = page;
	guest_run();
}

static void deletes_its_space(struct helper *self)
{
	user_call(PROGRAM(load), CODE_VADDR, 0);
	flush(S0, L4_FLUSH_RANGE, 0, ALL_ONES);
	ERR(INV(L4_ROOT_SLOT_CNODE, L4_CNODE_DELETE, S0), OK);
	EQ(enter(S0), L4_EXIT_ERROR);
	EQ(enter(guest.space[1]), L4_EXIT_SYSCALL);
	vcpu->hint_space = S0;
	vcpu->hint_addr = CODE_VADDR;
	vcpu->hint_count = 4;
	user_call(PROGRAM(load), CODE_VADDR, 0);
	EQ(enter(guest.space[1]), L4_EXIT_SYSCALL);
}

GUEST_SCENE(attack_deleted_space_cannot_be_entered)
{
	guest_make(deletes_its_space);
	guest_run();
}

/* Deletes the GuestSpace, the vCPU or the VSpace while user mode runs in it. */
static void delete_below(int what)
{
	struct helper *h;

	guest_make(spins);
	helper_start(guest.helper);
	h = helper_make(take_back, 0, 100);
	helper_start(h);
	helper_join(h);
	if (what == 0)
		ERR(slot_delete(S0), OK);
	if (what == 1)
		ERR(slot_delete(guest.vcpu), OK);
	if (what == 2)
		ERR(slot_delete(guest.helper->vspace), OK);
	if (what == 3)
		ERR(slot_delete(guest.helper->sched), OK);
	for (int i = 0; i < 2; i++) {
		h = helper_make(take_back, 0, 100);
		helper_start(h);
		/* other threads run on; the guest may fault, get EXIT_ERROR, or be stopped */
		helper_join_quietly(h);
	}
}

GUEST_SCENE(attack_space_deleted_below_user_mode) { delete_below(0); }

GUEST_SCENE(attack_vcpu_deleted_below_user_mode) { delete_below(1); }

GUEST_SCENE(attack_vspace_deleted_below_user_mode) { delete_below(2); }

GUEST_SCENE(attack_sched_context_deleted_below_user_mode) { delete_below(3); }

#define BAD_IP 0x8080000000000000 /* no address at all on any CPU */

/* Another thread, as a device could, writes the register frame while user mode is preempted. */
static void changes_frame(struct helper *self)
{
	struct l4_frame *frame = (struct l4_frame *)(TEST_VADDR + FRAME_END_GPA - sizeof(struct l4_frame));

	while (!shared[1])
		SYS(L4_SYS_YIELD, 0, 0);
	for (int i = 0; i < 4; i++)
		SYS(L4_SYS_YIELD, 0, 0);
	for (u64 i = 0; i < sizeof(*frame) / 8; i++)
		((u64 *)frame)[i] = self->arg[0] ? i : BAD_IP;
	*frame_ip(frame) = BAD_IP;
	shared[3] = 1;
}

static void finds_frame_changed(struct helper *self)
{
	u64 reason;

	table_map(user_root, DATA_VADDR, LARGE_GPA, LEAF_RW);
	user_call(PROGRAM(count), DATA_VADDR, 0);
	shared[1] = 1;
	reason = enter(S0);
	CHECK(reason == L4_EXIT_EXCEPTION || reason == L4_EXIT_FAULT);
	EQ(*frame_ip(guest_frame), BAD_IP);
	shared[2] = 1;
}

/* All registers equal, and all different: L4 may return to user mode by different instructions. */
static void change_frame(u64 different)
{
	struct helper *h;

	guest_make(finds_frame_changed);
	MUST(INV(L4_ROOT_SLOT_VSPACE, L4_VSPACE_MAP, guest.ram, TEST_VADDR, L4_RIGHT_READ | L4_RIGHT_WRITE));
	h = helper_make(changes_frame, different, 100);
	helper_start(guest.helper);
	helper_start(h);
	helper_join(h);
	EQ(shared[3], 1);
	helper_join(guest.helper);
	EQ(shared[2], 1);
}

TEST(attack_frame_changed_while_user_mode_is_preempted) { change_frame(0); }

TEST(attack_frame_changed_to_different_values) { change_frame(1); }

/* A flush of a space that is not this guest's changes nothing there. */
GUEST_TEST(attack_flush_queue_names_others)
{
	u64 value;

	flush(guest.foreign, L4_FLUSH_ROOT, user_root, 0);
	flush(guest.unconfigured, L4_FLUSH_ROOT, user_root, 0);
	flush(guest.unconfigured, L4_FLUSH_RANGE, 0, ALL_ONES);
	flush(guest.foreign, L4_FLUSH_PROTECT, 0, ALL_ONES);
	flush(L4_ROOT_SLOT_CNODE, L4_FLUSH_ROOT, user_root, 0);
	flush(0, L4_FLUSH_RANGE, 0, ALL_ONES);
	flush(0xffffffff, L4_FLUSH_ROOT, user_root, 0);
	CHECK(user_load(S0, CODE_VADDR, &value));
	EQ(vcpu->flush_count, 0);
}

/* Two guests with the same layout run in turns: each sees its own memory at the same addresses. */
static void one_of_two(struct helper *self)
{
	u64 mine = (self->index + 1) * 0x1000000, page = page_new(), value;

	table_map(user_root, DATA_VADDR, page, LEAF_RW);
	for (u64 i = 0; i < 200; i++) {
		if (!CHECK(user_store(guest.space[i % GUEST_TEST_SPACES], DATA_VADDR, mine + i)))
			return;
		SYS(L4_SYS_YIELD, 0, 0);
		EQ(*(u64 *)gp(page), mine + i);
		CHECK(user_load(guest.space[(i + 1) % GUEST_TEST_SPACES], DATA_VADDR, &value));
		EQ(value, mine + i);
		if (i % 50 == 0) {
			user_call(PROGRAM(spin), 0, 0);
			SYS(L4_SYS_VCPU_TIMER, 0, l4_counter() + vcpu->counter_hz / 5000);
			EQ(enter(guest.space[0]), L4_EXIT_EVENT);
			vcpu->pending = 0;
			vcpu->events.word[0] = 0;
		}
	}
	shared[1]++;
}

TEST(attack_two_guests)
{
	struct helper *first;

	guest_make(one_of_two);
	first = guest.helper;
	guest_make(one_of_two);
	helper_start(first);
	helper_start(guest.helper);
	helper_join(first);
	helper_join(guest.helper);
	EQ(shared[1], 2);
}

/* What a guest writes to the log is marked as a guest's, so it cannot forge a line of the kernel or of the tests. */
GUEST_TEST(attack_lines_of_others)
{
	static const char pieces[][24] = { "x\nBail out! forged\n", "Bail out! ", "\001Lforged\r\n" };
	static const char long_piece[] = "4-7 Bail out! is where a line is cut at 5 * 48+4";
	u64 words[6], size;

	for (u64 i = 0; i < 10; i++) {
		const char *text = i < 3 ? pieces[i] : long_piece;

		size = strlen(text);
		memset(words, 0, sizeof(words));
		memcpy(words, text, size);
		ERR(SYS(L4_SYS_DEBUG_WRITE, L4_SLOT_LOG, size, words[0], words[1], words[2], words[3], words[4],
		        words[5]),
		    OK);
	}
	ERR(SYS(L4_SYS_DEBUG_WRITE, L4_SLOT_LOG, 1, '\n'), OK);
}

static void writes_controls(struct helper *self)
{
	static const char text[] = "\033\177\302\233\233~\t\n";
	u64 word;

	memcpy(&word, text, sizeof(word));
	ERR(SYS(L4_SYS_DEBUG_WRITE, L4_SLOT_LOG, sizeof(word), word), OK);
}

/* Nor a terminal that shows the log: no control character of it gets there, of ASCII or from 0x80 on. */
TEST(attack_terminals)
{
	static const char want[] = "guest: ?????~\t\n";
	u64 frame = slot_new(), untyped = 0, at;

	while (boot_info->untyped[untyped].kind != L4_MEM_LOG)
		untyped++;
	MUST(retype(L4_ROOT_SLOT_UNTYPED + untyped, L4_TYPE_FRAME, boot_info->untyped[untyped].size_bits, frame, 1));
	EQ(frame_map(frame, TEST_VADDR, L4_RIGHT_READ), L4_ERR_OK);
	guest_make(writes_controls);
	guest_run();
	at = ((volatile struct l4_log_header *)TEST_VADDR)->head - strlen(want);
	for (u64 i = 0; i < strlen(want); i++, at++)
		EQ(((const volatile char *)TEST_VADDR)[L4_LOG_TEXT_OFFSET + at % L4_LOG_TEXT_SIZE], want[i]);
	ERR(slot_revoke(L4_ROOT_SLOT_UNTYPED + untyped), OK);
}
