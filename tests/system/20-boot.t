#!/usr/bin/perl
# SPDX-License-Identifier: MIT OR GPL-2.0
# timeout: 240
#
# Debian's kernel as a guest, in one start of the box: a boot with its whole log, what the guest sees of
# time, interrupts and processor, what it costs when idle, and the kernel options that change its
# clocks and interrupt controllers. 20-boot.t -b intel: on VT-x, as a part of `make test-matrix`.
use strict;
use warnings;
use Digest::SHA 'sha256_hex';
use FindBin;
use Test::More;

chdir "$FindBin::Bin/../.." or die;
use lib "$FindBin::Bin";
use Lab;

# What the guest may say at level "warning" or worse, and why.
my @tolerated = (
	# Of any machine with a PCI host bridge but without MMCONFIG: the same kernel says it in QEMU's pc.
	qr/^acpi PNP0A03:00: fail to add MMCONFIG information/,
	# In the box an exit takes microseconds where the kernel's calibration accepts fewer, and a tick of
	# the box's own kernel in between spoils what is left: Linux may then take the ACPI timer as its clock.
	qr/^tsc: /,
	# The same later: ticks are lost while the box's kernel clears 2 MiB for the guest, one emulated
	# instruction a byte, and Linux, which has no better watchdog yet than these ticks, blames the TSC.
	# A box that had to wait for a processor gives it a "long readout interval", and a timer's interrupt that
	# took long. Time itself is checked below.
	qr/^clocksource: (timekeeping watchdog on CPU0: Marking clocksource 'tsc-early' as unstable| |Long readout interval)/,
	qr/^hrtimer: interrupt took \d+ ns/,
	# Follow from a clock that is not the TSC.
	qr/^Unstable clock detected|^If you want to keep using the local clock|^  "trace_clock=local"|^on the kernel command line/,
	# Linux 6.12, on each AMD processor of these families where ACPI says nothing of performance levels (_CPC).
	qr/^amd_pstate: /,
	# Lost ticks again, of the PIT this time: nobody makes up for those that come while the guest stands.
	qr/^APIC calibration not consistent with PM-Timer/,
);

my $commands = <<'END_OF_TEXT';
dmesg -n 1
echo "time" $(date +%s)
echo "sleep" $(cut -d' ' -f1 /proc/uptime) $(sleep 2) $(cut -d' ' -f1 /proc/uptime)
echo "time" $(date +%s)
echo "zeros" $(dd if=/dev/zero bs=64k count=64 2>/dev/null | sha256sum)
echo "numbers" $(seq 1 50000 | sha256sum)
echo "processors" $(grep -c ^flags /proc/cpuinfo) "with svm or vmx" $(grep -cwE "svm|vmx" /proc/cpuinfo)
echo "clock" $(cat /sys/devices/system/clocksource/clocksource0/current_clocksource)
grep -E "LOC|ttyS0" /proc/interrupts | sed 's/^/interrupts /'
dmesg -r | sed 's/^/raw /'
echo "that is all"
END_OF_TEXT
write_file('commands', $commands);

# What these take away is what Linux would otherwise have chosen.
my @variants = (
	[ lean => 'noapic noacpi pci=conf1' ],
	[ nolapic => 'nolapic' ],
	[ timer => 'nolapic_timer pci=off' ],
	[ modes => 'nox2apic lapic=notscdeadline' ],
	# Without ACPI there is no power-off: the guest asks the keyboard controller for a reset.
	[ acpioff => 'acpi=off', 'reboot' ],
);

# In Bochs it gets to its shell and waits there for the PIT for ever: docs/vmx.md, known limits.
@variants = grep { $_->[0] ne 'timer' } @variants if $kind ne 'amd';

my $script = <<'END_OF_TEXT';
run() { fermata run --box none --kernel /in/vmlinuz --initrd /in/initrd.cpio.gz "$@"; }

echo "@@ boot"
{ run --append console=ttyS0 --stats </in/commands 2>&1; echo "status $?"; } |
	awk '{ print } /^time [0-9]/ { print "host time", systime(); fflush() }'

variant() { # NAME OPTIONS TYPED
	echo "$3" >/tmp/$1.input
	timeout 60 fermata run --box none --kernel /in/vmlinuz --initrd /in/initrd.cpio.gz --memory 128M \
		--append "console=ttyS0 quiet $2" </tmp/$1.input >/tmp/$1 2>&1
	echo "status $?" >>/tmp/$1
}
END_OF_TEXT

# Two at a time, the last one beside the guest that will be idle. The box has one processor: what
# QEMU 7.2 cannot do with several in parallel is in box/README.md.
for my $i (0 .. $#variants) {
	my ($name, $append, $typed) = @{ $variants[$i] };
	$script .= "variant $name '$append' '" . ($typed // 'exit') . "' &\n";
	$script .= "wait\n" if $i % 2;
}

$script .= <<'END_OF_TEXT';
variant=$!
mkfifo /tmp/input
sleep 300 >/tmp/input &
sleeper=$!
fermata run --box none --kernel /in/vmlinuz --initrd /in/initrd.cpio.gz --append 'console=ttyS0 quiet' \
	</tmp/input >/tmp/idle 2>&1 &
guest=$!
n=0
until grep -qs 'guest# ' /tmp/idle || [ $n = 60 ]; do sleep 0.5; n=$((n + 1)); done
wait $variant
sleep 1
before=$(awk '{ print $14 + $15 }' /proc/$guest/stat)
sleep 10
after=$(awk '{ print $14 + $15 }' /proc/$guest/stat)
kill $guest
wait $guest
status=$?
echo "@@ idle"
echo "status $status"
echo "boot took $before ticks, ten seconds $((after - before))"
kill $sleeper
END_OF_TEXT

$script .= join '', map { "echo '\@\@ $_->[0]'; cat /tmp/$_->[0]\n" } @variants;
$script .= "echo '\@\@ host'; dmesg\necho '\@\@ module'; cat /sys/module/fermata/refcnt\n";

my ($status, $out) = box([ '-c', '1', '-m', 640 ], $script, 'build/box/vmlinuz', 'build/guest/initrd.cpio.gz', "$dir/commands");
is($status, 0, 'the box ends as it should');
my %section = sections($out);
my $boot = $section{boot} // '';
my $host = $section{host} // '';
$_ = unexpected($_) for $boot, $host;

like($boot, qr/^guest# /m, 'the guest reaches its shell');
like($boot, qr/^that is all$/m, 'and executes what it is told to');
like($boot, qr/reboot: Power down\n/, 'it powers off');
like($boot, qr/^status 0$/m, 'with status 0');
like($boot, qr/^exit +count +count% +time%/m, 'the exits are counted');
unlike($boot, qr/WARNING:|BUG|Oops|Call Trace|unchecked MSR|ACPI (Error|Warning|BIOS)|lost interrupt|nobody cared|soft lockup|rcu.*stall|APIC error/,
	'nothing in its log speaks of a broken machine');

my @worse;
for ($boot =~ /^raw <(.*)$/mg) {
	my ($priority, $text) = /^(\d+)>\[ *[\d.]+\] ?(.*)$/ or next;
	push @worse, $text if ($priority & 7) <= 4;
}
my @unexpected = grep { my $text = $_; !grep { $text =~ $_ } @tolerated } @worse;
ok(scalar(() = $boot =~ /^raw </mg) > 100, 'its log is there');
is(scalar @unexpected, 0, 'and holds no warning but those expected');
diag('unexpected: ', $_) for @unexpected;
note('tolerated: ', $_) for grep { my $text = $_; grep { $text =~ $_ } @tolerated } @worse;

my @guest_time = $boot =~ /^time (\d+)$/mg;
my @host_time = $boot =~ /^host time (\d+)$/mg;
is(scalar @guest_time, 2, 'the guest knows the time');
ok(abs($guest_time[$_] - $host_time[$_]) <= 2, "and it is the host's (by " . ($guest_time[$_] - $host_time[$_]) . ' s)')
	for grep { defined $guest_time[$_] && defined $host_time[$_] } 0, 1;
my ($from, $to) = $boot =~ /^sleep ([\d.]+) ([\d.]+)$/m;
ok(defined $from && $to - $from >= 1.98 && $to - $from < 4, 'sleep 2 takes two seconds')
	or diag('sleep took from ', $from // '?', ' to ', $to // '?');
is(($boot =~ /^zeros (\w+)/m)[0], sha256_hex("\0" x (64 * 65536)), '4 MiB through a checksum');
is(($boot =~ /^numbers (\w+)/m)[0], sha256_hex(join '', map { "$_\n" } 1 .. 50000), 'numbers through a checksum');
like($boot, qr/^processors 1 with svm or vmx 0$/m, 'a processor without virtualization');
like($boot, qr/^clock (tsc|tsc-early|acpi_pm)$/m, 'a clock source');
note('clock source: ', $boot =~ /^clock (\S+)/m);
like($boot, qr/^interrupts LOC: +[1-9]/m, 'interrupts of the local timer');
like($boot, qr/^interrupts +4: +[1-9].*ttyS0/m, 'interrupts of the serial line');

# In ticks of 10 ms
my ($boot_ticks, $ticks) = ($section{idle} // '') =~ /^boot took (\d+) ticks, ten seconds (\d+)$/m;
ok($boot_ticks && $ticks < 20, 'an idle guest costs less than 2 % of a processor')
	or diag($section{idle} // 'nothing was measured');
note('an idle guest: ', $ticks // '?', ' ms of processor time a second');
like($section{idle} // '', qr/^status 143$/m, 'a signal ends it');

for my $variant (@variants) {
	my ($name, $append, $typed) = @$variant;
	my $log = $section{$name} // '';
	ok($log =~ /This is a guest under Fermata/ && $log =~ /^status 0$/m, "boots with $append") or diag($log);
	like($log, qr/^fermata: the guest '.*' asked for a reset/m, 'and resets') if $typed;
}
unlike($host, qr/WARNING:|BUG|Oops|Call Trace|unchecked MSR/, "the host's log is clean");
is($section{module}, "0\n", 'nothing holds the module');
done_testing;
