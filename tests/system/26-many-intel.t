#!/usr/bin/perl
# SPDX-License-Identifier: MIT OR GPL-2.0
# timeout: 700
#
# VT-x: several guests at once, each with its own EPT and VPID, in one command and in several; beside a
# hostile one, beside one that is killed, one that dies, and one that spins with interrupts off. Rules about
# and the clock of one that does nothing but exit. The command's statuses and reports. A part of the abuse.
# All that in one start of the box, because it is slow; another with two processors, where a VMCS moves; one
# whose power goes while guests run; and one for the command's own way through the box.
use strict;
use warnings;
use FindBin;
use JSON::PP;
use Test::More;

chdir "$FindBin::Bin/../.." or die;
use lib "$FindBin::Bin";
use Lab;

$Lab::box_seconds = 520;
plan skip_all => 'Bochs is not installed; make bochs installs it' if system('command -v bochs-bin >/dev/null');

# CLI; JMP to itself
my $spin = write_file('spin', kernel_image("\xfa\xeb\xfe"));
# 1: MOV 1 to EAX; CPUID; PAUSE; JMP 1b
my $for_ever = write_file('for-ever', kernel_image("\xb8\1\0\0\0\x0f\xa2\xf3\x90\xeb\xf5"));
my @modules = map { "build/abuse/modules/$_.ko" } qw(irqbypass kvm kvm-intel);

# Group and per cent, as in 30-abuse.t. Not those that swap, torment memory, or take threads: too slow here.
write_file('groups', <<'END_OF_TEXT');
calls 5
slots 5
state 10
code 10
processes 10
kill 5
leaks 2
clock 5
kvm 20
module 20
END_OF_TEXT

my $script = <<'END_OF_TEXT';
wait_for() { # PATTERN FILE
	local n=0
	until grep -qs "$1" "$2" || [ $n = 1000 ]; do usleep 10000; n=$((n + 1)); done
}
tell() { # NAME STATUS
	echo "@@ $1"
	cat "/tmp/$1"
	echo "status $2"
	echo "@@ $1 errors"
	cat "/tmp/$1.errors"
}
run() { fermata run --box none --memory 32M "$@"; }
start() { exec fermata run --box none --memory 32M "$@"; } # in the background: $! is the command itself
chmod +x /in/runner /in/abuse

echo "@@ caps"
fermata caps --json
run --debug-exit --guest '--kernel /in/five --name five' --guest '--kernel /in/echo --name one' \
	--guest '--kernel /in/echo --name two --stats' </dev/null >/tmp/ends 2>/tmp/ends.errors
tell ends $?
run --guest '--kernel /in/triple --name bad' --guest '--kernel /in/echo --name good' </dev/null >/tmp/dies 2>/tmp/dies.errors
tell dies $?

# A guest that exits all the time, and who steers it beside it, on one processor
start --kernel /in/for-ever --name loop </dev/null >/tmp/loop 2>/tmp/loop.errors &
loop=$!
until fermata ps | grep -q '^loop .*running'; do usleep 10000; done
echo "@@ rules"
fermata on loop 'cpuid leaf=1'
usleep 10000
fermata events loop --json
fermata on loop 'cpuid first=1 do stop'
usleep 10000
fermata ps | grep '^loop'
fermata resume loop
fermata off loop 2
fermata on loop 'cpuid first=10 do log'
usleep 10000
fermata log loop --json
fermata on loop 'rdrand do log' 2>&1
fermata on loop 'rdpru do log' 2>&1
echo "@@ clock"
ns() { echo "$1 $(fermata clock loop --json | grep '"ns"' | tr -cd 0-9)"; }
fermata clock loop rate 5
fermata clock loop | grep -E '^(rate|RDTSC) '
fermata clock loop freeze
ns frozen
usleep 10000
ns frozen
fermata clock loop step 5us
usleep 10000
ns stepped
fermata clock loop jump 1s
ns jumped
fermata clock loop thaw
usleep 10000
ns thawed
kill -TERM $loop
wait $loop
tell loop $?

mkfifo /tmp/input
sleep 100000 >/tmp/input &
sleeper=$!
start --kernel /in/echo --name tiny </tmp/input >/tmp/tiny 2>/tmp/tiny.errors &
tiny=$!
start --kernel /in/echo --name victim </tmp/input >/tmp/victim 2>/tmp/victim.errors &
victim=$!
start --kernel /in/spin --name spins </dev/null >/tmp/spins 2>/tmp/spins.errors &
spins=$!
start --kernel /in/spin --name spins2 </dev/null >/tmp/spins2 2>/tmp/spins2.errors &
spins2=$!
wait_for ready /tmp/tiny
wait_for ready /tmp/victim
run --kernel /in/echo --name tiny </dev/null >/tmp/name 2>/tmp/name.errors
tell name $?
kill -KILL $victim $spins
kill -TERM $spins2
wait $victim 2>/dev/null
tell victim $?
wait $spins 2>/dev/null
tell spins $?
wait $spins2
tell spins2 $?
kill $sleeper
wait $tiny
tell tiny $?

# Full of a pattern; after another such that was killed, and beside a hostile one.
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
echo "@@ module"
cat /sys/module/fermata/refcnt

insmod /in/irqbypass.ko && insmod /in/kvm.ko enable_virt_at_load=0 && insmod /in/kvm-intel.ko
while read -r group percent; do
	echo "@@ abuse $group"
	/in/abuse "$group" "$percent" 2>&1
	echo "status $?"
done </in/groups
echo "@@ host"
dmesg
END_OF_TEXT

my ($status, $out) = box([ '-b', 'intel', '-c', 1, '-m', 400, '-t', 500 ], $script, $echo, $five, $triple, $spin, $for_ever,
	"$dir/groups", 'build/abuse/abuse', @modules, map { "build/guests/$_" } qw(runner pattern hostile));
is($status, 0, 'the box ends as it should');
my %section = sections($out);
$_ //= '' for @section{'caps', 'host', 'module', 'beside', 'rules', 'clock', map { ($_, "$_ errors") }
	qw(ends dies loop name victim spins spins2 tiny hostile pattern)};

sub count {
	my ($text, $pattern) = @_;
	return scalar(() = $text =~ /$pattern/g);
}

my $caps = eval { decode_json($section{caps}) } // {};
ok($caps->{vmx} && $caps->{vmx}{vpid}, 'the processor has VT-x with VPID');

# ---- the command

is($section{ends} =~ s/^\[(one|two)\] ready\n//gmr, "status 11\n", 'three guests in one command; the largest status');
is(count($section{ends}, qr/^\[(?:one|two)\] ready$/m), 2, 'each says whose it is');
is(count($section{'ends errors'}, qr/^fermata: the guest '(?:one|two)' powered off$/m), 2, 'two power off');
like($section{'ends errors'}, qr/^fermata: the guest 'five' ended itself with status 11$/m, 'one has a status');
like($section{'ends errors'}, qr/^exit +count.*^(?:IO_INSTRUCTION|CPUID|EXTERNAL_INTERRUPT|EPT_VIOLATION) /ms, 'statistics in VT-x\'s words');
like($section{'dies errors'}, qr/^fermata: the guest 'bad' died: triple fault.*0?123456789abcdef.*TRIPLE_FAULT/msi, 'one dies, with a report');
like($section{dies}, qr/^\[good\] ready\nstatus 2$/m, 'the other comes to its end');
like($section{'name errors'}, qr/\Afermata: [^\n]*the name 'tiny' is taken by a running guest[^\n]*\n\z/, 'one name for one guest');

# ---- instructions and clock

my @rules = split /\n/, $section{rules};
is($rules[0] // '', '1', 'a rule for a guest that exits all the time');
my $events = eval { decode_json($rules[1]) } // {};
cmp_ok($events->{rules}[0]{hits} // 0, '>', 100, 'hits');
like($section{rules}, qr/^loop +paused +intel/m, 'one that stops holds the guest');
like($section{'loop errors'}, qr/^fermata: rule 2 \(cpuid\) holds the guest before the instruction at 0x[0-9a-f]+ on vCPU 0/m, 'which is told');
my @records = map { eval { decode_json($_) } // () } grep { /"sequence"/ } @rules;
is(scalar(grep { $_->{event} eq 'cpuid' && $_->{leaf} eq '0x1' && $_->{rule} == 3 && $_->{reason} eq 'CPUID' } @records), 10,
	'each CPUID that a rule is about is a record');
like($section{rules}, qr/^4\nfermata: VT-x cannot intercept rdpru on this processor/m, 'RDRAND can be intercepted, RDPRU cannot');
like($section{clock}, qr/^rate +5\nRDTSC +does not exit: the processor scales/m, 'at rate 5 the processor scales the TSC');
my %ns = map { $_->[0] => $_->[1] } my @ns = map { [ /^(\w+) (\d+)$/ ] } grep { /^\w+ \d+$/ } split /\n/, $section{clock};
ok(@ns == 5 && $ns[0][1] == $ns[1][1], 'frozen, no time passes');
my $step = ($ns{stepped} // 0) - ($ns{frozen} // 0);
ok($step >= 5_000 && $step <= 5_002, 'a step of 5 us is 5 us') or diag($step);
is(($ns{jumped} // 0) - ($ns{stepped} // 0), 1_000_000_000, 'a jump of 1 s is 1 s');
cmp_ok($ns{thawed} // 0, '>', ($ns{jumped} // 0) + 10_000_000, 'thawed, time goes on');

# ---- one of several commands is killed

like($section{victim}, qr/ready.*status 137$/ms, 'one of four commands is killed');
is($section{spins}, "status 137\n", 'so is one whose guest spins with interrupts off');
is($section{spins2}, "status 143\n", 'another such is ended');
is($section{tiny}, "ready\nstatus 0\n", 'and the fourth comes to its end');

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
is($section{module}, "0\n", 'nothing holds the module');

# ---- abuse

for my $group (map { (split ' ')[0] } split /\n/, read_file("$dir/groups")) {
	my $text = $section{"abuse $group"} // '';
	ok($text =~ /^ok /m && $text !~ /^not ok/m && $text =~ /^status 0$/m, "abuse: $group") or diag($text);
}

# ---- from processor to processor

my $cpus;
($status, $cpus) = box([ '-b', 'intel', '-c', 2, '-m', 200, '-t', 200 ], <<'END_OF_TEXT', 'build/abuse/abuse');
chmod +x /in/abuse
/in/abuse cpus 60 2>&1
dmesg | grep -E 'Oops|Call Trace|fermata: vCPU'
END_OF_TEXT
like($cpus, qr/^ok - a new processor each millisecond: the guest counts right$/m, 'guests move from processor to processor');
ok($cpus !~ /^not ok|Oops|Call Trace|fermata: vCPU/m, 'which come and go') or diag($cpus);

# ---- the power goes, and VT-x before it

my $trouble = qr/WARNING:|BUG|Oops|Call Trace|unchecked MSR|nobody cared|soft lockup/;
my $forever = write_file('forever', "chmod +x /in/abuse\n/in/abuse forever\npoweroff -f\n");
# Not by box(): to box-sh a box that ends by itself is an error, which it tells at length.
(undef, $out) = command({ seconds => 100 }, qw(build/box/box-sh -b intel -m 200 -t 90 -k preempt=full -l), "$dir/log",
	$forever, 'build/abuse/abuse');
like($out, qr/^ok - two VMs are running$/m, 'two guests run when the box is switched off');
my $log = read_file("$dir/log");
ok($log =~ /reboot: Power down/ && unexpected($log) !~ /$trouble|invalid opcode|fermata: /, 'without a word') or diag($log);

unlike(unexpected($section{host}), $trouble, "the host's log is clean");

# ---- through the box, as a user of this computer has it

my $terminal = Lab::Terminal->new($fermata, 'run', '--box', 'intel', '--memory', '32M', '--kernel', $echo);
ok($terminal->shows(qr/ready\r\n/, 90), 'the guest writes to the terminal');
$terminal->type('abc');
ok($terminal->shows(qr/abc/, 60), 'keys reach it');
$terminal->type("\x01h");
ok($terminal->shows(qr/Ctrl-A x +end the guest/, 60), 'Ctrl-A h helps');
$terminal->type("\x01x");
is($terminal->finish(60), 0, 'Ctrl-A x ends it');
ok($terminal->restored, 'and the terminal is restored');
done_testing;
