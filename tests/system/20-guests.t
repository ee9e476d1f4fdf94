#!/bin/bash
# SPDX-License-Identifier: MIT OR GPL-2.0
# timeout: 300
#
# All test guests, in one boot of the box. 20-guests.t [-c CPUS] [NAME...]: of a box with so many
# processors; only those.
cd "$(dirname "$0")/../.." || exit 1
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

cpus=2
if [ "$1" = -c ]; then
	cpus=$2
	shift 2
fi
names=("$@")
if [ $# = 0 ]; then
	for source in tests/guests/*.[cS]; do
		name=${source##*/}
		[[ $name == runner* ]] || names+=("${name%.*}")
	done
fi
printf '%s\n' 'chmod +x /in/runner' "exec /in/runner $(printf '/in/%s ' "${names[@]}")" >"$dir/script"

# A file of the working tree, in case the box dies with what it has to say.
build/box/box-sh -c "$cpus" -t 280 "$dir/script" build/guests/runner "${names[@]/#/build/guests/}" 2>"$dir/errors"
status=$?
sed 's/^/# /' "$dir/errors"
exit $status
