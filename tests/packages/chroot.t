#!/bin/bash
# SPDX-License-Identifier: MIT OR GPL-2.0
#
# tests/packages/chroot.t [RELEASE]: in a Debian system with nothing in it `make deb` makes the packages. In a
# second one they are installed, used by an ordinary user and removed again, and nothing stays. The module is built
# for two kernels, the second of which comes later.
cd "$(dirname "$0")/../.." || exit 1
. tests/packages/lab.sh
release=${1:-bookworm}

maker=$(system "$release" "make-$release") || { echo 'Bail out! no system'; exit 1; }
mkdir "$maker/fermata"
tar -c --exclude=./build --exclude=./.git . | tar -x -C "$maker/fermata"
packages=$systems/packages-$release
rm -rf "$packages"
mkdir "$packages"

# ---- made

passes 'make, to begin with' inside "$maker" "$release" sh -c 'apt-get -q update && apt-get -q -y install --no-install-recommends make'
passes "make deb in $release" inside "$maker" "$release" make -C /fermata deb ||
	{ echo 'Bail out! no packages'; exit 1; }
passes 'lintian finds no errors' inside "$maker" "$release" sh -c 'lintian --allow-root --fail-on error /fermata/build/deb/*.changes'
cp "$maker"/fermata/build/deb/*.deb "$packages/"
cp build/guest/initrd.cpio.gz "$packages/"
same "$(cd "$packages" && ls *.deb | sed 's/_.*//' | grep -v dbgsym | LC_ALL=C sort | paste -sd ' ')" \
	'fermata fermata-dkms libfermata-dev libfermata0 python3-fermata' 'five packages'
rm -rf "$maker"

# ---- installed

user=$(system "$release" "use-$release")
rm "$packages"/*dbgsym*
mkdir "$user/packages"
cp "$packages"/* "$user/packages/"
there() { inside "$user" "$release" "$@"; }

files() { # what there is, but for what apt, dpkg and others keep of the past
	(cd "$user" && find . -xdev \( -path ./packages -o -path ./tmp -o -path ./run -o -path ./proc -o -path ./sys \
		-o -path ./dev -o -path ./var/cache -o -path ./var/log -o -path ./var/lib/apt -o -path ./root \) -prune -o -print | sort)
}

passes 'a kernel, and what the packages need' there sh -c "apt-get -q update && apt-get -q -y install --no-install-recommends \
	linux-headers-cloud-amd64 dkms adduser libjson-c5 libzydis-dev python3 qemu-system-x86 systemd udev gcc libc6-dev pkg-config man-db bash-completion"
first=$(ls "$user/lib/modules" | head -n 1)
files >"$dir/before"
passes 'all are installed' there sh -c 'apt-get -q -y install /packages/*.deb' || { echo 'Bail out! not installed'; exit 1; }
built() { # KERNEL: whether DKMS has the module for it
	there dkms status fermata -k "$1" | grep -q ': installed' &&
		[ "$(there modinfo -k "$1" -F vermagic fermata | cut -d ' ' -f 1)" = "$1" ]
}
built "$first"
ok $? "the module is built for $first"
passes 'a second kernel' there apt-get -q -y install --no-install-recommends linux-headers-amd64
second=$(ls "$user/lib/modules" | grep -v "^$first\$" | head -n 1)
built "${second:-none}"
ok $? "and the module for it, $second"
built "$first"
ok $? 'it is still there for the first one'

# ---- used

there getent group fermata | grep -q '^fermata:'
ok $? 'there is the group'
passes 'the service is one' there systemd-analyze verify /lib/systemd/system/fermata@.service
passes 'manuals' there man -w fermata fermata@.service libfermata python3-fermata
passes 'a program with the library' there sh -c 'cd /tmp && gcc -o hello /usr/share/doc/libfermata-dev/examples/hello.c $(pkg-config --cflags --libs fermata) && ldd hello | grep -q libfermata.so.0'
same "$(there /tmp/hello 2>&1 | grep -c /dev/fermata)" 1 'which misses the device, and says so'
passes 'bash completes' there bash -c '. /usr/share/bash-completion/completions/fermata; COMP_WORDS=(fermata cap) COMP_CWORD=1; _fermata; [ "${COMPREPLY[*]}" = caps ]'
there useradd -m -G fermata somebody
cat >"$user/packages/use" <<'END'
set -e
mkdir -p "$HOME/run"
export XDG_RUNTIME_DIR=$HOME/run
fermata caps --box amd
printf '%s\n' '--kernel /usr/lib/x86_64-linux-gnu/fermata/box/vmlinuz' '--initrd /packages/initrd.cpio.gz' '--append "console=ttyS0 quiet"' >web.conf
fermata run --box amd --keys none --settings web.conf --name web >console 2>&1 &
python3 - <<'END_OF_PYTHON'
import time, fermata
end = time.monotonic() + 200
while True:
    try:
        guest = fermata.Guest("web", timeout=120)
        break
    except (fermata.Error, TimeoutError):
        if time.monotonic() > end:
            raise
        time.sleep(0.5)
print(guest.query())
while "This is a guest" not in open("console").read() and time.monotonic() < end:
    time.sleep(0.5)
rule = guest.on("cpuid do log")
guest.clock_do("rate", "2")
print(guest.stats()["entries"], guest.rules(), guest.clock()["rate"])
guest.quit()
END_OF_PYTHON
wait
cat console
grep -q 'This is a guest under Fermata' console
END
passes "somebody's guest, in the box" there su - somebody -s /bin/bash -c '. /packages/use'

# ---- gone

there userdel -r somebody >/dev/null 2>&1
passes 'all are purged' there sh -c 'rm -f /tmp/hello; apt-get -q -y purge fermata fermata-dkms libfermata0 libfermata-dev python3-fermata'
files >"$dir/after"
same "$(grep -i fermata "$dir/after")" '' 'no file has its name any more'
# Accounts and groups stay by custom, the second kernel and what depmod says of the first are not ours. From Debian 13 on
# headers bring their kernel along.
same "$(comm -13 "$dir/before" "$dir/after" | grep -vE '^./etc/(passwd|group|g?shadow|sub[ug]id)-?$|linux-(headers|kbuild|image|binary|modules|base)|/lib/modules/|^./boot/|^./(vmlinuz|initrd.img)(.old)?$|/initramfs-tools/')" '' \
	'and nothing else is there that was not before'
passes 'dpkg is content' there sh -c '[ -z "$(dpkg --audit)" ]'
rm -rf "$user"
echo "1..$count"
