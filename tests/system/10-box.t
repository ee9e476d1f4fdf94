#!/bin/bash
# SPDX-License-Identifier: MIT OR GPL-2.0
# timeout: 240
#
# The box itself: streams, statuses, files, and that it ends, and leaves nothing, however it ends.
cd "$(dirname "$0")/../.." || exit 1
box=$PWD/build/box/box-sh
. tests/system/lab.sh

script() { # TEXT: its file's name
	printf '%s\n' "$1" >"$dir/script"
	echo "$dir/script"
}

printf 'odd\n\0bytes' >"$dir/a file"
got=$("$box" "$(script 'lsmod | grep -c "^fermata "; cat; od -An -c "/in/a file"; echo error >&2; exit 42')" "$dir/a file")
same $? 42 'the status of the command is that of the box'
same "$got" $'1\n   o   d   d  \\n  \\0   b   y   t   e   s\nerror' 'module, end of input, files, output and errors'

gcc -O2 -Wall -static -o "$dir/cx16" tests/system/cx16.c || exit 1
"$box" -n "$(script 'chmod +x /in/cx16; /in/cx16')" "$dir/cx16" >"$dir/said"
same "$?" 0 "the processor's flags are right behind CMPXCHG16B, or it has none"
sed 's/^/# /' "$dir/said"

version=$(qemu-system-x86_64 --version | sed -n 's/.* version \([0-9]*\)\..*/\1/p')
same "$("$box" "$(script 'cat /sys/module/fermata/parameters/no_data_breakpoints')")" "$([ "$version" -ge 8 ] && echo Y || echo N)" \
	"guests have data breakpoints where QEMU bears them: not in version $version, if it is 8 or newer"

# The command ends while its reader sleeps: the rest is more than fits outside, in the pipe and the socket, and
# what does not fit waits in the port's queue in the box.
late() { # BYTES: read before the sleep
	head -c "$1"
	sleep 2
	cat
}
same "$("$box" -n "$(script 'lsmod | grep -c "^fermata "; head -c 3000000 /dev/zero')" | late 2500002 | wc -c)" 3000002 \
	'much output arrives, however late it is read, and without its module'
"$box" -n -l "$dir/log" "$(script 'head -c 500002 /dev/zero; exit 42')" | late 2 | wc -c >"$dir/late"
same "${PIPESTATUS[0]}: $(cat "$dir/late")" '42: 500002' 'and from a box that powers off'

"$box" -n "$(script 'kill -9 $$')"
same $? 137 'a killed command'

got=$("$box" -n "$(script 'echo c >/proc/sysrq-trigger; sleep 60')" 2>&1)
same $? 125 'a crash of the box is an error'
grep -q 'Kernel panic' <<<"$got"
ok $? 'and the error shows the end of the log'

"$box" -n -t 4 "$(script 'sleep 600')" 2>/dev/null
same $? 124 'the time limit'

"$box" -n "$(script 'sleep 600')" &
pid=$!
# Its emulator is its only child.
for _ in $(seq 100); do
	child=$(pgrep -P $pid) && break
	sleep 0.1
done
same "$(rights "$child" "$nobody 1 2")" "$nobody 1 2" 'the emulator is nobody, gets no rights, and is in the sandbox'
[ "$(readlink "/proc/$child/ns/net")" != "$(readlink /proc/self/ns/net)" ]
ok $? 'with a network of its own'
kill -9 $pid
wait $pid 2>/dev/null
for _ in $(seq 100); do
	[ -n "$child" ] && [ ! -e "/proc/$child" ] && break
	sleep 0.1
done
[ -n "$child" ] && [ ! -e "/proc/$child" ]
ok $? 'the emulator dies with the one who started it'

got=$("$box" -n "$(script 'r() { awk "/rtc0/ { print \$2 }" /proc/interrupts; }; a=$(r); sleep 3; b=$(r); echo $((b - a))')")
[ "$got" -ge 2 ]
ok $? "the interrupts of its clock come whatever else it does: $got in three seconds"

# The remote protocol of gdb: why did it stop? and an answer, "S05" or the like. Then it goes on.
"$box" -n -g "$dir/gdb" -s "$(script 'read go; echo "it went $go"')" >"$dir/went" 2>&1 < <(
	perl -MIO::Socket::UNIX -e '
		$| = 1;
		$SIG{ALRM} = sub { print "nowhere\n"; exit };
		alarm 20;
		until ($gdb = IO::Socket::UNIX->new(Peer => $ARGV[0])) { select undef, undef, undef, 0.1 }
		print $gdb "\$?#3f";
		until ($said =~ /\$[ST]05.*#../) { sysread $gdb, $said, 999, length $said or last }
		print $gdb "+\$D#44";
		until ($said =~ /\$OK#9a/) { sysread $gdb, $said, 999, length $said or last }
		print "on\n"' "$dir/gdb"
)
same "$?: $(cat "$dir/went")" '0: it went on' 'gdb stops it and lets it go'
[ ! -e "$dir/gdb" ]
ok $? 'and its socket goes with the box'

got=$("$box" -n "$dir/missing" 2>&1)
same "$?: $got" "125: box-sh: cannot read $dir/missing: No such file or directory" 'a missing file'
got=$(FERMATA_BOX=$dir "$box" -n "$dir/script" 2>&1)
same "$?: $got" "125: box-sh: no box in FERMATA_BOX=$dir: vmlinuz and initrd.cpio are expected there" 'no images'
got=$(PATH=/nowhere "$box" -n "$dir/script" 2>&1)
same "$?: $got" "125: box-sh: the box needs QEMU and there is no qemu-system-x86_64 here; install it: apt-get install qemu-system-x86" \
	'no QEMU'
echo "1..$count"
