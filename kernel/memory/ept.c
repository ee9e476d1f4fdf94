/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * Intel's extended page tables (SDM 3C 29.3.2, tables 29-1 to 29-7). An entry is present when it
 * allows anything; the memory type stands in bits 5:3 of a leaf (SDM 3C 29.3.7.2). Accessed and dirty
 * bits are written only if the EPTP enables them (29.3.5).
 */
#include "memory/radix.h"

#define EPT_R BIT_ULL(0)
#define EPT_W BIT_ULL(1)
#define EPT_X BIT_ULL(2)
#define EPT_TYPE(t) ((u64)(t) << 3)
#define EPT_TYPE_UC 0
#define EPT_TYPE_WB 6
#define EPT_LARGE BIT_ULL(7)
#define EPT_A BIT_ULL(8)
#define EPT_D BIT_ULL(9)
#define EPT_IGNORED BIT_ULL(11)

#define EPT_FORMAT                                                                                 \
	.levels = 4, .max_leaf = 3, .address = 0x000ffffffffff000ull,                              \
	.present = EPT_R | EPT_W | EPT_X, .table = EPT_R | EPT_W | EPT_X, .leaf = 0,               \
	.read = EPT_R, .write = EPT_W, .exec = EPT_X, .large = EPT_LARGE, .type = EPT_TYPE(7),     \
	.write_back = EPT_TYPE(EPT_TYPE_WB), .uncached = EPT_TYPE(EPT_TYPE_UC), .accessed = EPT_A, \
	.dirty = EPT_D, .software = EPT_IGNORED

const struct radix_format ept_format = { .name = "EPT", EPT_FORMAT };
/* Where IA32_VMX_EPT_VPID_CAP bit 0 allows entries with X alone (SDM 3D A.10). */
const struct radix_format ept_exec_only_format = { .name = "EPT, execute-only",
						   EPT_FORMAT,
						   .exec_only = true };
