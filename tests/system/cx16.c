/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * Whether the flags behind CMPXCHG16B are what a processor may have there (10-box.t). Status 0: they are, or CPUID
 * does not offer the instruction.
 */
#include <cpuid.h>
#include <stdint.h>
#include <stdio.h>

#define NEVER                                                                                      \
	(~0ull << 22 | 1 << 15 | 1 << 5 |                                                          \
	 1 << 3) /* bits of RFLAGS that are 0 always, SDM vol. 1 3.4.3 */

int main(void)
{
	static struct {
		uint64_t low, high;
	} __attribute__((aligned(16))) memory;
	unsigned a, b, c, d;
	uint64_t flags;

	if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_CMPXCHG16B)) {
		puts("no CMPXCHG16B");
		return 0;
	}
	/* POPF and the jump end what an emulator translates as one; CMP then leaves its operand with the flags. */
	for (uint64_t n = 0; n < 100; n++) {
		uint64_t rax = memory.low, rdx = memory.high;

		asm volatile("pushfq\n popfq\n jmp 1f\n"
			     "1: cmp %[operand], %[n]\n"
			     "lock cmpxchg16b %[memory]\n"
			     "pushfq\n pop %[flags]"
			     : [flags] "=&r"(flags), [memory] "+m"(memory), "+a"(rax), "+d"(rdx)
			     : [operand] "r"(0x7fffdeadbeef * (n + 1)), [n] "r"(n), "b"(n), "c"(n)
			     : "cc", "memory");
		if (flags & NEVER) {
			printf("RFLAGS %#llx behind CMPXCHG16B\n", (unsigned long long)flags);
			return 1;
		}
	}
	puts("CMPXCHG16B is right");
	return 0;
}
