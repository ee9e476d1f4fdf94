/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* Opening /dev/fermata, for fermata_vm_new(). */
#ifndef LIB_DEVICE_H
#define LIB_DEVICE_H

#include "internal.h"

/* A descriptor of the device whose ABI is ours, with its caps; or -errno and the error's line. */
int fermata_device_open(struct fermata_caps *caps);
/* 0 when guests can run; else -ENODEV or -EBUSY, and the line that says why. */
int fermata_device_blocked(const struct fermata_caps *caps);

#endif
