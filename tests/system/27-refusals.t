#!/bin/bash
# SPDX-License-Identifier: MIT OR GPL-2.0
# timeout: 200
#
# VT-x without unrestricted guest: a guest that switches paging off is refused by name and ends with a
# report; one that stays in paged modes runs. tests/generations boots Debian's kernel there.
cd "$(dirname "$0")/../.." || exit 1
command -v bochs-bin >/dev/null || {
	echo '1..0 # SKIP Bochs is not installed; make bochs installs it'
	exit
}
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

count=0
ok() { # STATUS NAME
	count=$((count + 1))
	[ "$1" = 0 ] && echo "ok $count - $2" || echo "not ok $count - $2"
}

tests/system/20-guests.t -b bochs:corei5_lynnfield_750 modes cpuid >"$dir/log" 2>&1
grep -q '^# modes: UNSUPPORTED' "$dir/log"
ok $? 'a guest that switches paging off ends by UNSUPPORTED'
grep -q 'has no "unrestricted guest" (SDM 3C 25.6.2)' "$dir/log"
ok $? '... its report says why'
grep -q '^# modes: CR0 is to be 0x10033' "$dir/log"
ok $? '... and what it asked for'
grep -q '^ok .* cpuid: run 0 comes to its end' "$dir/log"
ok $? 'a guest that stays in long mode comes to its end'
echo "1..$count"
sed 's/^/# /' "$dir/log" | tail -n 60
