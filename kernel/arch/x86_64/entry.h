/* SPDX-License-Identifier: GPL-2.0-only */
/* What entry.S and gate.S share. */
#ifndef X86_ENTRY_H
#define X86_ENTRY_H

#define FRAME_SIZE L4_FRAME_SIZE
#define USER_CS    0x33
#define USER_SS    0x2b
#define KERNEL_SS  0x18
#define FLAGS_USER X86_FLAGS_USER
#define FLAGS_SET  0x202
#define FLAGS_TF   0x100
#define VECTOR_PF  14

/* A register of the frame that ends at a place. */
#define AT(field) L4_FRAME_OFF_##field - FRAME_SIZE

#endif
