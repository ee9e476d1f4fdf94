#!/bin/bash
# SPDX-License-Identifier: MIT OR GPL-2.0
# timeout: 900
#
# All test guests, in one boot of the box. 20-guests.t [-b KIND] [-1] [-o OPTIONS] [-u] [NAME...]: in a box of that
# kind; on two processors that take turns; with these options of the module; without tags; only those.
cd "$(dirname "$0")/../.." || exit 1
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

box=() runner=/in/runner seconds=280
while getopts b:1o:u option; do
	case $option in
	b) box+=(-b "$OPTARG") seconds=880 ;;
	1) box+=(-1) ;;
	o) box+=(-o "$OPTARG") ;;
	u) runner='/in/runner -u' ;;
	*) exit 1 ;;
	esac
done
shift $((OPTIND - 1))
names=("$@")
if [ $# = 0 ]; then
	for source in tests/guests/*.[cS]; do
		name=${source##*/}
		[[ $name == runner* ]] || names+=("${name%.*}")
	done
fi
printf '%s\n' 'chmod +x /in/runner' "exec $runner $(printf '/in/%s ' "${names[@]}")" >"$dir/script"

# A file of the working tree, in case the box dies with what it has to say.
build/box/box-sh "${box[@]}" -t "$seconds" "$dir/script" build/guests/runner "${names[@]/#/build/guests/}" 2>"$dir/errors"
status=$?
sed 's/^/# /' "$dir/errors"
exit $status
