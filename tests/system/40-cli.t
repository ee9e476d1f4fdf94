#!/usr/bin/perl
# SPDX-License-Identifier: MIT OR GPL-2.0
# timeout: 240
#
# The command: what it refuses and in which words, its exit statuses, and how it treats the terminal.
use strict;
use warnings;
use FindBin;
use JSON::PP;
use Test::More;
use Time::HiRes 'sleep';

chdir "$FindBin::Bin/../.." or die;
use lib "$FindBin::Bin";
use Lab;

# ---- one more kernel of a few bytes, beside those in Lab.pm

# Halts for ever.
my $halt = write_file('halt', kernel_image("\xfa\xf4"));

# ---- refusals: before anything starts, and here no box could

my $debian = 'build/box/vmlinuz';
my $initrd = 'build/guest/initrd.cpio.gz';
my $bytes = read_file($debian);
my $long = 'n' x 65;
my %cut = map { $_ => write_file("cut-$_", substr $bytes, 0, $_) } 1, 511, 514, 600, 1024, 20000, length($bytes) / 2, length($bytes) - 20000;
my $big = "$dir/big";
open my $f, '>', $big or die;
truncate $f, 300 << 20 or die;
close $f;
mkdir "$dir/folder";

sub corrupt {
	my ($name, %field) = @_;
	return ('--kernel', write_file("bad-$name", kernel_image("\xf4", %field)));
}

my @refused = (
	# arguments of `fermata run --box KIND`, what the line says
	[ 'no kernel named' => [], qr/no kernel; give --kernel FILE/ ],
	[ 'no such kernel' => [ '--kernel', "$dir/nothing" ], qr/nothing: No such file or directory/ ],
	[ 'a folder' => [ '--kernel', "$dir/folder" ], qr/folder: is a directory/ ],
	[ 'a device' => [ '--kernel', '/dev/null' ], qr{/dev/null: not a regular file} ],
	[ 'an empty kernel' => [ '--kernel', write_file('empty', '') ], qr/empty: the file is empty/ ],
	[ 'a text' => [ '--kernel', 'Makefile' ], qr/Makefile: not a Linux kernel image/ ],
	[ 'an initrd as kernel' => [ '--kernel', $initrd ], qr/gzip-compressed, not a bzImage/ ],
	[ 'an ELF file' => [ '--kernel', $fermata ], qr/an ELF file/ ],
	map({ [ "a kernel cut to $_ bytes" => [ '--kernel', $cut{$_} ], qr/not a Linux kernel image|truncated/ ] }
		sort { $a <=> $b } keys %cut),
	[ 'a wrong boot flag' => [ corrupt('flag', boot_flag => 0xaa56) ], qr/corrupt kernel header \(boot flag/ ],
	[ 'a wrong magic number' => [ corrupt('magic', magic => 'HdrT') ], qr/not a Linux kernel image/ ],
	[ 'an old protocol' => [ corrupt('version', version => 0x20b) ], qr/has no 64-bit entry/ ],
	[ 'a 32-bit kernel' => [ corrupt('bits', xloadflags => 0) ], qr/a 32-bit kernel/ ],
	[ 'a zImage' => [ corrupt('low', loadflags => 0) ], qr/a zImage/ ],
	[ 'a header too short' => [ corrupt('jump', jump => 0x20) ], qr/corrupt kernel header/ ],
	[ 'a header too long' => [ corrupt('long', jump => 0xff) ], qr/corrupt kernel header/ ],
	[ 'no code' => [ corrupt('syssize', syssize => 0) ], qr/corrupt kernel header \(syssize/ ],
	[ 'more code than there is' => [ corrupt('more', syssize => 0xffffffff) ], qr/truncated/ ],
	[ 'a payload outside' => [ corrupt('payload', payload_offset => 0xffffff00) ], qr/corrupt kernel header \(payload/ ],
	[ 'a crooked alignment' => [ corrupt('align', kernel_alignment => 3) ], qr/corrupt kernel header \(kernel_alignment/ ],
	[ 'an address nowhere' => [ corrupt('pref', pref_address => ~0) ], qr/corrupt kernel header \(pref_address/ ],
	[ 'a size too small' => [ corrupt('init', init_size => 16) ], qr/corrupt kernel header \(init_size/ ],
	[ 'a size too large' => [ corrupt('init2', init_size => 0xffffffff) ], qr/give it more|needs memory/ ],
	[ 'no such initrd' => [ '--kernel', $debian, '--initrd', "$dir/nothing" ], qr/nothing: No such file or directory/ ],
	[ 'an initrd larger than RAM' => [ '--kernel', $debian, '--initrd', $big ], qr/big: / ],
	[ 'a folder as initrd' => [ '--kernel', $debian, '--initrd', $dir ], qr/is a directory/ ],
	[ 'a command line too long' => [ '--kernel', $debian, '--append', 'a' x 5000 ], qr/command line/ ],
	[ 'too little for this kernel' => [ '--kernel', $debian, '--memory', '16M' ], qr/needs memory up to/ ],
	map({ [ "memory '$_'" => [ '--kernel', $debian, '--memory', $_ ], qr/--memory / ] }
		'', 0, 1, 4095, 4096, '1K', '256', '-1', '256MB', '256 M', 'M', '0x10000000', '1.5G', '1e9', '268435455',
		'900G', '2T', '99999999999999999999', '17179869184G'),
	map({ [ "name '$_'" => [ '--kernel', $debian, '--name', $_ ], qr/not a name/ ] }
		'', '.', '..', 'a/b', '/etc', "a\nb", 'a b', "\xc3\xa4", $long),
	[ 'no such box' => [ '--kernel', $debian, '--box', 'nowhere' ], qr/there is no such box/ ],
	[ 'no such model' => [ '--kernel', $debian, '--box', 'bochs:i486' ], qr/no such model; it has: .*\bcorei7_skylake_x\b/ ],
	[ 'no such use of keys' => [ '--kernel', $debian, '--keys', 'maybe' ], qr/--keys maybe/ ],
	map({ my ($spec, $word) = @$_; [ "clock '$spec'" => [ '--kernel', $debian, '--clock', $spec ], qr/--clock \Q$spec\E: '\Q$word\E' / ] }
		[ '', '' ], [ 'fast', 'fast' ], [ 'rate=0', '0' ], [ 'rate=1001', '1001' ], [ 'frozen,rate=1/x', '1/x' ],
		[ 'date=2030-02-30', '2030-02-30' ], [ 'rate=2,,frozen', '' ]),
	map({ [ "$_ without its value" => [ $_ ], qr/option '$_' needs a value/ ] }
		qw(--kernel --initrd --append --memory --name --box --keys --clock)),
	[ 'an option without a value given one' => [ '--kernel', $debian, '--stats=1' ], qr/takes no value/ ],
	[ 'an unknown option' => [ '--kernel', $debian, '--smp', '2' ], qr/unknown option '--smp'/ ],
	[ 'an unknown letter' => [ '--kernel', $debian, '-z' ], qr/unknown option '-z'/ ],
	[ 'a word too many' => [ '--kernel', $debian, 'again' ], qr/'again' is not an option/ ],
);

# One line that says what is wrong and what to do: two clauses at least.
sub refuses {
	my ($what, $pattern, @command) = @_;
	my ($status, $out, $err) = command({ seconds => 10, env => { FERMATA_BOX => "$dir/no-box" } }, @command);
	my $good = $status eq 1 && $out eq '' && $err =~ /\Afermata: [^\n]*\n\z/ && $err =~ $pattern;
	$what =~ s/\n/\\n/g;
	ok($good, "refused: $what") or diag("status $status, standard output: $out, standard error: $err");
	return $err;
}

my @silent;
for my $case (@refused) {
	my ($what, $arguments, $pattern) = @$case;
	my $line = refuses($what, $pattern, $fermata, 'run', '--box', $kind, @$arguments);
	push @silent, $line if $line !~ /;|\bsee\b|\btry\b/;
}
is_deeply(\@silent, [], 'each says what to do');

SKIP: {
	skip 'only root can become somebody who may not read a file', 1 if $> != 0;
	chmod 0711, $dir;
	my $secret = write_file('secret', $bytes);
	chmod 0600, $secret;
	my $copy = write_file('fermata', read_file($fermata));
	chmod 0755, $copy;
	refuses('a file one may not read', qr/secret: Permission denied/, 'setpriv', '--reuid=65534', '--regid=65534',
		'--clear-groups', $copy, 'run', '--box', $kind, '--kernel', $secret);
}
refuses('no verb', qr/no verb/, $fermata);
refuses('an unknown verb', qr/no verb 'start'/, $fermata, 'start');
refuses('an unknown option', qr/no option '--fast'/, $fermata, '--fast');
refuses('an unknown option of caps', qr/unknown option '--xml'/, $fermata, 'caps', '--xml');
refuses("a clock's $_->[0]", $_->[1], $fermata, 'clock', @{ $_->[2] }) for
	[ 'unknown verb', qr/clock stop: not known; give show, freeze/, [ 'web', 'stop' ] ],
	[ 'missing value', qr/clock rate needs a value/, [ 'web', 'rate' ] ],
	[ 'value too many', qr/'1': clock freeze takes no value/, [ 'web', 'freeze', '1' ] ],
	[ 'word too many', qr/'3': one word too many/, [ 'web', 'rate', '2', '3' ] ],
	[ 'bad rate', qr/clock rate: '2x' is no rate/, [ 'web', 'rate', '2x' ] ],
	[ 'bad span', qr/clock step: '10' is no span of time/, [ 'web', 'step', '10' ] ],
	[ 'negative step', qr/clock step: '-1s' is no span of time/, [ 'web', 'step', '-1s' ] ],
	[ 'bad jump', qr/clock jump: '-x' is no span of time/, [ 'web', 'jump', '-x' ] ],
	[ 'bad date', qr/clock set: 'tomorrow' is no date/, [ 'web', 'set', 'tomorrow' ] ],
	[ 'missing guest', qr/no guest named/, [] ],
	[ 'guest that is not there', qr/nobody-of-that-name/, [ 'nobody-of-that-name' ] ];
refuses('a resume with an unknown clock', qr/--clock later/, $fermata, 'resume', 'web', '--clock', 'later');
refuses('help for an unknown verb', qr/no verb 'start'/, $fermata, 'help', 'start');
refuses('an unknown option of ps', qr/unknown option '--xml'/, $fermata, 'ps', '--xml');
refuses("$_ of nobody", qr/no guest named; `fermata ps` lists them/, $fermata, $_) for qw(stat pause resume quit);
refuses("$_ of a guest that is none", qr/no guest 'nobody-of-that-name' runs/, $fermata, $_, 'nobody-of-that-name')
	for qw(stat pause resume quit);
refuses("$_ of two", qr/'b': one guest at a time/, $fermata, $_, 'a', 'b') for qw(stat pause resume quit);
refuses('a name that is none', qr{'\.\./a' is not a guest's name}, $fermata, 'quit', '../a');
refuses("an interval '$_'", qr/--interval $_: not a time/, $fermata, 'stat', 'a', '--interval', $_) for '', 0, -1, '1s', 'nan', 4000;
refuses('a box that is not there', qr/no box in FERMATA_BOX/, $fermata, 'run', '--box', $kind, '--kernel', $echo);

refuses('the same without an option', qr/Makefile: not a Linux kernel image/, $fermata, 'run', '--kernel', 'Makefile');

# ---- help

for my $verb ([ '--help' ], [ 'help' ], [ 'run', '--help' ], [ 'help', 'run' ], [ 'caps', '--help' ], [ 'help', 'caps' ],
	map { [ $_, '--help' ], [ 'help', $_ ] } qw(ps stat pause resume quit clock on off events log)) {
	my ($status, $out, $err) = command({}, $fermata, @$verb);
	ok($status eq 0 && $err eq '' && $out =~ /\Afermata.*^usage: fermata/ms && $out !~ /^.{101}/m, "help: @$verb");
}
my ($version, $text) = command({}, $fermata, '--version');
like($text, qr/^fermata \d+\.\d+/, 'a version');

# ---- capabilities as JSON, here

sub json_ok {
	my ($json, $where) = @_;
	my $caps = eval { decode_json($json) };
	ok(ref $caps eq 'HASH', "caps --json $where") or diag($@, $json);
	return $caps // {};
}
my ($status, $out) = command({}, $fermata, 'caps', '--json');
ok($status eq 0 || $status eq 1, 'caps --json has a status');
json_ok($out, 'on this computer');

# ---- statuses and reports, in one start of the box

my $script = <<'END_OF_TEXT';
run() { timeout -s KILL 40 fermata run --box none "$@"; }
refused() { # NAME ARGUMENT...
	local name=$1
	shift
	echo "@@ refused $name"
	run "$@" </dev/null 2>&1
	echo "status $?"
}

echo "@@ caps"
fermata caps --json
echo "@@ five"
run --kernel /in/five --debug-exit </dev/null 2>&1
echo "status $?"
echo "@@ five without the port"
run --kernel /in/five </dev/null 2>&1
echo "status $?"
echo "@@ triple"
run --kernel /in/triple </dev/null 2>&1 >/tmp/out
echo "status $?"
echo "output $(wc -c </tmp/out)"
echo "@@ panic"
run --kernel /in/vmlinuz --append 'console=ttyS0 quiet panic=-1' </dev/null 2>&1
echo "status $?"
echo "@@ input"
printf 'some bytes' | run --kernel /in/echo 2>&1
echo "status $?"
refused memory --kernel /in/echo --memory 3G
refused kernel --kernel /in/script
refused initrd --kernel /in/echo --initrd /in/nothing

mkfifo /tmp/input
sleep 100 >/tmp/input &
sleeper=$!
fermata run --box none --kernel /in/echo --name one </tmp/input >/tmp/one 2>&1 &
one=$!
n=0
until grep -qs ready /tmp/one || [ $n = 100 ]; do usleep 100000; n=$((n + 1)); done
refused name --kernel /in/five --name one
echo "@@ another name"
run --kernel /in/five --debug-exit --name two </dev/null 2>&1
echo "status $?"
kill -KILL $one
wait $one 2>/dev/null
echo "@@ name of a killed guest"
run --kernel /in/five --debug-exit --name one </dev/null 2>&1
echo "status $?"
kill $sleeper
echo "@@ left"
cat /sys/module/fermata/refcnt
echo "@@ host"
dmesg
END_OF_TEXT
($status, $out) = box([], $script, $five, $triple, $halt, $echo, $debian);
is($status, 0, 'the box ends as it should');
my %section = sections($out);
$_ //= '' for @section{'caps', 'five', 'five without the port', 'triple', 'panic', 'input', 'left', 'host',
	'another name', 'name of a killed guest', map { "refused $_" } qw(memory kernel initrd name)};

json_ok($section{caps}, 'in the box');
is($section{five}, "status 11\n", '--debug-exit: 5 becomes 11');
like($section{'five without the port'}, qr/\Afermata: the guest '.*' died: the guest halted.*status 2\n\z/s,
	'without the option the port is nobody\'s');
like($section{triple}, qr/^fermata: the guest '[^']*' died: triple fault.*^status 2$/ms, 'a triple fault: status 2');
like($section{triple}, qr/0?123456789abcdef/i, 'its report has the registers');
like($section{triple}, qr/cr3/i, 'and control registers');
like($section{triple}, qr/0f 0b|<0f>/i, 'and the bytes at RIP');
like($section{triple}, qr/shutdown|TRIPLE_FAULT/, 'and the last exits');
like($section{triple}, qr/^output 0$/m, 'and goes to standard error');
like($section{panic}, qr/Kernel panic.*^fermata: the guest '.*' asked for a reset;[^\n]*\nstatus 0\n/ms, 'panic=-1: a reset');
is($section{input}, "ready\nsome bytes" . "status 0\n", 'piped input and its end reach the guest');
for my $refused ([ memory => qr/this host has only \d+M free/ ], [ kernel => qr/not a Linux kernel image/ ],
	[ initrd => qr/No such file/ ], [ name => qr/the name 'one' is taken by a running guest, process \d+/ ]) {
	my ($name, $pattern) = @$refused;
	like($section{"refused $name"}, qr/\Afermata: [^\n]*$pattern[^\n]*\nstatus 1\n\z/, "refused without a box: $name");
}
is($section{'another name'}, "status 11\n", 'another name is free');
is($section{'name of a killed guest'}, "status 11\n", 'and a killed guest holds no name');
is($section{left}, "0\n", 'nothing holds the module');
unlike(unexpected($section{host}), qr/WARNING:|BUG|Oops|Call Trace/, "the host's log is clean");

# ---- terminal: through the box, as a user of this computer has it

my @through = ($fermata, 'run', '--box', $kind, '--kernel', $echo);

my $terminal = Lab::Terminal->new(@through);
ok($terminal->shows(qr/ready\r\n/), 'the guest writes to the terminal');
ok(!$terminal->restored, 'which is raw');
$terminal->type('abc');
ok($terminal->shows(qr/abc/), 'keys reach the guest, and come back once');
$terminal->type("\x01\x01z");
ok($terminal->shows(qr/\x01z/), 'Ctrl-A twice is one for the guest');
$terminal->type("\x01h");
ok($terminal->shows(qr/Ctrl-A x +end the guest/), 'Ctrl-A h helps');
$terminal->type("\x01x");
is($terminal->finish, 0, 'Ctrl-A x ends it with status 0');
ok($terminal->restored, 'and restores the terminal');

$terminal = Lab::Terminal->new(@through);
ok($terminal->shows(qr/ready/), 'another guest');
kill TERM => $terminal->{pid};
is($terminal->finish, 143, 'SIGTERM ends it');
ok($terminal->restored, 'and the terminal is restored');

$terminal = Lab::Terminal->new(@through);
ok($terminal->shows(qr/ready/), 'another guest');
$terminal->type("\x01d");
is($terminal->finish, 0, 'Ctrl-A d ends the input: the guest powers off');
ok($terminal->restored, 'and the terminal is restored');

$terminal = Lab::Terminal->new(@through);
sleep 0.5;
$terminal->type("\x01x");
is($terminal->finish, 0, 'Ctrl-A x ends it while the box starts');
ok($terminal->restored, 'and the terminal is restored');

# ---- through the box without a terminal

my ($s, $o, $e) = command({ in => write_file('typed', "typed \x01x\n") }, @through);
is("$s: $o", "0: ready\r\ntyped \x01x\n", 'input from a file, Ctrl-A included, and its end');
($s, $o, $e) = command({}, $fermata, 'run', '--box', $kind, '--kernel', $triple, '--stats');
is($s, 2, 'a guest that dies in the box: status 2');
like("$o$e", qr/died: triple fault.*0?123456789abcdef.*^exit +count/msi, 'with report and statistics');
($s, $o, $e) = command({}, $fermata, 'run', '--box', $kind, '--kernel', $five, '--debug-exit');
is($s, 11, '--debug-exit through the box');
my $flaws = json_ok($section{caps}, 'in the box, again')->{flaws} // [];
ok(@$flaws > 15 && !(grep { ($_->{state} // '') !~ /^(not needed|done|the host's|not done|unknown)$/ || ($_->{how} // '') eq '' } @$flaws),
	'it says of each flaw of processors what is done about it') or diag($section{caps});
($s, $o, $e) = command({}, $fermata, 'caps', '--json', '--box', $kind);
is(json_ok($o, 'of the box')->{vendor} // '', json_ok($section{caps}, 'inside it')->{vendor} // '', 'and they agree');

# ---- a box that is not ours any more gives the terminal no orders where the words should be the command's own

sub hostile_box { # SCRIPT: a box whose command is that
	my ($script) = @_;
	mkdir "$dir/hostile";
	mkdir "$dir/hostile/bin";
	chmod 0755, write_file('hostile/bin/fermata', "#!/bin/sh\n$script\n");
	link "build/box/$_", "$dir/hostile/$_" or symlink "$ENV{PWD}/build/box/$_", "$dir/hostile/$_" for qw(vmlinuz vmlinux boot);
	write_file('hostile/initrd.cpio', read_file('build/box/initrd.cpio')
		. `cd '$dir/hostile' && echo bin/fermata | cpio -o -H newc --quiet`);
	return { env => { FERMATA_BOX => "$dir/hostile" } };
}
($s, $o, $e) = command(hostile_box(q(printf 'a\033]0;b\007\233c\302\233d\n')), $fermata, 'caps', '--box', $kind);
like("$o$e", qr/a\?\]0;b\?\?c\?\?d\r?\n/, 'what it says for the command');
($s, $o, $e) = command(hostile_box(q(printf '<3>a\033]0;b\007\302\233c' >/dev/kmsg; echo c >/proc/sysrq-trigger; sleep 60)),
	$fermata, 'caps', '--box', $kind);
ok($s == 2 && $e =~ /\Afermata: the box ended before the command did; the end of its log:\n/ && $e =~ /Kernel panic/
	&& $e !~ /[^\n\t -~]/, 'and what its log has') or diag("status $s", $o, $e);

# ---- SIGKILL

sub children {
	my ($pid) = @_;
	return map { split ' ', read_file($_) } glob "/proc/$pid/task/*/children";
}
$terminal = Lab::Terminal->new(@through);
ok($terminal->shows(qr/ready/), 'another guest');
my @emulators = children($terminal->{pid});
is(scalar @emulators, 1, 'is one process more');
kill KILL => $terminal->{pid};
is($terminal->finish, 137, 'a killed command');
for (1 .. 100) {
	@emulators = grep { -e "/proc/$_" && read_file("/proc/$_/stat") !~ /\) Z / } @emulators;
	last if !@emulators;
	sleep 0.1;
}
is_deeply(\@emulators, [], 'takes the emulator with it');
done_testing;
