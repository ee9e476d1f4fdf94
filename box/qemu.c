/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* The box on QEMU: AMD-V. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

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

/*
 * kernel: the image, which the emulator need not be allowed to find by itself. log: it is handed over, too, and
 * may be a file of root's. The sandbox: QEMU starts no programs, gets no rights and needs no system calls that
 * are obsolete, so a guest that has taken it over gets none of that either.
 */
static void describe(struct command *c, const struct box_boot *boot, int kernel, int log)
{
	const struct box_request *r = boot->request;

	add(c, QEMU);
	add(c, "-sandbox");
	add(c, "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny");
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
	/* QEMU before 8.0 leaves RFLAGS wrong behind CMPXCHG16B, which a guest's exit or an interrupt then sees. */
	add(c, "-cpu");
	add(c, "max,-cx16");
	add(c, "-smp");
	add(c, "%u", r->count ? 1 : r->cpus ? r->cpus : r->turns ? 2 : 1);
	add(c, "-m");
	add(c, "%lluM", (unsigned long long)((boot->memory + MIB - 1) / MIB));
	add(c, "-kernel");
	add(c, "/proc/self/fd/%d", kernel);
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
	add(c, "-add-fd");
	add(c, "fd=%d,set=1", log);
	add(c, "-chardev");
	add(c, "file,id=log,append=on,path=/dev/fdset/1");
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
	char path[4200];
	int kernel, log;
	pid_t pid = -1;

	snprintf(path, sizeof(path), "%s/vmlinuz", boot->dir);
	kernel = copy_file(path, error, error_size);
	if (kernel < 0)
		return -1;
	/* A set of descriptors has one for each way to open it; this one is for writing alone. */
	snprintf(path, sizeof(path), "/proc/self/fd/%d", boot->log);
	log = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
	describe(&command, boot, kernel, log);
	if (log >= 0)
		pid = fork_child(boot->log);
	if (pid == 0) {
		keep_open(kernel);
		keep_open(boot->initrd);
		keep_open(log);
		for (int i = 0; i < PORTS; i++)
			keep_open(boot->port[i]);
		/* The socket for gdb is made where only the user may make one. */
		if (!boot->request->gdb_path)
			leave_rights();
		run_command(&command);
	}
	if (pid < 0)
		complain(error, error_size, "cannot start the box: %s", strerror(errno));
	free_command(&command);
	close(kernel);
	if (log >= 0)
		close(log);
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
