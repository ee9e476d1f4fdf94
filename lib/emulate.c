// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * Completing an exit: decode, cross-check with what the hardware reported, perform, move RIP on.
 *
 * The bytes and the address belong to the moment of the exit; the guest may have changed its code
 * since. When the instruction cannot have caused the exit, nothing is done and RIP stays: the guest
 * executes whatever is there now. An exit that never matches (a page table in device memory, a bug
 * of ours) would spin, so after RETRIES times at one RIP it is an error.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "emulate.h"
#include "plain.h"

#define RETRIES 16

static void init_decoder(ZydisDecoder *decoder, uint8_t cpu_mode)
{
	switch (cpu_mode) {
	case FERMATA_MODE_LONG:
		ZydisDecoderInit(decoder, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
		break;
	case FERMATA_MODE_PROT32:
		ZydisDecoderInit(decoder, ZYDIS_MACHINE_MODE_LEGACY_32, ZYDIS_STACK_WIDTH_32);
		break;
	case FERMATA_MODE_PROT16:
		ZydisDecoderInit(decoder, ZYDIS_MACHINE_MODE_LEGACY_16, ZYDIS_STACK_WIDTH_16);
		break;
	default:
		ZydisDecoderInit(decoder, ZYDIS_MACHINE_MODE_REAL_16, ZYDIS_STACK_WIDTH_16);
	}
}

/* The code at RIP as it is now, up to 15 bytes; for exits whose bytes are missing or cut short. */
static unsigned fetch(struct emu *e, uint8_t bytes[15])
{
	unsigned done = 0;
	uint64_t linear = e->run->rip;

	if (e->run->exit.cpu_mode != FERMATA_MODE_LONG) {
		if (emu_segments(e))
			return 0;
		linear = (uint32_t)(linear + e->state.segments.cs.base);
	}
	while (done < 15) {
		struct fermata_translate t = { .linear = linear + done,
					       .access = FERMATA_ACCESS_FETCH };
		unsigned room = 4096 - (t.linear & 4095);
		unsigned n = room < 15 - done ? room : 15 - done;
		const void *ram;

		if (e->ops->translate(e->opaque, &t))
			break;
		ram = e->ops->ram(e->opaque, t.gpa, n, false);
		if (!ram)
			break;
		memcpy(bytes + done, ram, n);
		done += n;
	}
	return done;
}

static bool decode(struct emu *e)
{
	const struct fermata_exit *exit = &e->run->exit;
	ZydisDecoder decoder;
	uint8_t bytes[15];
	unsigned n = exit->insn_bytes < 15 ? exit->insn_bytes : 15;

	init_decoder(&decoder, exit->cpu_mode);
	memcpy(bytes, exit->insn,
	       n); /* once: the page is shared with the kernel alone, but stay strict */
	if (!ZYAN_SUCCESS(ZydisDecoderDecodeFull(&decoder, bytes, n, &e->insn, e->op))) {
		n = fetch(e, bytes);
		if (!ZYAN_SUCCESS(ZydisDecoderDecodeFull(&decoder, bytes, n, &e->insn, e->op)))
			return false;
	}
	e->mem = NULL;
	for (unsigned i = 0; i < e->insn.operand_count_visible; i++)
		if (e->op[i].type == ZYDIS_OPERAND_TYPE_MEMORY &&
		    e->op[i].mem.type == ZYDIS_MEMOP_TYPE_MEM)
			e->mem = &e->op[i];
	return true;
}

static void bytes_text(const struct fermata_exit *exit, char *text, size_t size)
{
	unsigned n = exit->insn_bytes < 15 ? exit->insn_bytes : 15;

	text[0] = 0;
	for (unsigned i = 0; i < n && 3 * i + 4 < size; i++)
		sprintf(text + 3 * i, " %02x", exit->insn[i]);
}

static int unknown(struct emu *e)
{
	ZydisFormatter formatter;
	char text[96] = "?";

	ZydisFormatterInit(&formatter, ZYDIS_FORMATTER_STYLE_INTEL);
	ZydisFormatterFormatInstruction(&formatter, &e->insn, e->op, e->insn.operand_count_visible,
					text, sizeof(text), e->run->rip, NULL);
	return fermata_fail(ENOSYS,
			    "the emulator does not know '%s' at %#llx, used on device memory at %#llx",
			    text, (unsigned long long)e->run->rip,
			    (unsigned long long)e->run->exit.mmio.gpa);
}

static int mismatch(struct emu *e, struct emu_retry *retry)
{
	const struct fermata_exit *exit = &e->run->exit;
	char text[64];

	if (retry->rip != e->run->rip)
		retry->count = 0;
	retry->rip = e->run->rip;
	if (++retry->count < RETRIES)
		return 0;
	retry->count = 0;
	bytes_text(exit, text, sizeof(text));
	if (exit->reason == FERMATA_EXIT_IO)
		return fermata_fail(ENOSYS,
				    "the code at %#llx (%s ) is not the string I/O the processor reported",
				    (unsigned long long)e->run->rip, text);
	return fermata_fail(ENOSYS,
			    "the code at %#llx (%s ) does not %s %#llx, the processor says it does:"
			    " page tables, a descriptor or a stack in device memory?",
			    (unsigned long long)e->run->rip, text,
			    exit->mmio.write ? "write" : "read", (unsigned long long)exit->mmio.gpa);
}

int emu_port_in(struct fermata_run *run, const struct fermata_bus *bus)
{
	const struct fermata_exit_io *io = &run->exit.io;
	__u64 *rax = &run->regs[FERMATA_RAX];
	unsigned size = io->size;
	uint32_t value = UINT32_MAX;

	bus->io_read(bus->opaque, io->port, size, &value);
	/* a 32-bit destination zero-extends, smaller ones keep the rest (SDM 1 3.4.1.1) */
	*rax = size == 4 ? value : (*rax & ~alu_mask(size)) | (value & alu_mask(size));
	return 0;
}

int emu_moved(struct fermata_run *run, const struct fermata_bus *bus)
{
	const struct fermata_exit_mmio *mmio = &run->exit.mmio;
	unsigned size = mmio->size, reg_size = mmio->reg_size, op = mmio->op;
	__u64 *reg = &run->regs[mmio->reg & 15];
	uint64_t value = 0;

	if (op == FERMATA_MMIO_STORE) {
		bus->mem_write(bus->opaque, mmio->gpa, size, mmio->value & alu_mask(size));
		return 0;
	}
	bus->mem_read(bus->opaque, mmio->gpa, size, &value);
	value &= alu_mask(size);
	if (op == FERMATA_MMIO_LOAD_SIGN)
		value = alu_sign_extend(value, size);
	/* a 32-bit destination zero-extends, smaller ones keep the rest (SDM 1 3.4.1.1) */
	*reg = reg_size < 4 ? (*reg & ~alu_mask(reg_size)) | (value & alu_mask(reg_size)) :
			      value & alu_mask(reg_size);
	return 0;
}

static int perform(struct emu *e)
{
	int ret;

	if (!decode(e))
		return EMU_MISMATCH;
	ret = emu_string(e);
	if (ret == EMU_UNKNOWN) {
		if (e->run->exit.reason == FERMATA_EXIT_IO || !e->mem)
			return EMU_MISMATCH;
		ret = emu_integer(e);
	}
	if (ret == EMU_UNKNOWN)
		ret = emu_vector(e);
	return ret == EMU_UNKNOWN || ret == EMU_MISSING ? unknown(e) : ret;
}

int emu_run(struct emu *e, struct emu_retry *retry)
{
	const struct fermata_exit *exit = &e->run->exit;
	int ret;

	e->have_segments = false;
	e->page[0].linear = 1;
	e->page[1].linear = 1;
	if (exit->reason == FERMATA_EXIT_IO) {
		if (!emu_port_size(exit->io.size))
			return fermata_fail(EINVAL,
					    "a port access of %u bytes: the exit record is damaged",
					    exit->io.size);
	} else if (exit->reason != FERMATA_EXIT_MMIO) {
		return fermata_fail(EINVAL, "nothing to emulate: the exit is %s, not IO or MMIO",
				    fermata_exit_reason_name(exit->reason));
	} else if (exit->mmio.fetch) {
		return fermata_fail(ENOSYS,
				    "the guest jumped to %#llx (guest-physical %#llx), where no memory is",
				    (unsigned long long)e->run->rip,
				    (unsigned long long)exit->mmio.gpa);
	}
	ret = perform(e);
	if (ret == EMU_MISMATCH)
		return mismatch(e, retry);
	retry->count = 0;
	return ret == EMU_FAULT ? 0 : ret;
}
