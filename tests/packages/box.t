#!/bin/bash
# SPDX-License-Identifier: MIT OR GPL-2.0
#
# tests/packages/box.t [RELEASE]: a whole Debian, with systemd and udev, starts in an emulated machine with AMD-V.
# There the packages are installed, a guest runs by the module that DKMS has built, as an ordinary user's and as a
# service, and the packages are purged. Takes the packages that chroot.t has left.
cd "$(dirname "$0")/../.." || exit 1
. tests/packages/lab.sh
release=${1:-bookworm}
packages=$systems/packages-$release
[ -d "$packages" ] || skip_all "no packages for $release; tests/packages/chroot.t makes them"

# ---- the system: the module is built here, since an emulated machine would need minutes for that

root=$(system "$release" "box-$release") || { echo 'Bail out! no system'; exit 1; }
mkdir "$root/packages"
cp "$packages"/* "$root/packages/"
there() { inside "$root" "$release" "$@"; }
passes 'a system with systemd and DKMS' there sh -c "apt-get -q update && apt-get -q -y install --no-install-recommends \
	linux-headers-cloud-amd64 dkms adduser libjson-c5 libzydis-dev python3 systemd systemd-sysv udev dbus kmod qemu-system-x86" ||
	{ echo 'Bail out! no system'; exit 1; }
kernel=$(ls "$root/lib/modules" | head -n 1)
passes 'the module' there sh -c "apt-get -q -y install /packages/fermata-dkms_*.deb && modinfo -k $kernel fermata"
# Unpacked, not installed: its package would make an initrd. /lib is a link here, and no folder as in the package.
passes "its kernel, $kernel" there sh -c "cd /tmp && apt-get -q download linux-image-$kernel && dpkg-deb -x linux-image-*.deb image &&
	cp -a image/boot/vmlinuz-* /boot/ && cp -a image/*lib/modules/* image/usr/lib/modules/* /usr/lib/modules/ 2>/dev/null; rm -r image *.deb; depmod $kernel"
cp "$(ls "$root"/boot/vmlinuz-* | head -n 1)" "$dir/vmlinuz"

cat >"$root/packages/inside" <<'END'
#!/bin/bash
# What it says on the last serial line is what the test reads.
exec >/dev/ttyS1 2>&1 </dev/null
passes() { # NAME COMMAND...
	local name=$1
	shift
	if "$@" >/tmp/said 2>&1; then echo "PASS $name"; else echo "FAIL $name"; tail -n 30 /tmp/said | sed 's/^/SAID /'; fi
}
until_true() { # SECONDS COMMAND...
	local end=$((SECONDS + $1))
	shift
	until "$@"; do [ $SECONDS -lt $end ] || return 1; sleep 1; done
}
run() { su - somebody -s /bin/bash -c "cd && export XDG_RUNTIME_DIR=\$HOME && $1"; }
guest="--kernel /usr/lib/x86_64-linux-gnu/fermata/box/vmlinuz --initrd /packages/initrd.cpio.gz --append 'console=ttyS0 quiet'"

passes 'installed' dpkg -i /packages/fermata_*.deb /packages/libfermata*.deb /packages/python3-fermata_*.deb
passes 'the module has been loaded at the start' test -e /sys/module/fermata
passes 'udev gives the device to the group' until_true 10 sh -c '[ "$(stat -c "%U %G %a" /dev/fermata)" = "root fermata 660" ]'
useradd -m somebody
passes 'who is not in the group may not use it' sh -c 'fermata caps | grep -qi "amd" && ! su - somebody -c "fermata caps >said 2>&1; fermata run --box none --kernel /packages/inside" 2>/tmp/why; grep -q "/dev/fermata" /tmp/why'
usermod -a -G fermata,kvm somebody
run "fermata run $guest --keys none --name web >console 2>&1 &"
passes 'who is in it runs a guest, without the box' until_true 120 grep -q 'This is a guest under Fermata' /home/somebody/console
cat >/tmp/client <<'END_OF_PYTHON'
import fermata
with fermata.Guest("web") as guest:
    assert guest.query()["where"] == "here", guest.query()
    rule = guest.on("cpuid do log")
    guest.pause()
    before = guest.stats()["entries"]
    assert guest.stats()["entries"] == before
    guest.resume("advance")
    guest.off(rule)
    assert guest.quit().data == {"how": "quit"}
END_OF_PYTHON
chmod 644 /tmp/client
passes 'and controls it from Python' run 'python3 /tmp/client'
printf '%s\n' '# A guest.' "$guest" >/etc/fermata/web.conf
passes 'a service starts' systemctl start fermata@web
passes 'it is a guest of root' until_true 60 sh -c 'fermata ps | grep -q "^web  *running"'
passes 'whose console is in the journal' until_true 120 sh -c 'journalctl -u fermata@web | grep -q "This is a guest under Fermata"'
passes 'it runs here' sh -c 'fermata ps --json | grep -q "\"where\": \"here\""'
passes 'without rights' sh -c 'p=$(systemctl show -P MainPID fermata@web); grep -q "^NoNewPrivs:.1" /proc/$p/status && grep -q "^CapEff:.00000000000000e0" /proc/$p/status'
passes 'it stops' systemctl stop fermata@web
passes 'in order' sh -c '[ "$(systemctl show -P Result fermata@web)" = success ]'
passes 'one without settings does not start' sh -c '! systemctl start fermata@none'
printf '%s\n' --box amd "$guest" >/etc/fermata/boxed.conf
passes 'one in the box starts' systemctl start fermata@boxed
passes 'whose emulator is nobody, and in its sandbox' until_true 60 sh -c 'p=$(pidof qemu-system-x86_64) &&
	[ "$(awk "/^(Uid|NoNewPrivs|Seccomp):/ { printf \"%s \", \$2 }" /proc/$p/status)" = "65534 1 2 " ]'
passes 'it stops, too' systemctl stop fermata@boxed
passes 'with its emulator' sh -c '! pidof qemu-system-x86_64'
rm /etc/fermata/web.conf /etc/fermata/boxed.conf
passes 'purged' dpkg --purge fermata fermata-dkms libfermata-dev libfermata0 python3-fermata
passes 'the module has gone' test ! -e /sys/module/fermata -a ! -e /dev/fermata
passes 'and nothing is left' sh -c '! find / -xdev -iname "*fermata*" -not -path "/packages/*" -not -path "/proc/*" -not -path "/sys/*" -not -path "/tmp/*" -not -path "/run/*" -not -path "/home/*" -not -path "/var/log/*" | grep .'
passes 'no complaint of the kernel' sh -c '! dmesg | grep -E "WARNING:|BUG|Oops|Call Trace"'
echo END
systemctl poweroff --force
END
chmod 755 "$root/packages/inside"
cat >"$root/etc/systemd/system/inside.service" <<'END'
[Unit]
After=multi-user.target
[Service]
Type=idle
ExecStart=/packages/inside
[Install]
WantedBy=multi-user.target
END
passes 'a test that starts with it' there systemctl enable inside.service

# What nobody reads there is not carried along.
(cd "$root" && find . -xdev \( -path './usr/lib/gcc*' -o -path './usr/libexec/gcc*' -o -path './usr/src/linux*' -o -path './usr/share/doc' \
	-o -path './usr/share/man' -o -path './usr/lib/x86_64-linux-gnu/dri' -o -path './usr/lib/llvm*' -o -path './usr/lib/x86_64-linux-gnu/libLLVM*' -o -path './usr/share/locale' -o -path './var/cache/*' -o -path './var/lib/apt/lists/*' -o -path './boot/*' \
	-o -path './lib/modules/*/kernel/drivers/net/*' -o -path './lib/modules/*/kernel/drivers/gpu/*' \) -prune -o -print0 |
	cpio --quiet --null -o -H newc >"$dir/root.cpio")
ln -s /sbin/init "$dir/init"
(cd "$dir" && echo init | cpio --quiet -o -H newc >>root.cpio)

# ---- it starts

timeout 900 qemu-system-x86_64 -sandbox on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny \
	-nodefaults -no-user-config -display none -no-reboot -machine q35,usb=off,sata=off,smbus=off,vmport=off \
	-accel tcg,thread=multi -cpu max -m 3G -kernel "$dir/vmlinuz" -initrd "$dir/root.cpio" \
	-append 'console=ttyS0 quiet panic=-1 tsc=reliable no_timer_check random.trust_cpu=on cryptomgr.notests systemd.show_status=0' \
	-chardev file,id=log,path="$dir/log" -serial chardev:log -chardev file,id=said,path="$dir/said" -serial chardev:said </dev/null
ok $? 'it starts and powers off'
while read -r word rest; do
	case $word in
	PASS) ok 0 "$rest" ;;
	FAIL) ok 1 "$rest" ;;
	SAID) echo "# $rest" ;;
	esac
done < <(tr -d '\r' <"$dir/said")
grep -q '^END' "$dir/said"
ok $? 'to the end' || tail -n 30 "$dir/log" | sed 's/^/# /'
rm -rf "$root"
echo "1..$count"
