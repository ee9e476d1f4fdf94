# SPDX-License-Identifier: MIT OR GPL-2.0
#
# What the tests in shell share: a directory that goes with them, and TAP. A test ends with its plan,
# echo "1..$count".
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

count=0
ok() { # STATUS NAME
	count=$((count + 1))
	[ "$1" = 0 ] && echo "ok $count - $2" || echo "not ok $count - $2"
}
same() { # GOT WANTED NAME
	[ "$1" = "$2" ]
	ok $? "$3"
	[ "$1" = "$2" ] || printf 'got: %s\nwanted: %s\n' "$1" "$2" | sed 's/^/# /'
}
