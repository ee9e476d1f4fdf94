/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* How the machine's processors describe themselves in CPUID. */
#ifndef VMM_MACHINE_CPUID_H
#define VMM_MACHINE_CPUID_H

#include <stdbool.h>

#include "fermata.h"

/* What the host offers becomes that of `vcpus` processors. */
void machine_cpuid_topology(struct fermata_cpuid *cpuid, unsigned vcpus);
bool machine_cpuid_has_1g_pages(const struct fermata_cpuid *cpuid);

#endif
