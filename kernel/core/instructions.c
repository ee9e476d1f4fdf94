// SPDX-License-Identifier: MIT OR GPL-2.0
/* Instructions that exit only when somebody wants to hear of them, carried out for the guest. */
#include "core/exits.h"
#include "base/processor.h"

/* A write of 32 bits clears the upper half of a register, one of 16 leaves the rest (SDM 1 3.4.1.1). */
static void set_register(u64 *reg, u64 value, u8 size)
{
	if (size == 2)
		*reg = (*reg & ~0xffffull) | (u16)value;
	else
		*reg = size == 4 ? (u32)value : value;
}

/* All translations go: more than asked for, which a processor may do at any time (SDM 3A 4.10.2). */
enum verdict instruction_invlpg(struct vcpu *v)
{
	u8 length = exit_length(v);

	if (!length)
		return GO_ON;
	vcpu_owe(v, FLUSH_LINEAR, 0, FERMATA_CAUSE_ADDRESS);
	v->advance = length;
	return GO_ON;
}

/* CF says whether there was a number; the other arithmetic flags are cleared (SDM 2B RDRAND). */
enum verdict instruction_random(struct vcpu *v)
{
	struct exit *x = &v->exit;
	struct fermata_state *state = v->scratch;
	u64 value = 0;
	bool good = x->kind == EXIT_RDSEED ? cpu_rdseed(&value) : cpu_rdrand(&value);

	v->backend->get_state(v, state, FERMATA_STATE_REGS);
	state->regs.rflags &= ~ARCH_RFLAGS_ARITHMETIC;
	if (good)
		state->regs.rflags |= ARCH_RFLAGS_CF;
	v->backend->set_state(v, state, FERMATA_STATE_REGS);
	set_register(&v->page->regs[x->random.reg & 15], good ? value : 0, x->random.size);
	v->advance = x->length;
	return GO_ON;
}
