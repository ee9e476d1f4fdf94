#!/bin/bash
# SPDX-License-Identifier: MIT OR GPL-2.0
# timeout: 1200
#
# Shadow paging: the tiny guests under it, audited, on both vendors, some without tags; Debian's kernel on processors
# with and without nested paging. All of it is tests/matrix.
cd "$(dirname "$0")/../.." || exit 1
. tests/system/lab.sh

names=(cpuid msr control paging pku modes memory dirty shrink mmio ports interrupts exceptions debug events watch
	watch_linear fpu)
untagged=(control paging pku memory)
guests() { # LOG [BOX-SH OPTION...]
	local log=$1
	shift
	printf '%s\n' 'chmod +x /in/runner' "/in/runner ${names[*]/#//in/}" "/in/runner -u ${untagged[*]/#//in/}" \
		'dmesg | grep "shadow audit"' 'true' >"$dir/script"
	build/box/box-sh "$@" -c 1 -o shadow=2 -t 400 "$dir/script" build/guests/runner \
		"${names[@]/#/build/guests/}" >"$log" 2>&1
}

judge() { # LOG NAME
	[ "$(grep -c '^1\.\.[1-9]' "$1")" = 2 ]
	ok $? "$2: all test guests ran, some of them again without tags"
	# QEMU 7.2 does not know that a #PF was injected when the next fault comes: no #DF.
	! grep '^not ok' "$1" | grep -qv '#DF by a page fault whose gate is absent'
	ok $? "$2: they found nothing wrong"
	! grep -q 'shadow audit' "$1"
	ok $? "$2: nor did the auditor"
	grep -v '^ok' "$1" | tail -n 20 | sed 's/^/# /'
}

boots() { # NAME OPTION...
	local name=$1
	shift
	printf '%s\n' 'echo "the sum is $((6 * 7))"' exit |
		timeout 250 build/fermata run "$@" --kernel build/box/vmlinuz --initrd build/guest/initrd.cpio.gz \
			--append 'console=ttyS0 quiet' --stats >"$dir/log" 2>&1
	ok $? "$name: Debian's kernel as a guest powers off"
	grep -q '^the sum is 42' "$dir/log"
	ok $? "$name: its shell did what it was told"
	grep -qE '^(PF excp|EXCEPTION_NMI) +[0-9]{4}' "$dir/log"
	ok $? "$name: its page faults were ours"
	tail -n 30 "$dir/log" | sed 's/^/# /'
}

guests "$dir/amd"
judge "$dir/amd" AMD-V
boots 'AMD-V' --box amd --paging shadow --debug shadow-audit
boots 'AMD-V without tags' --box amd --paging shadow --no-asid
if command -v bochs-bin >/dev/null; then
	names=(cpuid msr control paging debug dirty shrink ports mmio watch watch_linear) untagged=(control paging)
	guests "$dir/intel" -b intel
	judge "$dir/intel" VT-x
	boots 'VT-x without EPT' --box bochs:core2_penryn_t9600
fi

build/fermata run --box amd --paging both --kernel build/box/vmlinuz >"$dir/log" 2>&1
same "$?" 1 'a kind of paging that there is not'
same "$(cat "$dir/log")" 'fermata: --paging both: not known; give auto, nested or shadow' '... is said so'
build/fermata run --box amd --debug shadow-audit,what --kernel build/box/vmlinuz >"$dir/log" 2>&1
same "$?" 1 'a word for --debug that there is not'
echo "1..$count"
