#!/bin/bash
# SPDX-License-Identifier: MIT OR GPL-2.0
#
# The includes follow the arrows of docs/architecture.md; and the check finds one that does not.
cd "$(dirname "$0")/../.." || exit 1
check=$PWD/scripts/check-arrows

count=0
result() { # STATUS NAME
	count=$((count + 1))
	[ "$1" = 0 ] && echo "ok $count - $2" || echo "not ok $count - $2"
}

"$check" | sed 's/^/# /'
result "${PIPESTATUS[0]}" 'the tree follows the arrows'

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

try() { # WANTED FILE INCLUDE: the check's status when FILE includes that, in a tree of empty headers
	local part status
	for part in kernel kernel/{base,insn,clock,apic,memory,core,rules,svm,vmx,linux} include include/uapi lib vmm \
		vmm/devices vmm/boot control cli box examples; do
		mkdir -p "$dir/$part"
		: >"$dir/$part/${part##*/}.h"
	done
	: >"$dir/kernel/host.h"
	: >"$dir/kernel/linux/host_types.h"
	: >"$dir/include/fermata.h"
	: >"$dir/include/uapi/fermata.h"
	echo "#include $3" >"$dir/$2"
	"$check" --top "$dir" >"$dir/out"
	status=$?
	[ $status = "$1" ] || sed 's/^/# /' "$dir/out"
	if [ "$1" = 0 ]; then
		result $((status != 0)) "$2 may include $3"
	else
		result $((status != 1)) "$2 must not include $3"
	fi
	rm -rf "${dir:?}"/*
}

try 0 kernel/linux/a.c '"../svm/svm.h"'
try 0 kernel/linux/a.c '<linux/mm.h>'
try 0 kernel/svm/a.c '"../core/core.h"'
try 0 kernel/svm/a.c '<uapi/fermata.h>'
try 0 kernel/core/a.c '"clock/clock.h"'
try 0 kernel/memory/a.c '<host_types.h>'
try 0 cli/a.c '"box/box.h"'
try 0 lib/a.c '<stdio.h>'
try 1 kernel/svm/a.c '"../vmx/vmx.h"'
try 1 kernel/vmx/a.c '"svm/svm.h"'
try 1 kernel/core/a.c '"../svm/svm.h"'
try 1 kernel/core/a.c '<linux/mm.h>'
try 1 kernel/memory/a.c '"../core/core.h"'
try 1 kernel/clock/a.c '"../memory/memory.h"'
try 1 kernel/memory/a.c '"../linux/linux.h"'
try 1 kernel/clock/a.c '<stdio.h>'
try 1 kernel/svm/a.S '<asm/asm.h>'
try 1 kernel/host.h '"core/core.h"'
try 1 vmm/devices/a.c '"lib/lib.h"'
try 1 vmm/devices/a.c '"../boot/boot.h"'
try 1 vmm/devices/a.c '"fermata.h"'
try 1 vmm/devices/a.c '<linux/kvm.h>'
try 1 vmm/boot/a.c '"../devices/devices.h"'
try 1 lib/a.c '"vmm/vmm.h"'
try 1 lib/a.c '"cli/cli.h"'
try 1 vmm/a.c '"cli/cli.h"'
try 1 box/a.c '"lib/lib.h"'
try 1 box/a.c '"control/control.h"'
try 1 vmm/a.c '"control/control.h"'
try 1 control/a.c '"cli/cli.h"'
try 1 control/a.c '"box/box.h"'
try 0 cli/a.c '"control/control.h"'
try 1 examples/a.c '"lib/lib.h"'
try 1 include/a.h '"../lib/lib.h"'
echo "1..$count"
