#!/bin/bash
# SPDX-License-Identifier: MIT OR GPL-2.0
# timeout: 600
#
# Debian's kernels as guests, cloud and full ones, as far as the Debian that is stable today and its backports have
# them (build/kernels/guests/list, made by `make guest-kernels`): each boots to a shell and powers off, on AMD-V under
# nested and shadow paging, on VT-x under nested paging, and has nothing to complain about.
# 14-guest-kernels.t [KIND...]
cd "$(dirname "$0")/../.." || exit 1
. tests/system/lab.sh

list=$(cat build/kernels/guests/list 2>/dev/null)
if [ -z "$list" ]; then
	echo '1..0 # SKIP there are no kernels for guests; make test-kernels downloads them'
	exit
fi

boots() { # RELEASE KIND PAGING
	local what="$1 on $2, $3"
	# A Skylake's own weakness is not for us to hide.
	local trouble='WARNING:|BUG:|Oops|unchecked MSR|general protection|soft lockup|Call Trace|marked unstable'
	echo 'echo "guest $(uname -r)"; poweroff' |
		timeout 400 build/fermata run --box "$2" --paging "$3" --kernel "build/kernels/guests/$1/vmlinuz" \
			--initrd build/guest/initrd.cpio.gz --append console=ttyS0 >"$dir/log" 2>&1
	[ $? = 0 ] && tr -d '\r' <"$dir/log" | grep -q "^guest $1$"
	ok $? "$what: boots and powers off" || tail -n 5 "$dir/log" | sed 's/^/# /'
	! grep -v 'RETBleed: WARNING: Spectre v2' "$dir/log" | grep -E "$trouble" | sed 's/^/# /' | grep .
	ok $? "$what: has nothing to complain about"
}

kinds=${*:-amd intel}
for kind in $kinds; do
	if [ "$kind" != amd ] && ! command -v bochs-bin >/dev/null; then
		ok 0 "$kind: # SKIP Bochs is not installed; make bochs installs it"
		continue
	fi
	for release in $list; do
		boots "$release" "$kind" nested
		[ "$kind" != amd ] || boots "$release" "$kind" shadow
	done
done
echo "1..$count"
