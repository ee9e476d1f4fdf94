#!/usr/bin/perl
# SPDX-License-Identifier: MIT OR GPL-2.0
# timeout: 300
#
# The control channels of two guests in one box, from outside: the command's verbs, the examples of
# docs/control.md, clients of all kinds, and what is left when a process is killed.
use strict;
use warnings;
use FindBin;
use IO::Socket::UNIX;
use JSON::PP;
use Test::More;
use Time::HiRes qw(sleep time);

chdir "$FindBin::Bin/../.." or die;
use lib "$FindBin::Bin";
use Lab;

my $json = JSON::PP->new->allow_nonref->canonical;
mkdir "$dir/run", 0700 or die;
$ENV{XDG_RUNTIME_DIR} = "$dir/run";
$SIG{PIPE} = 'IGNORE';

sub wait_until { # what, how long at most
	my ($what, $seconds) = @_;
	my $end = time + $seconds * $slow;
	until ($what->()) {
		return 0 if time > $end;
		sleep 0.1;
	}
	return 1;
}

sub fermata { return command({ seconds => 90 }, $fermata, @_) }

sub guests { # by name
	my ($status, $out) = fermata('ps', '--json');
	my $list = $status eq 0 ? eval { $json->decode($out) } : undef;
	return map { $_->{name} => $_ } @{ $list // [] };
}

# ---- a client

sub dial {
	my ($name) = @_;
	my $socket = IO::Socket::UNIX->new(Peer => "$dir/run/fermata/$name") or return;
	return { socket => $socket, seen => '' };
}

sub hear { # the next line's object; undef: the end, or nothing for that long
	my ($client, $seconds) = @_;
	my $end = time + ($seconds // 30) * $slow;
	while (1) {
		return $json->decode($1) if $client->{seen} =~ s/^([^\n]*)\n//;
		my $bits = '';
		vec($bits, fileno $client->{socket}, 1) = 1;
		return if $end < time || !select $bits, undef, undef, $end - time;
		sysread $client->{socket}, $client->{seen}, 65536, length $client->{seen} or return;
	}
}

sub send_to {
	my ($client, $bytes) = @_;
	return syswrite $client->{socket}, $bytes;
}

sub greeted {
	my ($name) = @_;
	my $client = dial($name) or return;
	$client->{greeting} = hear($client) or return;
	return $client;
}

sub execute { # the answer; events on the way are kept
	my ($client, $command, $arguments) = @_;
	send_to($client, $json->encode({ execute => $command, $arguments ? (arguments => $arguments) : () }) . "\n");
	while (my $line = hear($client)) {
		return $line unless $line->{event};
		push @{ $client->{events} }, $line;
	}
	return {};
}

sub event { # the next of that name
	my ($client, $name) = @_;
	my $line;
	while ($line = shift @{ $client->{events} // [] } // hear($client)) {
		return $line if ($line->{event} // '') eq $name;
	}
	return {};
}

# ---- two guests

my ($status, $out, $err) = fermata('ps');
ok($status eq 0 && $out =~ /\ANAME[^\n]*\n\z/, 'no guests, no lines');
($status, $out, $err) = fermata('pause', 'web');
ok($status eq 1 && $err =~ /\Afermata: no guest 'web' runs; [^\n]*\n\z/, 'nobody to pause, in one line');

my $linux = '--kernel build/box/vmlinuz --initrd build/guest/initrd.cpio.gz --append "console=ttyS0 quiet" --memory 128M';
pipe my $input, my $keys or die;
$keys->autoflush(1);
write_file('output', '');
my $pid = start({ in => "/proc/$$/fd/" . fileno $input, out => "$dir/output", err => "$dir/errors" },
	$fermata, 'run', '--box', $kind, '--guest', "$linux --name web", '--guest', "--kernel $echo --name tiny --memory 32M");
ok(wait_until(sub { my %g = guests(); return 2 == grep { $_->{state} eq 'running' } values %g }, 60), 'two guests run') or BAIL_OUT(read_file("$dir/errors"));
my %guest = guests();
is_deeply([ @{ $guest{web} }{qw(name state where vendor vcpus memory pid)} ],
	[ 'web', 'running', "box $kind", $kind, 1, 128 << 20, $pid ], 'what ps knows of one');
ok(abs($guest{web}{since} - time) < 3600, 'since when');
($status, $out) = fermata('ps');
like($out, qr/^web +running +$kind +1 +128M +\d{4}-\d\d-\d\d \d\d:\d\d:\d\d +box $kind +$pid$/m, 'for people');
($status, $out, $err) = fermata('run', '--box', $kind, '--kernel', $echo, '--name', 'web');
ok($status eq 1 && $err =~ /\Afermata: the name 'web' is taken by a running guest, process $pid; [^\n]*\n\z/,
	'a second one of that name is refused in one line') or diag($err);
is(sprintf('%o', (stat "$dir/run/fermata/$_")[2] & 07777), '600', "the socket of $_ is its owner's") for qw(web tiny);
# The other one polls its console without end: it need not have half of the box's time.
is((fermata('pause', 'tiny'))[0], 0, 'the other one is held');
ok(wait_until(sub { read_file("$dir/output") =~ /^\[web\] This is a guest/m }, 120), 'one reaches user space')
	or BAIL_OUT(join '', read_file("$dir/output"), (fermata('stat', 'web', '--once'))[1]);
is((fermata('resume', 'tiny'))[0], 0, 'and the other goes on');

# ---- what it does

my ($cpuid, $fault) = $kind eq 'amd' ? qw(cpuid npf) : qw(CPUID EPT_VIOLATION);

sub stats {
	my ($name) = @_;
	my ($status, $out) = fermata('stat', $name, '--once', '--json');
	return eval { $json->decode($out) } // {};
}

($status, $out, $err) = fermata('stat', 'web', '--once');
ok($status eq 0 && $err eq '' && $out =~ /\Aguest web, running, box $kind, / && $out =~ /^$cpuid +\d+ +\d+ +[\d.]+% +\d+$/m
	&& $out =~ /^time: in the guest [\d.]+%/m, 'stat, for people') or diag($out, $err);
my $stats = stats('web');
my %exit = map { $_->{name} => $_ } @{ $stats->{exits} };
ok($stats->{entries} > 1000 && $exit{$fault}{count} > 100 && $exit{$cpuid}{cycles} > 0 && $stats->{tsc_khz} > 0, 'and for programs');
my $sum = 0;
$sum += $_->{count} for @{ $stats->{exits} };
cmp_ok(abs($sum - $stats->{entries}), '<=', $stats->{entries} / 100 + 100, 'as many exits as entries');
write_file('stat', '');
my $watch = start({ out => "$dir/stat" }, $fermata, 'stat', 'tiny', '--json', '--interval', '0.1');
ok(wait_until(sub { read_file("$dir/stat") =~ /\n.*\n.*\n/ }, 30), 'live, line by line');
kill TERM => $watch;
finish($watch, 10);
my @line = map { eval { $json->decode($_) } } (split /\n/, read_file("$dir/stat"))[0 .. 2];
ok($line[0]{entries} < $line[1]{entries} && $line[1]{entries} < $line[2]{entries} && $line[1]{interval_ns} < $line[0]{interval_ns}
	+ $line[1]{ns}, 'each with news');

# ---- held and released

my $listener = greeted('web');
is_deeply($listener->{greeting}{fermata}{name}, 'web', 'a greeting');
is((fermata('pause', 'web'))[0], 0, 'paused');
is((fermata('pause', 'web'))[0], 0, 'twice');
%guest = guests();
is("$guest{web}{state} $guest{tiny}{state}", 'paused running', 'that one and no other');
my ($before, $other) = (stats('web'), stats('tiny'));
syswrite $keys, "echo \$((6 * 7)) typed\n";
sleep 0.3 * $slow;
is(stats('web')->{entries}, $before->{entries}, 'nothing is executed');
cmp_ok(stats('tiny')->{entries}, '>', $other->{entries}, 'but beside it');
unlike(read_file("$dir/output"), qr/42 typed/, 'what is typed waits');
is((fermata('resume', 'web'))[0], 0, 'resumed');
ok(wait_until(sub { read_file("$dir/output") =~ /42 typed/ }, 30), 'and then arrives');
cmp_ok(stats('web')->{entries}, '>', $before->{entries}, 'it executes again');
is((fermata('pause', 'tiny'))[0], 0, 'the other one is held again');
is_deeply([ map { $_->{event} } grep { $_ } hear($listener), hear($listener) ], [ 'paused', 'resumed' ], 'who listens is told');

# ---- which memory it writes to

($status, $out, $err) = fermata('dirty', 'web');
ok($status eq 1 && $err =~ /\Afermata: [^\n]*no log[^\n]*\n\z/, 'what it wrote, without a log: one line') or diag($err);
is((fermata('dirty', 'web', 'on'))[0], 0, 'a log of its writes');
syswrite $keys, "head -c 8388608 /dev/zero >/eight; echo \$((6 * 7)) written\n";
ok(wait_until(sub { read_file("$dir/output") =~ /42 written/ }, 60), 'it writes 8 MiB');
sub dirty { return eval { $json->decode((fermata('dirty', 'web', '--json'))[1]) } // {} }
my $dirty = dirty();
ok($dirty->{log} && $dirty->{pages} >= 2048 && $dirty->{pages} < 16384, "they are in the log: $dirty->{pages} pages");
$sum = 0;
$sum += $_->{pages} for @{ $dirty->{ranges} };
ok($sum == $dirty->{pages} || $dirty->{left_out}, 'and where they are');
$dirty = dirty();
cmp_ok($dirty->{pages}, '<', 1500, 'a moment later it is little');
($status, $out) = fermata('dirty', 'web');
ok($status eq 0 && $out =~ /^written +\d+ of 32768 pages, [\d.]+ MiB$/m && $out =~ /^since +[\d.]+ s ago$/m, 'for people') or diag($out);
ok(stats('web')->{owed}{dirty} > 0, 'its flushes have their cause');
is((fermata('dirty', 'web', 'off'))[0], 0, 'no log any more');
is((fermata('dirty', 'web'))[0], 1, 'and no answer');
($status, $out, $err) = fermata('dirty', 'web', 'clean');
ok($status eq 1 && $err =~ /\Afermata: dirty clean: not known; give on, off or show\n\z/, 'a wrong word is said in one line') or diag($err);

# ---- the examples in the manual: each command in a block is sent, the line behind it is its answer

my ($sent, @unlike) = (0);
my $reader = greeted('web');
for my $block (read_file('docs/control.md') =~ /^```json\n(.*?)^```/msg) {
	my @lines = split /\n/, $block;
	my $example = $json->decode($lines[0]);
	if ($example->{fermata}) {
		my @names = map { join ' ', sort keys %{ $_->{fermata} } } $example, $reader->{greeting};
		push @unlike, "greeting: @names" if $names[0] ne $names[1];
	}
	while (@lines >= 2 && $lines[0] =~ /"execute"/) {
		my $wanted = $json->decode($lines[1]);
		send_to($reader, "$lines[0]\n");
		my $got = hear($reader);
		$got = hear($reader) while $got && $got->{event};
		$sent++;
		# Numbers differ; names do not, and words of an error do not.
		for ($wanted, $got) {
			$_->{return} = join ' ', sort keys %{ $_->{return} } if ref $_->{return} eq 'HASH';
		}
		push @unlike, "$lines[0]: " . $json->encode($got) if $json->encode($wanted) ne $json->encode($got);
		splice @lines, 0, 2;
	}
}
ok($sent >= 2 && !@unlike, 'the examples are true') or diag("$sent sent", @unlike);
my $list = execute($reader, 'commands')->{return};
my %told = map { $_->{name} => 1 } @$list;
my %written = map { $_ => 1 } (read_file('docs/control.md') =~ /^## Commands$(.*?)^## /ms)[0] =~ /^\| `([\w-]+)` \|/mg;
is_deeply(\%told, \%written, 'the manual has the commands that there are');

# ---- clients without manners; after each somebody with manners is served

sub is_well {
	my ($what) = @_;
	my $client = greeted('web');
	my $answer = $client ? execute($client, 'query') : {};
	is($answer->{return}{state} // '', 'running', "$what: refused, the guest undisturbed");
}

my $client = greeted('web');
my $long = $kind eq 'amd' ? 10000 : 100; # into a box on Bochs leads a slow line
my @garbage = ('hello', "\x16\x03\x01\x02\x00\x01", '{', '[]', '{"execute":7}', '{"execute":"quit"} {"execute":"quit"}',
	'[' x (6 * $long), '{"a":' x $long, "{\"execute\":\"quit\0\"}", "{\"execute\":\"\xff\"}");
send_to($client, "$_\n") for @garbage;
is_deeply([ map { hear($client)->{error}{class} } @garbage ], [ ('syntax') x @garbage ], 'each line of garbage has its answer');
is_well('garbage');

for my $n (1 .. ($kind eq 'amd' ? 50 : 10)) {
	my $half = dial('web');
	send_to($half, '{"execute":"quit"}');
}
is_well('half lines');

my $deaf;
SKIP: {
	skip 'the line into the box is slow', 4 if $kind ne 'amd';
	$client = greeted('web');
	$client->{socket}->blocking(0);
	my ($piece, $written) = ('x' x 65536, 0);
	for (my $end = time + 60; time < $end && $written < 10 << 20;) {
		my $n = send_to($client, $piece);
		last if !defined $n && !$!{EAGAIN};
		$written += $n // 0;
		sleep 0.01 unless $n;
	}
	my $last = hear($client);
	is($last->{error}{class} // '', 'syntax', 'ten megabytes without a newline') or diag("$written bytes", explain $last);
	ok(!defined hear($client, 20), 'are the last');
	is_well('a huge line');

	$deaf = greeted('web');
	$deaf->{socket}->blocking(0);
	my $quiet = 0;
	while ($quiet < 20) {
		my $n = send_to($deaf, "{\"execute\":\"stats\"}\n" x 100);
		$quiet = $n ? 0 : $quiet + 1;
		last if !defined $n && !$!{EAGAIN};
		sleep 0.02 unless $n;
	}
	is_well('one that never reads');
}

my @many = map { dial('web') } 1 .. 300;
my %answers;
$answers{ (hear($_, 60) // {})->{fermata} ? 'greeted' : 'refused' }++ for grep { $_ } @many;
cmp_ok($answers{greeted} // 0, '<=', 16, 'no more clients than may be') or diag(explain \%answers);
cmp_ok($answers{greeted} // 0, '>=', 10, 'and these are served');
@many = ();
$deaf = undef;
ok(wait_until(sub { my $c = greeted('web'); return $c && $c->{greeting}{fermata} }, 30), 'when they have gone, others come');
is_well('many clients');

SKIP: {
	skip 'only root can become somebody else', 2 if $> != 0;
	chmod 0711, $dir;
	my $copy = write_file('fermata', read_file($fermata));
	chmod 0755, $copy;
	chmod 0711, "$dir/run";
	my @nobody = qw(setpriv --reuid=65534 --regid=65534 --clear-groups);
	($status, $out, $err) = command({}, @nobody, $copy, 'quit', 'web');
	ok($status eq 1 && $err =~ /\Afermata: [^\n]*is not a folder that only you can write to; [^\n]*\n\z/, 'somebody else') or diag($err);
	($status) = command({}, @nobody, 'perl', '-MIO::Socket::UNIX', '-e',
		"exit(IO::Socket::UNIX->new(Peer => '$dir/run/fermata/web') ? 0 : 7)");
	is($status, 7, 'cannot reach the socket');
	chmod 0700, "$dir/run";
}

# ---- ends

$listener = greeted('web');
my $second = greeted('tiny');
syswrite $keys, "dmesg | grep -ci -e lockup -e stall; poweroff -f\n";
is(event($listener, 'ended')->{data}{how}, 'poweroff', 'the power-off is told');
ok(!defined hear($listener), 'and is the last word');
like(read_file("$dir/output"), qr/^\[web\] 0\s*$/m, 'the guest has noticed nothing of all that');
($status, $out, $err) = fermata('quit', 'tiny');
is("$status$err", '0', 'quit');
is(event($second, 'ended')->{data}{how}, 'quit', 'is told, too');
is(finish($pid, 30), 0, 'the command ends');
is_deeply([ glob "$dir/run/fermata/*" ], [], 'and leaves nothing');

# ---- killed

$pid = start({}, $fermata, 'run', '--box', $kind, '--kernel', $echo, '--name', 'victim');
ok(wait_until(sub { -S "$dir/run/fermata/victim" }, 30), 'another one');
kill KILL => $pid;
finish($pid, 10);
ok(-S "$dir/run/fermata/victim", 'a killed process leaves its socket');
is_deeply({ guests() }, {}, 'which is no guest');
is_deeply([ glob "$dir/run/fermata/*" ], [], 'and is removed');
done_testing;
