#!/bin/bash
# SPDX-License-Identifier: MIT OR GPL-2.0
# timeout: 600
#
# The host's kernel crashes while a guest runs on each of its processors: the kernel that is there for that boots
# (kexec), and in it a guest runs, so nothing of the first one's virtualization is left on.
# On VT-x a kernel cannot even boot while VMX is on. 29-crash.t -b KIND: in that box only.
cd "$(dirname "$0")/../.." || exit 1
. tests/system/lab.sh

cat >"$dir/crash.sh" <<'END'
for module in $(cat /in/modules.order); do
	options=
	[ "$module" != kvm.ko ] || options=enable_virt_at_load=0 # from Linux 6.12 on: an idle KVM leaves the processors alone
	insmod "/in/$module" $options || echo "not ok - insmod $module"
done
chmod +x /in/abuse
mv /in/initrd.cpio /in/crash.cpio
/in/abuse crash
END

# What the second kernel does. It has no wire out of the box but the kernel's log.
cat >"$dir/init" <<'END'
#!/bin/sh
export PATH=/bin
mount -t proc proc /proc
mount -t devtmpfs devtmpfs /dev
dmesg -n 8
exec >/dev/kmsg 2>&1
echo "the kernel after the crash is up: $(grep -o after_the_crash /proc/cmdline)"
insmod /fermata.ko
abuse alive
poweroff -f
END
box/make-initrd "$dir/initrd.cpio" "$dir/init" build/kernel/fermata.ko=fermata.ko build/abuse/abuse=bin/abuse

crash() { # KIND PROCESSORS [MODULE...]: with these loaded, too
	local kind=$1 processors=$2 what="$1${3:+, KVM is loaded}" files=()

	shift 2
	printf '%s\n' "$@" >"$dir/modules.order"
	[ $# = 0 ] || files=("${@/#/build/abuse/modules/}")
	rm -f "$dir/log"
	build/box/box-sh -b "$kind" -m 900 -t 500 "$processors" -k crashkernel=256M -l "$dir/log" "$dir/crash.sh" \
		build/abuse/abuse build/box/vmlinuz "$dir/initrd.cpio" "$dir/modules.order" "${files[@]}" >"$dir/out" 2>&1
	grep -q 'now the crash' "$dir/out" && ! grep -q '^not ok' "$dir/out"
	ok $? "$what: a guest ran on each processor"
	grep -q 'sysrq triggered crash' "$dir/log"
	ok $? "$what: the kernel crashed"
	grep -q 'the kernel after the crash is up: after_the_crash' "$dir/log"
	ok $? "$what: the kernel after the crash boots"
	grep -q 'ok - a guest runs' "$dir/log"
	ok $? "$what: and a guest runs in it"
	grep -q 'ok - a guest runs' "$dir/log" || tail -n 30 "$dir/out" "$dir/log" | sed 's/^/# /'
}

[ "$1" = -b ] && kinds=$2 || kinds='amd intel'
for kind in $kinds; do
	case $kind in
	amd) # two processors that take turns
		crash amd -1
		# Then it is KVM that hears of the crash: it has switched the processors on.
		sed -i '1i export BESIDE=1' "$dir/crash.sh"
		# shellcheck disable=SC2046
		crash amd -1 $(grep -v kvm-intel build/abuse/modules.order)
		sed -i 1d "$dir/crash.sh"
		;;
	*) crash "$kind" -c2 ;;
	esac
done
echo "1..$count"
