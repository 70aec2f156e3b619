/* SPDX-License-Identifier: GPL-2.0-only */
/* What only riscv64 can get wrong: status bits, CSRs, counters, addresses beyond Sv39 and Sv48. */
#include "guest.h"

TEST(riscv_counters_are_readable)
{
	u64 time = l4_counter(), cycle, retired;

	asm volatile("rdcycle %0" : "=r"(cycle));
	asm volatile("rdinstret %0" : "=r"(retired));
	CHECK(cycle);
	CHECK(retired);
	CHECK(l4_counter() >= time);
}
