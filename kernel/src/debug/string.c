// SPDX-License-Identifier: GPL-2.0-only
/* The memory functions that the compiler may call. */
#include <kernel/types.h>

__used __attribute__((optimize("no-tree-loop-distribute-patterns"))) void *memset(void *d, int c, size_t n)
{
	char *p = d;
	u64 fill = (u8)c * 0x0101010101010101UL;

	for (; n && (u64)p % 8; n--)
		*p++ = c;
	/* Clearing a guest's memory is most of the boot: one loop iteration for a cache line. */
	for (; n >= 64; n -= 64, p += 64) {
		u64 *q = (u64 *)p;

		q[0] = fill;
		q[1] = fill;
		q[2] = fill;
		q[3] = fill;
		q[4] = fill;
		q[5] = fill;
		q[6] = fill;
		q[7] = fill;
	}
	for (; n >= 8; n -= 8, p += 8)
		*(u64 *)p = fill;
	while (n--)
		*p++ = c;
	return d;
}

__used __attribute__((optimize("no-tree-loop-distribute-patterns"))) void *memcpy(void *d, const void *s, size_t n)
{
	char *p = d;
	const char *q = s;

	/* Register frames are copied on hot paths; text of the log may lie anywhere. */
	if (unlikely(((u64)p | (u64)q) % sizeof(u64)))
		goto bytes;
	for (; n >= 32; n -= 32, p += 32, q += 32) {
		const u64 *from = (const u64 *)q;
		u64 *to = (u64 *)p, a = from[0], b = from[1], c = from[2], e = from[3];

		to[0] = a;
		to[1] = b;
		to[2] = c;
		to[3] = e;
	}
	for (; n >= 8; n -= 8, p += 8, q += 8)
		*(u64 *)p = *(const u64 *)q;
bytes:
	while (n--)
		*p++ = *q++;
	return d;
}

__used int memcmp(const void *a, const void *b, size_t n)
{
	const u8 *p = a, *q = b;

	for (; n; n--, p++, q++)
		if (*p != *q)
			return *p - *q;
	return 0;
}
