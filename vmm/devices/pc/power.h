/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * The ways in which a guest ends or restarts its machine.
 */
#ifndef VMM_POWER_H
#define VMM_POWER_H

#include <stdint.h>

enum power_event {
	POWER_OFF,	  /* value: the SLP_TYP that asked for it */
	POWER_RESET,	  /* value: 0 */
	POWER_DEBUG_EXIT, /* value: what the guest wrote to the port */
};

/* Called in the middle of the guest's write: the receiver takes note and acts after the exit. */
struct power {
	void (*event)(void *opaque, enum power_event event, uint32_t value);
	void *opaque;
};

static inline void power_event(const struct power *power, enum power_event event, uint32_t value)
{
	if (power->event)
		power->event(power->opaque, event, value);
}

#endif
