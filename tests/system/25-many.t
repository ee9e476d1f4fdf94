#!/usr/bin/perl
# SPDX-License-Identifier: MIT OR GPL-2.0
# timeout: 240
#
# Several guests at once, each with its own tag: in one command and in several, beside a hostile one,
# beside one that is killed, and beside one that dies. One start of the box, and a short one for the
# command's own way through it.
use strict;
use warnings;
use FindBin;
use Test::More;

chdir "$FindBin::Bin/../.." or die;
use lib "$FindBin::Bin";
use Lab;


my $script = <<'END_OF_TEXT';
wait_for() { # PATTERN FILE
	local n=0
	until grep -qs "$1" "$2" || [ $n = 300 ]; do usleep 100000; n=$((n + 1)); done
}
options='--kernel /in/vmlinuz --initrd /in/initrd.cpio.gz --memory 128M --append "console=ttyS0 quiet"'
tell() { # NAME STATUS
	echo "@@ $1"
	cat "/tmp/$1"
	echo "status $2"
	echo "@@ $1 errors"
	cat "/tmp/$1.errors"
}

# Three in one command
echo 'echo "I am the" first; exit' | fermata run --box none --guest "$options --name one" \
	--guest "$options --name two --stats" --guest "$options --name three" >/tmp/three 2>/tmp/three.errors
tell three $?

# A guest that dies, beside one that does not; and what a reset and --debug-exit count
fermata run --box none --guest '--kernel /in/triple --name bad' --guest "$options --name good" \
	</dev/null >/tmp/dies 2>/tmp/dies.errors
tell dies $?
fermata run --box none --debug-exit --guest '--kernel /in/five --name five' --guest '--kernel /in/echo --name echo' \
	</dev/null >/tmp/ends 2>/tmp/ends.errors
tell ends $?

# One of three commands is killed
mkfifo /tmp/input
sleep 300 >/tmp/input &
sleeper=$!
fermata run --box none --kernel /in/echo --name tiny </tmp/input >/tmp/tiny 2>/tmp/tiny.errors &
tiny=$!
eval "set -- $options"
fermata run --box none "$@" --name linux </in/commands >/tmp/linux 2>/tmp/linux.errors &
linux=$!
fermata run --box none "$@" --append console=ttyS0 --name victim </tmp/input >/tmp/victim 2>/tmp/victim.errors &
victim=$!
wait_for ready /tmp/tiny
wait_for 'Linux version' /tmp/victim
kill -KILL $victim
wait $victim 2>/dev/null
tell victim $?
wait $linux
tell linux $?
kill $sleeper
wait $tiny
tell tiny $?

# A hostile one beside one that is full of a pattern, after another such that was killed
chmod +x /in/runner
/in/runner -w /in/pattern >/tmp/former 2>&1 &
pattern=$!
wait_for everywhere /tmp/former
kill -KILL $pattern
wait $pattern 2>/dev/null
/in/runner -w /in/pattern >/tmp/pattern 2>/tmp/pattern.errors &
pattern=$!
wait_for everywhere /tmp/pattern
/in/runner /in/hostile >/tmp/hostile 2>/tmp/hostile.errors
tell hostile $?
echo "@@ beside"
echo "filled: $(grep -c everywhere /tmp/pattern), ended: $(grep -c '^1\.\.' /tmp/pattern)"
kill -USR1 $pattern
wait $pattern
tell pattern $?
echo "@@ host"
dmesg
echo "@@ module"
cat /sys/module/fermata/refcnt
END_OF_TEXT
write_file('commands', "echo counted to \$(seq 1 20000 | wc -l)\n");

my ($status, $out) = box([ '-c', 1, '-m', 640, '-t', 200 ], $script, 'build/box/vmlinuz', 'build/guest/initrd.cpio.gz',
	"$dir/commands", $echo, $five, $triple, map { "build/guests/$_" } qw(runner pattern hostile));
is($status, 0, 'the box ends as it should');
my %section = sections($out);
$_ //= '' for @section{'host', 'module', 'beside', map { ($_, "$_ errors") } qw(three dies ends victim linux tiny hostile pattern)};

sub count {
	my ($text, $pattern) = @_;
	return scalar(() = $text =~ /$pattern/g);
}

# ---- three in one command

my $three = $section{three};
for my $name (qw(one two three)) {
	is(count($three, qr/^\[$name\] This is a guest under Fermata/m), 1, "guest $name of three reaches user space");
	like($three, qr/^\[$name\] .*reboot: Power down$/m, 'and powers off');
	is(count($section{'three errors'}, qr/^fermata: the guest '$name' powered off$/m), 1, 'which is told in one line');
}
like($three, qr/^\[one\] I am the first$/m, 'the first one has the input');
unlike($three, qr/^\[(two|three)\] .*I am the/m, 'and nobody else');
is(count($three, qr/^(?!\[(one|two|three)\] |status )/m), 0, 'each line says whose it is');
like($three, qr/^status 0$/m, 'status 0');
like($section{'three errors'}, qr/^fermata: exits of the guest 'two':\nexit +count/m, 'statistics of the one that has --stats');
is(count($section{'three errors'}, qr/^exit +count/m), 1, 'and of no other');

# ---- one dies

like($section{'dies errors'}, qr/^fermata: the guest 'bad' died: triple fault.*0?123456789abcdef/msi, 'one guest dies, with a report');
like($section{dies}, qr/^\[good\] .*reboot: Power down$/m, 'the other comes to its end');
like($section{'dies errors'}, qr/^fermata: the guest 'good' powered off$/m, 'which is told');
like($section{dies}, qr/^status 2$/m, 'and the worse of the two is the status');
is($section{ends}, "[echo] ready\nstatus 11\n", 'the largest status otherwise');
is($section{'ends errors'} =~ s/^(.*\n)(.*'five'.*\n)\z/$2$1/r,
	"fermata: the guest 'five' ended itself with status 11\nfermata: the guest 'echo' powered off\n", 'one line each');

# ---- one is killed

like($section{victim}, qr/Linux version.*status 137$/ms, 'one of three commands is killed');
like($section{linux}, qr/counted to 20000.*reboot: Power down\n.*^status 0$/ms, 'the second comes to its normal end');
is($section{tiny}, "ready\nstatus 0\n", 'and the third');

# ---- one is hostile

like($section{hostile}, qr/^ok \d+ - hostile: $_$/m, "the hostile guest: $_")
	for 'what is there is found', 'not in registers', 'not in RAM', 'not in other slots', 'not in holes and devices',
	'not beyond, up to the last address', 'not in MSRs', 'not at ports', "not in CPUID's leaves";
like($section{hostile}, qr/^1\.\.\d+\nstatus 0$/m, 'comes to its end');
unlike($section{hostile}, qr/^not ok/m, 'and found nothing') or diag($section{hostile});
is($section{beside}, "filled: 1, ended: 0\n", 'the other one was there all the time');
like($section{pattern}, qr/^ok \d+ - pattern: $_$/m, "its neighbour: $_")
	for 'all memory keeps the pattern', 'so do the devices', 'so do registers and MSRs';
like($section{pattern}, qr/^1\.\.\d+\nstatus 0$/m, 'comes to its end');
unlike($section{pattern}, qr/^not ok/m, 'intact') or diag($section{pattern});
unlike(unexpected($section{host}), qr/WARNING:|BUG|Oops|Call Trace|unchecked MSR/, "the host's log is clean");
is($section{module}, "0\n", 'nothing holds the module');

# ---- through the box

my @through = ($fermata, 'run', '--box', $kind, '--memory', '32M', '--kernel', $echo);
my ($s, $o, $e) = command({ in => write_file('typed', "typed"), seconds => 60 }, @through,
	'--guest', '--name e1', '--guest', "--name e2 --append 'it'\\''s'", '--guest', "--name f --debug-exit --kernel '$five'");
is($s, 11, 'the statuses of several guests come through the box');
$o =~ s/\r//g;
is(join('', sort grep { /^\[/ } split /^/, $o), "[e1] ready\n[e1] typed\n[e2] ready\n", 'and their output, and the input');
is(count("$o$e", qr/^fermata: the guest '(e1|e2)' powered off$/m), 2, 'and how they ended');

# ---- refused before anything starts

my ($free) = read_file('/proc/meminfo') =~ /^MemAvailable: +(\d+) kB/m;
my $half = 4 * int(($free + (read_file('/proc/meminfo') =~ /^SwapFree: +(\d+) kB/m)[0]) * 0.7 / 4) . 'K';
for my $case (
	[ 'more memory than there is for all' => [ '--memory', $half, '--guest', '', '--guest', '' ], qr/together the guests want/ ],
	[ 'a missing file of one' => [ '--guest', '', '--guest', '--initrd nothing' ], qr/nothing: No such file/ ],
	[ 'the same name twice' => [ '--guest', '--name a', '--guest', '--name a' ], qr/two guests have the name 'a'/ ],
	[ 'an open quote' => [ '--guest', "--append 'x" ], qr/a quote or backslash without its end/ ],
) {
	my ($what, $arguments, $pattern) = @$case;
	my ($s, $o, $e) = command({ env => { FERMATA_BOX => "$dir/no-box" } }, @through, @$arguments);
	ok($s eq 1 && $o eq '' && $e =~ /\Afermata: [^\n]*;[^\n]*\n\z/ && $e =~ $pattern, "refused: $what") or diag("$s: $o$e");
}
done_testing;
