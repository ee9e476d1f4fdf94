/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* kernel/svm/exit.c: from every EXITCODE of APM 2 appendix C to the neutral record. */
#include "svm_fixture.h"

static void exits(u64 code, u64 info1, u64 info2)
{
	c->exitcode = code;
	c->exitinfo1 = info1;
	c->exitinfo2 = info2;
	memset(&v->exit, 0xa5, sizeof(v->exit));
	v->exit.kind = EXIT_UNCLAIMED;
	v->waiting.valid = false;
	svm_exit_record(v);
	assert_int_equal(v->exit.code, (u32)code);
	assert_int_equal(v->exit.rip, c->rip);
	assert_int_equal(v->exit.info1, info1);
	assert_int_equal(v->exit.info2, info2);
}

/* The kind every code should have; what is not intercepted must not come and is nobody's. */
static u8 wanted(u32 code)
{
	static const u8 kind[0x90] = {
		[0x60] = EXIT_NOTHING,	 [0x61] = EXIT_NOTHING,	  [0x62] = EXIT_NOTHING,
		[0x63] = EXIT_NOTHING,	 [0x64] = EXIT_WINDOW,	  [0x65] = EXIT_CR_WRITE,
		[0x6e] = EXIT_RDTSC,	 [0x6f] = EXIT_RDPMC,	  [0x72] = EXIT_CPUID,
		[0x74] = EXIT_NOTHING,	 [0x76] = EXIT_INVD,	  [0x77] = EXIT_PAUSE,
		[0x78] = EXIT_HLT,	 [0x66] = EXIT_SIDT,	  [0x67] = EXIT_SGDT,
		[0x68] = EXIT_SLDT,	 [0x69] = EXIT_STR,	  [0x6a] = EXIT_LIDT,
		[0x6b] = EXIT_LGDT,	 [0x6c] = EXIT_LLDT,	  [0x6d] = EXIT_LTR,
		[0x79] = EXIT_INVLPG,	 [0x87] = EXIT_RDTSCP,	  [0x7a] = EXIT_UNDEFINED,
		[0x7b] = EXIT_IO,	 [0x7c] = EXIT_MSR_READ,  [0x7f] = EXIT_SHUTDOWN,
		[0x80] = EXIT_UNDEFINED, [0x81] = EXIT_HYPERCALL, [0x82] = EXIT_UNDEFINED,
		[0x83] = EXIT_UNDEFINED, [0x84] = EXIT_UNDEFINED, [0x85] = EXIT_UNDEFINED,
		[0x86] = EXIT_UNDEFINED, [0x89] = EXIT_WBINVD,	  [0x8a] = EXIT_MONITOR,
		[0x8b] = EXIT_MWAIT,	 [0x8c] = EXIT_MWAIT,	  [0x8d] = EXIT_XSETBV,
		[0x8e] = EXIT_RDPRU,
	};

	if (code < 0x10)
		return EXIT_CR_READ;
	if (code < 0x20)
		return EXIT_CR_WRITE;
	if (code < 0x30)
		return EXIT_DR_READ;
	if (code < 0x40)
		return EXIT_DR_WRITE;
	if (code == 0x52)
		return EXIT_NOTHING;
	if (code >= 0x40 && code < 0x60)
		return EXIT_EXCEPTION;
	if (code == 0xa2)
		return EXIT_INVPCID;
	if (code == 0x400)
		return EXIT_NESTED_FAULT;
	return code < ARRAY_SIZE(kind) ? kind[code] : EXIT_UNCLAIMED;
}

static void every_code(void **state)
{
	u32 code;

	for (code = 0; code < 0x500; code++) {
		exits(code, 0, 0);
		assert_int_equal(v->exit.kind, wanted(code));
	}
	exits(SVM_EXIT_INVALID, 0, 0);
	assert_int_equal(v->exit.kind, EXIT_FAIL_ENTRY);
	exits(0xffffffff, 0, 0); /* as QEMU writes it */
	assert_int_equal(v->exit.kind, EXIT_FAIL_ENTRY);
}

/* What is intercepted can come, so it must have a kind. */
static void intercepts_are_claimed(void **state)
{
	u32 word, bit;

	for (word = 0; word < VMCB_INTERCEPTS; word++) {
		for (bit = 0; bit < 32; bit++) {
			if (!(c->intercept[word] & BIT(bit)))
				continue;
			assert_int_not_equal(wanted(word * 32 + bit), EXIT_UNCLAIMED);
		}
	}
	/* The host's safety. */
	assert_int_equal(~c->intercept[VMCB_MISC1] &
				 (INTERCEPT_INTR | INTERCEPT_NMI | INTERCEPT_SMI | INTERCEPT_INIT |
				  INTERCEPT_MSR | INTERCEPT_IOIO | INTERCEPT_SHUTDOWN |
				  INTERCEPT_INVLPGA),
			 0);
	assert_int_equal(~c->intercept[VMCB_MISC2] &
				 (INTERCEPT_VMRUN | INTERCEPT_VMLOAD | INTERCEPT_VMSAVE |
				  INTERCEPT_STGI | INTERCEPT_CLGI | INTERCEPT_SKINIT |
				  INTERCEPT_XSETBV | INTERCEPT_MWAIT),
			 0);
	assert_int_equal(~c->intercept[VMCB_EXCEPTION] &
				 (BIT(ARCH_MC) | BIT(ARCH_AC) | BIT(ARCH_DB)),
			 0);
	assert_true(c->vintr & V_INTR_MASKING);
	assert_int_equal(c->nested_ctl, NP_ENABLE);
}

static u32 intercepted(u32 msr, bool write)
{
	const u8 *map = host_phys_to_virt(svm_msrpm_pa);
	u32 at = msr < 0x2000 ? 0 : msr < 0xc0010000 ? 0x800 : 0x1000;

	return map[at + (msr & 0x1fff) / 4] >> ((msr & 3) * 2 + write) & 1;
}

static void permission_maps(void **state)
{
	static const u32 direct[] = { 0xc0000081, 0xc0000082, 0xc0000083, 0xc0000084, 0xc0000100,
				      0xc0000101, 0xc0000102, 0x174,	  0x175,      0x176 };
	static const u32 base[] = { 0, 0xc0000000, 0xc0010000 };
	const u8 *io = host_phys_to_virt(svm_iopm_pa);
	u32 i, n, open = 0;

	for (i = 0; i < ARRAY_SIZE(direct); i++)
		assert_int_equal(intercepted(direct[i], false) + intercepted(direct[i], true), 0);
	for (i = 0; i < ARRAY_SIZE(base); i++)
		for (n = 0; n < 0x2000; n++)
			open += !intercepted(base[i] + n, false) + !intercepted(base[i] + n, true);
	assert_int_equal(open, 2 * ARRAY_SIZE(direct));
	for (i = 0; i < 3 * 4096; i++)
		assert_int_equal(io[i], 0xff);
}

static void io(void **state)
{
	c->rip = 0x1000;
	exits(SVM_EXIT_IOIO, 0x03f8ull << 16 | IOIO_IN | 1 << 4, 0x1002);
	assert_int_equal(v->exit.io.port, 0x3f8);
	assert_int_equal(v->exit.io.size, 1);
	assert_true(v->exit.io.in);
	assert_false(v->exit.io.string || v->exit.io.rep);
	assert_int_equal(v->exit.length, 2);
	exits(SVM_EXIT_IOIO, 0xffffull << 16 | IOIO_STRING | IOIO_REP | 4 << 4, 0x1003);
	assert_int_equal(v->exit.io.port, 0xffff);
	assert_int_equal(v->exit.io.size, 4);
	assert_false(v->exit.io.in);
	assert_true(v->exit.io.string && v->exit.io.rep);
	assert_int_equal(v->exit.length, 3);
}

static void msr(void **state)
{
	exits(SVM_EXIT_MSR, 0, 0);
	assert_int_equal(v->exit.kind, EXIT_MSR_READ);
	exits(SVM_EXIT_MSR, 1, 0);
	assert_int_equal(v->exit.kind, EXIT_MSR_WRITE);
}

static void nested_fault(void **state)
{
	exits(SVM_EXIT_NPF, NPF_USER | NPF_FINAL, 0x123456789);
	assert_int_equal(v->exit.fault.gpa, 0x123456789);
	assert_int_equal(v->exit.fault.access, RADIX_READ);
	assert_false(v->exit.fault.table);
	exits(SVM_EXIT_NPF, NPF_USER | NPF_FINAL | NPF_WRITE | NPF_PRESENT, 0);
	assert_int_equal(v->exit.fault.access, RADIX_WRITE);
	exits(SVM_EXIT_NPF, NPF_USER | NPF_FINAL | NPF_FETCH, 0);
	assert_int_equal(v->exit.fault.access, RADIX_EXEC);
	exits(SVM_EXIT_NPF, NPF_USER | NPF_TABLE | NPF_WRITE, 0);
	assert_true(v->exit.fault.table);
}

static void moves(void **state)
{
	svm_features = 0;
	exits(SVM_EXIT_WRITE_CR0 + 4, 1ull << 63 | 11, 0);
	assert_int_equal(v->exit.mov.number, 4);
	assert_false(v->exit.mov.decoded);
	svm_features = SVM_FEATURE_DECODE_ASSISTS;
	exits(SVM_EXIT_WRITE_CR0 + 4, 1ull << 63 | 11, 0);
	assert_true(v->exit.mov.decoded);
	assert_int_equal(v->exit.mov.reg, FERMATA_R11);
	exits(SVM_EXIT_CR0_SEL_WRITE, 3, 0); /* LMSW, CLTS: no register named */
	assert_int_equal(v->exit.mov.number, 0);
	assert_false(v->exit.mov.decoded);
	exits(SVM_EXIT_READ_DR0 + 7, 5, 0);
	assert_true(v->exit.mov.decoded);
	assert_int_equal(v->exit.mov.number, 7);
	assert_int_equal(v->exit.mov.reg, 5);
	svm_features = 0;
}

/* TS, MP and DR6 change without an exit: a handler that builds on them must see what is. */
static void synchronized(void **state)
{
	v->dirty = 0;
	v->guest.cr0 = ARCH_CR0_PE | ARCH_CR0_ET;
	c->cr0 = v->guest.cr0 | ARCH_CR0_TS | ARCH_CR0_MP;
	c->dr6 = ARCH_DR6_FIXED | ARCH_DR6_BS;
	exits(SVM_EXIT_WRITE_CR0 + 4, 0, 0);
	assert_int_equal(v->guest.cr0, c->cr0);
	assert_int_equal(v->guest.dr6, c->dr6);
	v->guest.cr0 = ARCH_CR0_PE | ARCH_CR0_ET;
	page.regs[FERMATA_RCX] = ARCH_MSR_EFER;
	exits(SVM_EXIT_MSR, 1, 0);
	assert_int_equal(v->guest.cr0, c->cr0);
}

static void lengths(void **state)
{
	c->rip = 0x1000;
	c->next_rip = 0x1002;
	svm_features = 0;
	exits(SVM_EXIT_CPUID, 0, 0);
	assert_int_equal(v->exit.length, 0);
	svm_features = SVM_FEATURE_NRIPS;
	exits(SVM_EXIT_CPUID, 0, 0);
	assert_int_equal(v->exit.length, 2);
	c->next_rip = 0x1010; /* no instruction is that long */
	exits(SVM_EXIT_CPUID, 0, 0);
	assert_int_equal(v->exit.length, 0);
	c->next_rip = 0;
	exits(SVM_EXIT_CPUID, 0, 0);
	assert_int_equal(v->exit.length, 0);
	svm_features = 0;
}

/* Without NRIPS: the code's first bytes tell, when they are those of the exit's instruction. */
static void lengths_from_code(void **state)
{
	static const struct {
		u16 code;
		u8 info1, length;
		u8 bytes[3];
	} row[] = {
		{ SVM_EXIT_CPUID, 0, 2, { 0x0f, 0xa2 } },
		{ SVM_EXIT_MSR, 0, 2, { 0x0f, 0x32 } },
		{ SVM_EXIT_MSR, 1, 2, { 0x0f, 0x30 } },
		{ SVM_EXIT_HLT, 0, 1, { 0xf4 } },
		{ SVM_EXIT_VMMCALL, 0, 3, { 0x0f, 0x01, 0xd9 } },
		{ SVM_EXIT_CPUID, 0, 0, { 0x0f, 0x32 } },
		{ SVM_EXIT_CPUID, 0, 0, { 0x66, 0x0f, 0xa2 } },
		{ SVM_EXIT_INVD, 0, 0, { 0x0f, 0x08 } },
	};
	struct fermata_memory slot = { .size = 0x10000 };
	u8 *ram = host_test_user_map(slot.size, 4096);
	u64 *pte = (u64 *)(ram + 0x4000);
	u32 i, reads;

	slot.user_addr = (uintptr_t)ram;
	assert_int_equal(vm_set_memory(&vm, &slot), 0);
	*(u64 *)(ram + 0x1000) = 0x2007;
	*(u64 *)(ram + 0x2000) = 0x3007;
	*(u64 *)(ram + 0x3000) = 0x4007;
	pte[5] = 0x6007;
	pte[6] = 0x7007;
	v->guest.efer = ARCH_EFER_LMA | ARCH_EFER_LME;
	c->cr3 = 0x1000;
	c->cs.attrib = ARCH_SEG_L | ARCH_SEG_P;
	svm_features = 0;
	for (i = 0; i < ARRAY_SIZE(row); i++) {
		memcpy(ram + 0x6010, row[i].bytes, 3);
		c->rip = 0x5010;
		exits(row[i].code, row[i].info1, 0);
		assert_int_equal(v->exit.length, row[i].length);
	}
	/* Another page behind the address, with and without a new table. */
	memcpy(ram + 0x7010, "\xf4", 1);
	pte[5] = 0x7007;
	exits(SVM_EXIT_HLT, 0, 0);
	assert_int_equal(v->exit.length, 1);
	c->cr3 = 0x9000; /* nothing is there */
	exits(SVM_EXIT_HLT, 0, 0);
	assert_int_equal(v->exit.length, 0);
	c->cr3 = 0x1000;
	exits(SVM_EXIT_HLT, 0, 0);
	assert_int_equal(v->exit.length, 1);
	/* Too near the page's end, other modes, and a guest that has switched: not from here. */
	memcpy(ram + 0x7ff9, "\xf4", 1);
	c->rip = 0x5ff9;
	exits(SVM_EXIT_HLT, 0, 0);
	assert_int_equal(v->exit.length, 0);
	c->rip = 0x5010;
	exits(SVM_EXIT_HLT, 0, 0);
	assert_int_equal(v->exit.length, 1);
	c->cs.attrib = ARCH_SEG_P;
	exits(SVM_EXIT_HLT, 0, 0);
	assert_int_equal(v->exit.length, 0);
	c->cs.attrib = ARCH_SEG_L | ARCH_SEG_P;
	svm_code_forget(s);
	exits(SVM_EXIT_HLT, 0, 0);
	assert_int_equal(v->exit.length, 1);
	/* The way there is walked once: then each entry is read, and the code. */
	reads = host_test.user_reads;
	exits(SVM_EXIT_HLT, 0, 0);
	assert_int_equal(v->exit.length, 1);
	assert_int_equal(host_test.user_reads - reads, 5);
	/* Memory that moved is looked for anew. */
	slot.size = 0;
	assert_int_equal(vm_set_memory(&vm, &slot), 0);
	exits(SVM_EXIT_HLT, 0, 0);
	assert_int_equal(v->exit.length, 0);
}

/* Without decode assists, the operands of MOV CR and INVLPG as compilers write them. */
static void operands_from_code(void **state)
{
	static const struct {
		u16 code;
		u8 length, reg; /* 0: left to the decoder */
		u8 bytes[4];
	} row[] = {
		{ SVM_EXIT_READ_CR0 + 3, 3, FERMATA_RAX, { 0x0f, 0x20, 0xd8 } },
		{ SVM_EXIT_READ_CR0 + 3, 3, FERMATA_RDI, { 0x0f, 0x20, 0xdf } },
		{ SVM_EXIT_READ_CR0, 4, FERMATA_R12, { 0x41, 0x0f, 0x20, 0xc4 } },
		{ SVM_EXIT_READ_CR0 + 4, 0, 0, { 0x0f, 0x20, 0xd8 } }, /* CR3's: written over since */
		{ SVM_EXIT_READ_CR0 + 8, 0, 0, { 0x44, 0x0f, 0x20, 0xc0 } },
		{ SVM_EXIT_READ_CR0, 0, 0, { 0x0f, 0x01, 0xe0 } },	     /* SMSW */
		{ SVM_EXIT_READ_CR0, 3, FERMATA_RSI, { 0x0f, 0x20, 0xde } }, /* QEMU 10 */
		{ SVM_EXIT_READ_CR0, 4, FERMATA_R8, { 0x41, 0x0f, 0x20, 0xd8 } },
		{ SVM_EXIT_READ_CR0, 0, 0, { 0x0f, 0x20, 0xd0 } }, /* CR2's, there */
		{ SVM_EXIT_READ_CR0 + 3, 0, 0, { 0x0f, 0x22, 0xd8 } },
		{ SVM_EXIT_WRITE_CR0 + 3, 3, FERMATA_RBX, { 0x0f, 0x22, 0xdb } },
		{ SVM_EXIT_WRITE_CR0 + 4, 4, FERMATA_R15, { 0x41, 0x0f, 0x22, 0xe7 } },
		{ SVM_EXIT_CR0_SEL_WRITE, 3, FERMATA_RAX, { 0x0f, 0x22, 0xc0 } },
		{ SVM_EXIT_CR0_SEL_WRITE, 0, 0, { 0x0f, 0x01, 0xf0 } }, /* LMSW */
		{ SVM_EXIT_WRITE_CR0 + 3,
		  0,
		  0,
		  { 0x0f, 0x22, 0x1b } }, /* mod counts for nothing, says SDM 2B */
		{ SVM_EXIT_INVLPG, 3, FERMATA_RAX, { 0x0f, 0x01, 0x38 } },
		{ SVM_EXIT_INVLPG, 4, FERMATA_R9, { 0x41, 0x0f, 0x01, 0x39 } },
		{ SVM_EXIT_INVLPG, 0, 0, { 0x0f, 0x01, 0x3c } }, /* a SIB byte */
		{ SVM_EXIT_INVLPG, 0, 0, { 0x0f, 0x01, 0x3d } }, /* relative to RIP */
		{ SVM_EXIT_INVLPG, 0, 0, { 0x41, 0x0f, 0x01, 0x3c } },
		{ SVM_EXIT_INVLPG, 0, 0, { 0x0f, 0x01, 0x78 } },       /* a displacement */
		{ SVM_EXIT_INVLPG, 0, 0, { 0x65, 0x0f, 0x01, 0x38 } }, /* GS has a base */
		{ SVM_EXIT_INVLPG, 0, 0, { 0x0f, 0x01, 0xf8 } },       /* SWAPGS */
	};
	struct fermata_memory slot = { .size = 0x10000 };
	u8 *ram = host_test_user_map(slot.size, 4096);
	u32 i;

	slot.user_addr = (uintptr_t)ram;
	assert_int_equal(vm_set_memory(&vm, &slot), 0);
	*(u64 *)(ram + 0x1000) = 0x2007;
	*(u64 *)(ram + 0x2000) = 0x3007;
	*(u64 *)(ram + 0x3000) = 0x4007;
	*(u64 *)(ram + 0x4000 + 5 * 8) = 0x6007;
	v->guest.efer = ARCH_EFER_LMA | ARCH_EFER_LME;
	c->cr3 = 0x1000;
	c->cs.attrib = ARCH_SEG_L | ARCH_SEG_P;
	c->rip = 0x5010;
	svm_features = 0;
	for (i = 0; i < 16; i++)
		page.regs[i] = 0x1000 + i;
	for (i = 0; i < ARRAY_SIZE(row); i++) {
		bool invlpg = row[i].code == SVM_EXIT_INVLPG;

		memcpy(ram + 0x6010, row[i].bytes, 4);
		exits(row[i].code, 0, 0);
		assert_int_equal(v->exit.length, row[i].length);
		if (!invlpg)
			assert_int_equal(v->exit.mov.decoded, !!row[i].length);
		if (row[i].length && invlpg)
			assert_int_equal(v->exit.linear, 0x1000 + row[i].reg);
		else if (row[i].length)
			assert_int_equal(v->exit.mov.reg, row[i].reg);
		if (row[i].length && !invlpg)
			assert_int_equal(v->exit.mov.number,
					 row[i].bytes[row[i].length - 1] >> 3 & 7);
	}
	/* With NRIPS the length is at hand, the operand is not. */
	svm_features = SVM_FEATURE_NRIPS;
	c->next_rip = c->rip + 4;
	exits(SVM_EXIT_INVLPG, 0, 0);
	assert_int_equal(v->exit.length, 0);
	memcpy(ram + 0x6010, "\x41\x0f\x01\x39", 4);
	exits(SVM_EXIT_INVLPG, 0, 0);
	assert_int_equal(v->exit.length, 4);
	assert_int_equal(v->exit.linear, 0x1000 + FERMATA_R9);
	svm_features = 0;
}

static void exceptions(void **state)
{
	exits(SVM_EXIT_EXCP_BASE + ARCH_DB, 0, 0);
	assert_int_equal(v->exit.exception.kind, INJECT_EXCEPTION);
	assert_int_equal(v->exit.exception.vector, ARCH_DB);
	assert_false(v->exit.exception.has_code);
	exits(SVM_EXIT_EXCP_BASE + ARCH_AC, 0, 0);
	assert_int_equal(v->exit.exception.vector, ARCH_AC);
	assert_true(v->exit.exception.has_code);
	assert_int_equal(v->exit.exception.code, 0);
	assert_int_equal(host_test.machine_checks, 0);
	exits(SVM_EXIT_EXCP_BASE + ARCH_MC, 0, 0); /* the host's, not the guest's */
	assert_int_equal(host_test.machine_checks, 1);
	assert_false(v->waiting.valid);
}

/* APM 2 15.7.2: what an exit interrupted goes in again, but for what runs again by itself. */
static void interrupted_events(void **state)
{
	static const struct {
		u64 info;
		bool again;
		u8 kind, vector;
		bool has_code;
		u32 code;
	} row[] = {
		{ EVENT_VALID | EVENT_TYPE_INTR | 0x41, true, INJECT_INTERRUPT, 0x41, false, 0 },
		{ EVENT_VALID | EVENT_TYPE_NMI | 2, true, INJECT_NMI, 2, false, 0 },
		{ EVENT_VALID | EVENT_TYPE_EXCEPTION | ARCH_UD, true, INJECT_EXCEPTION, ARCH_UD,
		  false, 0 },
		{ 6ull << 32 | EVENT_VALID | EVENT_HAS_CODE | EVENT_TYPE_EXCEPTION | ARCH_PF, true,
		  INJECT_EXCEPTION, ARCH_PF, true, 6 },
		{ EVENT_VALID | EVENT_TYPE_EXCEPTION | ARCH_BP, false, 0, 0, false, 0 },
		{ EVENT_VALID | EVENT_TYPE_EXCEPTION | 4, false, 0, 0, false, 0 },
		{ EVENT_VALID | EVENT_TYPE_SOFT | 0x80, false, 0, 0, false, 0 },
		{ EVENT_TYPE_INTR | 0x41, false, 0, 0, false, 0 },
	};
	u32 i;

	for (i = 0; i < ARRAY_SIZE(row); i++) {
		s->nmi_masked = true;
		c->exitintinfo = row[i].info;
		exits(SVM_EXIT_NPF, 0, 0);
		assert_int_equal(v->waiting.valid, row[i].again);
		assert_int_equal(s->nmi_masked, row[i].kind != INJECT_NMI);
		if (!row[i].again)
			continue;
		assert_int_equal(v->waiting.injection.kind, row[i].kind);
		assert_int_equal(v->waiting.injection.vector, row[i].vector);
		assert_int_equal(v->waiting.injection.has_code, row[i].has_code);
		assert_int_equal(v->waiting.injection.code, row[i].code);
	}
	c->exitintinfo = 0;
}

static void iret(void **state)
{
	s->nmi_masked = true;
	c->intercept[VMCB_MISC1] |= INTERCEPT_IRET;
	c->clean = CLEAN_ALL;
	exits(SVM_EXIT_IRET, 0, 0);
	assert_int_equal(v->exit.kind, EXIT_NOTHING);
	assert_false(s->nmi_masked);
	assert_false(c->intercept[VMCB_MISC1] & INTERCEPT_IRET);
	assert_false(c->clean & CLEAN_INTERCEPTS);
	/* The IRET has not run: nothing goes in before it. */
	assert_false(svm_can_take(v, INJECT_NMI));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(every_code),
		TEST(intercepts_are_claimed),
		TEST(permission_maps),
		TEST(io),
		TEST(msr),
		TEST(nested_fault),
		TEST(moves),
		TEST(synchronized),
		TEST(lengths),
		TEST(lengths_from_code),
		TEST(operands_from_code),
		TEST(exceptions),
		TEST(interrupted_events),
		TEST(iret),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
