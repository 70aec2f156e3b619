/* SPDX-License-Identifier: GPL-2.0-only */
/* What only aarch64 can get wrong: pstate, system registers, caches, single steps, ASIDs. */
#include "guest.h"
