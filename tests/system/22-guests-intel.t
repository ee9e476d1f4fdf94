#!/bin/bash
# SPDX-License-Identifier: MIT OR GPL-2.0
# timeout: 900
#
# The test guests on VT-x.
cd "$(dirname "$0")/../.." || exit 1
command -v bochs-bin >/dev/null || {
	echo '1..0 # SKIP Bochs is not installed; make bochs installs it'
	exit
}
exec tests/system/20-guests.t -b intel
