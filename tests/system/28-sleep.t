#!/usr/bin/perl
# SPDX-License-Identifier: MIT OR GPL-2.0
# timeout: 120
#
# The computer sleeps (ACPI S3, through the firmware and back) while a guest runs: virtualization goes off and comes
# back on, the guest goes on where it was, and its clock makes no leap. What the TSC may read after it is tried in
# tests/unit/test_vm_clock.c: an emulator's goes on.
use strict;
use warnings;
use FindBin;
use Test::More;

chdir "$FindBin::Bin/../.." or die;
use lib "$FindBin::Bin";
use Lab;

plan skip_all => 'Bochs has no S3' if $kind ne 'amd';

my ($status, $out) = box([], <<'END_OF_TEXT', $echo);
mkfifo /tmp/in
fermata run --box none --kernel /in/echo --name sleeper --clock date=2030-01-01 </tmp/in >/tmp/out 2>&1 &
exec 3>/tmp/in
said() { # TEXT: when the guest has said it
	n=0
	until grep -q "$1" /tmp/out || [ $n = 300 ]; do
		sleep 0.1
		n=$((n + 1))
	done
	grep -q "$1" /tmp/out && echo "said $1"
}
ns() { fermata clock sleeper --json | grep '"ns"' | tr -cd 0-9; }
said ready
for round in 1 2; do
	echo deep >/sys/power/mem_sleep
	echo 0 >/sys/class/rtc/rtc0/wakealarm
	echo +4 >/sys/class/rtc/rtc0/wakealarm
	echo "before $(ns)"
	echo mem >/sys/power/state && echo slept
	echo "after $(ns)"
	echo "round$round" >&3
	said "round$round"
done
fermata clock sleeper rate 2 && said ready && sleep 1 && echo "later $(ns)"
fermata quit sleeper && echo quit
dmesg | grep -c 'ACPI: PM: Waking up from system sleep state S3' | sed 's/^/woke /'
dmesg | grep -e 'fermata: virt' -e WARNING: -e BUG: -e Oops: && echo 'bad log'
exit 0
END_OF_TEXT

is($status, 0, 'the box comes to its end');
is(scalar(() = $out =~ /^slept$/mg), 2, 'it has slept twice');
like($out, qr/^woke 2$/m, 'through the firmware');
like($out, qr/^said round1\n.*^said round2\n/ms, 'the guest answers after each');
my @before = $out =~ /^before (\d+)$/mg;
my @after = $out =~ /^after (\d+)$/mg;
ok(@before == 2 && @after == 2 && !(grep { $after[$_] < $before[$_] || $after[$_] - $before[$_] > 20e9 } 0, 1),
	'its clock goes on, without a leap') or diag($out);
my ($later) = $out =~ /^later (\d+)$/m;
ok(defined $later && $later > ($after[1] // ~0), 'and can be changed') or diag($out);
like($out, qr/^quit$/m, 'it ends when it is told to');
unlike($out, qr/bad log/, 'nothing in the log') or diag($out);
done_testing;
