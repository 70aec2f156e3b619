/* SPDX-License-Identifier: GPL-2.0-only */
/* Contract of a board's firmware or power controller: plat/firmware/<name>.c provides all of it. */
#ifndef KERNEL_FIRMWARE_H
#define KERNEL_FIRMWARE_H

/* Both return if the machine cannot do it; the caller gets an error then. */
void firmware_power_off(void);
void firmware_restart(void);

#endif
