/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * Clears the branch history, where the kernel's function that does is KVM's alone: Intel's software sequence ("Branch
 * History Injection", for processors before Alder Lake): five times five branches that are taken, and calls that no
 * RET of the processor's predicts otherwise. LFENCE: nothing behind it runs before. RETs stand in the upper half of a
 * cache line ("Indirect Target Selection").
 */
#include <host_asm.h>
#include <linux/objtool.h>

#ifndef FERMATA_CLEAR_BHB

/* void fermata_clear_history(void); clobbers RAX, RCX and flags */
	.balign 64
HOST_FUNCTION(fermata_clear_history)
	mov $5, %ecx
	call 1f
	jmp 5f

	.balign 64, 0xcc
	.skip 32 - (8f - 1f), 0xcc
1:	call 2f
8:	ANNOTATE_UNRET_SAFE
	ret
	int3

	.balign 64, 0xcc
	.skip 32 - (9f - 2f), 0xcc
2:	mov $5, %eax
3:	jmp 4f
	nop
4:	sub $1, %eax
	jnz 3b
	sub $1, %ecx
	jnz 1b
9:	ANNOTATE_UNRET_SAFE
	ret
	int3

5:	lfence
	HOST_RETURN
HOST_FUNCTION_END(fermata_clear_history)
STACK_FRAME_NON_STANDARD fermata_clear_history	/* calls into its own middle */

#endif
