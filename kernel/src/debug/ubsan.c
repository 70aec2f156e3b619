// SPDX-License-Identifier: GPL-2.0-only
/*
 * Handlers of GCC's -fsanitize=undefined (libsanitizer's ubsan_handlers.h names them): each panics with the kind of
 * undefined behaviour and the line. Only quoll-debug.elf calls them.
 */
#include <kernel/debug.h>

#ifdef KERNEL_DEBUG

/* The first member of every handler's data. */
struct source_location {
	const char *file;
	u32 line, column;
};

static __noreturn void report(const char *kind, const void *data)
{
	const struct source_location *at = data;

	panic("undefined behaviour: %s at %s:%u:%u", kind, at->file, at->line, at->column);
}

#define HANDLER(kind, ...)                       \
	void __ubsan_handle_##kind(__VA_ARGS__); \
	__attribute__((used, no_sanitize("undefined"))) void __ubsan_handle_##kind(__VA_ARGS__) { report(#kind, data); }

HANDLER(add_overflow, void *data, void *a, void *b)
HANDLER(sub_overflow, void *data, void *a, void *b)
HANDLER(mul_overflow, void *data, void *a, void *b)
HANDLER(divrem_overflow, void *data, void *a, void *b)
HANDLER(negate_overflow, void *data, void *a)
HANDLER(shift_out_of_bounds, void *data, void *a, void *b)
HANDLER(out_of_bounds, void *data, void *index)
HANDLER(pointer_overflow, void *data, void *base, void *result)
HANDLER(type_mismatch_v1, void *data, void *pointer)
HANDLER(load_invalid_value, void *data, void *value)
HANDLER(vla_bound_not_positive, void *data, void *bound)
HANDLER(nonnull_arg, void *data)
HANDLER(builtin_unreachable, void *data)
HANDLER(invalid_builtin, void *data)
#endif
