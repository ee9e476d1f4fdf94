#!/usr/bin/perl
# SPDX-License-Identifier: MIT OR GPL-2.0
# timeout: 400
#
# fermata selftest: the test guests that came with the command, on this computer and in the box, and what its report
# says.
use strict;
use warnings;
use FindBin;
use JSON::PP;
use Sys::Hostname;
use Test::More;

chdir "$FindBin::Bin/../.." or die;
use lib "$FindBin::Bin";
use Lab;

# ---- this computer, which may be one that cannot

my ($s, $o, $e) = command({}, $fermata, 'selftest', '--json', 'cpuid');
my $report = eval { decode_json($o) } // {};
ok($s eq 0 || $s eq 1, 'a status here');
is(!!$s, !$report->{good}, 'and the report says the same') or diag($o, $e);
is(scalar @{ $report->{guests} // [] }, $report->{computer}{caps}{usable} ? 1 : 0, 'guests run where they can');
is($report->{computer}{kernel}, (POSIX::uname())[2], 'it names the kernel');
for my $wrong ([ 'nosuch' ], [ '--guests', '/nowhere' ], [ '--box', 'vax' ], [ qw(cpuid msr paging control) ]) {
	($s, $o, $e) = command({}, $fermata, 'selftest', @$wrong);
	ok($s == 1 && $o eq '' && $e =~ /\Afermata: [^\n]+\n\z/, "refused: @$wrong") or diag($o, $e);
}

# ---- the box

($s, $o, $e) = command({ seconds => 180 * $slow }, $fermata, 'selftest', '--box', $kind, 'cpuid', 'msr');
is($s, 0, 'two guests in the box') or diag($o, $e);
like($o, qr/^cpuid +good +(\d+) checks, 0 failed.*^msr +good .*^2 of 2 guests are good\.\r?$/ms, 'are good');
like($o, qr/^fermata +\d+\.\d+.*^kernel +\d.*^microcode .*^processor +\S.*^flaw of processors/ms,
	'it says what they ran on, and what is done about the flaws of processors');
unlike($o, qr/\Q${\hostname()}\E/, 'and not on whose') if length hostname() > 3;

# A guest that is none, beside one that is; all that the bad one said is there.
mkdir "$dir/mine";
system('cp', 'build/guests/runner', 'build/guests/cpuid', "$dir/mine/") and die;
write_file('mine/broken', 'no guest at all');
($s, $o, $e) = command({ seconds => 180 * $slow }, $fermata, 'selftest', '--json', '--box', $kind, '--guests', "$dir/mine");
is($s, 1, 'a guest that fails');
$report = eval { decode_json($o) } // {};
my %guest = map { $_->{name} => $_ } @{ $report->{guests} // [] };
is(join(' ', sort keys %guest), 'broken cpuid', 'each has its entry') or diag($o, $e);
ok($guest{cpuid}{good} && $guest{cpuid}{checks} > 10 && !$guest{broken}{good} && !$report->{good}, 'with its result');
ok(length($guest{broken}{said} // '') > 10 && !defined $guest{cpuid}{said}, 'and the words of the one that failed')
	or diag($o);
ok($report->{computer}{caps}{module} && @{ $report->{computer}{caps}{flaws} }, 'and what the module says of the computer');
done_testing;
