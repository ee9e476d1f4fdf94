// SPDX-License-Identifier: MIT OR GPL-2.0
/* The one call that is made for every exit. libc's way into the kernel is 20 instructions longer. */
#include <sys/syscall.h>

#include "internal.h"

long fermata_enter(int fd)
{
	register long argument asm("rdx") = 0;
	long result;

	asm volatile("syscall"
		     : "=a"(result)
		     : "0"(SYS_ioctl), "D"(fd), "S"(FERMATA_RUN), "r"(argument)
		     : "rcx", "r11", "memory");
	return result;
}
