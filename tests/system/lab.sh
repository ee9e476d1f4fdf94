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

# What a process may do: "USER GROUP NoNewPrivs Seccomp", at most ten seconds later if it is not so yet.
rights() { # PID WANTED
	local got
	for _ in $(seq 100); do
		got=$(awk '/^(Uid|Gid|NoNewPrivs|Seccomp):/ { printf "%s ", $2 }' "/proc/$1/status" 2>/dev/null)
		[ "${got% }" = "$2" ] && break
		sleep 0.1
	done
	echo "${got% }"
}
# Root's emulators are nobody; another user's stay his.
nobody='65534 65534'
[ "$(id -u)" = 0 ] || nobody="$(id -u) $(id -g)"
