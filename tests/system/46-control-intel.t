#!/bin/bash
# SPDX-License-Identifier: MIT OR GPL-2.0
# timeout: 200
#
# The control channel of a guest on VT-x, carried out of the box on Bochs by its wire.
cd "$(dirname "$0")/../.." || exit 1
command -v bochs-bin >/dev/null || {
	echo '1..0 # SKIP Bochs is not installed; make bochs installs it'
	exit
}
. tests/system/lab.sh
fermata=$PWD/build/fermata
export XDG_RUNTIME_DIR=$dir

perl -Itests/system -MLab -e 'open my $f, ">", $ARGV[0]; print $f read_file($echo)' "$dir/echo"
mkfifo "$dir/keys"
timeout 150 "$fermata" run --box intel --kernel "$dir/echo" --name tiny --memory 32M <"$dir/keys" >"$dir/out" 2>"$dir/err" &
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
"$fermata" quit tiny
same $? 0 'quit'
wait $pid
same $? 0 'and the command has ended'
echo "1..$count"
