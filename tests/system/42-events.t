#!/usr/bin/perl
# SPDX-License-Identifier: MIT OR GPL-2.0
# timeout: 400
#
# Rules from the command line: given at the start and to a running guest, their log in its three formats,
# and what is refused. The guests are loops of CPUID; and Debian's kernel, with a variable that is watched by
# its linear address, as docs/events.md has it.
use strict;
use warnings;
use FindBin;
use JSON::PP;
use Test::More;
use Time::HiRes 'sleep';

chdir "$FindBin::Bin/../.." or die;
use lib "$FindBin::Bin";
use Lab;

mkdir "$dir/runtime", 0700;
$ENV{XDG_RUNTIME_DIR} = "$dir/runtime";

# mov esi, 100; 1: mov eax, 1; cpuid; dec esi; jnz 1b; mov al, 5; out 0xf4, al
my $hundred = write_file('hundred', kernel_image("\xbe\x64\0\0\0\xb8\1\0\0\0\x0f\xa2\xff\xce\x75\xf5\xb0\5\xe6\xf4"));
# 1: mov eax, 1; cpuid; pause; jmp 1b
my $for_ever = write_file('for-ever', kernel_image("\xb8\1\0\0\0\x0f\xa2\xf3\x90\xeb\xf5"));

sub run_hundred {
	my (@options) = @_;
	return command({ seconds => 100 }, $fermata, 'run', '--box', $kind, '--debug-exit', '--kernel', $hundred, @options);
}

# ---- what is no rule

for my $case (
	[ 'cpuit', 'no such event', 2 ],
	[ 'cpuid lief=1 do log', 'no such filter of cpuid', 8 ],
	[ 'cpuid leaf=1 do set eax=zz', 'not a number', 26 ],
	[ 'cpuid do stop skip', '`stop` goes with `log` only', 16 ],
	[ 'write do log', 'which memory? give gpa=A..B or gva=A..B before `do`', 8 ],
	[ 'write gva=0x1000..0x11000', 'gva= without gpa= can be 16 pages of 4 KiB at most', 8 ]) {
	my ($rule, $why, $column) = @$case;
	my ($status, $out, $err) = run_hundred('--on', $rule);
	my @lines = split /\n/, $err;
	is($status, 1, "'$rule' is refused");
	like($lines[0], qr/^fermata: --on: \Q$why\E/, 'with the reason');
	is($lines[1], "  $rule", 'the rule');
	like($lines[2], qr/^ {$column}\^~*$/, 'and a finger at the word');
}
my ($status, $out, $err) = run_hundred('--on', 'hlt', '--log-format', 'poem');
is($status, 1, 'a format that is none');
like($err, qr/--log-format poem: not known; give text, json or chrome/, 'is told');

# ---- at the start

my ($vendor, $never) = $kind eq 'intel' ? ('VT-x', 'rdpru') : ('AMD-V', 'rdrand');
($status, $out, $err) = run_hundred('--on', $never);
is($status, 1, "what $vendor cannot intercept is refused");
like($out . $err, qr/$vendor cannot intercept $never/, 'and says so');

($status, $out, $err) = run_hundred('--on', 'cpuid leaf=1 do log', '--log', "$dir/log.json", '--log-format', 'json');
is($status, 11, 'a guest with a rule ends as without');
my @records = map { decode_json($_) } split /\n/, read_file("$dir/log.json");
is(scalar @records, 100, 'each CPUID is a record');
is(scalar(grep { $_->{event} eq 'cpuid' && $_->{leaf} eq '0x1' && $_->{rule} == 1 } @records), 100, 'of that event');
is_deeply([ map { $_->{sequence} } @records ], [ 0 .. 99 ], 'in their order, none lost');
ok(!(grep { $records[$_]{guest_ns} < $records[ $_ - 1 ]{guest_ns} } 1 .. 99), 'and time goes on');

($status, $out, $err) = run_hundred('--on', 'cpuid every=2 do log', '--log', "$dir/log.trace", '--log-format', 'chrome');
my $trace = eval { decode_json(read_file("$dir/log.trace")) };
ok($trace, 'a trace is JSON') or diag($@);
my @events = @{ $trace->{traceEvents} // [] };
is(scalar(grep { $_->{ph} eq 'X' && $_->{name} eq 'cpuid leaf=0x1' && defined $_->{dur} } @events), 50, 'exits are slices');
is(scalar(grep { $_->{ph} eq 'M' && $_->{args}{name} eq 'vCPU 0' } @events), 1, 'a virtual CPU is a track');

($status, $out, $err) = run_hundred('--on', 'cpuid first=3 do log skip', '--on', 'cpuid');
is($status, 11, 'a guest whose CPUIDs are skipped');
my @lines = grep { /cpuid leaf=0x1/ } split /\n/, $err;
is(scalar @lines, 3, 'without --log the log is on standard error, and `first` has an end');
like($lines[0], qr/^ *0 vcpu 0 guest \d+\.\d{9} host \d+\.\d{9} cpuid leaf=0x1 .* rip=0x[0-9a-f]+ .* cpl=0 rule=1 skipped$/,
	'as text');

# ---- to a running guest

sub fermata { return command({ seconds => 60 }, $fermata, @_) }
sub rules { return decode_json((fermata('events', 'loop', '--json'))[1])->{rules} }

my $pid = start({ out => "$dir/run.out", err => "$dir/run.err" }, $fermata, 'run', '--box', $kind, '--name', 'loop', '--kernel', $for_ever);
for (1 .. 200 * $slow) { # the box starts
	last if (fermata('ps'))[1] =~ /^loop +running/m;
	sleep 0.2;
}
($status, $out, $err) = fermata('on', 'loop', 'cpuid leaf=1');
is($status, 0, 'a rule for a running guest') or diag($err);
is($out, "1\n", 'has a number');
sleep 0.5 * $slow;
my $before = rules()->[0]{hits};
sleep 0.5 * $slow;
cmp_ok(rules()->[0]{hits}, '>', $before, 'and hits, more and more');
($status, $out) = fermata('events', 'loop');
like($out, qr/^ +1 +\d+ +\d+ +\d+\.\d\d%  cpuid leaf=1 do count$/m, 'a list for people');
is((fermata('on', 'loop', 'cpuid first=1 do stop'))[1], "2\n", 'a rule that stops');
sleep 0.5 * $slow;
like((fermata('ps'))[1], qr/^loop +paused/m, 'holds the guest');
like(read_file("$dir/run.out") . read_file("$dir/run.err"), qr/fermata: rule 2 \(cpuid\) holds the guest before the instruction at 0x[0-9a-f]+ on vCPU 0/,
	'which its own terminal tells');
$before = rules()->[0]{hits};
sleep 0.3 * $slow;
is(rules()->[0]{hits}, $before, 'which executes nothing');
is((fermata('resume', 'loop'))[0], 0, 'until `resume`');
sleep 0.5 * $slow;
cmp_ok(rules()->[0]{hits}, '>', $before, 'when it goes on');
is((fermata('off', 'loop', 2))[0], 0, 'a rule is removed');
is(scalar @{ rules() }, 1, 'and is gone');
($status, $out, $err) = fermata('off', 'loop', 2);
like($err, qr/rule 2: there is none with that number/, 'once');
is((fermata('on', 'loop', 'cpuid first=10 do log'))[1], "3\n", 'numbers are not used again');
sleep 0.5 * $slow;
($status, $out) = fermata('log', 'loop', '--json');
is(scalar(grep { decode_json($_)->{rule} == 3 } split /\n/, $out), 10, 'what was logged');
is((fermata('log', 'loop', '--json'))[1], '', 'is taken once');
is((fermata('on', 'loop', 'cpuid first=1000 do log'))[1], "4\n", 'a rule with more records than one answer holds');
sleep 0.5 * $slow;
($status, $out) = fermata('log', 'loop', '--json');
is_deeply([ map { decode_json($_)->{sequence} } split /\n/, $out ], [ 10 .. 1009 ], 'which all arrive, in their order');
($status, $out, $err) = fermata('on', 'loop', 'cpuid lief=1');
is($status, 1, 'what is no rule');
like($err, qr/lief=1\n {8}\^~~~$/m, 'is shown where');
is((fermata('quit', 'loop'))[0], 0, 'the guest is ended');
finish($pid, 30);

# ---- by linear address, in an unmodified guest: who changes the host's name

no warnings 'portable'; # numbers of 64 bits
my $address;
my $guest = Lab::Terminal->new($fermata, qw(run --box amd --name web --kernel build/box/vmlinuz --initrd build/guest/initrd.cpio.gz),
	'--append', 'console=ttyS0 quiet nokaslr');
ok($guest->shows(qr/guest# /, 150), "Debian's kernel as a guest");
$guest->type("grep -w init_uts_ns /proc/kallsyms\r");
ok($guest->shows(qr/([0-9a-f]{16}) D init_uts_ns(?{ $address = hex $1 })/, 60), 'says where its name lies');
$address += 65; # new_utsname.nodename, 65 bytes
my $rule = sprintf 'write gva=%#x..%#x do log', $address, $address + 64;
is((fermata('on', 'web', $rule))[1], "1\n", 'a rule about it');
$guest->type("true; hostname kestrel; echo do''ne\r");
ok($guest->shows(qr/done\r\n/, 60), 'the guest goes on');
@records = map { decode_json($_) } split /\n/, (fermata('log', 'web', '--json'))[1];
my $name = "\xff" x 65;
for my $record (@records) {
	my ($at, $size) = (hex($record->{gva}) - $address, hex $record->{code});
	substr($name, $at, $size) = substr pack('Q<', hex $record->{value}), 0, $size if $at >= 0 && $at + $size <= 65;
}
is($name, 'kestrel' . "\0" x 58, 'and its name was written where the rule saw it');
is(scalar(grep { $_->{event} eq 'write' && $_->{cpl} == 0 && hex($_->{gpa}) % 4096 == hex($_->{gva}) % 4096 } @records), scalar @records,
	'by the kernel, at a physical address that the records say too');
$guest->type("for i in 1 2 3 4 5 6 7 8; do hostname; done; echo do''ne\r");
ok($guest->shows(qr/(?:kestrel\r\n){8}done\r\n/, 60), 'readers see it');
is((fermata('log', 'web', '--json'))[1], '', 'and are not seen');
is((fermata('off', 'web', 1))[0], 0, 'without the rule');
$guest->type("hostname heron; hostname; echo do''ne\r");
ok($guest->shows(qr/heron\r\ndone\r\n/, 60), 'it goes on');
is((fermata('quit', 'web'))[0], 0, 'it is ended');
$guest->finish(30);
done_testing;
