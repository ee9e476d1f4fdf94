/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * Ports that software writes only to pass time or to show progress codes: 80h and EDh.
 */
#ifndef VMM_DELAY_H
#define VMM_DELAY_H

#include "devices/bus.h"

int delay_attach(struct bus *bus);

extern const struct device_ops delay_ops;

#endif
