#!/usr/bin/perl
# SPDX-License-Identifier: MIT OR GPL-2.0
# timeout: 240
#
# The clock of an unmodified guest, Debian's kernel, in the user's hands: the commands of docs/clock.md,
# typed beside the guest, and what the guest has to say about the time.
use strict;
use warnings;
use FindBin;
use Test::More;

chdir "$FindBin::Bin/../.." or die;
use lib "$FindBin::Bin";
use Lab;

# The examples of that page, each in its turn and as it stands; but not the first, which is how this guest starts.
open(my $page, '<', 'docs/clock.md') or die;
my ($block) = join('', <$page>) =~ /^```sh\n(.*?)^```/ms;
my @examples = grep { !/^fermata run / } map { s/ *#.*//r } split /\n/, $block;
my $examples = join "\n", map { "$_ >/tmp/said 2>&1 && echo 'did $_' || { echo 'failed $_'; cat /tmp/said; }" } @examples;

# The guest's three clocks, without a process of its own: at rate 60 a fork takes a second.
my $script = <<'END_OF_TEXT';
mkfifo /tmp/in
fermata run --box none --kernel /in/vmlinuz --initrd /in/initrd.cpio.gz --append "console=ttyS0 quiet" --name web \
	--clock date=2030-01-01 </tmp/in >/tmp/out 2>&1 &
guest=$!
exec 3>/tmp/in
type() { echo "$*" >&3; }
says() { # PATTERN: when the guest has said it
	n=0
	until grep -q "^$1" /tmp/out; do
		sleep 0.1
		n=$((n + 1))
		[ $n -lt 600 ] || { echo "the guest does not say $1"; cat /tmp/out; exit 1; }
	done
}
up() { cut -d' ' -f1 /proc/uptime; }
ns() { fermata clock web --json | grep '"ns"' | tr -cd 0-9; }

type 'stty -echo; PS1=; clocks() { read u x </proc/uptime; read r </sys/class/rtc/rtc0/since_epoch; d=$EPOCHSECONDS; read v x </proc/uptime; echo; echo "$1:" $d $r $u $v; }; clocks start'
says start:
fermata clock web rate 60
echo "host before $(up)"
type 'clocks once; clocks before; sleep 60; clocks after'
says after:
echo "host after $(up)"
fermata clock web | head -3
fermata clock web rate 1

fermata clock web freeze
echo "frozen $(ns)"
sleep 3
echo "frozen $(ns)"
type 'echo; echo "talks:" now; usleep 20000; echo "slept:" now'
says talks:
fermata clock web step 5ms
sleep 1
echo "stepped $(ns) slept $(grep -c '^slept:' /tmp/out)"
fermata clock web step 1000ms
says slept:
sleep 1
echo "stepped $(ns)"
fermata clock web thaw

type 'clocks held'
says held:
fermata pause web
echo "paused $(ns)"
sleep 3
echo "paused $(ns)"
fermata resume web
before=$(up)
fermata pause web
echo "host paused $before $(up) $(ns)"
sleep 20
fermata resume web --clock advance
n=0
while fermata clock web | grep -q 'catching up' && [ $n -lt 600 ]; do
	sleep 0.1
	n=$((n + 1))
done
before=$(up)
echo "host advanced $before $(ns) $(up)"

EXAMPLES
fermata clock web rate 1
fermata clock web | grep ^date
type 'clocks end; dmesg -r | sed "s/^/raw /"; poweroff -f'
wait $guest
echo "status $?"
echo '@@ guest'
cat /tmp/out
END_OF_TEXT
$script =~ s/^EXAMPLES$/$examples/m;

my ($status, $out) = box([ '-m', 640, '-t', 220 ], $script, 'build/box/vmlinuz', 'build/guest/initrd.cpio.gz');
is($status, 0, 'the box ends as it should');
my %section = sections("@@ host\n$out");
my ($host, $guest) = @section{qw(host guest)};
$guest //= '';
$guest =~ s/\r//g;
like($host, qr/^status 0$/m, 'the guest powers off') or diag(substr($guest, -2000));

my %at = map { /^(\w+): (\d+) (\d+) ([\d.]+) ([\d.]+)$/ ? ($1 => [ $2, $3, $4, $5 ]) : () } split /\n/, $guest;
my @names = ('date', 'the RTC', '/proc/uptime');
my ($before, $after) = map { $_ // [ 0, 0, 0, 0 ] } @at{qw(before after)};
# The uptime is read first and last: at rate 60 a host that is slow for a moment lies between two readings.
my @passed = ($after->[0] - $before->[0], $after->[1] - $before->[1], $after->[2] - $before->[3]);
my $most = $after->[3] - $before->[2];
note("sleep 60 at rate 60: @passed s by date, RTC and uptime, which goes to $most with the readings");
ok($passed[$_] >= 59.9, "sleep 60 at rate 60 is 60 s by $names[$_]") for 0 .. 2;
ok($passed[$_] > $passed[2] - 2 && $passed[$_] < $most + 2, "... as long by $names[$_] as by the uptime") for 0, 1;
my ($began) = $host =~ /^host before ([\d.]+)/m;
my ($ended) = $host =~ /^host after ([\d.]+)/m;
note('... and ', $ended - $began, ' s outside');
ok($ended - $began < 40, '... and far less outside');
my $rdtsc = $kind eq 'amd' ? 'exits' : 'does not exit: the processor scales';
like($host, qr/^rate +60\nRDTSC +$rdtsc/m, '... where it is shown');
ok(($at{start}[1] // 0) >= 1893456000 && $at{start}[1] < 1893456000 + 600, 'the RTC starts at the date that was asked for');
ok(abs($at{start}[0] - $at{start}[1]) < 60, '... and Linux takes it from there');

my @frozen = $host =~ /^frozen (\d+)$/mg;
ok(@frozen == 2 && $frozen[0] == $frozen[1], 'frozen, no time passes');
like($guest, qr/^talks: now$/m, '... but the guest answers');
my ($short, $slept) = $host =~ /^stepped (\d+) slept (\d)$/m;
my ($long) = $host =~ /^stepped (\d+)$/m;
ok($short - $frozen[0] >= 5_000_000 && $short - $frozen[0] <= 5_000_002, 'a step of 5 ms is 5 ms');
is($slept, 0, '... in which a sleep of 20 ms does not end');
ok($long - $short >= 1_000_000_000 && $long - $short <= 1_000_000_002, 'a step of 1 s is 1 s');
like($guest, qr/^slept: now$/m, '... in which it does');

my @paused = $host =~ /^paused (\d+)$/mg;
ok(@paused == 2 && $paused[0] == $paused[1], 'paused, no time passes');
# Between which moments of the host each reading was made is known, however slow all this is.
my ($up0, $up1, $ns0) = $host =~ /^host paused ([\d.]+) ([\d.]+) (\d+)$/m;
my ($up2, $ns1, $up3) = $host =~ /^host advanced ([\d.]+) (\d+) ([\d.]+)$/m;
my ($least, $longest, $made) = ($up2 - $up1, $up3 - $up0, ($ns1 - $ns0) / 1e9);
note("from before a pause whose time is made up the guest's clock has gone $made s, the host's $least to $longest s");
# Between setting the rate of 60 and the step that ends it a busy host's moment counts sixtyfold.
ok($made > $least - 1.5 && $made < $longest + 1.5, 'a pause with --clock advance costs the guest no time');

ok(@examples >= 11, 'the page has examples');
like($host, qr/^did \Q$_\E$/m, "... and does what it says: $_") for @examples;
like($host, qr/^date +2040-01-01/m, '... the date is the last of them');

my ($warnings) = join "\n", grep { /^raw <[0-4]>/ } split /\n/, $guest;
ok(scalar(() = $guest =~ /^raw </mg) > 100, "the guest's log is there");
unlike(unexpected($guest), qr/soft lockup|stall|BUG|WARNING|hung|Call Trace/, '... and complains of nothing');
note($warnings);

done_testing();
