#!/bin/bash
# SPDX-License-Identifier: MIT OR GPL-2.0
# timeout: 120
#
# examples/hello.c, as the build makes it and as somebody who installed the library would: headers and
# flags from pkg-config, the shared library. Both run in the box and print every exit of their guest.
cd "$(dirname "$0")/../.." || exit 1
. tests/system/lab.sh

make -s install DESTDIR="$dir/root" prefix=/usr >"$dir/install" 2>&1
ok $? 'make install'
export PKG_CONFIG_SYSROOT_DIR=$dir/root PKG_CONFIG_LIBDIR=$dir/root/usr/lib/pkgconfig
# shellcheck disable=SC2046
gcc -Wall -Werror -o "$dir/shared" examples/hello.c $(pkg-config --cflags --libs fermata) 2>"$dir/errors"
ok $? 'the example builds with what pkg-config says'
sed 's/^/# /' "$dir/errors"
readelf -d "$dir/shared" | grep -q 'NEEDED.*libfermata\.so\.0'
ok $? '... and wants the shared library'

cp "$dir/root/usr/lib/libfermata.so.0" "$dir/libfermata.so.0"
cp build/examples/hello "$dir/static"
cat >"$dir/script" <<'END'
chmod +x /in/static /in/shared
/in/static >/tmp/static; echo "static $?"
LD_LIBRARY_PATH=/in:/lib /in/shared >/tmp/shared; echo "shared $?"
cmp /tmp/static /tmp/shared && echo same
cat /tmp/static
END
build/box/box-sh -t 60 "$dir/script" "$dir/static" "$dir/shared" "$dir/libfermata.so.0" >"$dir/out" 2>&1
ok $? 'the box runs them'
grep -qx 'static 0' "$dir/out"
ok $? 'the static one ends well'
grep -qx 'shared 0' "$dir/out"
ok $? 'the shared one ends well'
grep -qx same "$dir/out"
ok $? 'they say the same'
# H e l l o, a newline, one read and one write of device memory, HLT
[ "$(grep -c '^exit IO' "$dir/out")" = 6 ] && grep -q 'port 0xe9 <- 0x48' "$dir/out"
ok $? 'six exits for six characters'
[ "$(grep -c '^exit MMIO' "$dir/out")" = 2 ] && grep -q 'device 0x5004 <- 0x2a' "$dir/out"
ok $? 'the guest read a device and wrote it'
[ "$(tail -n 1 "$dir/out")" = "$(grep '^exit HALTED' "$dir/out")" ]
ok $? 'it halts at the end'
sed 's/^/# /' "$dir/out"
echo "1..$count"
