// SPDX-License-Identifier: GPL-2.0-only
/* What the compiler calls for __builtin_clzl and __builtin_ctzl: the base ISA has no instruction for them. */
#include <kernel/types.h>

int __clzdi2(u64 v);
int __ctzdi2(u64 v);

__used int __clzdi2(u64 v)
{
	int n = 0;

	for (int half = 32; half; half /= 2)
		if (!(v >> (64 - half))) {
			v <<= half;
			n += half;
		}
	return n;
}

__used int __ctzdi2(u64 v)
{
	int n = 0;

	for (int half = 32; half; half /= 2)
		if (!(v << (64 - half))) {
			v >>= half;
			n += half;
		}
	return n;
}
