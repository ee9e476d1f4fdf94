/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* kernel/svm/state.c: the neutral state and the VMCB, there and back. */
#include "core/time.h"
#include "svm_fixture.h"

static struct fermata_state in, out;

static void fill(struct fermata_segment *segment, u32 n)
{
	*segment = (struct fermata_segment){ .selector = 8 * n,
					     .attrib = 0x80 | (n & 15) | (n & 1) << 11 | ARCH_SEG_S,
					     .limit = 0x1000 * n,
					     .base = 0x7000000000 + n };
}

static void round_trip(void **state)
{
	const u32 mask = FERMATA_STATE_REGS | FERMATA_STATE_SEGMENTS | FERMATA_STATE_CONTROL |
			 FERMATA_STATE_MSRS | FERMATA_STATE_PENDING;
	struct fermata_state_segments *g = &in.segments;

	memset(&in, 0, sizeof(in));
	memset(&out, 0, sizeof(out));
	in.regs.rip = 0xffffffff81000000;
	in.regs.rflags = 0x246;
	fill(&g->es, 1);
	fill(&g->cs, 2);
	fill(&g->ss, 3);
	fill(&g->ds, 4);
	fill(&g->fs, 5);
	fill(&g->gs, 6);
	fill(&g->ldt, 7);
	fill(&g->tr, 8);
	g->gdt = (struct fermata_table){ 0x1234, 0x7f, 0 };
	g->idt = (struct fermata_table){ 0x5678, 0xfff, 0 };
	in.control.cr2 = 1;
	in.control.cr3 = 0x2000;
	in.msrs.star = 1;
	in.msrs.lstar = 2;
	in.msrs.cstar = 3;
	in.msrs.sfmask = 4;
	in.msrs.kernel_gs_base = 5;
	in.msrs.sysenter_cs = 6;
	in.msrs.sysenter_esp = 7;
	in.msrs.sysenter_eip = 8;
	in.pending.interrupts_blocked = 1;
	in.pending.nmi_blocked = 1;
	c->clean = CLEAN_ALL;
	assert_int_equal(svm_set_state(v, &in, mask), 0);
	/* Whatever the processor may remember of the VMCB has changed. */
	assert_int_equal(c->clean & (CLEAN_SEG | CLEAN_DT | CLEAN_CR | CLEAN_CR2 | CLEAN_INTERCEPTS),
			 0);
	assert_true(c->intercept[VMCB_MISC1] & INTERCEPT_IRET);
	svm_get_state(v, &out, mask);
	assert_memory_equal(&in, &out, sizeof(in));
	in.pending.nmi_blocked = 0;
	assert_int_equal(svm_set_state(v, &in, FERMATA_STATE_PENDING), 0);
	assert_false(c->intercept[VMCB_MISC1] & INTERCEPT_IRET);
}

/* One register: the group that it is in says the same, and no other register has changed. */
static void single_registers(void **state)
{
	u64 values[HW_GS_BASE + 1], i, k;

	memset(&in, 0, sizeof(in));
	svm_set_state(v, &in, FERMATA_STATE_ALL);
	for (i = HW_RIP; i <= HW_GS_BASE; i++)
		values[i] = svm_get_reg(v, i);
	for (i = HW_RIP; i <= HW_GS_BASE; i++) {
		values[i] = i == HW_BLOCKED ? 1 : 0x1002 + 0x100 * i;
		svm_set_reg(v, i, values[i]);
		for (k = HW_RIP; k <= HW_GS_BASE; k++)
			assert_int_equal(svm_get_reg(v, k), values[k]);
	}
	svm_get_state(v, &out, FERMATA_STATE_ALL);
	assert_int_equal(out.regs.rip, values[HW_RIP]);
	assert_int_equal(out.regs.rflags, values[HW_RFLAGS]);
	assert_int_equal(out.control.cr2, values[HW_CR2]);
	assert_int_equal(out.control.cr3, values[HW_CR3]);
	assert_int_equal(out.pending.interrupts_blocked, 1);
	for (i = 0; i < 6; i++)
		assert_int_equal((&out.segments.es)[i].base, values[HW_ES_BASE + i]);
	v->advance = 1;
	assert_int_equal(svm_get_reg(v, HW_RIP), values[HW_RIP]);
	assert_int_equal(svm_get_reg(v, HW_BLOCKED), 0); /* it ends with the step */
	v->advance = 0;
	svm_set_reg(v, HW_RFLAGS, 0);
	assert_int_equal(svm_get_reg(v, HW_RFLAGS), ARCH_RFLAGS_FIXED);
}

/* A group that was not asked for stays what it was. */
static void masks(void **state)
{
	u32 bit;

	for (bit = 0; bit < 8; bit++) {
		memset(&out, 0xa5, sizeof(out));
		svm_get_state(v, &out, BIT(bit));
		memset(&in, 0xa5, sizeof(in));
		if (!(BIT(bit) & FERMATA_STATE_REGS))
			assert_memory_equal(&in.regs, &out.regs, sizeof(in.regs));
		if (!(BIT(bit) & FERMATA_STATE_SEGMENTS))
			assert_memory_equal(&in.segments, &out.segments, sizeof(in.segments));
		if (!(BIT(bit) & FERMATA_STATE_CONTROL))
			assert_memory_equal(&in.control, &out.control, sizeof(in.control));
		if (!(BIT(bit) & FERMATA_STATE_MSRS))
			assert_memory_equal(&in.msrs, &out.msrs, sizeof(in.msrs));
		if (!(BIT(bit) & FERMATA_STATE_PENDING))
			assert_memory_equal(&in.pending, &out.pending, sizeof(in.pending));
	}
}

/* A VMCB knows no "unusable": a segment is not present instead. */
static void unusable(void **state)
{
	memset(&in, 0, sizeof(in));
	fill(&in.segments.ds, 4);
	in.segments.ds.attrib |= FERMATA_SEG_UNUSABLE;
	in.segments.ss.attrib = 0xf3; /* DPL 3 */
	svm_set_state(v, &in, FERMATA_STATE_SEGMENTS);
	assert_int_equal(c->ds.attrib, 0);
	assert_int_equal(c->cpl, 3);
	svm_get_state(v, &out, FERMATA_STATE_SEGMENTS);
	assert_true(out.segments.ds.attrib & FERMATA_SEG_UNUSABLE);
	assert_int_equal(out.segments.ss.attrib, 0xf3);
}

static void flags_and_step(void **state)
{
	memset(&in, 0, sizeof(in));
	in.regs.rip = 0x1000;
	svm_set_state(v, &in, FERMATA_STATE_REGS);
	assert_int_equal(c->rflags, ARCH_RFLAGS_FIXED);
	v->advance = 2;
	c->int_state = INT_STATE_SHADOW;
	svm_get_state(v, &out, FERMATA_STATE_REGS | FERMATA_STATE_PENDING);
	assert_int_equal(out.regs.rip, 0x1002);
	assert_int_equal(out.pending.interrupts_blocked, 0); /* it ends with the step */
	v->advance = 0;
}

/* A processor that does not load CR2 at VMRUN has the guest's in it all the same. */
static void page_fault_address(void **state)
{
	memset(&in, 0, sizeof(in));
	in.control.cr2 = 0x1234;
	svm_set_state(v, &in, FERMATA_STATE_CONTROL);
	svm_apply(v);
	assert_int_equal(c->cr2, 0x1234);
	assert_int_equal(fake_processor.cr2, 0x1234);
	c->cr2 = 0x5678;	    /* the guest's last, as VMEXIT saves it */
	fake_processor.cr2 = 0xbad; /* a fault of the host's, elsewhere */
	svm_load(v, 0);
	assert_int_equal(c->cr2, 0x5678);
	assert_int_equal(fake_processor.cr2, 0x5678);
}

/* Tag, TSC ratio and what the processor remembers of the VMCB are looked at when somebody else was here. */
static void same_cpu_again(void **state)
{
	svm_load(v, 0);
	svm_apply(v);
	svm_apply(v); /* the first one's flush is over */
	c->clean = CLEAN_ALL;
	svm_load(v, 0);
	assert_int_equal(v->dirty, 0);
	assert_int_equal(c->clean, CLEAN_ALL);
	svm_cpus[0].last = NULL;
	svm_load(v, 0);
	assert_int_equal(v->dirty, DIRTY_CLOCK | DIRTY_ROOT);
	assert_int_equal(c->clean, 0);
	svm_apply(v);
	v->cpu = 1;
	svm_load(v, 0);
	assert_int_equal(v->dirty, DIRTY_CLOCK | DIRTY_ROOT);
}

/* CR0.TS, CR0.MP and DR6 are the guest's without an exit, unless we are about to change them. */
static void sync(void **state)
{
	v->dirty = 0;
	v->guest.cr0 = ARCH_CR0_PE | ARCH_CR0_ET | ARCH_CR0_CD;
	c->cr0 = ARCH_CR0_PE | ARCH_CR0_ET | ARCH_CR0_TS;
	c->dr6 = ARCH_DR6_FIXED | ARCH_DR6_BS;
	svm_sync(v);
	assert_int_equal(v->guest.cr0, ARCH_CR0_PE | ARCH_CR0_ET | ARCH_CR0_CD | ARCH_CR0_TS);
	assert_int_equal(v->guest.dr6, ARCH_DR6_FIXED | ARCH_DR6_BS);
	v->dirty = DIRTY_CONTROL | DIRTY_DEBUG;
	v->guest.cr0 = ARCH_CR0_PE | ARCH_CR0_ET;
	v->guest.dr6 = ARCH_DR6_FIXED;
	svm_sync(v);
	assert_int_equal(v->guest.cr0, ARCH_CR0_PE | ARCH_CR0_ET);
	assert_int_equal(v->guest.dr6, ARCH_DR6_FIXED);
}

static void modes(void **state)
{
	static const struct {
		u64 cr0, efer, rflags;
		u16 cs;
		u8 mode;
		u64 linear;
	} row[] = {
		{ 0, 0, 2, 0x9b, FERMATA_MODE_REAL, 0xfffffff0 },
		{ ARCH_CR0_PE, 0, 2, 0x9b, FERMATA_MODE_PROT16, 0xfffffff0 },
		{ ARCH_CR0_PE, 0, 2, 0x49b, FERMATA_MODE_PROT32, 0xfffffff0 },
		{ ARCH_CR0_PE, 0, 2 | ARCH_RFLAGS_VM, 0xfb, FERMATA_MODE_REAL, 0xfffffff0 },
		{ ARCH_CR0_PE | ARCH_CR0_PG, ARCH_EFER_LMA | ARCH_EFER_LME, 2, 0x29b,
		  FERMATA_MODE_LONG, 0x1234fff0 },
		{ ARCH_CR0_PE | ARCH_CR0_PG, ARCH_EFER_LMA | ARCH_EFER_LME, 2, 0x49b,
		  FERMATA_MODE_PROT32, 0x1233fff0 },
		/* L means nothing outside long mode. */
		{ ARCH_CR0_PE, 0, 2, 0x29b, FERMATA_MODE_PROT16, 0x1233fff0 },
	};
	struct where where;
	u32 i;

	for (i = 0; i < ARRAY_SIZE(row); i++) {
		v->guest.cr0 = row[i].cr0;
		v->guest.efer = row[i].efer;
		c->rflags = row[i].rflags | ARCH_RFLAGS_AC;
		c->cs.attrib = row[i].cs;
		c->cs.base = 0xffff0000;
		c->rip = i < 4 ? 0xfff0 : 0x1234fff0;
		c->cpl = 3;
		c->cr3 = 0x5000;
		svm_where(v, &where);
		assert_int_equal(where.mode, row[i].mode);
		assert_int_equal(where.linear, row[i].linear);
		assert_int_equal(where.paging.cr3, 0x5000);
		assert_int_equal(where.paging.cpl, 3);
		assert_true(where.paging.ac);
	}
}

/* A clock that the processor cannot compute makes RDTSC and RDTSCP exit; one that it can is scaled. */
static void clock_modes(void **state)
{
	struct fermata_clock_change rate = { .verb = FERMATA_CLOCK_RATE, .num = 3, .den = 2 };
	struct fermata_clock_change freeze = { .verb = FERMATA_CLOCK_FREEZE };

	v->guest.tsc_offset = 77;
	svm_apply(v);
	assert_false(c->intercept[VMCB_MISC1] & INTERCEPT_RDTSC);
	assert_false(c->intercept[VMCB_MISC2] & INTERCEPT_RDTSCP);
	assert_true(c->tsc_offset == 77ull - 1000);
	assert_int_equal(svm_backend.scale_tsc(CLOCK_RATE_1), 0);
	assert_int_equal(vm_set_clock(&vm, &rate), 0);
	v->dirty |= DIRTY_CLOCK;
	c->clean = CLEAN_ALL;
	svm_apply(v);
	assert_true(c->intercept[VMCB_MISC1] & INTERCEPT_RDTSC);
	assert_true(c->intercept[VMCB_MISC2] & INTERCEPT_RDTSCP);
	assert_false(c->clean & CLEAN_INTERCEPTS);

	svm_features |= SVM_FEATURE_TSC_RATE;
	assert_true(svm_backend.scale_tsc(CLOCK_RATE_1 / 3) == (CLOCK_RATE_1 / 3 & ~0xffffull));
	assert_int_equal(svm_backend.scale_tsc(256 * CLOCK_RATE_1), 0);
	assert_int_equal(vm_set_clock(&vm, &rate), 0);
	v->dirty |= DIRTY_CLOCK;
	svm_apply(v);
	assert_false(c->intercept[VMCB_MISC1] & INTERCEPT_RDTSC);
	assert_true(s->cpu->tsc_ratio == 3ull << 31);
	assert_true(c->tsc_offset == vm.time.clock.tsc_offset + 77);
	assert_int_equal(vm_set_clock(&vm, &freeze), 0);
	v->dirty |= DIRTY_CLOCK;
	svm_apply(v);
	assert_true(c->intercept[VMCB_MISC1] & INTERCEPT_RDTSC);
	assert_true(s->cpu->tsc_ratio == TSC_RATIO_1);

	/* A ratio that no check has caught: the write faults, and the vCPU ends. */
	vm.time.flags = FERMATA_CLOCK_SCALED;
	vm.time.clock.tsc_mult = ~0ull;
	fake_processor.refused_msr = ARCH_MSR_TSC_RATIO;
	v->dirty |= DIRTY_CLOCK;
	svm_apply(v);
	assert_true(v->requests & BIT_ULL(REQUEST_REFUSED));
	assert_string_equal(v->audit.finding[0].field, "TSC_RATIO");
	assert_true(s->cpu->tsc_ratio == TSC_RATIO_1);
	svm_features &= ~SVM_FEATURE_TSC_RATE;
}

/* The processor has the host's MCE; reads of CR4 exit while the guest's is another. */
static void machine_checks_are_the_hosts(void **state)
{
	fake_processor.cr4 = ARCH_CR4_MCE;
	v->guest.cr4 = ARCH_CR4_PAE;
	v->dirty |= DIRTY_CONTROL;
	svm_apply(v);
	assert_int_equal(c->cr4, ARCH_CR4_PAE | ARCH_CR4_MCE);
	assert_true(c->intercept[VMCB_CR] & CR_READ(4));
	v->guest.cr4 = ARCH_CR4_PAE | ARCH_CR4_MCE;
	v->dirty |= DIRTY_CONTROL;
	svm_apply(v);
	assert_int_equal(c->cr4, ARCH_CR4_PAE | ARCH_CR4_MCE);
	assert_false(c->intercept[VMCB_CR] & CR_READ(4));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(machine_checks_are_the_hosts),
		TEST(clock_modes),
		TEST(round_trip),
		TEST(single_registers),
		TEST(masks),
		TEST(unusable),
		TEST(flags_and_step),
		TEST(sync),
		TEST(modes),
		TEST(page_fault_address),
		TEST(same_cpu_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
