#!/bin/bash
# SPDX-License-Identifier: MIT OR GPL-2.0
# timeout: 420
#
# Several guests that share two ASIDs or VPIDs, so that these run out all the time, and guests that have
# none: tiny ones that edit their page tables, move between CPUs and lose memory to the host, and Debian's
# kernel. On both vendors; 26-tags.t [KIND...]. QEMU has two boxes for it: with CPUs in turns, that the tiny
# ones can move, and with one, where no interrupt is delivered twice (box/README.md).
cd "$(dirname "$0")/../.." || exit 1
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

count=0
ok() { # STATUS NAME
	count=$((count + 1))
	[ "$1" = 0 ] && echo "ok $count - $2" || echo "not ok $count - $2"
}

cat >"$dir/script" <<'EOF_SCRIPT'
chmod +x /in/runner
debian() { # OPTION...
	echo 'echo "the sum is $((6 * 7))"; exit' | fermata run --box none --kernel /in/vmlinuz \
		--initrd /in/initrd.cpio.gz --append 'console=ttyS0 quiet panic=-1' --stats "$@" 2>&1
	echo "debian's status $?"
}
few_tiny() {
	for i in 1 2 3; do
		/in/runner /in/memory /in/paging >/tmp/$i 2>&1 && echo "runner $i is content" &
	done
	wait
	grep -h '^not ok' -A 8 /tmp/1 /tmp/2 /tmp/3
}
few_debian() { debian; }
none_tiny() { /in/runner -u /in/memory /in/paging /in/modes | grep -v '^ok'; }
none_debian() {
	option=--no-asid
	grep -q GenuineIntel /proc/cpuinfo && option=--no-vpid
	debian $option
}
insmod /in/fermata.ko tags=2
for part in $parts; do few_$part; done
rmmod fermata
insmod /in/fermata.ko
echo "-- none"
for part in $parts; do none_$part; done
EOF_SCRIPT

box() { # PARTS OPTION...
	local parts=$1 status
	shift
	(echo "parts='$parts'" && cat "$dir/script") >"$dir/parts"
	build/box/box-sh -b "$kind" -n -t 390 "$@" "$dir/parts" build/kernel/fermata.ko \
		build/guests/runner build/guests/memory build/guests/paging build/guests/modes \
		build/box/vmlinuz build/guest/initrd.cpio.gz >"$dir/said" 2>&1
	status=$?
	tr -d '\r' <"$dir/said" | sed '/^-- none/,$d' >>"$dir/few"
	tr -d '\r' <"$dir/said" | sed '1,/^-- none/d' >>"$dir/none"
	cat "$dir/said" >>"$dir/log"
	return $status
}

for kind in ${*:-amd intel}; do
	if [ "$kind" != amd ] && ! command -v bochs-bin >/dev/null; then
		ok 0 "$kind: # SKIP Bochs is not installed; make bochs installs it"
		continue
	fi
	rm -f "$dir/log" "$dir/few" "$dir/none"
	if [ "$kind" = amd ]; then
		box tiny -1 && box debian
	else
		box 'tiny debian'
	fi
	ok $? "$kind: the box ends well"
	[ "$(grep -c 'is content' "$dir/few")" = 3 ]
	ok $? "$kind: three guests at once on two tags find everything as it should be"
	grep -q '^the sum is 42' "$dir/few" && grep -q "^debian's status 0" "$dir/few"
	ok $? "$kind: and so does Debian's kernel"
	! grep -q '^not ok' "$dir/none" && grep -q '^1\.\.' "$dir/none"
	ok $? "$kind: guests without tags, too"
	grep -q '^the sum is 42' "$dir/none" && grep -q "^debian's status 0" "$dir/none"
	ok $? "$kind: and Debian's kernel"
	grep -qE '^flushes:.* entry [1-9]' "$dir/none"
	ok $? "$kind: whose every entry is counted as a flush"
	! grep -q '^flushes:.* new-tag' "$dir/none"
	ok $? "$kind: and none as a new tag"
	grep -qE '^flushes:.* (new-tag|tag) [1-9]' "$dir/few" && ! grep -qE '^flushes:.* entry' "$dir/few"
	ok $? "$kind: while with tags none is flushed at each entry"
	sed 's/^/# /' "$dir/log" | grep -vE '# ok' | tail -n 120
done
echo "1..$count"
