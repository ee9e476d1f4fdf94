// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * The emulator against the processor: random forms of each instruction, addressing and operands, on
 * device pages and across their edges. Registers, status flags and memory must come out the same.
 */
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "emu_native.h"
#include "emu_world.h"

#define ROUNDS 6000
#define REX_W 0x48
#define ARCH_SET_GS 0x1001

static struct native native;
static uint8_t *native_memory; /* WORLD_SIZE, below 4 GiB */
static struct world *world;
static uint64_t gs_base;

static uint64_t seed = 0x9e3779b97f4a7c15;

static uint64_t random64(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed * 0x2545f4914f6cdd1dull;
}

static unsigned below(unsigned n)
{
	return (unsigned)((random64() >> 33) % n);
}

static bool coin(void)
{
	return below(2);
}

/* Operands near the edges, where flags live. */
static uint64_t operand(void)
{
	static const uint64_t edges[] = {
		0,	1,	    0x7f,	0x80,	    0xff,      0x7fff,	   0x8000,
		0xffff, 0x7fffffff, 0x80000000, 0xffffffff, INT64_MAX, 1ull << 63, UINT64_MAX,
	};

	return coin() ? random64() : edges[below(sizeof(edges) / sizeof(edges[0]))] + below(3) - 1;
}

struct one {
	uint8_t bytes[16];
	unsigned length;
	uint64_t regs[16];
	uint64_t rflags;
	uint64_t at;	    /* linear address of the memory operand */
	unsigned size;	    /* its size, bytes */
	bool reads, writes; /* what happens to it */
	uint64_t ignore; /* flags the manual leaves undefined here and the processor sets otherwise */
	unsigned rip_disp; /* index of a RIP-relative displacement, 0 when none */
};

static void emit(struct one *o, unsigned byte)
{
	o->bytes[o->length++] = (uint8_t)byte;
}

static void emit_value(struct one *o, uint64_t value, unsigned size)
{
	memcpy(o->bytes + o->length, &value, size);
	o->length += size;
}

/*
 * Where the operand lies: in the device, or across one of its edges. aligned: within one cache line,
 * for locked instructions.
 */
static void place(struct one *o, unsigned size, bool aligned)
{
	o->size = size;
	do {
		o->at = (uintptr_t)native_memory + 4096 - (size - 1) + below(8192 + size - 1);
		if (below(4) == 0) /* edges often */
			o->at = (uintptr_t)native_memory + 4096 * (1 + below(3)) - below(size + 1);
	} while (o->at >= (uintptr_t)native_memory + 3 * 4096 ||
		 o->at + size <= (uintptr_t)native_memory + 4096 ||
		 (aligned && (o->at & 63) + size > 64));
}

enum { BASE = FERMATA_RBX, INDEX = FERMATA_RDI };

static void set_address(struct one *o, unsigned mode, int32_t disp, unsigned scale, bool gs)
{
	uint64_t target = o->at - (gs ? gs_base : 0);

	if (mode == 2) {
		o->regs[INDEX] = below(1000);
		target -= o->regs[INDEX] << scale;
	}
	o->regs[BASE] = target - (uint64_t)(int64_t)disp;
}

/* ModRM, SIB and displacement for the operand at o->at, with `reg` in the reg field. */
static void emit_modrm(struct one *o, unsigned reg, bool gs)
{
	unsigned mode = below(gs ? 3 : 4), scale = below(4);
	int32_t disp = 0;

	reg &= 7;
	if (mode == 3) { /* [rip + disp32] */
		emit(o, reg << 3 | 5);
		o->rip_disp = o->length;
		emit_value(o, 0, 4);
		return;
	}
	if (mode == 0) { /* [rbx] */
		emit(o, reg << 3 | 3);
	} else if (mode == 1) { /* [rbx + disp8] */
		disp = (int8_t)below(256);
		emit(o, 0x40 | reg << 3 | 3);
		emit(o, (uint8_t)disp);
	} else { /* [rbx + rdi * scale + disp32] */
		disp = (int32_t)below(100000) - 50000;
		emit(o, 0x80 | reg << 3 | 4);
		emit(o, scale << 6 | 7 << 3 | 3);
		emit_value(o, (uint32_t)disp, 4);
	}
	set_address(o, mode, disp, scale, gs);
}

struct form {
	unsigned size; /* operand size */
	unsigned reg;  /* register operand */
	bool gs;
};

/* Prefixes for an operand of this size: 66, GS, LOCK, REX. The caller adds opcode and ModRM. */
static void emit_prefixes(struct one *o, struct form *f, unsigned size, bool lock)
{
	unsigned rex = 0;

	f->size = size;
	f->gs = below(8) == 0;
	f->reg = below(16);
	if (lock)
		emit(o, 0xf0);
	if (f->gs)
		emit(o, 0x65);
	if (size == 2)
		emit(o, 0x66);
	if (size == 8)
		rex = REX_W;
	if (f->reg >= 8)
		rex |= 0x44;
	if (!rex && coin())
		rex = 0x40; /* SPL instead of AH */
	if (rex)
		emit(o, rex);
}

static unsigned any_size(void)
{
	return 1u << below(4);
}

static void start(struct one *o)
{
	memset(o, 0, sizeof(*o));
	for (unsigned i = 0; i < 16; i++)
		o->regs[i] = operand();
	o->rflags = 0x202 | (random64() & RFLAGS_STATUS);
}

static uint64_t first_device(uint64_t at, unsigned size)
{
	uint64_t device = (uintptr_t)native_memory + 4096;

	if (at < device && at + size > device)
		return device;
	return at;
}

static void fail_with(const struct one *o, const char *what, unsigned long long native_value,
		      unsigned long long value)
{
	char text[64] = "";

	for (unsigned i = 0; i < o->length; i++)
		sprintf(text + 3 * i, "%02x ", o->bytes[i]);
	fail_msg("%sflags %llx, %s: native %llx, emulated %llx (%s)", text,
		 (unsigned long long)o->rflags, what, native_value, value, fermata_error());
}

static void fill_memory(void)
{
	uint64_t *to = (uint64_t *)native_memory;

	for (unsigned i = 0; i < WORLD_SIZE / 8; i++)
		to[i] = operand();
}

static void prepare_world(const struct one *o)
{
	memcpy(world->run.regs, o->regs, sizeof(o->regs));
	world->run.rflags = o->rflags;
	world->run.rip = (uintptr_t)native.code + native.insn_at;
	world_code(world, native.code + native.insn_at, 15);
	world->events = 0;
}

static void compare(const struct one *o)
{
	uint64_t flags = (native.state->rflags ^ world->run.rflags) & RFLAGS_STATUS & ~o->ignore;

	for (unsigned i = 0; i < 16; i++)
		if (native.state->regs[i] != world->run.regs[i])
			fail_with(o, "register", native.state->regs[i], world->run.regs[i]);
	if (flags)
		fail_with(o, "flags", native.state->rflags, world->run.rflags);
	if (((world->run.rflags ^ o->rflags) & RFLAGS_STATUS) &&
	    !(world->run.set & FERMATA_RUN_SET_RFLAGS))
		fail_with(o, "flags not taken", 1, 0);
	for (unsigned i = 0; i < WORLD_SIZE; i++)
		if (native_memory[i] != world->memory[i])
			fail_with(o, "memory", native_memory[i], world->memory[i]);
	assert_int_equal(world->events, 0);
}

static void patch_rip(struct one *o)
{
	int32_t disp;

	if (!o->rip_disp)
		return;
	disp = (int32_t)(o->at - ((uintptr_t)native.code + native.insn_at + o->length));
	memcpy(o->bytes + o->rip_disp, &disp, 4);
}

static void run_native(const struct one *o)
{
	memcpy(native.state->regs, o->regs, sizeof(o->regs));
	native.state->rflags = o->rflags;
	native_run(&native, o->bytes, o->length);
}

/* Both worlds execute it, then everything is compared. */
static void check(struct one *o)
{
	int ret;

	patch_rip(o);
	memcpy(world->memory, native_memory, WORLD_SIZE);
	run_native(o);
	prepare_world(o);
	/* of a read-modify-write either half may be what the hardware reports first */
	world_mmio(world, first_device(o->at, o->size), o->writes && (!o->reads || coin()));
	ret = world_run(world);
	if (ret)
		fail_with(o, "return value", 0, (unsigned)-ret);
	if (world->run.advance != o->length)
		fail_with(o, "length", o->length, world->run.advance);
	compare(o);
}

/* ---------------------------------------------------------------- arithmetic */

static uint64_t undefined_in_shift(unsigned group, unsigned size, unsigned count)
{
	uint64_t ignore = 0;

	count &= size == 8 ? 63 : 31;
	if (!count)
		return 0;
	if (count != 1)
		ignore |= RFLAGS_OF;
	if (group >= 4)
		ignore |= RFLAGS_AF;
	if (group >= 4 && group != 7 && count >= 8 * size)
		ignore |= RFLAGS_CF;
	return ignore;
}

static void test_alu(void **state)
{
	for (unsigned i = 0; i < ROUNDS; i++) {
		unsigned size = any_size(), op = below(8), kind = below(4), wide = size > 1;
		bool to_memory = kind != 1, lock;
		struct form f;
		struct one o;

		start(&o);
		lock = to_memory && op != 7 && below(4) == 0;
		place(&o, size, lock);
		emit_prefixes(&o, &f, size, lock);
		o.reads = true;
		o.writes = to_memory && op != 7;
		if (op == 1 || op == 4 || op == 6)
			o.ignore = RFLAGS_AF;
		if (kind < 2) {
			emit(&o, op << 3 | wide | kind << 1);
			emit_modrm(&o, f.reg, f.gs);
		} else {
			bool byte = !wide || coin();

			emit(&o, !wide ? 0x80 : byte ? 0x83 : 0x81);
			emit_modrm(&o, op, f.gs);
			emit_value(&o, operand(), byte ? 1 : size == 2 ? 2 : 4);
		}
		check(&o);
	}
}

static void test_one_operand(void **state)
{
	for (unsigned i = 0; i < ROUNDS; i++) {
		unsigned size = any_size(), op = below(6), wide = size > 1;
		bool lock = op < 4 && below(4) == 0;
		struct form f;
		struct one o;

		start(&o);
		place(&o, size, lock);
		emit_prefixes(&o, &f, size, lock);
		o.reads = true;
		o.writes = op < 4;
		if (op < 2) { /* NOT, NEG */
			emit(&o, 0xf6 | wide);
			emit_modrm(&o, 2 + op, f.gs);
		} else if (op < 4) { /* INC, DEC */
			emit(&o, 0xfe | wide);
			emit_modrm(&o, op - 2, f.gs);
		} else if (op == 4) { /* TEST imm */
			emit(&o, 0xf6 | wide);
			emit_modrm(&o, 0, f.gs);
			emit_value(&o, operand(), size == 8 ? 4 : size);
			o.ignore = RFLAGS_AF;
		} else { /* TEST reg */
			emit(&o, 0x84 | wide);
			emit_modrm(&o, f.reg, f.gs);
			o.ignore = RFLAGS_AF;
		}
		check(&o);
	}
}

static void test_shift(void **state)
{
	for (unsigned i = 0; i < 3 * ROUNDS; i++) {
		unsigned size = any_size(), group = below(8), kind = below(3), wide = size > 1;
		unsigned count = kind == 1 ? 1 : coin() ? below(70) : below(256);
		struct form f;
		struct one o;

		if (group == 6)
			group = 4;
		start(&o);
		o.regs[FERMATA_RCX] = (o.regs[FERMATA_RCX] & ~0xffull) | count;
		place(&o, size, false);
		emit_prefixes(&o, &f, size, false);
		o.reads = o.writes = true;
		emit(&o, (kind == 0 ? 0xc0 : kind == 1 ? 0xd0 : 0xd2) | wide);
		emit_modrm(&o, group, f.gs);
		if (kind == 0)
			emit_value(&o, count, 1);
		o.ignore = undefined_in_shift(group, size, count);
		check(&o);
	}
}

static void test_bits(void **state)
{
	for (unsigned i = 0; i < ROUNDS; i++) {
		unsigned size = 2u << below(3), op = below(4);
		bool immediate = coin(), lock = op && below(4) == 0;
		uint64_t operand_at;
		struct form f;
		struct one o;

		start(&o);
		place(&o, size, lock);
		operand_at = o.at;
		emit_prefixes(&o, &f, size, lock);
		if (f.reg == BASE || f.reg == INDEX)
			immediate = true;
		o.reads = true;
		o.writes = op != 0;
		emit(&o, 0x0f);
		if (immediate) {
			emit(&o, 0xba);
			emit_modrm(&o, 4 + op, f.gs);
			emit(&o, below(256));
		} else {
			int64_t words = (int64_t)below(200) - 100;
			uint64_t bit = (uint64_t)(words * 8 * size + below(8 * size));

			emit(&o, 0xa3 | op << 3);
			o.regs[f.reg] = (random64() & ~alu_mask(size)) | (bit & alu_mask(size));
			o.at -= (uint64_t)(words *
					   size); /* what ModRM names; the bit lies at operand_at */
			emit_modrm(&o, f.reg, f.gs);
		}
		patch_rip(&o);
		o.rip_disp = 0;
		o.at = operand_at;
		o.ignore = RFLAGS_OF | RFLAGS_SF | RFLAGS_AF | RFLAGS_PF;
		check(&o);
	}
}

/* ---------------------------------------------------------------- moves */

static void test_mov(void **state)
{
	for (unsigned i = 0; i < ROUNDS; i++) {
		unsigned size = any_size(), kind = below(3), wide = size > 1;
		struct form f;
		struct one o;

		start(&o);
		place(&o, size, false);
		emit_prefixes(&o, &f, size, false);
		o.writes = kind != 1;
		o.reads = kind == 1;
		if (kind == 2) {
			emit(&o, 0xc6 | wide);
			emit_modrm(&o, 0, f.gs);
			emit_value(&o, operand(), size == 8 ? 4 : size);
		} else {
			emit(&o, 0x88 | wide | kind << 1);
			emit_modrm(&o, f.reg, f.gs);
		}
		check(&o);
	}
}

static void test_extend(void **state)
{
	for (unsigned i = 0; i < ROUNDS; i++) {
		unsigned size = 2u << below(3), kind = below(8), memory = 1 + (kind & 1);
		struct form f;
		struct one o;

		start(&o);
		o.reads = true;
		if (kind >= 6) { /* MOVSXD */
			place(&o, 4, false);
			emit_prefixes(&o, &f, 8, false);
			emit(&o, 0x63);
			emit_modrm(&o, f.reg, f.gs);
		} else if (kind >= 4) { /* MOVBE, MOVNTI */
			bool nti = coin() && size != 2;

			if (!nti && !__builtin_cpu_supports("movbe"))
				continue;
			place(&o, size, false);
			emit_prefixes(&o, &f, size, false);
			emit(&o, 0x0f);
			o.writes = nti || (kind & 1);
			o.reads = !o.writes;
			if (nti) {
				emit(&o, 0xc3);
			} else {
				emit(&o, 0x38);
				emit(&o, 0xf0 | (kind & 1));
			}
			emit_modrm(&o, f.reg, f.gs);
		} else { /* MOVZX, MOVSX */
			place(&o, memory, false);
			emit_prefixes(&o, &f, size, false);
			emit(&o, 0x0f);
			emit(&o, (kind & 2 ? 0xbe : 0xb6) | (kind & 1));
			emit_modrm(&o, f.reg, f.gs);
		}
		check(&o);
	}
}

static void test_exchange(void **state)
{
	for (unsigned i = 0; i < ROUNDS; i++) {
		unsigned size = any_size(), kind = below(3), wide = size > 1;
		bool lock = coin();
		struct form f;
		struct one o;

		start(&o);
		place(&o, size, lock || kind == 0); /* XCHG locks by itself */
		emit_prefixes(&o, &f, size, lock);
		o.reads = o.writes = true;
		if (kind == 0) {
			emit(&o, 0x86 | wide);
		} else {
			emit(&o, 0x0f);
			emit(&o, (kind == 1 ? 0xc0 : 0xb0) | wide);
		}
		emit_modrm(&o, f.reg, f.gs);
		if (kind == 2 && coin()) /* equal, so that it exchanges */
			memcpy(&o.regs[FERMATA_RAX], (void *)o.at, size);
		check(&o);
	}
}

static void test_condition(void **state)
{
	for (unsigned i = 0; i < ROUNDS; i++) {
		unsigned size = 2u << below(3), condition = below(16);
		bool set = coin();
		struct form f;
		struct one o;

		start(&o);
		place(&o, set ? 1 : size, false);
		emit_prefixes(&o, &f, set ? 1 : size, false);
		o.writes = set;
		o.reads = !set;
		emit(&o, 0x0f);
		emit(&o, (set ? 0x90 : 0x40) | condition);
		emit_modrm(&o, f.reg, f.gs);
		check(&o);
	}
}

static void test_moffs(void **state)
{
	for (unsigned i = 0; i < ROUNDS; i++) {
		unsigned size = any_size(), wide = size > 1;
		bool store = coin(), narrow = coin();
		struct one o;

		start(&o);
		place(&o, size, false);
		if (narrow)
			emit(&o, 0x67);
		if (size == 2)
			emit(&o, 0x66);
		if (size == 8)
			emit(&o, REX_W);
		emit(&o, 0xa0 | wide | store << 1);
		emit_value(&o, o.at, narrow ? 4 : 8);
		o.writes = store;
		o.reads = !store;
		check(&o);
	}
}

static void test_selector(void **state)
{
	for (unsigned i = 0; i < ROUNDS / 4; i++) {
		static const uint8_t which[] = { 0, 1, 2, 3 };
		struct fermata_segment *s = &world->state.segments.es;
		struct form f;
		struct one o;

		asm("mov %%es, %0" : "=r"(s[0].selector));
		asm("mov %%cs, %0" : "=r"(s[1].selector));
		asm("mov %%ss, %0" : "=r"(s[2].selector));
		asm("mov %%ds, %0" : "=r"(s[3].selector));
		start(&o);
		place(&o, 2, false);
		emit_prefixes(&o, &f, 2, false);
		emit(&o, 0x8c);
		emit_modrm(&o, which[below(4)], f.gs);
		o.writes = true;
		check(&o);
	}
}

/* One of the two operands is the device, the other RAM or device too. */
static void test_stack(void **state)
{
	for (unsigned i = 0; i < ROUNDS; i++) {
		unsigned size = coin() ? 8 : 2;
		bool push = coin(), stack_is_device = coin();
		uint64_t top;
		struct form f;
		struct one o;

		start(&o);
		place(&o, size, false);
		top = (uintptr_t)native_memory +
		      (stack_is_device ? 4096 + below(8192 - 16) : below(4096 - 16));
		o.regs[FERMATA_RSP] = push ? top + size : top;
		emit_prefixes(&o, &f, size == 8 ? 4 : 2, false); /* no REX.W needed */
		emit(&o, push ? 0xff : 0x8f);
		emit_modrm(&o, push ? 6 : 0, f.gs);
		o.reads = push;
		o.writes = !push;
		check(&o);
	}
}

/* ---------------------------------------------------------------- vectors */

struct vector_form {
	uint8_t prefix, opcode;
	bool store, avx, aligned, wide;
	unsigned size;
};

static void test_vector(void **state)
{
	static const struct vector_form forms[] = {
		{ 0x00, 0x10, .size = 16 },
		{ 0x00, 0x11, .size = 16, .store = true }, /* MOVUPS */
		{ 0x66, 0x10, .size = 16 },
		{ 0x66, 0x11, .size = 16, .store = true },   /* MOVUPD */
		{ 0x00, 0x28, .size = 16, .aligned = true }, /* MOVAPS */
		{ 0x00, 0x29, .size = 16, .aligned = true, .store = true },
		{ 0xf3, 0x6f, .size = 16 },
		{ 0xf3, 0x7f, .size = 16, .store = true },   /* MOVDQU */
		{ 0x66, 0x6f, .size = 16, .aligned = true }, /* MOVDQA */
		{ 0x66, 0x7f, .size = 16, .aligned = true, .store = true },
		{ 0x66, 0xe7, .size = 16, .aligned = true, .store = true }, /* MOVNTDQ */
		{ 0x00, 0x2b, .size = 16, .aligned = true, .store = true }, /* MOVNTPS */
		{ 0xf2, 0xf0, .size = 16 },				    /* LDDQU */
		{ 0xf3, 0x7e, .size = 8 },
		{ 0x66, 0xd6, .size = 8, .store = true }, /* MOVQ */
		{ 0x66, 0x6e, .size = 4 },
		{ 0x66, 0x7e, .size = 4, .store = true }, /* MOVD */
		{ 0x66, 0x6e, .size = 8, .wide = true },
		{ 0x66, 0x7e, .size = 8, .wide = true, .store = true },
		{ 0xf3, 0x10, .size = 4 },
		{ 0xf3, 0x11, .size = 4, .store = true }, /* MOVSS */
		{ 0xf2, 0x10, .size = 8 },
		{ 0xf2, 0x11, .size = 8, .store = true }, /* MOVSD */
	};
	uint8_t *area = world->state.xsave.area;

	for (unsigned i = 0; i < ROUNDS; i++) {
		const struct vector_form *v = &forms[below(sizeof(forms) / sizeof(forms[0]))];
		bool vex = native.avx && coin(), ymm = vex && v->size == 16 && coin();
		unsigned reg = below(16), pp = v->prefix == 0x66 ? 1 :
					       v->prefix == 0xf3 ? 2 :
					       v->prefix == 0xf2 ? 3 :
								   0;
		uint64_t bv = native.avx ? 7 : 3;
		struct one o;

		start(&o);
		place(&o, ymm ? 32 : v->size, false);
		if (v->aligned) {
			o.at &= ~(uint64_t)(o.size - 1);
			if (o.at < (uintptr_t)native_memory + 4096)
				o.at += o.size;
		}
		for (unsigned r = 0; r < 16; r++)
			for (unsigned b = 0; b < 32; b++)
				native.state->ymm[r][b] = (uint8_t)random64();
		if (below(4) == 0 && native.avx) { /* upper halves in their initial state */
			bv = 3;
			for (unsigned r = 0; r < 16; r++)
				memset(native.state->ymm[r] + 16, 0, 16);
		}
		memset(area, 0xee,
		       FERMATA_XSAVE_SIZE); /* an unused component's bytes mean nothing */
		memcpy(area + 512, &bv, 8);
		for (unsigned r = 0; r < 16; r++) {
			memcpy(area + 160 + 16 * r, native.state->ymm[r], 16);
			if (bv & 4)
				memcpy(area + 576 + 16 * r, native.state->ymm[r] + 16, 16);
		}
		if (vex) {
			emit(&o, 0xc4); /* three-byte VEX: R X B map 0F, W vvvv L pp */
			emit(&o, (reg >= 8 ? 0x61 : 0xe1));
			emit(&o, (v->wide ? 0x80 : 0) | 0x78 | (ymm ? 4 : 0) | pp);
		} else {
			if (v->prefix)
				emit(&o, v->prefix);
			if (reg >= 8 || v->wide)
				emit(&o, 0x40 | (reg >= 8 ? 4 : 0) | (v->wide ? 8 : 0));
			emit(&o, 0x0f);
		}
		emit(&o, v->opcode);
		emit_modrm(&o, reg, false);
		o.writes = v->store;
		o.reads = !v->store;
		check(&o);
		memcpy(&bv, area + 512, 8);
		for (unsigned r = 0; r < 16 && native.avx; r++) {
			static const uint8_t zero[16];

			if (memcmp(area + 160 + 16 * r, native.state->ymm[r], 16))
				fail_with(&o, "XMM", r, 0);
			if (memcmp(bv & 4 ? area + 576 + 16 * r : zero, native.state->ymm[r] + 16,
				   16))
				fail_with(&o, "YMM upper half", r, 0);
		}
	}
}

/* ---------------------------------------------------------------- strings */

/* The address of `count` elements of `size` that lie in [from, from + room), for either direction. */
static uint64_t string_at(unsigned from, unsigned room, unsigned count, unsigned size, bool down)
{
	unsigned bytes = count * size;
	uint64_t low = (uintptr_t)native_memory + from + below(room - bytes + 1);

	return down ? low + bytes - size : low;
}

static void test_strings(void **state)
{
	static const struct {
		uint8_t opcode;
		bool source, dest, writes;
	} ops[] = {
		{ 0xa4, true, true, true },   { 0xaa, false, true, true },
		{ 0xac, true, false, false }, { 0xa6, true, true, false },
		{ 0xae, false, true, false },
	};

	for (unsigned i = 0; i < ROUNDS; i++) {
		unsigned kind = below(5), size = any_size(), rep = below(3), count = below(100);
		bool down = coin(),
		     device_is_source = ops[kind].source && (!ops[kind].dest || coin());
		unsigned n = rep ? count : 1;
		uint64_t rsi, rdi;
		struct one o;
		int ret;

		if (rep && !count)
			count = n = 1;
		start(&o);
		rsi = device_is_source ? string_at(4096, 8192, n, size, down) :
					 string_at(0, 4096, n, size, down);
		rdi = ops[kind].dest && !device_is_source ?
			      string_at(4096, 8192, n, size, down) :
			      string_at(3 * 4096, 8192, n, size, down);
		o.regs[FERMATA_RSI] = rsi;
		o.regs[FERMATA_RDI] = rdi;
		o.regs[FERMATA_RCX] = count;
		if (down)
			o.rflags |= RFLAGS_DF;
		if (!ops[kind].writes && coin()) { /* long runs of equal elements */
			memset(native_memory, 0x11, WORLD_SIZE);
			o.regs[FERMATA_RAX] = 0x1111111111111111;
			native_memory[below(WORLD_SIZE)] ^= 1;
		} else {
			fill_memory();
		}
		if (rep)
			emit(&o, rep == 1 ? 0xf3 : 0xf2);
		if (coin())
			emit(&o, 0x67); /* ESI, EDI, ECX: the memory lies below 4 GiB */
		if (size == 2)
			emit(&o, 0x66);
		if (size == 8)
			emit(&o, REX_W);
		emit(&o, ops[kind].opcode | (size > 1));

		memcpy(world->memory, native_memory, WORLD_SIZE);
		run_native(&o);
		prepare_world(&o);
		world_mmio(world, device_is_source ? rsi : rdi,
			   !device_is_source && ops[kind].writes);
		ret = world_run(world);
		if (ret)
			fail_with(&o, "return value", 0, (unsigned)-ret);
		if (world->run.advance != o.length)
			fail_with(&o, "length", o.length, world->run.advance);
		compare(&o);
	}
}

static int setup(void **state)
{
	native_init(&native);
	native_memory = mmap(NULL, WORLD_SIZE, PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
	world = malloc(sizeof(*world));
	if (native_memory == MAP_FAILED || !world)
		return -1;
	world_init(world, (uintptr_t)native_memory, FERMATA_MODE_LONG);
	fill_memory();
	gs_base = 0x12345000; /* nothing else in the process uses GS */
	world->state.segments.gs.base = gs_base;
	return (int)syscall(SYS_arch_prctl, ARCH_SET_GS, gs_base);
}

static int teardown(void **state)
{
	free(world);
	munmap(native_memory, WORLD_SIZE);
	munmap(native.code, 8192);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_alu),	 cmocka_unit_test(test_one_operand),
		cmocka_unit_test(test_shift),	 cmocka_unit_test(test_bits),
		cmocka_unit_test(test_mov),	 cmocka_unit_test(test_extend),
		cmocka_unit_test(test_exchange), cmocka_unit_test(test_condition),
		cmocka_unit_test(test_moffs),	 cmocka_unit_test(test_selector),
		cmocka_unit_test(test_stack),	 cmocka_unit_test(test_vector),
		cmocka_unit_test(test_strings),
	};

	return cmocka_run_group_tests_name("emulator against the processor", tests, setup, teardown);
}
