/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* The host crashes while guests run, and another kernel is booted to write the dump: tests/system/29-crash.t. */
#include <linux/kexec.h>
#include <sched.h>
#include <sys/syscall.h>

#include "abuse.h"

/* A guest runs here, now. */
void abuse_alive(void)
{
	struct guest g;

	guest_new(&g, 1, MODE_LONG);
	must(!slot_set(g.vm, 1, DATA_AT, PAGE, ram_new(PAGE), 0), "SET_MEMORY");
	count_setup(&g, 0, PAGE);
	ok(!count_run(&g, 0, 10), "a guest runs");
	guest_end(&g);
}

static struct guest spinning;

static void *spin(void *cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET((uintptr_t)cpu, &set);
	must(!sched_setaffinity(0, sizeof(set), &set), "sched_setaffinity");
	for (;;)
		ioctl(spinning.vcpu[(uintptr_t)cpu], FERMATA_RUN, 0);
	return NULL;
}

/* With a guest on each processor. /in/vmlinuz and /in/crash.cpio are what comes after the crash. */
void abuse_crash(void)
{
	char options[1024] = "", *reserve;
	int kernel = open("/in/vmlinuz", O_RDONLY), initrd = open("/in/crash.cpio", O_RDONLY);
	unsigned cpus = sysconf(_SC_NPROCESSORS_ONLN);
	pthread_t thread;
	FILE *ours = fopen("/proc/cmdline", "re");

	must(kernel >= 0 && initrd >= 0, "/in/vmlinuz, /in/crash.cpio");
	/* As this kernel, with one processor, and without memory for a third one. */
	must(ours && fgets(options, sizeof(options) - 50, ours), "/proc/cmdline");
	reserve = strstr(options, "crashkernel=");
	must(reserve, "crashkernel=, the last option");
	strcpy(reserve, "nr_cpus=1 reset_devices after_the_crash");
	must(!syscall(SYS_kexec_file_load, kernel, initrd, strlen(options) + 1, options,
		      KEXEC_FILE_ON_CRASH),
	     "kexec_file_load");
	must(cpus <= MAX_GUEST_VCPUS, "so many processors");
	guest_new(&spinning, cpus, MODE_LONG);
	memcpy(spinning.low + CODE_AT, (uint8_t[]){ 0xeb, 0xfe }, 2);
	for (uintptr_t i = 0; i < cpus; i++)
		must(!pthread_create(&thread, NULL, spin, (void *)i), "pthread_create");
	sleep_us(300000);
	note("%u processors run a guest; now the crash", cpus);
	fflush(stdout);
	sleep_us(300000);
	write_file("/proc/sysrq-trigger", "c");
}
