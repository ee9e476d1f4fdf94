#!/bin/bash
# SPDX-License-Identifier: MIT OR GPL-2.0
#
# The module's names and Linux's: what the module has carries fermata_ (kernel/linux/names.awk), Linux's headers come
# before ours, and what differs between kernels is looked for by its feature.
cd "$(dirname "$0")/../.." || exit 1
. tests/system/lab.sh

for module in build/kernel/fermata.ko build/kernels/*/module/fermata.ko; do
	[ -e "$module" ] || continue
	nm -g --defined-only "$module" | awk '{ print $3 }' | sed 's/^__pfx_//' >"$dir/names"
	[ "$(grep -c '^fermata_' "$dir/names")" -gt 300 ]
	ok $? "$module: its global symbols are fermata_..."
	same "$(grep -vE '^(fermata_.*|init_module|cleanup_module|__this_module|__(start|stop)_.*)$' "$dir/names")" '' "$module: all of them"
done

same "$(grep -rnE 'LINUX_VERSION_CODE|KERNEL_VERSION\(|<linux/version\.h>|UTS_RELEASE' kernel)" '' \
	"no version's number decides what is built"
same "$(awk 'FNR == 1 { ours = 0 } /^#include "/ { ours = 1 } /^#include </ && ours { print FILENAME ": " $0 }' kernel/linux/*.c)" '' \
	"in kernel/linux Linux's headers come first"
same "$(for f in kernel/linux/*.c; do grep -m 1 -H '^#include "' "$f"; done | grep -vE '"(compat|device|host)\.h"$')" '' \
	'and behind them the header that has the rest of them'
for use in register_syscore hrtimer_setup shrinker_alloc vm_flags_clear l1tf_mitigation indirect_branch_prediction_barrier; do
	same "$(grep -rlw "$use" kernel/linux --include=*.[ch])" kernel/linux/compat.h "$use stands in compat.h alone"
done
echo "1..$count"
