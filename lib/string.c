// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * String instructions, on ports and on device memory. Each iteration first translates what it will
 * touch, then moves one element, then updates RSI, RDI and RCX: a fault in the middle leaves them as
 * the processor would, with RIP at the instruction (SDM 2B REP).
 *
 * At most CHUNK iterations per call: RIP then stays and the guest, having had its interrupts, comes
 * back by itself. The same when an iteration touched only RAM: the processor does those faster.
 */
#include "emulate.h"

#define CHUNK 1024

enum string_op { INS, OUTS, MOVS, STOS, LODS, CMPS, SCAS };

struct string {
	enum string_op op;
	unsigned size;	       /* of an element, bytes */
	ZydisRegister segment; /* of RSI; RDI's is ES, always */
	bool repeat;
	bool read_source, write_dest, read_dest; /* what the operation does to memory */
};

static bool classify(struct emu *e, struct string *s)
{
	switch (e->insn.mnemonic) {
	case ZYDIS_MNEMONIC_INSB:
	case ZYDIS_MNEMONIC_INSW:
	case ZYDIS_MNEMONIC_INSD:
		s->op = INS;
		break;
	case ZYDIS_MNEMONIC_OUTSB:
	case ZYDIS_MNEMONIC_OUTSW:
	case ZYDIS_MNEMONIC_OUTSD:
		s->op = OUTS;
		break;
	case ZYDIS_MNEMONIC_MOVSB:
	case ZYDIS_MNEMONIC_MOVSW:
	case ZYDIS_MNEMONIC_MOVSQ:
	case ZYDIS_MNEMONIC_MOVSD: /* also the name of an SSE instruction */
		if (e->insn.meta.category != ZYDIS_CATEGORY_STRINGOP)
			return false;
		s->op = MOVS;
		break;
	case ZYDIS_MNEMONIC_STOSB:
	case ZYDIS_MNEMONIC_STOSW:
	case ZYDIS_MNEMONIC_STOSD:
	case ZYDIS_MNEMONIC_STOSQ:
		s->op = STOS;
		break;
	case ZYDIS_MNEMONIC_LODSB:
	case ZYDIS_MNEMONIC_LODSW:
	case ZYDIS_MNEMONIC_LODSD:
	case ZYDIS_MNEMONIC_LODSQ:
		s->op = LODS;
		break;
	case ZYDIS_MNEMONIC_CMPSB:
	case ZYDIS_MNEMONIC_CMPSW:
	case ZYDIS_MNEMONIC_CMPSQ:
	case ZYDIS_MNEMONIC_CMPSD:
		if (e->insn.meta.category != ZYDIS_CATEGORY_STRINGOP)
			return false;
		s->op = CMPS;
		break;
	case ZYDIS_MNEMONIC_SCASB:
	case ZYDIS_MNEMONIC_SCASW:
	case ZYDIS_MNEMONIC_SCASD:
	case ZYDIS_MNEMONIC_SCASQ:
		s->op = SCAS;
		break;
	default:
		return false;
	}
	s->read_source = s->op == OUTS || s->op == MOVS || s->op == LODS || s->op == CMPS;
	s->write_dest = s->op == INS || s->op == MOVS || s->op == STOS;
	s->read_dest = s->op == CMPS || s->op == SCAS;
	s->repeat = e->insn.attributes &
		    (ZYDIS_ATTRIB_HAS_REP | ZYDIS_ATTRIB_HAS_REPE | ZYDIS_ATTRIB_HAS_REPNE);
	s->segment = ZYDIS_REGISTER_DS;
	s->size = 0;
	for (unsigned i = 0; i < e->insn.operand_count; i++) {
		const ZydisDecodedOperand *op = &e->op[i];

		if (op->type != ZYDIS_OPERAND_TYPE_MEMORY)
			continue;
		s->size = op->size / 8;
		if (op->mem.base == ZYDIS_REGISTER_RSI || op->mem.base == ZYDIS_REGISTER_ESI ||
		    op->mem.base == ZYDIS_REGISTER_SI)
			s->segment = op->mem.segment;
	}
	return s->size != 0;
}

static int locate(struct emu *e, const struct string *s, struct emu_span *source,
		  struct emu_span *dest)
{
	uint32_t access = s->write_dest ? FERMATA_ACCESS_WRITE : FERMATA_ACCESS_READ;
	uint64_t linear;
	int ret = 0;

	if (s->read_source) {
		ret = emu_linear(e, s->segment, emu_addr_reg_read(e, FERMATA_RSI), s->size,
				 FERMATA_ACCESS_READ, &linear);
		if (!ret)
			ret = emu_span_at(e, linear, s->size, FERMATA_ACCESS_READ, source);
	}
	if (!ret && (s->write_dest || s->read_dest)) {
		ret = emu_linear(e, ZYDIS_REGISTER_ES, emu_addr_reg_read(e, FERMATA_RDI), s->size,
				 access, &linear);
		if (!ret)
			ret = emu_span_at(e, linear, s->size, access, dest);
	}
	return ret;
}

static void step(struct emu *e, enum fermata_reg reg, unsigned size)
{
	uint64_t value = emu_addr_reg_read(e, reg);

	emu_addr_reg_write(e, reg, e->run->rflags & RFLAGS_DF ? value - size : value + size);
}

static ZydisRegister accumulator(unsigned size)
{
	return size == 1 ? ZYDIS_REGISTER_AL :
	       size == 2 ? ZYDIS_REGISTER_AX :
	       size == 4 ? ZYDIS_REGISTER_EAX :
			   ZYDIS_REGISTER_RAX;
}

static void compare(struct emu *e, unsigned size, uint64_t a, uint64_t b)
{
	uint64_t flags = e->run->rflags;

	emu_alu(ALU_SUB, size, a, b, &flags);
	e->run->rflags = flags;
	e->run->set |= FERMATA_RUN_SET_RFLAGS;
}

static void element(struct emu *e, const struct string *s, const struct emu_span *source,
		    const struct emu_span *dest)
{
	const struct fermata_exit_io *io = &e->run->exit.io;
	uint32_t value = UINT32_MAX;
	uint64_t first;

	switch (s->op) {
	case INS:
		e->bus->io_read(e->bus->opaque, io->port, s->size, &value);
		emu_span_write_value(e, dest, value);
		break;
	case OUTS:
		value = (uint32_t)emu_span_read_value(e, source);
		e->bus->io_write(e->bus->opaque, io->port, s->size, value);
		break;
	case MOVS:
		emu_span_write_value(e, dest, emu_span_read_value(e, source));
		break;
	case STOS:
		emu_span_write_value(e, dest, emu_reg_read(e, accumulator(s->size)));
		break;
	case LODS:
		emu_reg_write(e, accumulator(s->size), emu_span_read_value(e, source));
		break;
	case CMPS:
		first = emu_span_read_value(e, source);
		compare(e, s->size, first, emu_span_read_value(e, dest));
		break;
	case SCAS:
		compare(e, s->size, emu_reg_read(e, accumulator(s->size)),
			emu_span_read_value(e, dest));
		break;
	}
	if (s->read_source)
		step(e, FERMATA_RSI, s->size);
	if (s->write_dest || s->read_dest)
		step(e, FERMATA_RDI, s->size);
}

/* Does the exit belong to this instruction? Asked of the first element, the one that made it. */
static bool matches(struct emu *e, const struct string *s, const struct emu_span *source,
		    const struct emu_span *dest)
{
	const struct fermata_exit *exit = &e->run->exit;

	if (exit->reason == FERMATA_EXIT_IO)
		return s->size == exit->io.size && s->op == (exit->io.in ? INS : OUTS);
	if (exit->mmio.write)
		return s->write_dest && emu_span_has_page(dest, exit->mmio.gpa);
	return (s->read_source && emu_span_has_page(source, exit->mmio.gpa)) ||
	       ((s->read_dest || s->write_dest) && emu_span_has_page(dest, exit->mmio.gpa));
}

static bool only_ram(struct emu *e, const struct string *s, const struct emu_span *source,
		     const struct emu_span *dest)
{
	if (e->run->exit.reason == FERMATA_EXIT_IO)
		return false;
	return !(s->read_source && emu_span_is_device(e, source, false)) &&
	       !((s->write_dest || s->read_dest) && emu_span_is_device(e, dest, s->write_dest));
}

/* REPE goes on while equal, REPNE while not; for the others both prefixes mean REP. */
static bool goes_on(struct emu *e, const struct string *s)
{
	bool equal = e->run->rflags & RFLAGS_ZF;

	if (!s->read_dest)
		return true;
	return e->insn.attributes & ZYDIS_ATTRIB_HAS_REPNE ? !equal : equal;
}

int emu_string(struct emu *e)
{
	struct emu_span source, dest;
	struct string s;
	int ret;

	if (!classify(e, &s))
		return EMU_UNKNOWN;
	if ((s.op == INS || s.op == OUTS) != (e->run->exit.reason == FERMATA_EXIT_IO)) {
		/* INS and OUTS whose memory, not port, made the exit: the port is then in DX */
		return s.op == INS || s.op == OUTS ? EMU_MISSING : EMU_MISMATCH;
	}
	for (unsigned i = 0; i < CHUNK; i++) {
		if (s.repeat && !emu_addr_reg_read(e, FERMATA_RCX))
			break;
		ret = locate(e, &s, &source, &dest);
		if (ret)
			return ret;
		if (i == 0 && !matches(e, &s, &source, &dest))
			return EMU_MISMATCH;
		if (i > 0 && only_ram(e, &s, &source, &dest))
			return 0;
		element(e, &s, &source, &dest);
		if (!s.repeat)
			break;
		emu_addr_reg_write(e, FERMATA_RCX, emu_addr_reg_read(e, FERMATA_RCX) - 1);
		if (!emu_addr_reg_read(e, FERMATA_RCX) || !goes_on(e, &s))
			break;
		if (i == CHUNK - 1)
			return 0;
	}
	e->run->advance = e->insn.length;
	return 0;
}
