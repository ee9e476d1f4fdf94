/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * The first and only process of the guest that bench/boot boots: it marks the moment user space is
 * reached by a write to the isa-debug-exit port, which ends the machine. With "mark=print" on the
 * kernel's command line it says the TSC on the console first, for machines whose clock counts
 * instructions from power-on.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/io.h>
#include <sys/reboot.h>
#include <unistd.h>
#include <x86intrin.h>

int main(void)
{
	unsigned long long tsc = __rdtsc();

	if (getenv("mark")) {
		printf("mark %llu\n", tsc);
		fflush(stdout);
		sleep(1);
	}
	if (ioperm(0xf4, 1, 1) == 0)
		outb(0, 0xf4);
	/* No such port here: the next quickest end. */
	reboot(RB_AUTOBOOT);
	return 1;
}
