// SPDX-License-Identifier: MIT OR GPL-2.0
/* The emulator's operands: registers, effective and linear addresses, guest memory and devices. */
#include <errno.h>
#include <string.h>

#include "emulate.h"

#define PAGE_SIZE 4096u
#define PAGE_MASK (~(uint64_t)(PAGE_SIZE - 1))

#define VECTOR_SS 12
#define VECTOR_GP 13
#define VECTOR_PF 14

#define CR0_PE (1u << 0)
#define CR4_LA57 (1u << 12)

/* ---------------------------------------------------------------- registers */

static bool is_high_byte(ZydisRegister reg)
{
	return reg >= ZYDIS_REGISTER_AH && reg <= ZYDIS_REGISTER_BH;
}

unsigned emu_reg_size(ZydisRegister reg)
{
	switch (ZydisRegisterGetClass(reg)) {
	case ZYDIS_REGCLASS_GPR8:
		return 1;
	case ZYDIS_REGCLASS_GPR16:
		return 2;
	case ZYDIS_REGCLASS_GPR32:
		return 4;
	case ZYDIS_REGCLASS_GPR64:
		return 8;
	default:
		return 0;
	}
}

/* The processor's number of the register that contains reg. */
static unsigned reg_number(ZydisRegister reg)
{
	switch (emu_reg_size(reg)) {
	case 1:
		/* Zydis counts AL CL DL BL AH CH DH BH SPL BPL SIL DIL R8B ... */
		if (reg < ZYDIS_REGISTER_AH)
			return reg - ZYDIS_REGISTER_AL;
		if (is_high_byte(reg))
			return reg - ZYDIS_REGISTER_AH;
		return FERMATA_RSP + (reg - ZYDIS_REGISTER_SPL);
	case 2:
		return reg - ZYDIS_REGISTER_AX;
	case 4:
		return reg - ZYDIS_REGISTER_EAX;
	default:
		return reg - ZYDIS_REGISTER_RAX;
	}
}

uint64_t emu_reg_read(struct emu *e, ZydisRegister reg)
{
	uint64_t value = e->run->regs[reg_number(reg) & 15];

	if (is_high_byte(reg))
		value >>= 8;
	return value & alu_mask(emu_reg_size(reg));
}

void emu_reg_write(struct emu *e, ZydisRegister reg, uint64_t value)
{
	__u64 *to = &e->run->regs[reg_number(reg) & 15];
	unsigned size = emu_reg_size(reg);
	uint64_t mask = size == 4 ? UINT64_MAX : alu_mask(size);
	unsigned shift = is_high_byte(reg) ? 8 : 0;

	value &= alu_mask(size);
	*to = (*to & ~(mask << shift)) | value << shift;
}

uint64_t emu_addr_reg_read(struct emu *e, enum fermata_reg reg)
{
	return e->run->regs[reg] & alu_mask(e->insn.address_width / 8);
}

void emu_addr_reg_write(struct emu *e, enum fermata_reg reg, uint64_t value)
{
	__u64 *to = &e->run->regs[reg];

	if (e->insn.address_width == 16)
		*to = (*to & ~0xffffull) | (value & 0xffff);
	else
		*to = value & alu_mask(e->insn.address_width / 8);
}

/* Groups outside the mask hold nothing afterwards. */
int emu_state(struct emu *e, uint32_t mask)
{
	e->have_segments = false;
	return e->ops->state_get(e->opaque, &e->state, mask);
}

/* ---------------------------------------------------------------- faults */

int emu_inject(struct emu *e, unsigned vector, uint32_t code, uint64_t cr2)
{
	struct fermata_injection event = {
		.vector = vector,
		.kind = FERMATA_INJECT_EXCEPTION_CODE,
		.code = code,
		.cr2 = cr2,
	};
	int ret;

	/* exceptions in real mode push no error code (SDM 3A 6.3.5, 21.1.4); in virtual-8086 mode they do */
	if (e->run->exit.cpu_mode == FERMATA_MODE_REAL) {
		ret = emu_state(e, FERMATA_STATE_CONTROL);
		if (ret)
			return ret;
		if (!(e->state.control.cr0 & CR0_PE))
			event.kind = FERMATA_INJECT_EXCEPTION;
	}
	if (event.kind == FERMATA_INJECT_EXCEPTION)
		event.code = 0;
	ret = e->ops->inject(e->opaque, &event);
	return ret ? ret : EMU_FAULT;
}

/* ---------------------------------------------------------------- addresses */

int emu_segments(struct emu *e)
{
	int ret;

	if (e->have_segments)
		return 0;
	ret = emu_state(e, FERMATA_STATE_SEGMENTS);
	e->have_segments = !ret;
	return ret;
}

static const struct fermata_segment *segment_of(struct emu *e, ZydisRegister segment)
{
	switch (segment) {
	case ZYDIS_REGISTER_ES:
		return &e->state.segments.es;
	case ZYDIS_REGISTER_CS:
		return &e->state.segments.cs;
	case ZYDIS_REGISTER_SS:
		return &e->state.segments.ss;
	case ZYDIS_REGISTER_FS:
		return &e->state.segments.fs;
	case ZYDIS_REGISTER_GS:
		return &e->state.segments.gs;
	default:
		return &e->state.segments.ds;
	}
}

static bool is_canonical(uint64_t address, unsigned bits)
{
	return (uint64_t)((int64_t)(address << (64 - bits)) >> (64 - bits)) == address;
}

static int linear_long(struct emu *e, ZydisRegister segment, uint64_t ea, unsigned size,
		       uint64_t *linear)
{
	uint64_t last;
	int ret;

	*linear = ea;
	if (segment == ZYDIS_REGISTER_FS || segment == ZYDIS_REGISTER_GS) {
		ret = emu_segments(e);
		if (ret)
			return ret;
		*linear += segment_of(e, segment)->base;
	}
	last = *linear + size - 1;
	if (is_canonical(*linear, 48) && is_canonical(last, 48))
		return 0;
	ret = emu_state(e, FERMATA_STATE_CONTROL);
	if (ret)
		return ret;
	if ((e->state.control.cr4 & CR4_LA57) && is_canonical(*linear, 57) && is_canonical(last, 57))
		return 0;
	return emu_inject(e, segment == ZYDIS_REGISTER_SS ? VECTOR_SS : VECTOR_GP, 0, 0);
}

/* attrib as in a VMCB; type bits as in a descriptor: code 3, expand-down or conforming 2, W or R 1 */
static bool segment_allows(const struct fermata_segment *s, uint64_t ea, unsigned size,
			   uint32_t access, bool real)
{
	bool code = s->attrib & 8;
	uint64_t last = ea + size - 1;

	if (!real) {
		if ((s->attrib & FERMATA_SEG_UNUSABLE) || !(s->attrib & 0x80))
			return false;
		if (access == FERMATA_ACCESS_WRITE ? code || !(s->attrib & 2) :
						     code && !(s->attrib & 2))
			return false;
	}
	if (!code && (s->attrib & 4)) {
		uint64_t top = s->attrib & 0x400 ? UINT32_MAX : UINT16_MAX;

		return ea > s->limit && last <= top;
	}
	return last <= s->limit;
}

int emu_linear(struct emu *e, ZydisRegister segment, uint64_t ea, unsigned size, uint32_t access,
	       uint64_t *linear)
{
	const struct fermata_segment *s;
	int ret;

	if (e->run->exit.cpu_mode == FERMATA_MODE_LONG)
		return linear_long(e, segment, ea, size, linear);
	ret = emu_segments(e);
	if (ret)
		return ret;
	s = segment_of(e, segment);
	*linear = (uint32_t)(s->base + ea);
	if (segment_allows(s, ea, size, access, e->run->exit.cpu_mode == FERMATA_MODE_REAL))
		return 0;
	return emu_inject(e, segment == ZYDIS_REGISTER_SS ? VECTOR_SS : VECTOR_GP, 0, 0);
}

uint64_t emu_effective_address(struct emu *e, const ZydisDecodedOperand *op)
{
	uint64_t ea = op->mem.disp.has_displacement ? (uint64_t)op->mem.disp.value : 0;

	if (op->mem.base == ZYDIS_REGISTER_RIP || op->mem.base == ZYDIS_REGISTER_EIP)
		ea += e->run->rip + e->insn.length;
	else if (op->mem.base != ZYDIS_REGISTER_NONE)
		ea += emu_reg_read(e, op->mem.base);
	if (op->mem.index != ZYDIS_REGISTER_NONE)
		ea += emu_reg_read(e, op->mem.index) * op->mem.scale;
	return ea & alu_mask(e->insn.address_width / 8);
}

/* ---------------------------------------------------------------- spans */

static int translate(struct emu *e, uint64_t linear, uint32_t access, uint64_t *gpa)
{
	struct emu_page *page = &e->page[access == FERMATA_ACCESS_WRITE];
	struct fermata_translate t = { .linear = linear, .access = access };
	int ret;

	if (page->linear != (linear & PAGE_MASK)) {
		ret = e->ops->translate(e->opaque, &t);
		if (ret == -EFAULT)
			return emu_inject(e, VECTOR_PF, t.code, linear);
		if (ret)
			return ret;
		page->linear = linear & PAGE_MASK;
		page->gpa = t.gpa & PAGE_MASK;
	}
	*gpa = page->gpa | (linear & ~PAGE_MASK);
	return 0;
}

int emu_span_at(struct emu *e, uint64_t linear, unsigned size, uint32_t access,
		struct emu_span *span)
{
	unsigned room = PAGE_SIZE - (linear & ~PAGE_MASK);
	uint64_t next = linear + room;
	int ret;

	span->parts = size > room ? 2 : 1;
	span->part[0].size = size > room ? room : size;
	ret = translate(e, linear, access, &span->part[0].gpa);
	if (ret || span->parts == 1)
		return ret;
	if (e->run->exit.cpu_mode != FERMATA_MODE_LONG)
		next = (uint32_t)next;
	span->part[1].size = size - room;
	return translate(e, next, access, &span->part[1].gpa);
}

bool emu_span_has_page(const struct emu_span *span, uint64_t gpa)
{
	for (unsigned i = 0; i < span->parts; i++)
		if (!((span->part[i].gpa ^ gpa) & PAGE_MASK))
			return true;
	return false;
}

/*
 * The hardware has walked the guest's tables for this very access and named the guest-physical
 * address. Paging keeps the low twelve bits, so they check the decoder for free; only where the exit
 * leaves something open (a second page, a write behind a faulting read) are the tables walked again.
 */
int emu_span_operand(struct emu *e, unsigned size, uint32_t access, int64_t offset,
		     struct emu_span *span)
{
	const struct fermata_exit_mmio *mmio = &e->run->exit.mmio;
	uint64_t ea = (emu_effective_address(e, e->mem) + (uint64_t)offset) &
		      alu_mask(e->insn.address_width / 8);
	uint64_t linear, in_page;
	int ret;

	if (mmio->write && access != FERMATA_ACCESS_WRITE)
		return EMU_MISMATCH;
	ret = emu_linear(e, e->mem->mem.segment, ea, size, access, &linear);
	if (ret)
		return ret;
	in_page = linear & ~PAGE_MASK;
	if (in_page + size <= PAGE_SIZE && (mmio->write || access != FERMATA_ACCESS_WRITE)) {
		uint64_t hit = mmio->gpa & ~PAGE_MASK;

		if (hit < in_page || hit >= in_page + size)
			return EMU_MISMATCH;
		span->parts = 1;
		span->part[0] = (struct emu_part){ (mmio->gpa & PAGE_MASK) | in_page, size };
		return 0;
	}
	ret = emu_span_at(e, linear, size, access, span);
	if (!ret && !emu_span_has_page(span, mmio->gpa))
		return EMU_MISMATCH;
	return ret;
}

/* Ordinary sizes in one access each, so that another vCPU never sees half of one. */
static void copy_guest(void *to, const void *from, unsigned size)
{
	switch (size) {
	case 1:
		memcpy(to, from, 1);
		break;
	case 2:
		memcpy(to, from, 2);
		break;
	case 4:
		memcpy(to, from, 4);
		break;
	case 8:
		memcpy(to, from, 8);
		break;
	default:
		memcpy(to, from, size);
	}
}

/* The largest access a device is offered of what is left: a power of two, at most 8. */
static unsigned device_size(unsigned left)
{
	return left >= 8 ? 8 : left >= 4 ? 4 : left >= 2 ? 2 : 1;
}

static void read_part(struct emu *e, const struct emu_part *part, uint8_t *to)
{
	const void *ram = e->ops->ram(e->opaque, part->gpa, part->size, false);
	unsigned n;

	if (ram) {
		copy_guest(to, ram, part->size);
		return;
	}
	for (unsigned done = 0; done < part->size; done += n) {
		uint64_t value = 0;

		n = device_size(part->size - done);
		e->bus->mem_read(e->bus->opaque, part->gpa + done, n, &value);
		memcpy(to + done, &value, n);
	}
}

static void write_part(struct emu *e, const struct emu_part *part, const uint8_t *from)
{
	void *ram = e->ops->ram(e->opaque, part->gpa, part->size, true);
	unsigned n;

	if (ram) {
		copy_guest(ram, from, part->size);
		e->ops->wrote(e->opaque, part->gpa, part->size);
		return;
	}
	for (unsigned done = 0; done < part->size; done += n) {
		uint64_t value = 0;

		n = device_size(part->size - done);
		memcpy(&value, from + done, n);
		e->bus->mem_write(e->bus->opaque, part->gpa + done, n, value);
	}
}

void emu_span_read(struct emu *e, const struct emu_span *span, void *to)
{
	uint8_t *p = to;

	for (unsigned i = 0; i < span->parts; p += span->part[i++].size)
		read_part(e, &span->part[i], p);
}

void emu_span_write(struct emu *e, const struct emu_span *span, const void *from)
{
	const uint8_t *p = from;

	for (unsigned i = 0; i < span->parts; p += span->part[i++].size)
		write_part(e, &span->part[i], p);
}

uint64_t emu_span_read_value(struct emu *e, const struct emu_span *span)
{
	uint64_t value = 0;

	emu_span_read(e, span, &value);
	return value;
}

void emu_span_write_value(struct emu *e, const struct emu_span *span, uint64_t value)
{
	emu_span_write(e, span, &value);
}

bool emu_span_is_device(struct emu *e, const struct emu_span *span, bool write)
{
	for (unsigned i = 0; i < span->parts; i++)
		if (!e->ops->ram(e->opaque, span->part[i].gpa, span->part[i].size, write))
			return true;
	return false;
}
