#!/bin/bash
# SPDX-License-Identifier: MIT OR GPL-2.0
# timeout: 240
#
# The box on Bochs: one boot with all that its channels carry, and how it ends.
cd "$(dirname "$0")/../.." || exit 1
box=$PWD/build/box/box-sh
command -v bochs-bin >/dev/null || {
	echo '1..0 # SKIP Bochs is not installed; make bochs installs it'
	exit
}
. tests/system/lab.sh

cat >"$dir/script" <<'EOF'
lsmod | grep -c '^fermata '
grep -o -m 1 -w vmx /proc/cpuinfo
od -An -c '/in/a file'
md5sum
head -c 200000 /dev/zero | tr '\0' '\377' | tee /proc/self/fd/2 | md5sum
echo the end
sleep 600 &
exit 42
EOF
printf 'odd\n\0bytes' >"$dir/a file"
# More than the serial line's window, and every byte there is.
for i in $(seq 0 255); do printf "\\x$(printf %x "$i")"; done >"$dir/bytes"
cat "$dir/bytes" "$dir/bytes" "$dir/bytes" "$dir/bytes" "$dir/bytes" "$dir/bytes" "$dir/bytes" >"$dir/input"

"$box" -b intel -s -t 200 "$dir/script" "$dir/a file" <"$dir/input" >"$dir/output" &
pid=$!
for _ in $(seq 100); do
	child=$(pgrep -P $pid) && emulator=$(pgrep -P "$child") && break
	sleep 0.1
done
wait $pid
same $? 42 'the status of the command is that of the box'
same "$(tr -d '\377' <"$dir/output")" "$(printf '%s\n' 1 vmx '   o   d   d  \n  \0   b   y   t   e   s' \
	"$(md5sum <"$dir/input")" "$(head -c 200000 /dev/zero | tr '\0' '\377' | md5sum)" 'the end')" \
	'module, processor, files, input with its end, output'
same "$(tr -cd '\377' <"$dir/output" | wc -c)" 200000 'much output, of bytes with all bits set'
for _ in $(seq 100); do
	[ -n "$emulator" ] && [ ! -e "/proc/$emulator" ] && break
	sleep 0.1
done
[ -n "$emulator" ] && [ ! -e "/proc/$emulator" ]
ok $? 'the emulator has ended, too'

"$box" -b intel -n "$dir/script" >/dev/null 2>&1 &
pid=$!
for _ in $(seq 100); do
	child=$(pgrep -P $pid) && emulator=$(pgrep -P "$child") && break
	sleep 0.1
done
same "$(rights "$emulator" "$nobody 1 0"), $(rights "$child" "$nobody 1 0")" "$nobody 1 0, $nobody 1 0" \
	'the emulator, and what reads its wires, are nobody and get no rights'
[ "$(readlink "/proc/$emulator/ns/net")" != "$(readlink /proc/self/ns/net)" ]
ok $? 'with a network of their own'
kill -9 $pid
wait $pid 2>/dev/null
for _ in $(seq 100); do
	[ ! -e "/proc/$emulator" ] && break
	sleep 0.1
done
[ -n "$emulator" ] && [ ! -e "/proc/$emulator" ]
ok $? 'and it dies with the one who started it'

echo 'echo c >/proc/sysrq-trigger; sleep 60' >"$dir/crash"
got=$("$box" -b intel -n -t 100 "$dir/crash" 2>&1)
same $? 125 'a crash of the box is an error'
grep -q 'Kernel panic' <<<"$got"
ok $? 'and the error shows the end of the log'

got=$("$box" -b intel -n -g "$dir/gdb" "$dir/script" 2>&1)
same "$?: $got" '125: box-sh: the box on Bochs cannot be controlled by gdb' 'gdb is for QEMU'
got=$("$box" -b bochs:i486 -n "$dir/script" 2>&1)
same "$?: ${got%%:*}: $(grep -o 'no such model' <<<"$got")" '125: box-sh: no such model' 'a model that Bochs does not have'
got=$(PATH=/nowhere "$box" -b intel -n "$dir/script" 2>&1)
same "$?: $got" '125: box-sh: this box needs Bochs and it is not here, or not all of it; install it: apt-get install --no-install-recommends bochs bochs-term bochsbios vgabios' 'no Bochs'
echo "1..$count"
