/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* Between the row `floor` and the module that answers it. For C and for the assembler. */
#ifndef FLOOR_LEAF_H
#define FLOOR_LEAF_H

#define FLOOR_LEAF 0x4f100000 /* CPUID's */
#define FLOOR_TURNS 1000      /* so often the guest is entered for it */

#endif
