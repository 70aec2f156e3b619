/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The operations of a driver whose device works through queues of requests: disks (block.h), network cards (net.h),
 * folders (9p.h). A front (fronts/) calls them.
 *
 * A program is one front and one driver, and the build links them: an operation is the function of that name, not a
 * pointer in a table, so a call costs what a call costs and no stray store can change where it goes. One thread calls
 * all of them; none waits for the device, but for driver_stop() and the class's open function.
 *
 * Queues are numbered as the class says. The front keeps the guest's rings and the order of its requests; a driver
 * keeps nothing of the guest beyond driver_stop().
 */
#ifndef CLASS_DRIVER_H
#define CLASS_DRIVER_H

#include <base/dma.h>

#define DRIVER_QUEUES 8   /* most of a device */
#define DRIVER_TOKENS 256 /* most requests that a front has out in one queue; tokens are below it */

/* The end of the DMA memory belongs to the front, which leaves word to its successor there. */
#define DRIVER_DMA_RESERVED (DRIVER_QUEUES * sizeof(u64))

/*
 * Start the device with empty queues; it has been stopped. features: those of the class that the guest accepted, all of
 * them offered by the open function.
 */
void driver_start(u64 features);

/*
 * Go on with the device as this program's last life left it: running, perhaps with requests. Asked for each queue, in
 * order, at most once in a life. first: token of the oldest request that has not gone back to the guest. Tokens go up
 * by one with each request, modulo DRIVER_TOKENS. Returns how many requests from first on the device was given, which
 * complete like others, or -1, for queue 0 if for any: then the device must be stopped, and started.
 */
int driver_resume(unsigned int queue, u16 first);

/* Stop the device. On return it reaches no memory, and no request is out. */
void driver_stop(void);

/*
 * Hand over a request, which the device may see only after driver_kick(). False if there is no room for it now: the
 * front tries again after a completion. chain is for the driver itself (a device with other formats than the guest's
 * needs the request's header), buffers are the same pieces for the device; there are chain->count of them, at most as
 * many as the open function said. token comes back with the completion.
 */
bool driver_submit(unsigned int queue, const struct guest_chain *chain, const struct dma_buffer *buffers, u16 token);

/*
 * Whether the request submitted last is one of these buffers, as the device will read it. The front asks after it has
 * read the guest's ring a second time: no stray store may make the device reach other memory than the guest named.
 */
bool driver_holds(unsigned int queue, const struct dma_buffer *buffers, u16 count);

/* Let the device see what was submitted. */
void driver_kick(unsigned int queue);

/* Whether a completion is there to be taken. */
bool driver_done(unsigned int queue);

/*
 * Take a completion, in whatever order the device finishes. *written: how many bytes of the writable buffers are
 * valid. False: there is none.
 */
bool driver_complete(unsigned int queue, u16 *token, u32 *written);

/*
 * After an interrupt, before its ACK: clear its cause in the device if it is a line, and order what the device wrote
 * before it ahead of what is read from here on.
 */
void driver_interrupt(void);

/* Self-check, once a second: false if the device has stopped by itself. */
bool driver_runs(void);

/*
 * Self-check of a queue of which the front has count requests at the device: false if the driver's bookkeeping
 * contradicts that or itself. Rings the doorbell again, in case a stray store kept one from the device.
 */
bool driver_check(unsigned int queue, u16 count);

#endif
