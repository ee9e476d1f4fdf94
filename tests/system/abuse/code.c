/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* Guests that execute anything. */
#include <cpuid.h>

#include "abuse.h"

static unsigned exits[FERMATA_EXIT_REASONS], interrupted;

/* Beginnings of instructions that a processor does not simply execute. */
static const struct {
	uint8_t length, bytes[3];
} privileged[] = {
	{ 2, { 0x0f, 0x01 } },
	{ 2, { 0x0f, 0x00 } },
	{ 2, { 0x0f, 0x20 } },
	{ 2, { 0x0f, 0x21 } },
	{ 2, { 0x0f, 0x22 } },
	{ 2, { 0x0f, 0x23 } },
	{ 2, { 0x0f, 0x30 } },
	{ 2, { 0x0f, 0x32 } },
	{ 2, { 0x0f, 0x33 } },
	{ 2, { 0x0f, 0xa2 } },
	{ 2, { 0x0f, 0x06 } },
	{ 2, { 0x0f, 0x08 } },
	{ 2, { 0x0f, 0x09 } },
	{ 2, { 0x0f, 0xae } },
	{ 2, { 0x0f, 0xc7 } },
	{ 2, { 0x0f, 0x31 } },
	{ 3, { 0x0f, 0x01, 0xd1 } },
	{ 3, { 0x0f, 0x01, 0xd9 } },
	{ 3, { 0x0f, 0x01, 0xf9 } },
	{ 3, { 0x0f, 0x01, 0xd8 } },
	{ 3, { 0x0f, 0x01, 0xda } },
	{ 3, { 0x0f, 0x01, 0xdd } },
	{ 3, { 0x0f, 0x01, 0xde } },
	{ 3, { 0x0f, 0x01, 0xc8 } },
	{ 3, { 0x0f, 0x01, 0xc9 } },
	{ 2, { 0x0f, 0x34 } },
	{ 2, { 0x0f, 0x35 } },
	{ 2, { 0x0f, 0x05 } },
	{ 2, { 0x0f, 0x07 } },
	{ 2, { 0x0f, 0xaa } },
	{ 1, { 0xf4 } },
	{ 1, { 0xfa } },
	{ 1, { 0xfb } },
	{ 1, { 0xcf } },
	{ 2, { 0xf3, 0x90 } },
	{ 1, { 0xcc } },
	{ 1, { 0xcd } },
	{ 1, { 0xf1 } },
	{ 1, { 0xe4 } },
	{ 1, { 0xe7 } },
	{ 1, { 0x6c } },
	{ 2, { 0xf3, 0x6d } },
	{ 2, { 0xf3, 0x6f } },
	{ 1, { 0xee } },
	{ 1, { 0xed } },
	{ 1, { 0x9d } },
	{ 1, { 0x17 } },
	{ 2, { 0x8e, 0xd0 } },
	{ 1, { 0xcb } },
	{ 1, { 0xea } },
	{ 1, { 0x66 } },
	{ 1, { 0x67 } },
	{ 1, { 0xf0 } },
};

static void make_code(uint8_t *at, size_t size)
{
	chance_fill(at, size);
	for (size_t n = below(3) ? size / 8 : 0; n--;) {
		const unsigned i = below(ARRAY_SIZE(privileged));

		memcpy(at + below(size - 4), privileged[i].bytes, privileged[i].length);
	}
}

/* Numbers that WRMSR, MOV CR and the rest would like. */
static uint64_t operand(void)
{
	static const uint32_t numbers[] = { 0xc0000080, 0x1b,	    0x10,	0xc0000081,
					    0x277,	0x6e0,	    0x80000011, 0x80050033,
					    0x6f0,	0x40001,    0x174,	0x800,
					    0x830,	0xc0000102, 0xc0010015, 0x1d9,
					    0x3a,	0xc0010117 };

	return below(2) ? numbers[below(ARRAY_SIZE(numbers))] : interesting();
}

/*
 * QEMU ends a MOV to CR3 that sets reserved bits in long mode with VMEXIT_INVALID, where the guest is due
 * its #GP (APM 3, MOV CRn; box/README.md).
 */
static bool qemu_alone(const struct guest *g)
{
	const struct fermata_run *page = g->page[0];
	const uint8_t *at = g->low + page->rip, *end = g->low + g->low_size;
	unsigned width, rex = 0, unused;

	if (vendor() != FERMATA_VENDOR_AMD || page->rip >= g->low_size || audit_count(g->vcpu[0]))
		return false;
	while (at < end && *at && strchr("\x26\x2e\x36\x3e\x64\x65\x66\x67\xf0\xf2\xf3", *at))
		at++;
	if (at < end && *at >> 4 == 4)
		rex = *at++;
	if (end - at < 3 || at[0] != 0x0f || at[1] != 0x22 || (at[2] >> 3 & 7) != 3 || rex & 4)
		return false;
	__cpuid(0x80000008, width, unused, unused, unused);
	return page->regs[(at[2] & 7) | (rex & 1) << 3] >> (width & 0xff);
}

static bool run_code(struct guest *g, enum guest_mode mode, uint64_t seed)
{
	struct fermata_run *page = g->page[0];

	for (unsigned turn = 0; turn < 12; turn++) {
		if (ioctl(g->vcpu[0], FERMATA_RUN, 0)) {
			interrupted++;
			if (errno == EINTR)
				return true;
			note("seed %#llx: RUN: %s", (unsigned long long)seed, strerror(errno));
			return false;
		}
		if (page->exit.reason >= FERMATA_EXIT_REASONS)
			return false;
		exits[page->exit.reason]++;
		switch (page->exit.reason) {
		case FERMATA_EXIT_FAIL_ENTRY:
			if (qemu_alone(g))
				return true;
			note_audit(g->vcpu[0]);
			/* fallthrough */
		case FERMATA_EXIT_UNCLAIMED:
			note("seed %#llx, mode %d: %s %#x %#llx %#llx at %#llx",
			     (unsigned long long)seed, mode, exit_name(page->exit.reason),
			     page->exit.hw_reason, page->exit.hw_info1, page->exit.hw_info2,
			     page->rip);
			return false;
		case FERMATA_EXIT_SHUTDOWN:
		case FERMATA_EXIT_UNSUPPORTED:
		case FERMATA_EXIT_HALTED:
			return true;
		case FERMATA_EXIT_STOPPED: /* most often the instruction is carried out then */
			if (below(4))
				continue;
			break;
		}
		page->advance = page->exit.insn_len ? page->exit.insn_len : 1 + below(6);
		page->regs[FERMATA_RAX] = operand();
	}
	return true;
}

void random_code(unsigned count, void (*each)(struct guest *g))
{
	unsigned bad = 0, unanswered = 0;
	static struct fermata_state state, reset;
	uint8_t *clean = ram_new(2 * MIB);
	struct guest g;

	for (unsigned i = 0; i < count && bad < 20; i++) {
		uint64_t seed = chance_seed;
		enum guest_mode mode = below(MODES);

		remember_seed(seed);
		if (i % 500 == 0) {
			remember_start(seed);
			ticks(0);
			if (i)
				guest_end(&g);
			guest_new(&g, 1, MODE_LONG);
			if (each)
				each(&g);
			memcpy(clean, g.low, g.low_size);
			reset.mask = FERMATA_STATE_ALL;
			must(!ioctl(g.vcpu[0], FERMATA_GET_STATE, &reset), "GET_STATE");
			ticks(3000);
		}
		/* Tables and the first 64 KiB anew; what else it wrote stays, as so much rubbish. */
		memcpy(g.low, clean, 64 << 10);
		make_code(g.low + CODE_AT, 256);
		state = reset;
		mode_state(&state, mode);
		state.mask = FERMATA_STATE_ALL;
		for (unsigned r = 0; r < FERMATA_REGS; r++)
			state.regs.regs[r] = operand();
		if (below(2))
			state.regs.regs[FERMATA_RSP] = 0x7000;
		if (below(2)) {
			state.segments.idt.base = 0x10000 + below(PAGE);
			state.segments.gdt.base = 0x10000 + below(PAGE);
		}
		if (ioctl(g.vcpu[0], FERMATA_SET_STATE, &state)) {
			unanswered++;
			continue;
		}
		bad += !run_code(&g, mode, seed);
	}
	ticks(0);
	guest_end(&g);
	ok(!bad, "random code ends as guests end: %u programs", count);
	ok(!unanswered, "and each began as it should");
	for (unsigned i = 0; i < FERMATA_EXIT_REASONS; i++)
		if (exits[i])
			note("%s: %u", exit_name(i), exits[i]);
	note("interrupted: %u", interrupted);
	munmap(clean, 2 * MIB);
}

void abuse_code(void)
{
	random_code(times(6000), NULL);
}
