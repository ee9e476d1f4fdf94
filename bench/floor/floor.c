/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * What no exit can cost less than: the world switch alone, with the registers and the guards against speculation that
 * each exit has. These files are in the bench's own build of the module (bench/build.mk), whose linker lets this function
 * answer CPUID first. For the leaf of the row `floor` the guest is entered again and again, at that same CPUID, with
 * nothing in between.
 */
#include "floor.h"
#include "core/cpuid.h"

void answer(struct vcpu *v) asm("__real_fermata_cpuid_answer");
void floor_answer(struct vcpu *v) asm("__wrap_fermata_cpuid_answer");

void floor_answer(struct vcpu *v)
{
	if ((u32)v->page->regs[FERMATA_RAX] == FLOOR_LEAF) {
		if (v->backend == &svm_backend)
			floor_svm(v);
		else
			floor_vmx(v);
	}
	answer(v);
}
