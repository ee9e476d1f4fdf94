#!/bin/bash
# SPDX-License-Identifier: MIT OR GPL-2.0
# timeout: 200
#
# The control channel of a guest on VT-x, carried out of the box on Bochs by its wire; beside it a guest that does nothing
# but exit, so that the wire's interrupts come late.
cd "$(dirname "$0")/../.." || exit 1
command -v bochs-bin >/dev/null || {
	echo '1..0 # SKIP Bochs is not installed; make bochs installs it'
	exit
}
. tests/system/lab.sh
fermata=$PWD/build/fermata
export XDG_RUNTIME_DIR=$dir

perl -Itests/system -MLab -e '
	sub put { open my $f, ">", shift or die; print $f @_ }
	put("$ARGV[0]/echo", read_file($echo));
	put("$ARGV[0]/loop", kernel_image("\x0f\xa2\xeb\xfc")); # 1: CPUID; JMP 1b
' "$dir"
mkfifo "$dir/keys"
timeout 150 "$fermata" run --box intel --memory 32M --guest "--kernel $dir/echo --name tiny" \
	--guest "--kernel $dir/loop --name loop" <"$dir/keys" >"$dir/out" 2>"$dir/err" &
pid=$!
exec 3>"$dir/keys"
for _ in $(seq 600); do
	grep -q ready "$dir/out" && break
	sleep 0.1
done
tail -n 5 "$dir/err" | sed 's/^/# /'

row=$("$fermata" ps | grep '^tiny ')
[[ $row =~ ^tiny\ +running\ +intel\ +1\ +32M\ .*\ box\ intel\ +[0-9]+$ ]]
ok $? "ps: $row"
"$fermata" pause tiny
same $? 0 'paused'
entries() { "$fermata" stat tiny --once --json | sed 's/.*"entries":\([0-9]*\).*/\1/'; }
before=$(entries)
echo typed >&3
same "$(entries)" "$before" 'nothing is executed'
"$fermata" resume tiny
same $? 0 'resumed'
for _ in $(seq 300); do
	grep -q typed "$dir/out" && break
	sleep 0.1
done
grep -q typed "$dir/out"
ok $? 'what was typed meanwhile arrives'
[ "$(entries)" -gt "$before" ]
ok $? 'it executes again'
"$fermata" stat tiny --once | grep -q '^IO_INSTRUCTION '
ok $? 'stat'
# Much at once, both ways: each byte of the line arrives.
for i in $(seq 200); do echo "{\"execute\":\"query\",\"id\":\"$i\"}"; done >"$dir/commands"
same "$(perl -MIO::Socket::UNIX -e '
	my $s = IO::Socket::UNIX->new(Peer => "$ENV{XDG_RUNTIME_DIR}/fermata/tiny") or die;
	print $s do { local $/; <STDIN> };
	shutdown $s, 1;
	print /"name":"tiny".*"id":"(\d+)"/ ? "$1\n" : "?$_" for grep { !/^\{"fermata"/ } <$s>' <"$dir/commands")" \
	"$(seq 200)" '200 commands at once'
"$fermata" on loop cpuid >"$dir/rule"
same "$(cat "$dir/rule")" 1 'a rule about a guest that exits all the time'
answers=0
for _ in $(seq 40); do
	"$fermata" events loop | grep -q ' cpuid do count$' && answers=$((answers + 1))
done
same $answers 40 'each of 40 questions has its answer'
"$fermata" quit loop
same $? 0 'quit'
"$fermata" quit tiny
same $? 0 '... both'
wait $pid
same $? 0 'and the command has ended'
echo "1..$count"
