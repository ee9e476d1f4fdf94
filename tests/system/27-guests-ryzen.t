#!/bin/bash
# SPDX-License-Identifier: MIT OR GPL-2.0
# timeout: 200
#
# Test guests on an AMD-V with NRIPS, in Bochs: instruction lengths come from the VMCB, not from decoding.
# Not all of them: what Bochs's AMD-V does wrong, and which guests it spoils, is in box/README.md.
cd "$(dirname "$0")/../.." || exit 1
command -v bochs-bin >/dev/null || {
	echo '1..0 # SKIP Bochs is not installed; make bochs installs it'
	exit
}
exec tests/system/20-guests.t -b bochs:ryzen control cpuid fpu idle interrupts mmio modes msr paging ports timer tsc
