#!/usr/bin/perl
# SPDX-License-Identifier: MIT OR GPL-2.0
#
# What stands in the two world switches that Linux patches as the processor needs it: each of these alternatives, for
# the features of the headers that the module was built against, in the order in which the processor comes by. No
# emulator speculates, so nothing else would miss one.
use strict;
use warnings;
use FindBin;
chdir "$FindBin::Bin/../.." or die "chdir: $!\n";
use Test::More;

my $release = `make -s kernel-release`;
chomp $release;
my ($headers) = grep { -e } map { "$_/arch/x86/include/asm/cpufeatures.h" } glob("/usr/src/linux-headers-$release"),
	($release =~ /^(.*)-cloud-amd64$/ ? "/usr/src/linux-headers-$1-common" : ()), "/lib/modules/$release/source",
	($release =~ /^(.*)-amd64$/ ? "/usr/src/linux-headers-$1-common" : ()),
	glob("build/headers/$release/usr/src/linux-headers-*"); # unpacked, where they are not installed
plan skip_all => "no cpufeatures.h for $release" if !$headers;

my (%number, %name);
open my $file, '<', $headers or die "$headers: $!\n";
while (<$file>) {
	next if !/^#define\s+(X86_(FEATURE|BUG)_\w+)\s+(?:X86_BUG)?\(?\s*(?:(\d+)\s*\*\s*32\s*\+)?\s*(\d+)\s*\)/;
	my ($name, $bug, $word, $bit) = ($1, $2 eq 'BUG', $3 // 0, $4);
	$number{$name} = ($bug ? 1 << 15 : 0) + $word * 32 + $bit; # bugs have words of their own, see below
}
my ($caps, $bugs) = (0, 0);
seek $file, 0, 0;
/^#define\s+NCAPINTS\s+(\d+)/ and $caps = $1 while <$file>;
close $file;
for my $name (keys %number) {
	$number{$name} += $caps * 32 - (1 << 15) if $number{$name} >= 1 << 15;
	$name{ $number{$name} } = $name =~ s/^X86_(FEATURE_)?//r;
}

# The features of an object's alternatives, by the address of what they replace.
sub alternatives {
	my ($object) = @_;
	my (%at, @entries);
	for (`readelf -rW $object`) {
		push @entries, [ hex $1, $2, hex $3 ] if /^Relocation section '\.rela\.altinstructions'/ .. /^$/
			and /^([0-9a-f]+)\s+\S+\s+\S+\s+\S+\s+(\.\w+)\s+\+\s+([0-9a-f]+)$/;
	}
	my ($bytes) = map { `objcopy -O binary --set-section-flags .altinstructions=alloc -j .altinstructions $object /dev/stdout` } 1;
	my @originals = grep { $_->[1] eq '.text' } @entries;
	return map { $name{ unpack 'v', substr $bytes, $_->[0] + 8, 2 } // '?' }
		sort { $a->[2] <=> $b->[2] || $a->[0] <=> $b->[0] } @originals;
}

my @returns = qw(RSB_VMEXIT RSB_VMEXIT_LITE UNRET SRSO_ALIAS ENTRY_IBPB IBPB_ON_VMEXIT);
my $history = $number{X86_FEATURE_CLEAR_BHB_VMEXIT} ? 'CLEAR_BHB_VMEXIT' : 'CLEAR_BHB_LOOP_ON_VMEXIT';
is_deeply([ alternatives('build/kernel/svm/entry.o') ], [ qw(BUG_DIV0 CLEAR_CPU_BUF_VM), @returns ],
	'AMD-V: a division and clean buffers before the entry, guarded returns after the exit');
is_deeply([ alternatives('build/kernel/vmx/entry.o') ],
	[ qw(KERNEL_IBRS CLEAR_CPU_BUF CLEAR_CPU_BUF_VM), # the entry
		'KERNEL_IBRS', # one that fails
		'KERNEL_IBRS', @returns, $history ],
	'VT-x: IBRS and buffers before the entry, IBRS before guarded returns and history after the exit');
done_testing;
