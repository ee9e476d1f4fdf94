#!/bin/bash
# SPDX-License-Identifier: MIT OR GPL-2.0
# timeout: 1200
#
# Everything a process can do to /dev/fermata and to a host with guests: errors are the ones that are
# promised, guests are not disturbed, nothing leaks, and the kernel has nothing to say about it. Two
# boots as Debian's kernel is, and one with more of its own checks, that ends with guests running.
# QEMU's CPUs take turns: what it cannot do with CPUs in parallel is in box/README.md.
# 30-abuse.t -b intel: on VT-x, as a part of `make test-matrix`; Bochs is slow, so a fifth of each. But where something
# is to happen to memory meanwhile, more: by its own clock Bochs executes 1,000 million instructions a second.
cd "$(dirname "$0")/../.." || exit 1
kind=amd other=kvm-intel slow=1 share=100 turns=-1
if [ "$1" = -b ] && [ "$2" != amd ]; then
	kind=$2 other=kvm-amd slow=12 share=20 turns='-c 2'
fi
box=$PWD/build/box/box-sh
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
grep -v "$other" build/abuse/modules.order >"$dir/modules.order"
modules=$(sed 's,^,build/abuse/modules/,' "$dir/modules.order")

count=0
number() { # passes TAP on, numbered
	while IFS= read -r line; do
		case $line in
		'ok - '* | 'not ok - '*)
			count=$((count + 1))
			echo "${line%% - *} $count - ${line#* - }"
			;;
		'# '*) echo "$line" ;;
		'') ;;
		*) echo "# $line" ;;
		esac
	done
}
ok() { # STATUS NAME
	count=$((count + 1))
	[ "$1" = 0 ] && echo "ok $count - $2" || echo "not ok $count - $2"
}

trouble='WARNING|BUG|Oops|general protection|stack segment|invalid opcode|divide error|Call Trace|scheduling while atomic|sleeping function|self-detected stall|detected stalls|soft lockup|hung_task|blocked for more|unchecked MSR|Bad page|bad pte|Bad rss|refcount_t|corruption|Poison overwritten|Redzone|Object padding|double fault|irq [0-9]+: nobody cared|INFO: task|rcu: INFO'

cat >"$dir/abuse.sh" <<'END'
# /in/groups: the groups, each with its share of the iterations in per cent
for module in $(cat /in/modules.order); do
	options=
	[ "$module" != kvm.ko ] || options=enable_virt_at_load=0 # from Linux 6.12 on: an idle KVM leaves the processors alone
	insmod "/in/$module" $options || echo "not ok - insmod $module"
done
echo 256M >/sys/block/zram0/disksize && mkswap /dev/zram0 >/dev/null && swapon /dev/zram0 ||
	echo 'not ok - no swap'
chmod +x /in/abuse
while read -r group percent; do
	echo "# $group"
	timeout -s KILL 150 /in/abuse "$group" "$percent" || echo "not ok - $group: ended with status $?"
	dmesg -c >/tmp/log
	cat /tmp/log >>/tmp/all
	if grep -vE "$(cat /in/known)" /tmp/log | grep -qE "$(cat /in/trouble)"; then
		echo "not ok - $group: the kernel log is clean"
		sed 's/^/# /' /tmp/log | tail -n 60
	else
		echo "ok - $group: the kernel log is clean"
	fi
done </in/groups
END
printf '%s' "$trouble" >"$dir/trouble"
# A Skylake's own weakness, which its kernel announces without us, too.
known='RETBleed: WARNING: Spectre v2 mitigation leaves'
printf '%s' "$known" >"$dir/known"

boot() { # GROUPS SECONDS OPTION...: one box with these groups
	local seconds=$(($2 * slow))
	printf '%s\n' "$1" | awk -v share=$share '
		share < 100 && $1 == "swap" { print $1, $2 * 40; next }
		share < 100 && $1 == "memory" { print $1, $2 * 10; next }
		{ print $1, int(($2 * share + 99) / 100) }' >"$dir/groups"
	shift 2
	# shellcheck disable=SC2086
	"$box" -b "$kind" -m 700 -t "$seconds" "$@" "$dir/abuse.sh" "$dir/groups" "$dir/trouble" "$dir/known" build/abuse/abuse \
		"$dir/modules.order" $modules >"$dir/out" 2>&1
	status=$?
	number <"$dir/out"
}

boot 'calls 100
slots 100
dirty 100
swap 50
state 50
code 50
rules 50
clock 50
threads 50
processes 50
kill 50
leaks 50
cpus 50
kvm 100
module 100' 500 $turns -l "$dir/log"
ok "$status" 'the box lived through it'

boot 'memory 40
dirty 40' 200 -c 1 -l "$dir/log" -k secretmem.enable=1
ok "$status" 'one processor lived through it'

# All of it beside KVM. Allocations with red zones and poison, the kernel preemptible everywhere, traps that see more; and
# the power goes while guests run.
cat >>"$dir/abuse.sh" <<'END'
/in/abuse forever
poweroff -f
END
sed -i '1i export BESIDE=1' "$dir/abuse.sh"
boot 'calls 10
slots 10
dirty 20
swap 20
state 20
code 20
rules 20
clock 20
threads 20
processes 20
kill 20
leaks 10
cpus 20
module 10' 350 $turns -l "$dir/log" \
	-k 'slub_debug=FZPU init_on_free=1 preempt=full'
sed -n '/two VMs are running/,$p' "$dir/out" | grep -q 'running'
ok $? 'the second boot came to its end'
! grep -vE "$known" "$dir/log" | grep -E "$trouble" >"$dir/found"
ok $? 'and went off with guests running without a word'
number <"$dir/found"
echo "1..$count"
