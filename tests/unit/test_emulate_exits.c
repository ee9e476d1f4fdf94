// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * The emulator at its edges: ports, faults in the middle, segments and the 16-bit modes, code that
 * does not fit its exit, code it does not know, and any bytes at all.
 */
#include "emu_world.h"

#define LINEAR 0x40000000ull
#define DEVICE (LINEAR + 4096) /* the first device page */

static struct world world;
static struct fermata_run *const run = &world.run;

#define CODE(...)                                                                                  \
	do {                                                                                       \
		static const uint8_t code_[] = { __VA_ARGS__ };                                    \
		world_code(&world, code_, sizeof(code_));                                          \
	} while (0)

static void start(uint8_t cpu_mode)
{
	world_init(&world, LINEAR, cpu_mode);
	run->rip = 0x1000;
}

static void port_exit(uint16_t port, unsigned size, bool in, bool string)
{
	run->exit.reason = FERMATA_EXIT_IO;
	run->exit.io =
		(struct fermata_exit_io){ .port = port, .size = size, .in = in, .string = string };
	run->exit.insn_len = string ? 0 : 2;
}

/* ---------------------------------------------------------------- ports */

static void test_in(void **state)
{
	static const struct {
		unsigned size;
		uint64_t rax;
	} expect[] = {
		{ 1, 0x1122334455667703 },
		{ 2, 0x1122334455660a03 },
		{ 4, 0x18110a03 },
	};

	for (unsigned i = 0; i < 3; i++) {
		start(FERMATA_MODE_LONG);
		run->regs[FERMATA_RAX] = 0x1122334455667788;
		port_exit(0x3f8, expect[i].size, true, false);
		assert_int_equal(world_run(&world), 0);
		assert_int_equal(run->regs[FERMATA_RAX], expect[i].rax);
		assert_int_equal(run->advance, 2);
		assert_int_equal(world.port, 0x3f8);
		assert_int_equal(world.port_size, expect[i].size);
	}
}

static void test_out(void **state)
{
	start(FERMATA_MODE_LONG);
	port_exit(0x80, 2, false, false);
	run->exit.io.value = 0xdeadbeef; /* only the size's bytes count */
	assert_int_equal(world_run(&world), 0);
	assert_int_equal(world.out_at, 2);
	assert_memory_equal(world.out, "\xef\xbe\0\0", 4);
	assert_int_equal(run->advance, 2);
}

/* MOVs that the kernel part has decoded: no bytes, no translation. */
static void test_decoded_moves(void **state)
{
	static const struct {
		uint8_t op, size, reg_size;
		uint64_t rdx;
	} load[] = {
		{ FERMATA_MMIO_LOAD, 1, 1, 0x112233445566779a },
		{ FERMATA_MMIO_LOAD, 2, 2, 0x112233445566f09a },
		{ FERMATA_MMIO_LOAD, 4, 4, 0xbcdef09a },
		{ FERMATA_MMIO_LOAD, 8, 8, 0x01020304bcdef09a },
		{ FERMATA_MMIO_LOAD, 1, 4, 0x9a },
		{ FERMATA_MMIO_LOAD_SIGN, 1, 2, 0x112233445566ff9a },
		{ FERMATA_MMIO_LOAD_SIGN, 1, 4, 0xffffff9a },
		{ FERMATA_MMIO_LOAD_SIGN, 2, 8, 0xfffffffffffff09a },
	};
	const uint64_t there = 0x01020304bcdef09a;

	for (unsigned i = 0; i < sizeof(load) / sizeof(load[0]); i++) {
		start(FERMATA_MODE_LONG);
		memcpy(world.memory + 4096 + 0x10, &there, sizeof(there));
		run->regs[FERMATA_RDX] = 0x1122334455667788;
		run->exit.reason = FERMATA_EXIT_MMIO;
		run->exit.insn_len = 3;
		run->exit.mmio = (struct fermata_exit_mmio){ .gpa = world_gpa[1] + 0x10,
							     .op = load[i].op,
							     .size = load[i].size,
							     .reg = FERMATA_RDX,
							     .reg_size = load[i].reg_size };
		assert_int_equal(world_run(&world), 0);
		assert_int_equal(run->regs[FERMATA_RDX], load[i].rdx);
		assert_int_equal(run->advance, 3);
	}
	start(FERMATA_MODE_LONG);
	run->exit.reason = FERMATA_EXIT_MMIO;
	run->exit.insn_len = 3;
	run->exit.mmio = (struct fermata_exit_mmio){ .gpa = world_gpa[1] + 0x10,
						     .write = 1,
						     .op = FERMATA_MMIO_STORE,
						     .size = 2,
						     .value = 0x1122334455667788 };
	memset(world.memory + 4096, 0, 64);
	assert_int_equal(world_run(&world), 0);
	assert_int_equal(world.device_writes, 1);
	assert_memory_equal(world.memory + 4096 + 0x10, "\x88\x77\0", 3);
	assert_int_equal(world.translations, 0);
}

static void test_ins(void **state)
{
	start(FERMATA_MODE_LONG);
	CODE(0xf3, 0x6d); /* REP INSD */
	port_exit(0x1f0, 4, true, true);
	run->regs[FERMATA_RDI] = LINEAR + 0x20;
	run->regs[FERMATA_RCX] = 8;
	assert_int_equal(world_run(&world), 0);
	assert_int_equal(run->advance, 2);
	assert_int_equal(run->regs[FERMATA_RCX], 0);
	assert_int_equal(run->regs[FERMATA_RDI], LINEAR + 0x40);
	assert_memory_equal(world.memory + 0x20, world.in, 32);
	assert_int_equal(world.memory[0x40], 0);

	/* RCX 0: nothing happens, the instruction is over */
	assert_int_equal(world_run(&world), 0);
	assert_int_equal(run->advance, 2);
	assert_int_equal(world.in_at, 32);
}

static void test_ins_faults(void **state)
{
	start(FERMATA_MODE_LONG);
	CODE(0xf3, 0x66, 0x6d); /* REP INSW */
	port_exit(0x1f0, 2, true, true);
	world.absent[4] = true;
	run->regs[FERMATA_RDI] = LINEAR + 0x4000 - 7; /* the fourth element crosses into the hole */
	run->regs[FERMATA_RCX] = 100;
	assert_int_equal(world_run(&world), 0);
	assert_int_equal(run->advance, 0);
	assert_int_equal(world.events, 1);
	assert_int_equal(world.event.vector, 14);
	assert_int_equal(world.event.kind, FERMATA_INJECT_EXCEPTION_CODE);
	assert_int_equal(world.event.code, 2);
	assert_int_equal(world.event.cr2, LINEAR + 0x4000);
	assert_int_equal(run->regs[FERMATA_RCX], 97);
	assert_int_equal(run->regs[FERMATA_RDI], LINEAR + 0x4000 - 1);
	assert_int_equal(world.in_at, 6); /* nothing was taken from the port for the fourth */

	world.absent[4] = false;
	assert_int_equal(world_run(&world), 0);
	assert_int_equal(run->advance, 3);
	assert_int_equal(run->regs[FERMATA_RCX], 0);
	assert_memory_equal(world.memory + 0x4000 - 7, world.in, 200);
}

static void test_outs(void **state)
{
	start(FERMATA_MODE_REAL);
	CODE(0x26, 0xf3, 0x6e); /* REP OUTS DX, byte ES:[SI] */
	port_exit(0xe9, 1, false, true);
	world.state.segments.es =
		(struct fermata_segment){ .base = LINEAR, .limit = 0xffff, .attrib = 0x93 };
	world.state.segments.ds.base = 0;
	memcpy(world.memory + 0x100, "fermata", 7);
	run->regs[FERMATA_RSI] = 0xaaaa0100; /* only SI and CX count, and only they change */
	run->regs[FERMATA_RCX] = 0xbbbb0007;
	assert_int_equal(world_run(&world), 0);
	assert_int_equal(run->advance, 3);
	assert_memory_equal(world.out, "fermata", 7);
	assert_int_equal(run->regs[FERMATA_RSI], 0xaaaa0107);
	assert_int_equal(run->regs[FERMATA_RCX], 0xbbbb0000);
}

static void test_outs_down(void **state)
{
	start(FERMATA_MODE_LONG);
	CODE(0xf3, 0x6e);
	port_exit(0xe9, 1, false, true);
	memcpy(world.memory + 0x100, "fermata", 7);
	run->rflags |= RFLAGS_DF;
	run->regs[FERMATA_RSI] = LINEAR + 0x106;
	run->regs[FERMATA_RCX] = 7;
	assert_int_equal(world_run(&world), 0);
	assert_memory_equal(world.out, "atamref", 7);
	assert_int_equal(run->regs[FERMATA_RSI], LINEAR + 0xff);
}

/* A long REP returns in between, so that interrupts are not kept waiting. */
static void test_chunks(void **state)
{
	unsigned calls = 0;

	start(FERMATA_MODE_LONG);
	CODE(0xf3, 0x6c); /* REP INSB */
	port_exit(0x1f0, 1, true, true);
	run->regs[FERMATA_RDI] = LINEAR + 0x3000;
	run->regs[FERMATA_RCX] = 5000;
	do {
		assert_int_equal(world_run(&world), 0);
		calls++;
	} while (!run->advance && calls < 10);
	assert_int_equal(calls, 5);
	assert_int_equal(run->advance, 2);
	assert_memory_equal(world.memory + 0x3000, world.in, 5000);
	assert_true(world.translations <= 7); /* once a page and call, not once a byte */
}

/* 64 KiB segments wrap: SI goes from FFFF to 0. */
static void test_address_wraps(void **state)
{
	start(FERMATA_MODE_REAL);
	CODE(0xf3, 0x6e);
	port_exit(0xe9, 1, false, true);
	world.state.segments.ds = (struct fermata_segment){
		.base = LINEAR - 0xf000,
		.limit = 0xffff,
		.attrib = 0x93,
	};
	run->regs[FERMATA_RSI] = 0xffff;
	run->regs[FERMATA_RCX] = 2;
	world.memory[0xfff] = 'x';
	assert_int_equal(world_run(&world), 0);
	/* the second byte lies at offset 0, where this world has no page */
	assert_int_equal(world.out_at, 1);
	assert_int_equal(world.out[0], 'x');
	assert_int_equal(run->regs[FERMATA_RSI], 0);
	assert_int_equal(world.event.vector, 14);
	assert_int_equal(world.event.cr2, LINEAR - 0xf000);
}

/* ---------------------------------------------------------------- device memory */

static void test_cheap(void **state)
{
	start(FERMATA_MODE_LONG);
	CODE(0x89, 0x03); /* MOV [RBX], EAX */
	run->regs[FERMATA_RBX] = DEVICE + 0x10;
	run->regs[FERMATA_RAX] = 0x12345678;
	world_mmio(&world, DEVICE + 0x10, true);
	assert_int_equal(world_run(&world), 0);
	assert_int_equal(run->advance, 2);
	assert_int_equal(world.device_writes, 1);
	assert_int_equal(world.translations, 0); /* the exit said it all */
	assert_memory_equal(world.memory + 0x1010, "\x78\x56\x34\x12", 4);
}

static void test_fault_before_side_effects(void **state)
{
	start(FERMATA_MODE_LONG);
	CODE(0x01, 0x03); /* ADD [RBX], EAX, across the end of the device into a hole */
	world.absent[3] = true;
	run->regs[FERMATA_RBX] = LINEAR + 0x3000 - 2;
	run->regs[FERMATA_RAX] = 1;
	world_mmio(&world, LINEAR + 0x3000 - 2, false);
	assert_int_equal(world_run(&world), 0);
	assert_int_equal(run->advance, 0);
	assert_int_equal(run->set, 0);
	assert_int_equal(world.device_reads + world.device_writes, 0);
	assert_int_equal(world.event.vector, 14);
	assert_int_equal(world.event.cr2, LINEAR + 0x3000);
}

/* ROM: reads come from memory, the write goes to the bus. */
static void test_readonly_memory(void **state)
{
	start(FERMATA_MODE_LONG);
	CODE(0x80, 0x0b, 0xf0); /* OR byte [RBX], F0h */
	world.readonly[0] = true;
	world.memory[0x30] = 5;
	run->regs[FERMATA_RBX] = LINEAR + 0x30;
	world_mmio(&world, LINEAR + 0x30, true);
	assert_int_equal(world_run(&world), 0);
	assert_int_equal(world.device_reads, 0);
	assert_int_equal(world.device_writes, 1);
	assert_int_equal(world.memory[0x30], 0xf5);
}

/* REP MOVS that leaves the device: the processor does the rest. */
static void test_rep_leaves_device(void **state)
{
	start(FERMATA_MODE_LONG);
	CODE(0xf3, 0x48, 0xa5);
	run->regs[FERMATA_RSI] = LINEAR + 0x3000 - 16;
	run->regs[FERMATA_RDI] = LINEAR;
	run->regs[FERMATA_RCX] = 10;
	world_mmio(&world, LINEAR + 0x3000 - 16, false);
	assert_int_equal(world_run(&world), 0);
	assert_int_equal(run->advance, 0);
	assert_int_equal(run->regs[FERMATA_RCX], 8);
	assert_int_equal(run->regs[FERMATA_RSI], LINEAR + 0x3000);
}

/* POP computes its operand's address with the RSP after the pop (SDM 2B POP). */
static void test_pop_to_stack_relative(void **state)
{
	start(FERMATA_MODE_LONG);
	CODE(0x8f, 0x44, 0x24, 0x10); /* POP [RSP + 10h] */
	run->regs[FERMATA_RSP] = LINEAR + 0x1000 - 8;
	memcpy(world.memory + 0x1000 - 8, "abcdefgh", 8);
	world_mmio(&world, DEVICE + 0x10, true);
	assert_int_equal(world_run(&world), 0);
	assert_memory_equal(world.memory + 0x1010, "abcdefgh", 8);
	assert_int_equal(run->regs[FERMATA_RSP], LINEAR + 0x1000);
}

/* ---------------------------------------------------------------- segments, 16 and 32 bits */

static void test_protected_segment(void **state)
{
	start(FERMATA_MODE_PROT32);
	CODE(0x26, 0x88, 0x03); /* MOV ES:[EBX], AL */
	world.state.segments.es.base = 0x30000000;
	run->regs[FERMATA_RBX] = 0xffffffff10001004; /* EBX */
	run->regs[FERMATA_RAX] = 0x5a;
	world_mmio(&world, DEVICE + 4, true);
	assert_int_equal(world_run(&world), 0);
	assert_int_equal(world.memory[0x1004], 0x5a);
}

static void test_real_mode(void **state)
{
	start(FERMATA_MODE_REAL);
	CODE(0x8b, 0x40, 0xfe); /* MOV AX, [BX + SI - 2], which wraps at 64 KiB */
	world.state.segments.ds =
		(struct fermata_segment){ .base = LINEAR, .limit = 0xffff, .attrib = 0x93 };
	run->regs[FERMATA_RBX] = 0xf000;
	run->regs[FERMATA_RSI] = 0x2012;
	run->regs[FERMATA_RAX] = 0xffffffff;
	memcpy(world.memory + 0x1010, "\x34\x12", 2);
	world_mmio(&world, LINEAR + 0x1010, false);
	assert_int_equal(world_run(&world), 0);
	assert_int_equal(run->regs[FERMATA_RAX], 0xffff1234);
	assert_int_equal(run->advance, 3);
}

static void limit_case(uint8_t mode, bool stack, unsigned vector, unsigned kind)
{
	start(mode);
	if (mode == FERMATA_MODE_REAL && stack)
		CODE(0x36, 0xa5); /* MOVSW from SS:[SI] */
	else if (mode == FERMATA_MODE_REAL)
		CODE(0xa5);
	else if (stack)
		CODE(0x36, 0x66, 0xa5);
	else
		CODE(0x66, 0xa5);
	world.state.segments.ds.limit = 0xfff;
	world.state.segments.ss.limit = 0xfff;
	world.state.segments.es.base = LINEAR;
	run->regs[FERMATA_RSI] = 0xfff; /* the second byte is beyond the limit */
	run->regs[FERMATA_RDI] = 0x1000;
	world_mmio(&world, DEVICE, true);
	assert_int_equal(world_run(&world), 0);
	assert_int_equal(world.events, 1);
	assert_int_equal(world.event.vector, vector);
	assert_int_equal(world.event.kind, kind);
	assert_int_equal(world.event.code, 0);
	assert_int_equal(run->advance, 0);
	assert_int_equal(world.device_writes, 0);
}

static void test_limits(void **state)
{
	limit_case(FERMATA_MODE_PROT32, false, 13, FERMATA_INJECT_EXCEPTION_CODE);
	limit_case(FERMATA_MODE_PROT32, true, 12, FERMATA_INJECT_EXCEPTION_CODE);
	limit_case(FERMATA_MODE_REAL, false, 13, FERMATA_INJECT_EXCEPTION);
	limit_case(FERMATA_MODE_REAL, true, 12, FERMATA_INJECT_EXCEPTION);
}

static void test_expand_down(void **state)
{
	start(FERMATA_MODE_PROT32);
	CODE(0xa4); /* MOVSB; DS expands down: only offsets above the limit exist */
	world.state.segments.ds = (struct fermata_segment){
		.base = LINEAR - 0x10000,
		.limit = 0xffff,
		.attrib = 0xc97,
	};
	world.state.segments.es.base = LINEAR;
	run->regs[FERMATA_RSI] = 0x10000;
	run->regs[FERMATA_RDI] = 0x1000;
	world.memory[0] = 7;
	world_mmio(&world, DEVICE, true);
	assert_int_equal(world_run(&world), 0);
	assert_int_equal(world.events, 0);
	assert_int_equal(world.memory[0x1000], 7);

	run->regs[FERMATA_RSI] = 0xffff;
	run->regs[FERMATA_RDI] = 0x1000;
	assert_int_equal(world_run(&world), 0);
	assert_int_equal(world.event.vector, 13);
}

static void test_not_canonical(void **state)
{
	start(FERMATA_MODE_LONG);
	CODE(0xa4);
	run->regs[FERMATA_RSI] = 0x0000800000000000;
	run->regs[FERMATA_RDI] = DEVICE;
	world_mmio(&world, DEVICE, true);
	assert_int_equal(world_run(&world), 0);
	assert_int_equal(world.event.vector, 13);
	assert_int_equal(world.event.kind, FERMATA_INJECT_EXCEPTION_CODE);

	/* with five levels of paging it is canonical, and merely not mapped */
	world.state.control.cr4 = 1 << 12;
	assert_int_equal(world_run(&world), 0);
	assert_int_equal(world.event.vector, 14);
	assert_int_equal(world.event.cr2, 0x0000800000000000);
}

/* ---------------------------------------------------------------- code and exit that do not fit */

static void expect_mismatch(void)
{
	unsigned again = 0;

	while (!world_run(&world) && again < 100) {
		assert_int_equal(run->advance, 0);
		again++;
	}
	assert_int_equal(again, 15);
	assert_int_equal(world.events, 0);
	assert_int_equal(world.device_reads + world.device_writes + world.in_at + world.out_at, 0);
}

static void test_mismatch(void **state)
{
	start(FERMATA_MODE_LONG);
	CODE(0x8b, 0x03); /* MOV EAX, [RBX], but the exit says another address */
	run->regs[FERMATA_RBX] = DEVICE + 8;
	world_mmio(&world, DEVICE + 0x80, false);
	expect_mismatch();

	world_mmio(&world, DEVICE + 8, true); /* says write */
	expect_mismatch();

	CODE(0x90); /* touches no memory */
	expect_mismatch();

	CODE(0x0f, 0xff); /* no instruction */
	expect_mismatch();

	CODE(0x6c); /* INSB where the exit says OUTS */
	port_exit(0x60, 1, false, true);
	run->regs[FERMATA_RDI] = LINEAR;
	expect_mismatch();

	CODE(0x90);
	expect_mismatch();
}

/* Another instruction at the same place is a new beginning. */
static void test_mismatch_forgiven(void **state)
{
	start(FERMATA_MODE_LONG);
	run->regs[FERMATA_RBX] = DEVICE + 8;
	for (unsigned i = 0; i < 100; i++) {
		CODE(0x8b, 0x03);
		world_mmio(&world, i % 10 ? DEVICE + 0x80 : DEVICE + 8, false);
		assert_int_equal(world_run(&world), 0);
		assert_int_equal(run->advance, i % 10 ? 0 : 2);
	}
}

static void test_unknown(void **state)
{
	start(FERMATA_MODE_LONG);
	CODE(0x0f, 0xae, 0x03); /* FXSAVE [RBX] */
	run->regs[FERMATA_RBX] = DEVICE;
	world_mmio(&world, DEVICE, true);
	assert_int_equal(world_run(&world), -ENOSYS);
	assert_non_null(strstr(fermata_error(), "fxsave [rbx]"));
	assert_null(strchr(fermata_error(), '\n'));
	assert_int_equal(run->advance, 0);

	CODE(0x62, 0xf1, 0x7c, 0x48, 0x10, 0x03); /* VMOVUPS ZMM0, [RBX] */
	world_mmio(&world, DEVICE, false);
	assert_int_equal(world_run(&world), -ENOSYS);

	CODE(0x6c); /* INSB whose memory, not port, made the exit */
	run->regs[FERMATA_RDI] = DEVICE;
	world_mmio(&world, DEVICE, true);
	assert_int_equal(world_run(&world), -ENOSYS);
	assert_non_null(strstr(fermata_error(), "insb"));
}

static void test_fetch(void **state)
{
	start(FERMATA_MODE_LONG);
	world_mmio(&world, DEVICE, false);
	run->exit.mmio.fetch = 1;
	assert_int_equal(world_run(&world), -ENOSYS);
	assert_non_null(strstr(fermata_error(), "jumped"));
}

static void test_other_exits(void **state)
{
	start(FERMATA_MODE_LONG);
	run->exit.reason = FERMATA_EXIT_SHUTDOWN;
	assert_int_equal(world_run(&world), -EINVAL);
	port_exit(0x60, 3, true, false);
	assert_int_equal(world_run(&world), -EINVAL);
}

/* Bytes that the exit lacks, or has only some of, are fetched: across a page here. */
static void test_missing_bytes(void **state)
{
	static const uint8_t code[] = {
		0xc7, 0x03, 0x44, 0x33, 0x22, 0x11
	}; /* MOV dword [RBX], imm */

	for (unsigned given = 0; given < sizeof(code); given++) {
		start(FERMATA_MODE_LONG);
		run->rip = LINEAR + 0x4000 - 3;
		memcpy(world.memory + 0x4000 - 3, code, sizeof(code));
		world_code(&world, code, given);
		run->regs[FERMATA_RBX] = DEVICE;
		world_mmio(&world, DEVICE, true);
		assert_int_equal(world_run(&world), 0);
		assert_int_equal(run->advance, sizeof(code));
		assert_memory_equal(world.memory + 0x1000, "\x44\x33\x22\x11", 4);
	}
}

/* Whatever the guest's code says: an answer, no more than a chunk of work, no step outside. */
static void test_any_bytes(void **state)
{
	uint64_t x = 88172645463325252ull;
	unsigned done = 0;

	for (unsigned i = 0; i < 300000; i++) {
		uint8_t bytes[16];
		int ret;

		if (i % 64 == 0) {
			start(i / 64 % 4);
			world.anything = true;
		}
		for (unsigned w = 0; w < 2; w++) {
			x ^= x << 13, x ^= x >> 7, x ^= x << 17;
			memcpy(bytes + 8 * w, &x, 8);
		}
		for (unsigned r = 0; r < 16; r++)
			run->regs[r] = r & 1 ? DEVICE + (x >> r & 0x1fff) : x >> r * 4;
		memcpy(run->exit.insn, bytes, 15);
		run->exit.insn_bytes = x >> 40 & 31; /* 16 to 31: a damaged record */
		if (i & 8) {
			port_exit(0x60, 1u << (x >> 8 & 3), i & 1, true);
			run->exit.insn[0] = 0x6c | (x >> 16 & 3);
		} else {
			world_mmio(&world, DEVICE + (x >> 20 & 0xfff), i & 1);
		}
		ret = world_run(&world);
		assert_true(ret == 0 || ret == -ENOSYS || ret == -EINVAL);
		assert_true(run->advance <= 15);
		done += run->advance != 0;
	}
	assert_true(done > 1000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_in),
		cmocka_unit_test(test_out),
		cmocka_unit_test(test_decoded_moves),
		cmocka_unit_test(test_ins),
		cmocka_unit_test(test_ins_faults),
		cmocka_unit_test(test_outs),
		cmocka_unit_test(test_outs_down),
		cmocka_unit_test(test_chunks),
		cmocka_unit_test(test_address_wraps),
		cmocka_unit_test(test_cheap),
		cmocka_unit_test(test_fault_before_side_effects),
		cmocka_unit_test(test_readonly_memory),
		cmocka_unit_test(test_rep_leaves_device),
		cmocka_unit_test(test_pop_to_stack_relative),
		cmocka_unit_test(test_protected_segment),
		cmocka_unit_test(test_real_mode),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_expand_down),
		cmocka_unit_test(test_not_canonical),
		cmocka_unit_test(test_mismatch),
		cmocka_unit_test(test_mismatch_forgiven),
		cmocka_unit_test(test_unknown),
		cmocka_unit_test(test_fetch),
		cmocka_unit_test(test_other_exits),
		cmocka_unit_test(test_missing_bytes),
		cmocka_unit_test(test_any_bytes),
	};

	return cmocka_run_group_tests_name("emulator, exit by exit", tests, NULL, NULL);
}
