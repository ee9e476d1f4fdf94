#!/bin/bash
# SPDX-License-Identifier: MIT OR GPL-2.0
# timeout: 290
#
# The test guests on VT-x.
cd "$(dirname "$0")/../.." || exit 1
command -v bochs-bin >/dev/null || {
	echo '1..0 # SKIP Bochs is not installed; make bochs installs it'
	exit
}

# A guest that Bochs 2.7 enters with RFLAGS.IF = 0 keeps the host's interrupts away until it changes IF,
# although external-interrupt exiting is on (SDM 3C 26.2); so processors of a guest that wait for each
# other with IF = 0 wait for ever, because the host's timer cannot give the CPU to another one.
why='its processors wait for each other with interrupts off, and Bochs then stops the host, too'

names=()
for source in tests/guests/*.[cS]; do
	name=${source##*/}
	name=${name%.*}
	case $name in
	runner*) ;;
	smp) echo "# skipped: $name: $why" ;;
	*) names+=("$name") ;;
	esac
done
exec tests/system/20-guests.t -b intel "${names[@]}"
