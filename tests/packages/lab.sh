# SPDX-License-Identifier: MIT OR GPL-2.0
#
# Debian systems in folders, for the tests of packages. Needs root; what is made is below build/chroot, and a
# system is in no other process's sight: its mounts end with the command that runs in it.
. tests/system/lab.sh

systems=$PWD/build/chroot

sources() { # RELEASE: what apt has there
	echo "deb http://deb.debian.org/debian $1 main"
	echo "deb http://deb.debian.org/debian $1-updates main"
	echo "deb http://deb.debian.org/debian-security $1-security main"
	echo "deb http://deb.debian.org/debian $1-backports main"
}

skip_all() { # WHY
	echo "1..0 # SKIP $1"
	exit
}
[ "$(id -u)" = 0 ] || skip_all 'only root can make a Debian system in a folder'
command -v mmdebstrap >/dev/null || skip_all 'mmdebstrap is not installed; make test-packages installs it'

# system RELEASE NAME: a fresh minimal system; its folder. The first of a release is kept and copied.
system() {
	local base=$systems/base-$1 folder=$systems/$2
	if [ ! -e "$base/made" ]; then
		rm -rf "$base"
		mkdir -p "$systems" "$systems/archives-$1/partial"
		mmdebstrap --mode=root --variant=minbase "$1" "$base" - >"$systems/log" 2>&1 < <(sources "$1") || {
			tail -n 20 "$systems/log" >&2
			return 1
		}
		# Nothing starts in there, and what was downloaded is kept for the next system of that release.
		printf '#!/bin/sh\nexit 101\n' >"$base/usr/sbin/policy-rc.d"
		chmod 755 "$base/usr/sbin/policy-rc.d"
		echo 'APT::Keep-Downloaded-Packages "true"; APT::Sandbox::User "root";' >"$base/etc/apt/apt.conf.d/keep"
		touch "$base/made"
	fi
	rm -rf "$folder"
	cp -a --reflink=auto "$base" "$folder"
	echo "$folder"
}

# inside FOLDER RELEASE COMMAND...: in that system, with its own processes, without a terminal.
inside() {
	local folder=$1 release=$2
	shift 2
	unshare --mount --pid --fork --kill-child --mount-proc=/proc bash -c '
		folder=$1 archives=$2
		shift 2
		mount -t proc proc "$folder/proc"
		mount -t sysfs -o ro sys "$folder/sys"
		mount --rbind /dev "$folder/dev"
		mount -t tmpfs tmpfs "$folder/run"
		mount --bind "$archives" "$folder/var/cache/apt/archives"
		exec chroot "$folder" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 \
			DEBIAN_FRONTEND=noninteractive "$@"' - "$folder" "$systems/archives-$release" "$@" </dev/null
}

# passes NAME COMMAND...: its status is 0; else what it said at the end is shown.
passes() {
	local name=$1 log=$dir/passes
	shift
	"$@" >"$log" 2>&1
	local status=$?
	ok $status "$name"
	[ $status = 0 ] || tail -n 40 "$log" | sed 's/^/# /'
	return $status
}
