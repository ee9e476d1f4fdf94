// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * watcher TIMES: what a program notices of a guest that runs on the same CPU: nothing. It watches a word of its own with
 * a breakpoint of the CPU's (perf), and may not read the time-stamp counter (prctl), so that Linux changes CR4.TSD each
 * time it goes to it and away from it. It sleeps and writes the word that often, and says what the breakpoint has
 * counted.
 */
#include <linux/hw_breakpoint.h>
#include <linux/perf_event.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* Where nothing else of this computer's programs is: the breakpoint does not ask whose address space it is. */
#define PLACE ((void *)0x123456789000)

int main(int argc, char **argv)
{
	long times = argc > 1 ? atol(argv[1]) : 100;
	const struct timespec nap = { .tv_nsec = 2000000 };
	struct perf_event_attr attr = {
		.type = PERF_TYPE_BREAKPOINT,
		.size = sizeof(attr),
		.bp_type = HW_BREAKPOINT_W,
		.bp_addr = (uintptr_t)PLACE,
		.bp_len = HW_BREAKPOINT_LEN_8,
	};
	volatile uint64_t *word = mmap(PLACE, 4096, PROT_READ | PROT_WRITE,
				       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	struct rusage usage;
	uint64_t count = 0;
	int fd;

	if (word != PLACE || prctl(PR_SET_TSC, PR_TSC_SIGSEGV)) {
		perror("watcher");
		return 1;
	}
	*word = 0;
	fd = syscall(SYS_perf_event_open, &attr, -1, 0, -1, PERF_FLAG_FD_CLOEXEC);
	if (fd < 0) {
		perror("watcher: perf_event_open");
		return 1;
	}
	for (long i = 0; i < times; i++) {
		nanosleep(&nap, NULL);
		*word = i;
	}
	if (read(fd, &count, sizeof(count)) != sizeof(count) || getrusage(RUSAGE_SELF, &usage))
		return 1;
	printf("of %ld writes %lu seen, %s\n", times, count,
	       usage.ru_nvcsw >= times / 2 ? "slept meanwhile" : "did not sleep");
	return 0;
}
