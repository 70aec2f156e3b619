/* SPDX-License-Identifier: BSD-2-Clause */
/* Accesses to a device that leave a note; what they promise is in l4/noted_access.h. */
#ifndef L4_NOTED_H
#define L4_NOTED_H

#include <l4/types.h>

#define L4_NOTED_LOAD8	    "movzbl"
#define L4_NOTED_LOAD32	    "movl"
#define L4_NOTED_LOAD_USES  "rdx"
#define L4_NOTED_LOAD(load)     \
	"movq $-1, %%rdx\n\t"   \
	"movl %k3, (%1)\n\t"    \
	load " (%0), %%edx\n\t" \
	"movb %%dl, (%4)\n\t"   \
	"movl %k3, (%2)"

/* r15 is where the store has been made; 1 in rax tells it from a port's. */
#define L4_NOTED_STORE8	    "movb %b4"
#define L4_NOTED_STORE32    "movl %k4"
#define L4_NOTED_STORE_USES "rax", "r15"
#define L4_NOTED_STORE(store)      \
	"leaq 1f(%%rip), %%r15\n\t" \
	"movl $1, %%eax\n\t"       \
	"movl %k3, (%1)\n\t"       \
	store ", (%0)\n"           \
	"1:\tmovl %k3, (%2)"

/*
 * The port, more than a byte, and then what was read are in rdx. The system call leaves few registers alone, so the
 * note's fields are fetched into rcx and r11 when they are needed.
 */
static inline void l4_noted_port_in(unsigned long cap, u16 port, u8 *to, const struct l4_note *note)
{
	register unsigned long rax asm("rax") = L4_SYS_INVOKE;
	register unsigned long rdi asm("rdi") = cap;
	register unsigned long rsi asm("rsi") = L4_IOPORT_IN;
	register unsigned long rdx asm("rdx") = port;
	register unsigned long r10 asm("r10") = 1;

	asm volatile("movq %c[intent](%[note]), %%rcx\n\t"
		     "movl %c[value](%[note]), %%r11d\n\t"
		     "movl %%r11d, (%%rcx)\n\t"
		     "syscall\n\t"
		     "movb %%dl, (%[to])\n\t"
		     "movq %c[done](%[note]), %%rcx\n\t"
		     "movl %c[value](%[note]), %%r11d\n\t"
		     "movl %%r11d, (%%rcx)\n\t"
		     : "+r"(rax), "+r"(rdi), "+r"(rsi), "+r"(rdx), "+r"(r10)
		     : [note] "r"(note), [to] "r"(to), [intent] "i"(__builtin_offsetof(struct l4_note, intent)),
		       [done] "i"(__builtin_offsetof(struct l4_note, done)),
		       [value] "i"(__builtin_offsetof(struct l4_note, value))
		     : "rcx", "r8", "r9", "r11", "r12", "r13", "r14", "cc", "memory");
}

/* The call's number, which is not 0, and then its success, which is, are in rax. */
static inline void l4_noted_port_out(unsigned long cap, u16 port, u8 byte, const struct l4_note *note)
{
	register unsigned long rax asm("rax") = L4_SYS_INVOKE;
	register unsigned long rdi asm("rdi") = cap;
	register unsigned long rsi asm("rsi") = L4_IOPORT_OUT;
	register unsigned long rdx asm("rdx") = port;
	register unsigned long r10 asm("r10") = 1;
	register unsigned long r8 asm("r8") = byte;

	_Static_assert(L4_SYS_INVOKE && !L4_ERR_OK, "they differ");
	asm volatile("movq %c[intent](%[note]), %%rcx\n\t"
		     "movl %c[value](%[note]), %%r11d\n\t"
		     "movl %%r11d, (%%rcx)\n\t"
		     "syscall\n\t"
		     "movq %c[done](%[note]), %%rcx\n\t"
		     "movl %c[value](%[note]), %%r11d\n\t"
		     "movl %%r11d, (%%rcx)\n\t"
		     : "+r"(rax), "+r"(rdi), "+r"(rsi), "+r"(rdx), "+r"(r10), "+r"(r8)
		     : [note] "r"(note), [intent] "i"(__builtin_offsetof(struct l4_note, intent)),
		       [done] "i"(__builtin_offsetof(struct l4_note, done)),
		       [value] "i"(__builtin_offsetof(struct l4_note, value))
		     : "rcx", "r9", "r11", "r12", "r13", "r14", "cc", "memory");
}

/* Of a driver that died with the intent and without the note: whether it had read, and what. */
static inline bool l4_noted_loaded(const struct l4_frame *last, u8 *byte)
{
	*byte = (u8)last->dx;
	return last->dx <= 0xff;
}

/* Whether it had written. */
static inline bool l4_noted_stored(const struct l4_frame *last)
{
	return last->ip == last->r15 || last->ax == L4_ERR_OK;
}

#endif
