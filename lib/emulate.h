/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * The instruction emulator: completes one IO or MMIO exit. It knows no ioctl: what it needs of the
 * vCPU is struct emu_ops, so that the tests run it against memory of their own.
 */
#ifndef LIB_EMULATE_H
#define LIB_EMULATE_H

#include <Zydis/Zydis.h>

#include "alu.h"
#include "internal.h"

struct emu_ops {
	/* 0; -EFAULT with t->code when the guest would fault; other -errno */
	int (*translate)(void *opaque, struct fermata_translate *t);
	/* host address of guest RAM; NULL: a device, or for write memory the guest may not write */
	void *(*ram)(void *opaque, uint64_t gpa, uint64_t size, bool write);
	/* RAM was written to: after each write */
	void (*wrote)(void *opaque, uint64_t gpa, uint64_t size);
	int (*inject)(void *opaque, const struct fermata_injection *event);
	int (*state_get)(void *opaque, struct fermata_state *state, uint32_t mask);
	int (*state_set)(void *opaque, const struct fermata_state *state, uint32_t mask);
};

/*
 * What the steps inside the emulator return besides 0 (done) and -errno (give up):
 * the guest gets a fault, already queued; or exit and instruction do not belong together.
 */
#define EMU_FAULT 1
#define EMU_MISMATCH 2

/* One page's part of a memory operand. */
struct emu_part {
	uint64_t gpa;
	unsigned size;
};

/* A memory operand, translated and allowed: reading and writing it cannot fault any more. */
struct emu_span {
	unsigned parts;
	struct emu_part part[2];
};

/* The last page each kind of access went to; only within one call, so it cannot grow stale. */
struct emu_page {
	uint64_t linear; /* page address; 1 when empty */
	uint64_t gpa;
};

struct emu {
	const struct emu_ops *ops;
	void *opaque; /* for ops */
	const struct fermata_bus *bus;
	struct fermata_run *run;

	ZydisDecodedInstruction insn;
	ZydisDecodedOperand op[ZYDIS_MAX_OPERAND_COUNT];
	const ZydisDecodedOperand *mem; /* the explicit memory operand, or NULL */
	struct emu_page page[2];	/* by access: read, write */
	bool have_segments;
	struct fermata_state state; /* the groups last asked for */
};

/* emulate.c: what plain.h leaves. 0, or -errno as fermata_emulate() documents. */
int emu_run(struct emu *e, struct emu_retry *retry);

/* operand.c: registers */
uint64_t emu_reg_read(struct emu *e, ZydisRegister reg);
void emu_reg_write(struct emu *e, ZydisRegister reg, uint64_t value); /* 32-bit writes zero-extend */
unsigned emu_reg_size(ZydisRegister reg);
/* RAX, RSI, ... seen through 2, 4 or 8 bytes of address */
uint64_t emu_addr_reg_read(struct emu *e, enum fermata_reg reg);
void emu_addr_reg_write(struct emu *e, enum fermata_reg reg, uint64_t value);

/* operand.c: state and memory. access is FERMATA_ACCESS_READ or _WRITE */
int emu_state(struct emu *e, uint32_t mask);
int emu_segments(struct emu *e); /* asks once */
/* Segment base, limit and rights applied to an effective address (SDM 3A 5.3, APM 2 4.5) */
int emu_linear(struct emu *e, ZydisRegister segment, uint64_t ea, unsigned size, uint32_t access,
	       uint64_t *linear);
uint64_t emu_effective_address(struct emu *e, const ZydisDecodedOperand *op);
int emu_span_at(struct emu *e, uint64_t linear, unsigned size, uint32_t access,
		struct emu_span *span);
/* The explicit memory operand, cross-checked with the exit; offset is added to its address. */
int emu_span_operand(struct emu *e, unsigned size, uint32_t access, int64_t offset,
		     struct emu_span *span);
void emu_span_read(struct emu *e, const struct emu_span *span, void *to);
void emu_span_write(struct emu *e, const struct emu_span *span, const void *from);
uint64_t emu_span_read_value(struct emu *e, const struct emu_span *span); /* up to 8 bytes */
void emu_span_write_value(struct emu *e, const struct emu_span *span, uint64_t value);
bool emu_span_is_device(struct emu *e, const struct emu_span *span, bool write);
bool emu_span_has_page(const struct emu_span *span, uint64_t gpa);
int emu_inject(struct emu *e, unsigned vector, uint32_t code,
	       uint64_t cr2); /* EMU_FAULT or -errno */

/* integer.c, string.c, vector.c: the instruction is not theirs; it is, and is not emulated */
#define EMU_UNKNOWN 3
#define EMU_MISSING 4
int emu_integer(struct emu *e);
int emu_string(struct emu *e);
int emu_vector(struct emu *e);

#endif
