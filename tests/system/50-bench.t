#!/bin/bash
# SPDX-License-Identifier: MIT OR GPL-2.0
# timeout: 180
#
# The bench runs on both emulators, and what it says can be: whatever an operation costs, an exit is one.
cd "$(dirname "$0")/../.." || exit 1
. tests/system/lab.sh

results() { # FILTER: those of bench.json for which the Perl expression is true, in words
	perl -MJSON::PP -e 'local $/; $list = decode_json(<STDIN>);
		for (@$list) { print "$_->{system} $_->{row} ", $_->{tags} ? "tags" : "no-tags", " $_->{exits}\n" if eval $ARGV[0] }' \
		"$1" <"$dir/bench.json"
}

measured() { # KIND EMULATOR
	rm -f "$dir/bench.json"
	bench/run -b "$1" -o "$dir" floor cpuid rdtsc out-user touch-present >"$dir/table" 2>"$dir/errors"
	ok $? "$2: the bench runs"
	sed 's/^/# /' "$dir/errors" "$dir/table"
	same "$(results '$_->{emulator} ne "'"$2"'"')" '' "$2: and says so"
	same "$(results '$_->{tags} && $_->{system} =~ /native|nested/ && $_->{row} ne "touch-present"')" \
		'native cpuid tags 0
native rdtsc tags 0
kvm-nested cpuid tags 1
kvm-nested rdtsc tags 0
kvm-nested out-user tags 1
fermata-nested cpuid tags 1
fermata-nested rdtsc tags 0
fermata-nested out-user tags 1
fermata-nested floor tags 1' "$2: one exit for what exits, none for what does not"
	same "$(results '$_->{system} eq "kvm-shadow" && $_->{row} eq "cpuid" && $_->{tags}')" 'kvm-shadow cpuid tags 1' \
		"$2: KVM with shadow paging, too"
	same "$(results '$_->{row} eq "touch-present" && ($_->{exits} <= 0 || $_->{exits} > 1.01)')" '' \
		"$2: at most one exit for a page"
	floor=$(sed -n 's/.*fermata-nested", "row": "floor".*"instructions": \([0-9]*\),.*/\1/p' "$dir/bench.json")
	exit=$(sed -n 's/.*fermata-nested", "row": "cpuid", "tags": true.*"instructions": \([0-9]*\),.*/\1/p' "$dir/bench.json")
	[ "${floor:-0}" -gt 60 ] && [ "$floor" -lt "${exit:-0}" ]
	ok $? "$2: the floor is a world switch, and below an exit: $floor, $exit"
	# A native CPUID: Bochs 3.0 counts it and the loop around it as one.
	same "$(results '$_->{row} eq "rdtsc" ? $_->{instructions} != 5 :
			$_->{instructions} < ($_->{row} eq "cpuid" && $_->{system} eq "native" ? 1 : 6)')" '' \
		"$2: an RDTSC is one instruction of five, and nothing is less"
}

measured amd qemu-amd
if command -v bochs-bin >/dev/null; then
	measured intel bochs-intel
else
	echo '# skipped: Bochs is not installed; make bochs installs it'
fi

for load in fork-exec pipe-ring compile; do
	build/bench/load $load >"$dir/table"
	grep -Eqx "load $load [1-9][0-9]* of [1-9][0-9]*" "$dir/table"
	ok $? "the load $load runs as a process"
done
build/bench/load nonsense >"$dir/table"
grep -q '^load failed: nonsense' "$dir/table"
ok $? 'and no other'

bench/run nonsense 2>"$dir/errors"
[ $? = 1 ] && grep -q '^bench: no row nonsense; there are: floor cpuid ' "$dir/errors"
ok $? 'a row that does not exist is refused'
echo "1..$count"
