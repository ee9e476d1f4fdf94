// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * Callers of the ioctls who set what they like: CPUID, then the state, then they run. Of what kernel/core has taken
 * nothing is illegal on the processor below (tests/unit/host, fake_processor.c): XCR0 and the XSAVE area as they are before
 * the clamp, MSRs, control registers. Operations, one after the other, are the input.
 */
#include "fuzz.h"

#include <string.h>

#include "core_fixture.h"

#define STEPS 24

/* Those that something follows from. */
static const u32 leaves[] = {
	0, 1, 2, 7, 0xb, 0xd, 0x40000000, 0x80000000, 0x80000001, 0x80000007, 0x80000008, 0x8000001e
};

static struct fermata_cpuid offer, wanted;
static struct fermata_state state;

/* Some bytes of what is there, or of a field at a multiple of 4. */
static void scribble(struct fuzz_input *in, void *what, size_t size)
{
	for (unsigned n = fuzz_take(in, 1) % 6; n; n--) {
		size_t at = fuzz_take(in, 2) % size & ~3ul;
		unsigned length = 1u << fuzz_take(in, 1) % 4;
		uint64_t value = fuzz_take(in, length);

		if (length > size - at)
			length = size - at;
		memcpy((char *)what + at, &value, length);
	}
}

static bool canonical(u64 value)
{
	return arch_canonical(value, 57);
}

static void check_cpuid(void)
{
	fuzz_check(!(vm.cpuid.xcr0_allowed & ~vm_xcr0), "XCR0's bits are the host's");
}

static void check_state(void)
{
	const struct guest_cpu *g = &v->guest;
	u64 sse_avx = g->xcr0 & 6, avx512 = g->xcr0 & 0xe0;

	fuzz_check(g->xcr0 & 1 && !(g->xcr0 & ~(vm_xcr0 | 1)) && sse_avx != 4 &&
			   (!avx512 || (avx512 == 0xe0 && g->xcr0 & 4)),
		   "XCR0 (SDM 1 13.3)");
	fuzz_check(!(g->cr0 >> 32) && (!(g->cr0 & ARCH_CR0_PG) || g->cr0 & ARCH_CR0_PE) &&
			   (!(g->cr0 & ARCH_CR0_NW) || g->cr0 & ARCH_CR0_CD),
		   "CR0 (SDM 3A 2.5)");
	fuzz_check(!(g->cr4 & ~vm.cpuid.cr4_allowed), "CR4's bits are CPUID's");
	fuzz_check(!(g->efer & ARCH_EFER_LMA) || (g->efer & ARCH_EFER_LME && g->cr0 & ARCH_CR0_PG &&
						  g->cr4 & ARCH_CR4_PAE),
		   "EFER.LMA");
	fuzz_check(!(g->tsc_aux >> 32), "TSC_AUX");
	memset(&state, 0, sizeof(state));
	state.mask = FERMATA_STATE_ALL;
	fuzz_check(!vcpu_get_state(v, &state), "a state can be read");
	fuzz_check(!(state.msrs.sfmask >> 32), "SFMASK");
	fuzz_check(canonical(state.msrs.lstar) && canonical(state.msrs.cstar) &&
			   canonical(state.msrs.kernel_gs_base),
		   "MSRs that are addresses");
	fuzz_check(!vcpu_set_state(v, &state), "what was read can be set");
}

static u32 word(struct fuzz_input *in)
{
	switch (fuzz_take(in, 1) % 4) {
	case 0:
		return 0;
	case 1:
		return ~0u;
	case 2:
		return 1u << fuzz_take(in, 1) % 32;
	default:
		return fuzz_take(in, 4);
	}
}

static void without(u32 leaf)
{
	u32 kept = 0;

	for (u32 i = 0; i < wanted.count; i++)
		if (wanted.entry[i].leaf != leaf)
			wanted.entry[kept++] = wanted.entry[i];
	wanted.count = kept;
}

static bool one_step(struct fuzz_input *in)
{
	bool taken = false;

	switch (fuzz_take(in, 1) % 4) {
	case 0: /* SET_CPUID, before there is a vCPU */
		if (created)
			return false;
		wanted = offer;
		scribble(in, wanted.entry, wanted.count * sizeof(wanted.entry[0]));
		while (wanted.count < FERMATA_MAX_CPUID && fuzz_take(in, 1) & 1) {
			u32 leaf = leaves[fuzz_take(in, 1) % (sizeof(leaves) / sizeof(leaves[0]))];
			struct fermata_cpuid_entry *e;

			if (fuzz_take(in, 1) & 1)
				without(leaf);
			e = &wanted.entry[wanted.count++];
			memset(e, 0, sizeof(*e));
			e->leaf = leaf;
			e->subleaf = fuzz_take(in, 1);
			e->flags = fuzz_take(in, 1) % 3;
			e->eax = word(in);
			e->ebx = word(in);
			e->ecx = word(in);
			e->edx = word(in);
		}
		taken = !cpuid_set(&vm.cpuid, &wanted, &offer);
		check_cpuid();
		return taken;
	case 1:
	case 2:
		if (!created)
			add_vcpu();
		memset(&state, 0, sizeof(state));
		state.mask = FERMATA_STATE_ALL;
		fuzz_check(!vcpu_get_state(v, &state), "a state can be read");
		scribble(in, &state, sizeof(state));
		if (fuzz_take(in, 1) & 3)
			state.mask = 1u << fuzz_take(in, 1) % 8;
		taken = !vcpu_set_state(v, &state);
		check_state();
		return taken;
	default:
		if (!created)
			add_vcpu();
		enter();
		leave();
		return true;
	}
}

static bool sequence(const uint8_t *data, size_t size)
{
	struct fuzz_input in = { data, size };
	bool taken = false;

	make_vm();
	cpuid_supported(&offer, vm_xcr0);
	for (unsigned i = 0; i < STEPS && in.left; i++)
		taken |= one_step(&in);
	if (created) {
		enter();
		leave();
	}
	fuzz_check(!host_test.illegal, "nothing that a clamp had to make legal");
	done(NULL);
	return taken;
}

static size_t good(uint8_t *input)
{
	size_t size = 16 + fuzz_random() % 200;

	for (size_t i = 0; i < size; i++)
		input[i] = fuzz_random() >> 32;
	return size;
}

const struct fuzz_target fuzz_target = { .name = "state",
					 .one = sequence,
					 .good = good,
					 .inputs = 3000 };
