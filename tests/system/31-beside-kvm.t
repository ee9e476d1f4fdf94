#!/bin/bash
# SPDX-License-Identifier: MIT OR GPL-2.0
# timeout: 600
#
# Guests of KVM's and of Fermata's on the same CPUs, at once and in turns: each looks whether its registers, MSRs and
# memory are still its own (tests/system/beside). Either kind is killed under the other; KVM comes and goes; what is no
# VM of KVM's is refused; CPUs go and come; SVM is taken away under a guest; the power goes with both running.
# 31-beside-kvm.t [-l] [KIND...]: -l for much longer, `make test-beside`. With FERMATA_BOX=build/kernels/RELEASE it is
# about the KVM of that kernel, `make test-kernels`.
cd "$(dirname "$0")/../.." || exit 1
. tests/system/lab.sh

long=1
if [ "$1" = -l ]; then
	long=20
	shift
fi

cat >"$dir/script" <<'END'
vendor=amd
grep -qw svm /proc/cpuinfo || vendor=intel
kvm_in() {
	for module in $(cat /in/kvm_$vendor.order); do
		insmod "/in/$module" 2>/tmp/said || grep -q 'File exists' /tmp/said || return
	done
}
kvm_out() { rmmod "kvm_$vendor" && rmmod kvm && rmmod irqbypass; }
passes() { # NAME COMMAND...
	local name=$1
	shift
	if "$@" >/tmp/said 2>&1; then echo "ok - $name"; else
		echo "not ok - $name"
		sed 's/^/# /' /tmp/said
	fi
}
fails() { # NAME COMMAND...
	local name=$1
	shift
	if "$@" >/tmp/said 2>&1; then echo "not ok - $name"; else echo "ok - $name"; fi
}
caps() { fermata caps --json | grep -o '"'"$1"'": *[a-z]*' | sed 's/.* *: *//' | tr -d ' '; }
is() { # NAME GOT WANTED
	[ "$2" = "$3" ] && echo "ok - $1" || echo "not ok - $1: $2 instead of $3"
}
chmod +x /in/beside /in/runner

is 'without KVM Fermata is going to switch the processors on' "$(caps beside_kvm) $(caps switched_on)" 'false false'
passes 'KVM is loaded' kvm_in
# From Linux 6.12 on it has the processors switched on from then on, unless it is told not to.
at_once=false
grep -q Y /sys/module/kvm/parameters/enable_virt_at_load 2>/dev/null && at_once=true
echo "# KVM switches the processors on as it is loaded: $at_once"
is 'with it KVM is' "$(caps beside_kvm) $(caps switched_on)" 'true false'
passes 'and nothing stands in the way' fermata caps
/in/beside descriptors

# at once, and in turns on one thread
/in/beside turns 0x1234 "$turns"
/in/beside turns 0x2345 "$turns" shadow
/in/beside kvm 0x1111 "$times" &
/in/beside kvm 0x1112 "$times" &
/in/beside fermata 0x2222 "$times" &
/in/beside fermata 0x2223 "$times" shadow &
wait
/in/beside kvm 0x1113 0 >/tmp/kvm &
kvm=$!
passes "Fermata's test guests beside one of KVM's" /in/runner $guests
is 'they say so' "$(caps beside_kvm) $(caps switched_on)" 'true false'

# one kind is killed under the other
/in/beside fermata 0x2224 0 >/tmp/fermata &
fermata=$!
for i in 1 2 3 4 5; do
	/in/beside fermata 0x2230 0 >/dev/null &
	a=$!
	/in/beside kvm 0x1120 0 >/dev/null &
	b=$!
	sleep "$pause"
	kill -9 $a $b
	wait $a $b
done 2>/dev/null
is 'caps say that KVM has switched them on' "$(caps beside_kvm) $(caps switched_on)" 'true true'
if [ -e /sys/devices/system/cpu/cpu1/online ]; then
	for i in 1 2 3; do
		echo 0 >/sys/devices/system/cpu/cpu1/online
		sleep 0.2
		echo 1 >/sys/devices/system/cpu/cpu1/online
		sleep 0.2
	done
fi
passes "KVM's guest has lived through it" kill -0 $kvm
passes "and so has Fermata's" kill -0 $fermata
kill -9 $kvm
wait $kvm 2>/dev/null
sleep "$pause"
passes "Fermata's lives without one of KVM's" kill -0 $fermata
fails 'KVM cannot be unloaded under it' rmmod "kvm_$vendor"
passes 'and makes guests' /in/beside kvm 0x1130 2
kill -9 $fermata
wait $fermata 2>/dev/null
cat /tmp/kvm /tmp/fermata

# KVM comes while Fermata has switched the processors on
for i in 1 2 3 4 5 6 7 8 9 10; do
	[ "$(caps switched_on)" = false ] && break
	sleep 0.1
done
passes 'KVM is unloaded' kvm_out
/in/beside own /tmp/go &
own=$!
while [ "$(caps switched_on)" = false ]; do sleep 0.1; done
is 'caps say that Fermata has' "$(caps beside_kvm)" false
if $at_once; then
	fails 'KVM, which wants them at once, is not loaded' kvm_in
else
	passes 'KVM is loaded' kvm_in
fi
touch /tmp/go
wait $own
passes 'it is afterwards' kvm_in
passes 'and then both make guests' /in/beside turns 0x4321 2

# SVM is taken away
if [ $vendor = amd ]; then
	insmod /in/msr.ko
	/in/beside fermata 0x2250 0 >/tmp/fermata &
	fermata=$!
	while [ "$(caps switched_on)" = false ]; do sleep 0.1; done
	sleep 0.3
	/in/beside svme-off
	wait $fermata
	is "a guest without SVM is reported" "$(grep -c 'an exit: FAIL_ENTRY' /tmp/fermata)" 1
	cat /tmp/fermata | sed 's/^/# /'
	if $at_once; then
		passes 'KVM is unloaded, which still thinks that it is on' kvm_out
		passes 'and loaded again' kvm_in
	fi
	passes 'and the next ones run' /in/beside turns 0x5432 2
fi
# What newer Linux has to say about Bochs's CPUID is not about this.
dmesg | sed '/topology_common.c/,/end trace/d' | grep -v "$known" | grep -E "$trouble" && echo 'not ok - the kernel is content' || echo 'ok - the kernel is content'
dmesg -c >/dev/null
/in/beside kvm 0x1140 0 >/dev/null &
/in/beside fermata 0x2240 0 >/dev/null &
sleep "$pause"
echo 'the power goes'
poweroff -f
END

# A Skylake's own weakness, which its kernel announces without us, too.
known='RETBleed: WARNING: Spectre v2 mitigation leaves'
trouble='WARNING:|BUG|Oops|general protection|invalid opcode|Call Trace|soft lockup|rcu: INFO'
number() { # TAP of the box
	while IFS= read -r line; do
		case $line in
		'ok - '*) ok 0 "$kind: ${line#* - }" ;;
		'not ok - '*) ok 1 "$kind: ${line#*- }" ;;
		*) echo "# $line" ;;
		esac
	done
}

modules=build/beside
[ -z "$FERMATA_BOX" ] || modules=$FERMATA_BOX/beside
for kind in ${*:-amd intel}; do
	if [ "$kind" = amd ]; then
		options=-1 turns=$((15 * long)) times=$((40 * long)) pause=0.3 seconds=$((120 + 20 * long))
		guests='/in/msr /in/fpu /in/debug'
		[ "$long" = 1 ] || guests="/in/paging /in/memory $guests"
	elif command -v bochs-bin >/dev/null; then
		options= turns=$((3 * long)) times=$((15 * long)) pause=0.03 seconds=$((400 + 60 * long))
		guests='/in/msr /in/fpu /in/debug'
	else
		ok 0 "$kind: # SKIP Bochs is not installed; make bochs installs it"
		continue
	fi
	(echo "turns=$turns times=$times pause=$pause guests='$guests' trouble='$trouble' known='$known'" && cat "$dir/script") >"$dir/whole"
	# shellcheck disable=SC2086
	build/box/box-sh -b "$kind" -m 400 -t "$seconds" $options -l "$dir/log" "$dir/whole" build/beside/beside \
		"$modules"/modules/* build/guests/runner build/guests/{paging,memory,msr,fpu,debug} \
		>"$dir/said" 2>&1
	tr -d '\r' <"$dir/said" >"$dir/plain"
	number <"$dir/plain"
	grep -q '^the power goes' "$dir/plain"
	ok $? "$kind: to the end"
	! sed -n '/the power goes/,$p' "$dir/log" | grep -E "$trouble"
	ok $? "$kind: which the kernel does not complain about"
done
echo "1..$count"
