/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* The box on QEMU: AMD-V. */
#include <errno.h>
#include <string.h>

#include "machine.h"

#define QEMU "qemu-system-x86_64"

static const char *const port_name[PORTS] = { "input", "output", "relay", "status" };

static int takes(const char *kind, char *error, size_t error_size)
{
	return !strcmp(kind, "amd");
}

static bool installed(char *error, size_t error_size)
{
	if (in_path(QEMU))
		return true;
	complain(error, error_size,
		 "the box needs QEMU and there is no " QEMU
		 " here; install it: apt-get install qemu-system-x86");
	return false;
}

static void describe(struct command *c, const struct box_boot *boot)
{
	const struct box_request *r = boot->request;

	add(c, QEMU);
	add(c, "-name");
	add(c, "fermata-box");
	add(c, "-nodefaults");
	add(c, "-no-user-config");
	add(c, "-display");
	add(c, "none");
	add(c, "-no-reboot");
	add(c, "-machine");
	add(c, "q35,usb=off,sata=off,smbus=off,vmport=off");
	add(c, "-accel");
	add(c, r->count || r->turns ? "tcg,thread=single" : "tcg,thread=multi");
	if (r->count) {
		add(c, "-icount");
		add(c, "shift=0,sleep=off");
		add(c, "-rtc");
		add(c, "clock=vm");
	}
	add(c, "-cpu");
	add(c, "max");
	add(c, "-smp");
	add(c, "%u", r->count ? 1 : r->cpus ? r->cpus : r->turns ? 2 : 1);
	add(c, "-m");
	add(c, "%lluM", (unsigned long long)((boot->memory + MIB - 1) / MIB));
	add(c, "-kernel");
	add(c, "%s/vmlinuz", boot->dir);
	add(c, "-initrd");
	add(c, "/proc/self/fd/%d", boot->initrd);
	/* The log keeps what the kernel thinks is an error or worse; `dmesg` inside has all. */
	add(c, "-append");
	add(c, "console=ttyS0 " BOX_KERNEL_OPTIONS "%s%s", r->kernel_options ? " " : "",
	    r->kernel_options ? r->kernel_options : "");
	if (r->gdb_path) {
		add(c, "-gdb");
		add(c, "unix:%s,server=on,wait=off", r->gdb_path);
	}
	add(c, "-chardev");
	add(c, "file,id=log,append=on,path=/proc/self/fd/%d", boot->log);
	add(c, "-serial");
	add(c, "chardev:log");
	add(c, "-device");
	add(c, "virtio-serial-pci,max_ports=%d", PORTS + 1);
	for (int i = 0; i < PORTS; i++) {
		add(c, "-chardev");
		add(c, "socket,id=%s,fd=%d", port_name[i], boot->port[i]);
		add(c, "-device");
		add(c, "virtserialport,chardev=%s,name=%s,nr=%d", port_name[i], port_name[i], i + 1);
	}
}

static pid_t start(const struct box_boot *boot, char *error, size_t error_size)
{
	struct command command = { .count = 0 };
	pid_t pid;

	describe(&command, boot);
	pid = fork_child(boot->log);
	if (pid == 0) {
		keep_open(boot->initrd);
		keep_open(boot->log);
		for (int i = 0; i < PORTS; i++)
			keep_open(boot->port[i]);
		run_command(&command);
	}
	free_command(&command);
	if (pid < 0)
		complain(error, error_size, "cannot start the box: %s", strerror(errno));
	return pid;
}

const struct box_machine box_qemu = {
	.name = "QEMU",
	.ports = "virtio",
	.module_options = "",
	.complaint = QEMU ": ",
	.takes = takes,
	.installed = installed,
	.start = start,
};
