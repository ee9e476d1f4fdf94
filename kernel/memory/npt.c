/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * AMD's nested page tables: long-mode tables (APM 2 15.25.5, 5.3.3), of which every entry must have
 * U/S set, because a guest's accesses count as user accesses (APM 2 15.25.6). The memory type comes
 * from the host's PAT: entry 0 is write-back, entry 3 (PCD, PWT) uncached (APM 2 7.8.2).
 */
#include "memory/radix.h"

#define NPT_P BIT_ULL(0)
#define NPT_RW BIT_ULL(1)
#define NPT_US BIT_ULL(2)
#define NPT_PWT BIT_ULL(3)
#define NPT_PCD BIT_ULL(4)
#define NPT_A BIT_ULL(5)
#define NPT_D BIT_ULL(6)
#define NPT_PS BIT_ULL(7)
#define NPT_AVL (BIT_ULL(9) | BIT_ULL(10) | BIT_ULL(11))
#define NPT_NX BIT_ULL(63)

/*
 * Nested paging runs in the host's own paging mode (APM 2 15.25.3): a host with 5-level paging walks
 * five levels of nested table too.
 */
#define NPT_FORMAT                                                                                 \
	.max_leaf = 3, .address = 0x000ffffffffff000ull, .present = NPT_P,                         \
	.table = NPT_P | NPT_RW | NPT_US, .leaf = NPT_P | NPT_US, .read = NPT_P, .write = NPT_RW,  \
	.no_exec = NPT_NX, .large = NPT_PS, .type = NPT_PWT | NPT_PCD, .write_back = 0,            \
	.uncached = NPT_PWT | NPT_PCD, .accessed = NPT_A, .dirty = NPT_D, .software = NPT_AVL

const struct radix_format npt_format = { .name = "NPT", .levels = 4, NPT_FORMAT };
const struct radix_format npt5_format = { .name = "NPT, 5 levels", .levels = 5, NPT_FORMAT };
