#!/bin/bash
# SPDX-License-Identifier: MIT OR GPL-2.0
#
# The tree keeps the style; and the check finds what it is there to find.
cd "$(dirname "$0")/../.." || exit 1
check=$PWD/scripts/check-style
format=$PWD/.clang-format

count=0
result() { # STATUS NAME
	count=$((count + 1))
	[ "$1" = 0 ] && echo "ok $count - $2" || echo "not ok $count - $2"
}

"$check" | sed 's/^/# /'
result "${PIPESTATUS[0]}" 'the tree keeps the style'

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cp "$format" "$dir/"
licence='/* SPDX-License-Identifier: MIT OR GPL-2.0 */'

good() { # NAME CONTENT: the check passes a tree of that one file
	printf '%s' "$2" >"$dir/a.c"
	"$check" --top "$dir" | sed 's/^/# /'
	result "${PIPESTATUS[0]}" "$1"
}

bad() { # RULE CONTENT: the check finds it, and by that rule
	printf '%s' "$2" >"$dir/a.c"
	"$check" --top "$dir" | grep -q "^not ok .* - $1"
	result "$((${PIPESTATUS[0]} != 1 || ${PIPESTATUS[1]} != 0))" "a breach of \"$1\" is found"
}

line=$licence$'\n'
good 'a good file passes' "$line"$'int x;\n'
bad 'a licence line' $'int x;\n'
bad 'C is formatted' "$line"$'int  x;\n'
bad 'C is formatted' "$line"$'int f(int aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa, int bbbbbbbbbbbbbbbbbbbbbbbbbbbbbb, int ccccccccccccccc, int d);\n'
bad 'at most 1000 lines' "$line$(printf 'int x%d;\n' $(seq 1 1001))"$'\n'
word=FIX
bad 'no notes' "$line/* ${word}ME: later */"$'\nint x;\n'
bad 'no blanks' "$line"$'/* a \n * b */\nint x;\n'
bad 'no blanks' "$line"'int x;'
echo "1..$count"
