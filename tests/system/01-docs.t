#!/usr/bin/perl
# SPDX-License-Identifier: MIT OR GPL-2.0
#
# The documentation and the code say the same: links and names of files, tests, options, functions, exits, ioctls.
# And what finds a difference is shown one.
use strict;
use warnings;
use File::Basename qw(basename dirname);
use File::Find;
use File::Path 'make_path';
use File::Temp 'tempdir';
use FindBin;
use Test::More;

chdir "$FindBin::Bin/../.." or die;

sub slurp {
	my ($path) = @_;
	open my $f, '<', $path or die "$path: $!\n";
	local $/;
	return scalar <$f>;
}

sub files { # those below the top of a tree that are its sources
	my ($top) = @_;
	my @files;
	find({ no_chdir => 1, wanted => sub {
		$File::Find::prune = 1 if -d && m{^\Q$top\E/(build|\.git)$};
		push @files, substr $_, length("$top/") if -f;
	} }, $top);
	return @files;
}

# What a text names and the tree does not have: targets of links; paths and files in back quotes.
sub missing {
	my ($top, $file) = @_;
	my (@missing, %base);
	$base{ basename($_) } = 1 for files($top);
	my $text = slurp("$top/$file");
	my $folder = dirname("$top/$file");
	$text =~ s/^```.*?^```//msg;

	while ($text =~ /\]\(([^)\s#]+)[^)]*\)/g) {
		my $target = $1;
		push @missing, "link $target" unless $target =~ /^https?:/ || -e "$folder/$target";
	}
	while ($text =~ /`([^`\s]+)`/g) {
		my $name = $1;
		# Absolute ones are another computer's, NAME stands for others, build/ may be empty.
		next if $name =~ m{^[/~\$<-]|NAME|^build/} || $name !~ /^[\w.*\/-]+$/;
		if ($name =~ m{/}) {
			my @there = grep { -e } map { glob "$_/$name" } $top, "$top/kernel", "$top/include", $folder;
			push @missing, $name unless @there;
		} elsif ($name =~ /^[^*]+\.(c|h|S|t|md|asl|mk|1|3)$/ && $name !~ /^(errno|string)\.h$/) {
			push @missing, $name unless $base{$name};
		}
	}
	return @missing;
}

# Those tests that a text does not name: by their paths in back quotes, perhaps with stars.
sub unnamed {
	my ($text, @tests) = @_;
	my @patterns = map { my $p = quotemeta; $p =~ s{\\\*}{[^/]*}gr } $text =~ m{`(tests/[\w.*/-]+)`}g;
	return grep { my $test = $_; !grep { $test =~ /^$_$/ } @patterns } @tests;
}

sub differences { # between two sets, in words
	my ($left, $in_left, $right, $in_right) = @_;
	return ((map { "$_ is in $left only" } grep { !$in_right->{$_} } sort keys %$in_left),
		(map { "$_ is in $right only" } grep { !$in_left->{$_} } sort keys %$in_right));
}

sub set { return { map { $_ => 1 } @_ } }

# ---- the finders find

my $dir = tempdir(CLEANUP => 1);
make_path("$dir/a");
open my $page, '>', "$dir/a/page.md" or die;
print $page "[good](page.md) [bad](none.md) `a/page.md` `a/none.c` `page.md` `none.c` `a/*.md` `/dev/none` `x / y`\n";
close $page;
is_deeply([ missing($dir, 'a/page.md') ], [ 'link none.md', 'a/none.c', 'none.c' ], 'what is missing is found');
is_deeply([ unnamed('`tests/a.t`, `tests/u/b_*.c`, tests/d.t', qw(tests/a.t tests/u/b_1.c tests/u/c.c tests/d.t)) ],
	[ 'tests/u/c.c', 'tests/d.t' ], 'and tests that are not named');
is_deeply([ differences('a', set('x', 'y'), 'b', set('y', 'z')) ], [ 'x is in a only', 'z is in b only' ],
	'and so are differences');

# ---- links and names

my @pages = sort grep { /\.md$/ } files('.');
ok((grep { $_ eq 'README.md' } @pages) && (grep { $_ eq 'docs/architecture.md' } @pages), 'there are pages');
for my $page (@pages) {
	is_deeply([ missing('.', $page) ], [], "$page names what is there");
}

my $support = slurp('docs/support.md') . slurp('tests/README.md');
my @guests = grep { !m{/runner} } glob 'tests/guests/*.c';
my @tests = (glob('tests/system/*.t'), glob('tests/unit/test_*.c'), glob('tests/fuzz/fuzz_*.c'), @guests);
cmp_ok(scalar @tests, '>', 100, 'there are tests');
is_deeply([ unnamed($support, @tests) ], [], 'docs/support.md or tests/README.md names each of them');

my %folder = map { dirname($_) => 1 } grep { m{^[^/.]+(/[^/]+)?/[^/]+\.(c|h|S|t)$} } files('.');
delete @folder{ 'include/uapi', 'tests/system/abuse' }; # parts of the folders above them
is_deeply([ grep { !-e "$_/README.md" } sort keys %folder ], [], 'every folder opens with a README');

# ---- the manuals

SKIP: {
	skip 'no groff here', 3 if system('command -v groff >/dev/null 2>&1');
	for my $manual (qw(docs/fermata.1 docs/libfermata.3 python/python3-fermata.3)) {
		is(`groff -ww -z -man -Tutf8 $manual 2>&1`, '', "$manual is well-formed");
	}
}

my $command = slurp('docs/fermata.1') =~ s/\\-/-/gr;
my $library = slurp('docs/libfermata.3') =~ s/\\-/-/gr;
my $header = slurp('include/fermata.h');
my $uapi = slurp('include/uapi/fermata.h');

# The command's verbs and their options, as its rows have them, against the manual.
my @verbs = grep { $_ ne 'help' } (split /\n\n/, `build/fermata help`)[2] =~ /^  ([a-z]+) /mg;
cmp_ok(scalar @verbs, '>', 10, 'the command has verbs');
my %help = map { $_ => scalar `build/fermata $_ --help` } @verbs;
my $help = $help{run};
like($help, qr/--kernel FILE/, 'the command helps');

sub part { # of the manual: what stands below that heading
	my ($heading) = @_;
	return $command =~ /^\.S[HS] "?[^\n]*$heading[^\n]*\n(.*?)(?=^\.S[HS] )/ms ? $1 : '';
}

my %written; # in the synopsis: verb => option => 1
for my $block (grep { length } split /^\.SY fermata\n/m, part('SYNOPSIS')) {
	my ($names, $rest) = split /\n/, $block, 2;
	for my $verb ($names =~ /\b[a-z]+\b/g) {
		$written{$verb}{$_} = 1 for '', ($rest // '') =~ /(--[a-z-]+)/g;
	}
}
for my $verb (@verbs) {
	my %value = $help{$verb} =~ /^  (--[a-z-]+)(?:$| ('?[A-Z]+)?)/mg;
	delete $value{'--help'};
	my $offered = set('', keys %value);
	is_deeply([ differences('--help', $offered, 'the synopsis', $written{$verb} // {}) ], [], "the synopsis of $verb");
	my $part = part({ run => 'RUNNING A GUEST', caps => 'WHAT THE COMPUTER OFFERS' }->{$verb} // "fermata $verb\\b");
	my %explained = $part =~ /^\.B\S* (--[a-z-]+)(?:\\~ ([A-Z]+))?$/mg;
	delete $explained{'--help'};
	my ($left, $right) = map { my $of = $_; set(map { "$_ " . ($of->{$_} // '') =~ s/'//gr } keys %$of) } \%value, \%explained;
	is_deeply([ differences('--help', $left, 'fermata.1', $right) ], [], "the options of $verb");
}
like($command, qr/^\.B --version$/m, 'and --version');
like(scalar `build/fermata --version`, qr/^fermata \d/, 'which there is');
my %words = map { $_ => 1 } map { /give (.*)/ ? split /, | or /, $1 : () } `build/fermata run --debug x 2>&1`;
my ($debug) = $command =~ /^\.BI --debug\\~ WORDS\n(.*?)^\.TP/ms;
is_deeply([ differences('--debug', \%words, 'fermata.1', set($debug =~ /\b((?:no-)?shadow-\w+)/g)) ], [], 'the words of --debug');
my $each = set(grep { `build/fermata run --guest '$_' 2>&1; build/fermata run --guest '$_=x' 2>&1` !~ /it is for the whole command/ }
	$help =~ /^  (--[a-z-]+)/mg);
delete $each->{'--no-asid'}; # another word for --no-vpid
my ($several) = part('SEVERAL GUESTS') =~ /are the guest's own:(.*?)They are one argument/s;
is_deeply([ differences('--guest', $each, 'fermata.1', set($several =~ /(--[a-z-]+)/g)) ], [], 'the options of one of several guests');
my @statuses = ($help =~ /^exit status:\n((?: .*\n)+)/m)[0] =~ /^  (\d+\S*) /mg;
is_deeply([ grep { $command !~ /^\.(?:B|BI) "?\Q$_\E|^\.BI \Q@{[ $_ =~ s{N}{}r ]}\E N/m } @statuses ], [], 'its exit statuses');

my $declared = set($header =~ /^\w[^(;{}]*?\b(fermata_\w+)\(/mg);
my $described = set($library =~ /^\.(?:BI|B) "?[^"\n]*?\b(fermata_\w+)\(/mg);
my $exported = set(slurp('lib/libfermata.map') =~ /\b(fermata_\w+);/g);
cmp_ok(scalar keys %$declared, '>', 20, 'the library has functions');
is_deeply([ differences('fermata.h', $declared, 'libfermata.3', $described) ], [], 'described');
is_deeply([ differences('fermata.h', $declared, 'libfermata.map', $exported) ], [], 'and exported');
my @reasons = $uapi =~ /^\t(FERMATA_EXIT_(?!REASONS)\w+)/mg;
is_deeply([ grep { $library !~ /\b$_\b/ } @reasons ], [], 'the exits are described');

my @calls = map { s/^FERMATA_//r } $uapi =~ /^#define (FERMATA_\w+) _IO\w*\(/mg;
my $comments = join ' ', $uapi =~ m{^/\*.*?\*/}msg;
cmp_ok(scalar @calls, '>', 10, 'the device has calls');
is_deeply([ grep { $comments !~ /(?<!FERMATA_)\b\Q$_\E\b/ } @calls ], [], 'described in the header');
done_testing;
