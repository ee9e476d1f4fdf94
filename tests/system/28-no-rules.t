#!/bin/bash
# SPDX-License-Identifier: MIT OR GPL-2.0
# timeout: 200
#
# A module without rules (make RULES=0): guests run as ever, and who gives a rule is told why not.
cd "$(dirname "$0")/../.." || exit 1
. tests/system/lab.sh

names=(cpuid msr control exceptions interrupts)
cat >"$dir/script" <<EOF_SCRIPT
insmod /in/fermata.ko
chmod +x /in/runner
/in/runner ${names[*]/#//in/}
echo "the runner's status \$?"
fermata run --box none --kernel /in/vmlinuz --on cpuid
echo "the rule's status \$?"
fermata run --box none --kernel /in/vmlinuz --on 'cpuid do log'
EOF_SCRIPT
build/box/box-sh -n "$dir/script" build/norules/fermata.ko build/guests/runner build/box/vmlinuz \
	"${names[@]/#/build/guests/}" >"$dir/log" 2>&1
grep -q '^1\.\.[1-9]' "$dir/log" && ! grep -q '^not ok' "$dir/log" && grep -q "^the runner's status 0" "$dir/log"
ok $? 'guests run'
grep -q "^the rule's status 1" "$dir/log"
ok $? 'a guest with a rule does not'
grep -qx "fermata: --on 'cpuid': the kernel module was built without rules: leave the rule out" "$dir/log"
ok $? '... and the reason is said'
grep -qx "fermata: --on 'cpuid do log': cannot map the log of vCPU 0: the kernel module was built without rules" "$dir/log"
ok $? '... of the log, too'
echo "1..$count"
grep -v '^ok' "$dir/log" | tail -n 30 | sed 's/^/# /'
