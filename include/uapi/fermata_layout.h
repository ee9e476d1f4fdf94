/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * The sizes of the ABI's structures (fermata.h), which no change but one of FERMATA_ABI_VERSION may change. For
 * those who are compiled with it: the module and the library.
 */
#ifndef UAPI_FERMATA_LAYOUT_H
#define UAPI_FERMATA_LAYOUT_H

#include "fermata.h"

#define FERMATA_LAYOUT(type, bytes)                                                                \
	_Static_assert(sizeof(type) == (bytes), #type " is part of the ABI")
FERMATA_LAYOUT(struct fermata_caps, 48 + 64 + 8);
FERMATA_LAYOUT(struct fermata_flaw, 160);
FERMATA_LAYOUT(struct fermata_cpuid_entry, 32);
FERMATA_LAYOUT(struct fermata_cpuid, 8 + 32 * FERMATA_MAX_CPUID);
FERMATA_LAYOUT(struct fermata_vm_config, 32);
FERMATA_LAYOUT(struct fermata_memory, 32);
FERMATA_LAYOUT(struct fermata_dirty_log, 8);
FERMATA_LAYOUT(struct fermata_dirty, 40);
FERMATA_LAYOUT(struct fermata_vcpu_config, 32);
FERMATA_LAYOUT(struct fermata_msi, 16);
FERMATA_LAYOUT(struct fermata_line, 16);
FERMATA_LAYOUT(struct fermata_forecast, 48);
FERMATA_LAYOUT(struct fermata_clock, 128);
FERMATA_LAYOUT(struct fermata_clock_change, 32);
FERMATA_LAYOUT(struct fermata_exit, 80);
FERMATA_LAYOUT(struct fermata_run, 152 + 80);
FERMATA_LAYOUT(struct fermata_segment, 16);
FERMATA_LAYOUT(struct fermata_state_segments, 160);
FERMATA_LAYOUT(struct fermata_state_msrs, 392);
FERMATA_LAYOUT(struct fermata_state_pending, 40);
FERMATA_LAYOUT(struct fermata_state, 8 + 144 + 160 + 64 + 48 + 392 + 40 + 256 + 4096);
FERMATA_LAYOUT(struct fermata_rule, 16 + 16 * FERMATA_FILTERS + 16 + 16 + 32 + 16);
FERMATA_LAYOUT(struct fermata_record, 144);
FERMATA_LAYOUT(struct fermata_ring, 128);
FERMATA_LAYOUT(struct fermata_injection, 24);
FERMATA_LAYOUT(struct fermata_translate, 32);
FERMATA_LAYOUT(struct fermata_audit, 8 + FERMATA_AUDIT_LINES * FERMATA_AUDIT_TEXT);
FERMATA_LAYOUT(struct fermata_stats, 104 + 8 * FERMATA_FLUSH_KINDS + 8 * FERMATA_FLUSH_CAUSES +
					     16 * FERMATA_MAX_EXIT_CODES + 32 * FERMATA_LAST_EXITS);

#endif
