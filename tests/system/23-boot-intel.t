#!/bin/bash
# SPDX-License-Identifier: MIT OR GPL-2.0
# timeout: 420
#
# Debian's kernel as a guest on VT-x, and on an AMD-V with NRIPS, which QEMU's lacks; with a rule about an
# instruction and a clock of its own date and rate. 23-boot-intel.t [KIND...]
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

for kind in ${*:-intel bochs:zambezi}; do
	printf '%s\n' 'echo "the sum is $((6 * 7))"' 'grep -cE -w "vmx|svm" /proc/cpuinfo' 'date "+it is %Y"' exit |
		timeout 200 build/fermata run --box $kind --kernel build/box/vmlinuz \
			--initrd build/guest/initrd.cpio.gz --append 'console=ttyS0 quiet' --on 'cpuid leaf=0x80000000 do log' \
			--log "$dir/rules" --clock date=2030-01-01,rate=2 --stats >"$dir/log" 2>&1
	status=$?
	[ $status = 0 ]
	ok $? "$kind: the guest powers off, status 0"
	grep -q '^the sum is 42' "$dir/log"
	ok $? "$kind: its shell did what it was told"
	grep -q '^0' "$dir/log"
	ok $? "$kind: it sees no virtualization of its own"
	# A Skylake's own weakness, which its kernel announces without us, too.
	grep -v 'RETBleed: WARNING: Spectre v2 mitigation leaves' "$dir/log" |
		grep -qE 'WARNING:|BUG|Oops|Call Trace|unchecked MSR|nobody cared|soft lockup|APIC error'
	[ $? = 1 ]
	ok $? "$kind: nothing in its log speaks of a broken machine"
	lines=$(wc -l <"$dir/rules")
	[ "$lines" -gt 0 ] && [ "$(grep -cE 'cpuid leaf=0x80000000 value=.* cpl=[03] rule=1' "$dir/rules")" = "$lines" ]
	ok $? "$kind: what a rule is about is logged, and nothing else"
	grep -q '^it is 2030' "$dir/log"
	ok $? "$kind: it has the date that was asked for"
	# At rate 2: the Skylake scales the TSC, the Zambezi's reads of it exit.
	exits=$(grep -cEi '^rdtscp? ' "$dir/log")
	if [ $kind = intel ]; then [ "$exits" = 0 ]; else [ "$exits" -gt 0 ]; fi
	ok $? "$kind: RDTSC exits where the processor does not scale"
	echo "# status $status, $lines records"
	head -n 2 "$dir/rules" | sed 's/^/# /'
	tail -n 30 "$dir/log" | sed 's/^/# /'
done
echo "1..$count"
