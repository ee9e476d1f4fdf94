#!/bin/bash
# SPDX-License-Identifier: MIT OR GPL-2.0
#
# bench/report: what it makes of results, and what it does not take for results.
cd "$(dirname "$0")/../.." || exit 1
. tests/system/lab.sh

line() { # EMULATOR SYSTEM ROW TAGS INSTRUCTIONS EXITS
	printf '{"emulator": "%s", "system": "%s", "row": "%s", "tags": %s, "instructions": %s, "exits": %s}\n' "$@"
}
{
	line qemu-amd kvm-nested cpuid true 2000 1.00
	line qemu-amd fermata-nested out-user true 1234567 1.50
	line qemu-amd fermata-nested cpuid true 9999 9.00
	line qemu-amd fermata-nested cpuid true 500 1.00
	line qemu-amd fermata-nested boot true 1512345678 4321.00
	line bochs-intel kvm-nested cpuid false 1057 1.00
} >"$dir/lines"
echo 'two <CPUs>, & more' >"$dir/machine"

bench/report -m "$dir/machine" -o "$dir" "$dir/lines" >"$dir/table"
ok $? 'results are taken'
same "$(sed -n 's/ \+/ /g; 1,6p' "$dir/table" | sed 's/ \+/ /g')" 'QEMU, AMD-V: instructions (VM exits)
 KVM Fermata
 nested nested
cpuid 2,000 (1) 500 (1)
out-user 1,234,567 (1.5)
boot 1.512 G (4,321)' 'the table: rows in order, only columns there are, of two results the later'
same "$(grep -c . "$dir/bench.json")" 7 'JSON has an entry for each'
same "$(perl -MJSON::PP -e 'local $/; $l = decode_json(<>); printf "%s %s %s %g %g %d\n", @{$l->[2]}{qw(system row instructions exits)}, $l->[2]{tags} ? 1 : 0, scalar @$l' \
	"$dir/bench.json")" 'fermata-nested cpuid 500 1 1 5' 'and what it was told'
perl -MJSON::PP -e 'local $/; $l = decode_json(<>); exit !(@$l == 5 && !$l->[4]{tags} && $l->[3]{row} eq "boot")' "$dir/bench.json"
ok $? 'in the order in which it came'
grep -q '^| cpuid | 2,000 (1) | 500 (1) |$' "$dir/bench.md" && grep -q 'two <CPUs>' "$dir/bench.md"
ok $? 'Markdown'
grep -q '>25 %: 500 (1), KVM 2,000 (1)<' "$dir/bench.svg"
ok $? 'a bar: a quarter'
grep -q 'two &lt;CPUs&gt;, &amp; more' "$dir/bench.svg"
ok $? 'words in the chart are escaped'
same "$(grep -c '<text' "$dir/bench.svg")" "$(grep -c '</text>' "$dir/bench.svg")" 'every element ends'

bench/report "$dir/bench.json" | cmp -s - "$dir/table"
ok $? 'bench.json is read like the lines'

for emulator in qemu-amd bochs-intel; do
	for system in native kvm-nested kvm-shadow fermata-nested fermata-shadow; do
		for row in floor cpuid hypercall rdmsr wrmsr rdtsc rdtsc-trapped out-user in-user mmio-write-user mmio-read-user \
			touch-present touch-absent mov-cr3 invlpg cr4-pge page-fault fork-exec pipe-ring compile boot; do
			line $emulator $system $row true 4321 1
			line $emulator $system $row false 77777 1
		done
	done
done >"$dir/all"
printf 'before\n<!-- bench: begin -->\nold\n<!-- bench: end -->\nafter\n' >"$dir/page"
cp "$dir/page" "$dir/short"
bench/report -r "$dir/page" -m "$dir/machine" "$dir/all"
same "$(sed -n '1,2p;/bench: end/,$p' "$dir/page")" 'before
<!-- bench: begin -->
<!-- bench: end -->
after' 'a page keeps what is outside its markers'
all='| 4,321 (1) | 4,321 (1) | 4,321 (1) | 4,321 (1) | 4,321 (1) | 77,777 (1) | 77,777 (1) | 77,777 (1) | 77,777 (1) |'
same "$(grep '^| boot ' "$dir/page")" "| boot $all"$'\n'"| boot $all" '... and has a table for each emulator between them'
! grep -q old "$dir/page"
ok $? '... in place of what was there'
bench/report -r "$dir/short" -s -m "$dir/machine" "$dir/all"
same "$(grep -c '^|---' "$dir/short")" 1 'the short page has one table'
grep -q '^| row | paging | one operation | QEMU, AMD-V: KVM | QEMU, AMD-V: Fermata | Bochs, VT-x: KVM | Bochs, VT-x: Fermata |$' "$dir/short"
ok $? '... with both emulators beside each other'
grep -q '^Times the floor, shadow: cpuid 1.0, ' "$dir/page"
ok $? '... and a line that says how far from the floor an exit is'
grep -q '^| `page-fault` | shadow | [^|]* | 4,321 (1) | 4,321 (1) | 4,321 (1) | 4,321 (1) |$' "$dir/short" && ! grep -q 'old\|77,777' "$dir/short"
ok $? '... and only the columns with tags'

refused() { # NAME WANTED LINE: that is not taken, and why
	printf '%s' "$3" >"$dir/bad"
	bench/report "$dir/bad" >"$dir/out" 2>&1
	[ $? = 1 ] && grep -q "^bench/report: .*$2" "$dir/out"
	ok $? "refused: $1"
}
refused 'nothing' 'nothing was measured' ''
refused 'an unknown row' 'no row nonsense' "$(line qemu-amd kvm-nested nonsense true 1 1)"
refused 'an unknown system' 'no system vmware' "$(line qemu-amd vmware cpuid true 1 1)"
refused 'a negative number' 'instructions is -5' "$(line qemu-amd kvm-nested cpuid true -5 1)"
refused 'an entry that lacks a field' 'without system' '{"emulator": "x"}'
refused 'what is not JSON' 'not JSON' 'Segmentation fault'
echo text >"$dir/page"
bench/report -r "$dir/page" "$dir/lines" 2>"$dir/out"
[ $? = 1 ] && grep -q 'not everything was measured: no cpuid of native on bochs-intel' "$dir/out"
ok $? 'refused: a page of a part of the rows'
grep -v 'bochs-intel.*fermata-shadow.*compile.*true' "$dir/all" >"$dir/most"
bench/report -r "$dir/page" "$dir/most" 2>"$dir/out"
[ $? = 1 ] && grep -q 'not everything was measured: no compile of fermata-shadow on bochs-intel$' "$dir/out"
ok $? 'refused: a page that lacks one cell'
bench/report -w ' qemu-amd bochs-intel / cpuid compile' "$dir/most" >"$dir/out" 2>&1
[ $? = 1 ] && [ "$(grep -c '^bench/report: no ' "$dir/out")" = 1 ]
ok $? '... and -w names that one'
bench/report -w 'qemu-amd bochs-intel/cpuid rdtsc-trapped compile boot' "$dir/all" >"$dir/out" 2>&1
ok $? 'nothing is missing where there is nothing to measure'
grep -v 'kvm\|native' "$dir/all" | grep 'rdtsc-trapped\|cpuid' >"$dir/some"
bench/report -w 'qemu-amd/rdtsc-trapped cpuid' "$dir/some" >"$dir/out" 2>&1
same "$(grep '^bench/report: ' "$dir/out")" 'bench/report: no cpuid of native on qemu-amd
bench/report: no cpuid of kvm-nested on qemu-amd
bench/report: no cpuid of kvm-shadow on qemu-amd' 'KVM has no trapped RDTSC, and on AMD-V nothing without tags'
bench/report -r "$dir/page" "$dir/all" 2>"$dir/out"
[ $? = 1 ] && grep -q 'no markers' "$dir/out"
ok $? 'refused: a page without markers'
echo "1..$count"
