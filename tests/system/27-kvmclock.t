#!/usr/bin/perl
# SPDX-License-Identifier: MIT OR GPL-2.0
# timeout: 200
#
# KVM's paravirtual clock in an unmodified guest, Debian's kernel: there when it is asked for, and then it
# follows the guest's clock; not there when nobody asks.
use strict;
use warnings;
use FindBin;
use Test::More;

chdir "$FindBin::Bin/../.." or die;
use lib "$FindBin::Bin";
use Lab;

my $script = <<'END_OF_TEXT';
mkfifo /tmp/in
says() { # PATTERN: when the guest has said it
	n=0
	until grep -q "^$1" /tmp/out; do
		sleep 0.1
		n=$((n + 1))
		[ $n -lt 600 ] || { echo "the guest does not say $1"; cat /tmp/out; exit 1; }
	done
}
guest() { # OPTION...: with its console at descriptor 3 and in /tmp/out
	fermata run --box none --kernel /in/vmlinuz --initrd /in/initrd.cpio.gz --append "console=ttyS0 quiet" \
		--name web "$@" </tmp/in >/tmp/out 2>&1 &
	guest=$!
	exec 3>/tmp/in
	echo 'stty -echo; PS1=; cd /sys/devices/system/clocksource/clocksource0; say() { echo; echo "$@"; }' >&3
	echo 'say chosen: $(cat current_clocksource)' >&3
	says chosen:
}
type() { echo "$*" >&3; }

guest --kvmclock --clock date=2030-01-01
type 'echo kvm-clock >current_clocksource; say current: $(cat current_clocksource)'
says current:
type 'clocks() { say "$1:" $EPOCHREALTIME; }; clocks start'
says start:
fermata clock web rate 30
type 'clocks before; sleep 30; clocks after'
says after:
fermata clock web rate 1/10
type 'clocks slow1; usleep 200000; clocks slow2'
says slow2:
fermata clock web freeze
type 'clocks frozen1; i=0; while [ $i -lt 300 ]; do i=$((i + 1)); done; clocks frozen2'
says frozen2:
fermata clock web step 10ms
fermata clock web | grep KVM
sleep 1
type 'clocks stepped'
says stepped:
fermata clock web jump 2s
type 'clocks jumped'
says jumped:
fermata clock web thaw
fermata clock web rate 1
type 'dmesg | sed "s/^/raw /"; poweroff -f'
wait $guest
echo "status $?"
echo '@@ with'
cat /tmp/out

guest
fermata clock web | grep KVM
type 'dmesg | sed "s/^/raw /"; poweroff -f'
wait $guest
echo '@@ without'
cat /tmp/out
END_OF_TEXT

my ($status, $out) = box([ '-m', 640, '-t', 180 ], $script, 'build/box/vmlinuz', 'build/guest/initrd.cpio.gz');
is($status, 0, 'the box ends as it should');
$out =~ s/\r//g;
my %section = sections("@@ host\n$out");
my ($host, $with, $without) = map { $_ // '' } @section{qw(host with without)};
like($host, qr/^status 0$/m, 'a guest with a paravirtual clock powers off');
# Linux prefers a TSC that is invariant, as a Skylake's is.
like($with, $kind eq 'amd' ? qr/^chosen: kvm-clock$/m : qr/^chosen: (?:kvm-clock|tsc)$/m, '... and it is its own choice');
like($with, qr/^current: kvm-clock$/m, '... and now its clock');
like($with, qr/^raw .*kvm-clock: Using msrs 4b564d01 and 4b564d00/m, '... by the MSRs that it was offered');
unlike(unexpected($with), qr/soft lockup|stall|BUG|WARNING|hung|Call Trace/, '... without complaints');

my %at = map { /^(\w+): (\d+\.\d+)$/ ? ($1 => $2) : () } split /\n/, $with;
ok($at{start} >= 1893456000 && $at{start} < 1893456000 + 600, 'its date is the one that was asked for');
ok($at{after} - $at{before} >= 29.9, 'sleep 30 is 30 s at rate 30');
note(sprintf 'sleep 30 at rate 30: %.1f s by its date', $at{after} - $at{before});
ok($at{slow2} - $at{slow1} >= 0.2, '0.2 s are at least that at rate 1/10');
ok($at{frozen2} == $at{frozen1}, 'frozen, it stands still');
my $step = $at{stepped} - $at{frozen2};
ok($step > 0.009999 && $step < 0.010001, 'a step of 10 ms is 10 ms');
my $jump = $at{jumped} - $at{stepped};
ok($jump > 1.999999 && $jump < 2.000001, 'a jump of 2 s is 2 s');
my @kvm = $host =~ /^(KVM clock .*)$/mg;
is(scalar @kvm, 1, 'fermata clock lists it where it is');
like($kvm[0] // '', qr/^KVM clock +\d+ +ns +0$/, '... and it is the clock');

like($without, qr/^chosen: \w+/m, 'a guest without has another');
unlike($without, qr/kvm-clock|KVM/, '... and sees nothing of KVM');
done_testing();
