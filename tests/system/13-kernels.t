#!/bin/bash
# SPDX-License-Identifier: MIT OR GPL-2.0
# timeout: 600
#
# Each kernel that the system's archive and its backports offer (build/kernels/list, made by `make kernels`): the box
# boots with it, on AMD-V and on VT-x, and its module runs a guest. Meanwhile a program beside the guest, of the same
# box, must find its breakpoint and its CR4.TSD as Linux left them (watcher.c). And each of these kernels is itself a
# guest of the box that all other tests use. 13-kernels.t [RELEASE...]
cd "$(dirname "$0")/../.." || exit 1
. tests/system/lab.sh

own=$(make -s kernel-release)
list=${*:-$(cat build/kernels/list 2>/dev/null)}
gcc -O2 -Wall -static -o "$dir/watcher" tests/system/watcher.c || exit 1
cat >"$dir/script" <<'END'
echo "host $(uname -r)"
cp /in/watcher /tmp/watcher
chmod +x /tmp/watcher
while :; do /tmp/watcher 50; done >/tmp/seen 2>&1 &
echo 'echo "guest $(uname -r)"; poweroff' |
	fermata run --box none --kernel /in/vmlinuz --initrd /in/initrd.cpio.gz --append 'console=ttyS0 quiet'
echo "status $?"
sed 's/^/beside: /' /tmp/seen
dmesg
END

look() { # NAME FILE RELEASE
	grep -q "^host $3" "$2" && grep -q '^guest [0-9]' "$2" && grep -q '^status 0' "$2"
	ok $? "$1: the box has this kernel, and a guest boots and powers off in it"
	grep -q '^beside: ' "$2" && ! grep '^beside: ' "$2" | grep -v 'of 50 writes 50 seen, slept meanwhile'
	ok $? "$1: a program beside the guest keeps its breakpoint and its CR4"
	# A Skylake's own weakness, and what newer Linux has to say about Bochs's CPUID, before it has a log's end.
	grep -vE 'RETBleed: WARNING: Spectre v2|WARNING: .*topology_common.c' "$2" |
		grep -E 'WARNING:|BUG:|Oops|unchecked MSR|general protection|soft lockup'
	[ $? = 1 ]
	ok $? "$1: nothing in the log speaks of a broken kernel"
	grep -E '^(host|guest|status|beside)' "$2" | sort | uniq -c | sed 's/^/# /'
}

kinds=amd
if command -v bochs-bin >/dev/null; then kinds+=' intel'; fi
others=0
for release in $list; do
	box=build/kernels/$release
	if [ "$release" = "$own" ]; then
		box=build/box
	elif [ ! -e "$box/initrd.cpio" ]; then
		ok 1 "$release: the archive offers it; make kernels makes its box"
		continue
	else
		others=$((others + 1))
	fi
	for kind in $kinds; do
		FERMATA_BOX=$box timeout 240 build/box/box-sh -b $kind "$dir/script" "$dir/watcher" build/box/vmlinuz \
			build/guest/initrd.cpio.gz >"$dir/log" 2>&1
		look "$release on $kind" "$dir/log" "$release"
		[ "$release" != "$own" ] || continue
		echo 'echo "guest $(uname -r)"; poweroff' |
			timeout 240 build/fermata run --box $kind --kernel "$box/vmlinuz" --initrd build/guest/initrd.cpio.gz \
				--append 'console=ttyS0 quiet' >"$dir/log" 2>&1
		[ $? = 0 ] && grep -q "^guest $release" "$dir/log"
		ok $? "$release: a guest of the other box, on $kind"
	done
done
[ $others -gt 0 ] || echo "ok $((count += 1)) # SKIP there is no kernel but the box's own, $own; make test-kernels makes those that the archive offers"
echo "1..$count"
