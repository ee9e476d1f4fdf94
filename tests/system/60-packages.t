#!/bin/bash
# SPDX-License-Identifier: MIT OR GPL-2.0
#
# What `make deb` has made: what lintian says of it, and what is in each package. tests/packages/ installs them.
cd "$(dirname "$0")/../.." || exit 1
. tests/system/lab.sh
export LC_ALL=C
debs=build/deb

version=$(sed -n 's/^VERSION := //p' Makefile)
same "$(dpkg-parsechangelog -S Version)" "$version" 'the packages have the version that the Makefile says'
same "$(cd $debs && ls ./*.deb | sed 's/_.*//; s/^..//' | grep -v dbgsym | sort | paste -sd ' ')" \
	'fermata fermata-dkms libfermata-dev libfermata0 python3-fermata' 'five packages'
said=$(lintian --allow-root --fail-on error "$debs"/*.changes 2>&1)
ok $? 'lintian finds no errors'
[ -z "$said" ] || sed 's/^/# /' <<<"$said"

contents() { # PACKAGE: its files, without folders and what every package has
	dpkg-deb -c "$debs/$1"_"$version"_*.deb | awk '$1 !~ /^d/ { print $6 }' | sed 's/^\.//; s,^/lib/,/usr/lib/,' |
		grep -v -e '^/usr/share/doc/.*/\(changelog\|copyright\|.*\.md\)' -e ^/usr/share/lintian | sort
}
lib=/usr/lib/$(dpkg-architecture -q DEB_HOST_MULTIARCH)
same "$(contents fermata)" "$(sort <<END
/usr/bin/fermata
/usr/lib/systemd/system/fermata@.service
$lib/fermata/box/boot
$lib/fermata/box/initrd.cpio
$lib/fermata/box/vmlinux
$lib/fermata/box/vmlinuz
$(ls tests/guests/*.[cS] | sed 's,.*/,,; s/\.[cS]$//; /^runner/d' | sed "s,^,$lib/fermata/guests/,")
$lib/fermata/guests/runner
/usr/share/bash-completion/completions/fermata
/usr/share/doc/fermata/examples/web.conf
/usr/share/man/man1/fermata.1.gz
/usr/share/man/man8/fermata@.service.8.gz
END
)" 'what is in fermata'
same "$(contents libfermata0)" "$lib/libfermata.so.0" 'what is in libfermata0'
same "$(contents libfermata-dev)" "$(sort <<END
/usr/include/fermata.h
/usr/include/uapi/fermata.h
$lib/libfermata.a
$lib/libfermata.so
$lib/pkgconfig/fermata.pc
/usr/share/doc/libfermata-dev/examples/hello.c
/usr/share/man/man3/libfermata.3.gz
END
)" 'what is in libfermata-dev'
same "$(contents python3-fermata)" "$({
	(cd python && find fermata -name '*.py' -o -name py.typed) | sed 's,^,/usr/lib/python3/dist-packages/,'
	echo /usr/share/doc/python3-fermata/examples/syscalls.py
	echo /usr/share/man/man3/python3-fermata.3.gz
} | sort)" 'what is in python3-fermata'
same "$(contents fermata-dkms)" "$({
	find kernel include/uapi -type f -not -name README.md -not -path kernel/Makefile | sed "s,^,/usr/src/fermata-$version/,"
	echo "/usr/src/fermata-$version/dkms.conf"
	echo /usr/lib/modules-load.d/fermata.conf
	echo /usr/lib/udev/rules.d/60-fermata-dkms.rules
} | sort)" 'what is in fermata-dkms'

dpkg-deb -x "$debs/fermata-dkms_${version}_all.deb" "$dir/dkms"
dpkg-deb -x "$debs/fermata_${version}_amd64.deb" "$dir/fermata"
dpkg-deb -e "$debs/fermata-dkms_${version}_all.deb" "$dir/control"
rule=$(cat "$dir"/dkms/*lib/udev/rules.d/* "$dir"/dkms/usr/lib/udev/rules.d/* 2>/dev/null | grep -v '^#' | sort -u)
same "$rule" 'SUBSYSTEM=="misc", KERNEL=="fermata", GROUP="fermata", MODE="0660"' 'the device is the group'"'"'s'
grep -q 'addgroup .*--system fermata' "$dir/control/postinst"
ok $? 'which the package makes'
cmp -s <(build/fermata help --completion) "$dir/fermata/usr/share/bash-completion/completions/fermata"
ok $? 'the completion is made by the command'
same "$("$dir/fermata/usr/bin/fermata" --version)" "$(build/fermata --version)" 'the command is of this version'
# The tree may be in /fermata, of which other names have a part.
said=$(strings -a "$dir/fermata/usr/bin/fermata" | grep -E "(^|[^[:alnum:]._/-])$PWD(/|\$)")
same "$said" '' 'and knows nothing of the place where it was built'
echo "1..$count"
