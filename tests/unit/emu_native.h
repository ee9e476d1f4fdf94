/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * One instruction on the processor the test runs on: the judge of the emulator. A page of code loads
 * every register, executes the bytes, stores every register; its data lies in the page behind it.
 */
#ifndef TESTS_EMU_NATIVE_H
#define TESTS_EMU_NATIVE_H

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

struct native_state {
	uint64_t regs[16];
	uint64_t rflags;
	uint64_t host_rsp;
	uint8_t ymm[16][32];
};

struct native {
	uint8_t *code;		    /* one page */
	struct native_state *state; /* the next */
	unsigned used;
	unsigned insn_at; /* where the instruction starts, always the same */
	bool avx;
};

static void native_byte(struct native *n, uint8_t byte)
{
	n->code[n->used++] = byte;
}

/* The ModRM byte and displacement of [rip + x] for a field of the state. */
static void native_field(struct native *n, unsigned reg, const void *field)
{
	int32_t disp;

	native_byte(n, 5 | (reg & 7) << 3);
	disp = (int32_t)((const uint8_t *)field - (n->code + n->used + 4));
	memcpy(n->code + n->used, &disp, 4);
	n->used += 4;
}

static void native_move(struct native *n, uint8_t opcode, unsigned reg, const void *field)
{
	native_byte(n, 0x48 | (reg >= 8 ? 4 : 0));
	native_byte(n, opcode);
	native_field(n, reg, field);
}

static void native_vectors(struct native *n, uint8_t opcode)
{
	for (unsigned i = 0; i < 16 && n->avx; i++) {
		native_byte(n, 0xc5); /* VMOVDQU */
		native_byte(n, i >= 8 ? 0x7e : 0xfe);
		native_byte(n, opcode);
		native_field(n, i, n->state->ymm[i]);
	}
}

static const uint8_t native_saved[] = { 0x53, 0x55, 0x41, 0x54, 0x41, 0x55, 0x41, 0x56, 0x41, 0x57 };
static const uint8_t native_restored[] = { 0x41, 0x5f, 0x41, 0x5e, 0x41,
					   0x5d, 0x41, 0x5c, 0x5d, 0x5b };

static void native_init(struct native *n)
{
	n->code = mmap(NULL, 8192, PROT_READ | PROT_WRITE | PROT_EXEC,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
	assert(n->code != MAP_FAILED);
	n->state = (struct native_state *)(n->code + 4096);
	n->avx = __builtin_cpu_supports("avx");
	n->used = 0;
	memcpy(n->code, native_saved, sizeof(native_saved));
	n->used = sizeof(native_saved);
	native_move(n, 0x89, 4, &n->state->host_rsp);
	native_vectors(n, 0x6f);
	native_byte(n, 0xff); /* push [rflags]; popf */
	native_field(n, 6, &n->state->rflags);
	native_byte(n, 0x9d);
	for (unsigned i = 0; i < 16; i++)
		native_move(n, 0x8b, i, &n->state->regs[i]);
	n->insn_at = n->used;
}

static void native_run(struct native *n, const uint8_t *bytes, unsigned length)
{
	n->used = n->insn_at;
	memcpy(n->code + n->used, bytes, length);
	n->used += length;
	for (unsigned i = 0; i < 16; i++)
		native_move(n, 0x89, i, &n->state->regs[i]);
	native_move(n, 0x8b, 4, &n->state->host_rsp);
	native_byte(n, 0x9c); /* pushf; pop [rflags]; cld */
	native_byte(n, 0x8f);
	native_field(n, 0, &n->state->rflags);
	native_byte(n, 0xfc);
	native_vectors(n, 0x7f);
	memcpy(n->code + n->used, native_restored, sizeof(native_restored));
	n->used += sizeof(native_restored);
	native_byte(n, 0xc3);
	((void (*)(void))n->code)();
}

#endif
