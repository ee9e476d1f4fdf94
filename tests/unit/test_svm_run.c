/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* kernel/svm/run.c: one turn as the VMCB sees it, events, windows, tags. */
#include "svm_fixture.h"
#include "rules/rules.h"
#include "svm/intercepts.h"

static struct vmcb seen; /* at VMRUN */
static u64 dr_seen[4];

static void look(u64 *regs)
{
	seen = *c;
	memcpy(dr_seen, fake_processor.dr, sizeof(dr_seen));
	c->exitcode = SVM_EXIT_INTR;
}

static void turn(void)
{
	host_guest_begin(v->thread, 1, 0);
	svm_run(v);
	host_guest_end(v->thread);
}

static int begin(void **state)
{
	fresh(state);
	guest = look;
	return 0;
}

#define RUN_TEST(name) cmocka_unit_test_setup_teardown(name, begin, done)

static void changes_rax(u64 *regs)
{
	look(regs);
	c->rax = 0x55;
	c->rsp = 0x66;
	regs[FERMATA_RCX] = 0x77;
}

static void registers(void **state)
{
	page.regs[FERMATA_RAX] = 1;
	page.regs[FERMATA_RSP] = 2;
	guest = changes_rax;
	turn();
	assert_int_equal(seen.rax, 1);
	assert_int_equal(seen.rsp, 2);
	assert_int_equal(page.regs[FERMATA_RAX], 0x55);
	assert_int_equal(page.regs[FERMATA_RSP], 0x66);
	assert_int_equal(page.regs[FERMATA_RCX], 0x77);
	assert_int_equal(v->exit.kind, EXIT_NOTHING);
	assert_int_equal(v->dirty, DIRTY_FLUSH); /* TLB_CONTROL is for one entry */
	turn();
	assert_int_equal(v->dirty, 0);
}

static void what_the_hardware_gets(void **state)
{
	turn();
	assert_int_equal(seen.cr0, ARCH_CR0_ET); /* CD and NW stay between us */
	assert_true(seen.intercept[VMCB_CR] & CR_READ(0));
	assert_true(seen.intercept[VMCB_CR] & CR_WRITE(0));
	assert_int_equal(seen.efer, ARCH_EFER_SVME);
	assert_int_equal(seen.n_cr3, vm.memory.radix.root_phys);
	assert_int_equal(seen.g_pat, ARCH_PAT_RESET);
	assert_int_equal(seen.tsc_offset, (u64)-1000);
	assert_int_equal(seen.dr6, ARCH_DR6_FIXED);
	assert_int_equal(seen.dr7, ARCH_DR7_FIXED);
	assert_int_equal(seen.rip, 0xfff0);
	assert_int_equal(seen.rflags, 2);
	assert_true(seen.guest_asid >= 1);
	assert_int_equal(seen.tlb_control, VMCB_FLUSH_ALL); /* whoever had the CPU before us */
	v->guest.cr0 = ARCH_CR0_PE | ARCH_CR0_ET;
	v->dirty |= DIRTY_CONTROL;
	turn();
	assert_false(seen.intercept[VMCB_CR] & (CR_READ(0) | CR_WRITE(0)));
	assert_int_equal(seen.tlb_control, TLB_NOTHING);
	/* CR4 is not what the guest has: its reads exit, on QEMU 10 by CR0's bit. */
	v->guest.cr4 = ARCH_CR4_PGE;
	((struct svm_vcpu *)v->hw)->vmcb->cr4 = 0;
	svm_features = 0;
	svm_intercept_control(v, v->hw);
	assert_int_equal(((struct svm_vcpu *)v->hw)->vmcb->intercept[VMCB_CR] & 0xffff,
			 CR_READ(4) | CR_READ(0));
	svm_features = SVM_FEATURE_DECODE_ASSISTS;
	svm_intercept_control(v, v->hw);
	assert_int_equal(((struct svm_vcpu *)v->hw)->vmcb->intercept[VMCB_CR] & 0xffff, CR_READ(4));
	svm_features = 0;
}

/* A clean bit promises that its group did not change: APM 2 15.15. */
static void clean_bits(void **state)
{
	static const struct {
		u32 dirty, groups;
	} row[] = {
		{ 0, 0 },
		{ DIRTY_CONTROL, CLEAN_CR | CLEAN_INTERCEPTS },
		{ DIRTY_CLOCK, CLEAN_INTERCEPTS },
		{ DIRTY_TSC_OFFSET, CLEAN_INTERCEPTS },
		{ DIRTY_DEBUG, CLEAN_DR },
		{ DIRTY_PAT, CLEAN_NESTED },
		{ DIRTY_ROOT, CLEAN_NESTED },
		{ DIRTY_FLUSH, 0 },
	};
	u32 i;

	turn();
	assert_int_equal(seen.clean, 0);
	turn();
	assert_int_equal(seen.clean, 0); /* no such feature */
	svm_features |= SVM_FEATURE_VMCB_CLEAN;
	turn();
	for (i = 0; i < ARRAY_SIZE(row); i++) {
		v->dirty |= row[i].dirty;
		turn();
		assert_int_equal(seen.clean & row[i].groups, 0);
		assert_int_equal(seen.clean | row[i].groups, CLEAN_ALL);
	}
	apic_set_tpr(&v->apic, 3);
	turn();
	assert_int_equal(seen.clean, CLEAN_ALL & ~CLEAN_TPR);
	svm_window(v, BIT(INJECT_INTERRUPT));
	turn();
	assert_int_equal(seen.clean, CLEAN_ALL & ~(CLEAN_TPR | CLEAN_INTERCEPTS));
	svm_inject(v, &(struct injection){ .kind = INJECT_NMI, .vector = 2 });
	turn();
	assert_int_equal(seen.clean, CLEAN_ALL & ~CLEAN_INTERCEPTS);
	svm_features &= ~SVM_FEATURE_VMCB_CLEAN;
}

static void step(void **state)
{
	c->int_state = INT_STATE_SHADOW;
	turn();
	assert_int_equal(seen.rip, 0xfff0);
	assert_true(seen.int_state & INT_STATE_SHADOW);
	v->advance = 3;
	turn();
	assert_int_equal(seen.rip, 0xfff3);
	assert_false(seen.int_state & INT_STATE_SHADOW);
	assert_int_equal(v->advance, 0);
	assert_int_equal(seen.eventinj, 0);
}

/* TF: stepping over an instruction for the guest traps as executing it would. */
static void single_step(void **state)
{
	turn();
	c->rflags |= ARCH_RFLAGS_TF;
	v->advance = 2;
	turn();
	assert_int_equal(seen.eventinj, EVENT_VALID | EVENT_TYPE_EXCEPTION | ARCH_DB);
	assert_true(seen.dr6 & ARCH_DR6_BS);
	turn();
	assert_int_equal(seen.eventinj, 0);
}

static void sets_cr8(u64 *regs)
{
	look(regs);
	c->vintr = (c->vintr & ~V_TPR_MASK) | 9;
}

static void task_priority(void **state)
{
	apic_set_tpr(&v->apic, 5);
	guest = sets_cr8;
	turn();
	assert_int_equal(seen.vintr & V_TPR_MASK, 5);
	assert_int_equal(apic_tpr(&v->apic), 9);
	guest = look;
	turn();
	assert_int_equal(seen.vintr & V_TPR_MASK, 9);
}

/* The breakpoint registers are the host's until the guest arms one, and again afterwards. */
static void breakpoints(void **state)
{
	u32 i;

	for (i = 0; i < 4; i++)
		v->guest.dr[i] = 0x1000 + i;
	turn();
	assert_int_equal(fake_processor.dr_writes, 0);
	v->guest.dr7 = ARCH_DR7_FIXED | 1;
	v->dirty |= DIRTY_DEBUG;
	turn();
	for (i = 0; i < 4; i++)
		assert_int_equal(dr_seen[i], 0x1000 + i);
	v->guest.dr7 = ARCH_DR7_FIXED;
	v->dirty |= DIRTY_DEBUG;
	i = fake_processor.dr_writes;
	turn();
	assert_int_equal(fake_processor.dr_writes, i);
}

/* What QEMU 10 ends over is not armed; the guest's other breakpoints are, and it sees all of them. */
static void no_data_breakpoints(void **state)
{
	/* 0 is about writes, 1 about instructions, 2 about ports, 3 about reads and writes: all enabled, and GD */
	u64 all = ARCH_DR7_FIXED | ARCH_DR7_GD | 0xff | 1ull << 16 | 2ull << 24 | 0xfull << 28;
	u32 writes;

	v->guest.dr7 = all;
	v->dirty |= DIRTY_DEBUG;
	turn();
	assert_int_equal(seen.dr7, all);
	backend_options.no_data_breakpoints = true;
	v->dirty |= DIRTY_DEBUG;
	turn();
	assert_int_equal(seen.dr7, all & ~0xc3ull);
	assert_int_equal(v->guest.dr7, all);
	writes = fake_processor.dr_writes;
	v->guest.dr7 = ARCH_DR7_FIXED | 3 | 1ull << 16;
	v->dirty |= DIRTY_DEBUG;
	turn();
	assert_int_equal(seen.dr7, ARCH_DR7_FIXED | 1ull << 16);
	assert_int_equal(fake_processor.dr_writes, writes);
	backend_options.no_data_breakpoints = false;
}

static u32 keys_seen;

static void changes_keys(u64 *regs)
{
	keys_seen = fake_processor.pkru;
	fake_processor.pkru = 0x20;
}

/* PKRU is the guest's for its turn, and written where the two differ. */
static void protection_keys(void **state)
{
	static const u64 reaching[] = { ARCH_CR4_PKE, ARCH_CR4_OSXSAVE,
					ARCH_CR4_PKE | ARCH_CR4_OSXSAVE };
	struct where where;
	u32 i;

	guest = changes_keys;
	vm.config.pkru_at = 2688;
	for (i = 0; i < ARRAY_SIZE(reaching); i++) {
		v->guest.cr4 = reaching[i];
		v->dirty |= DIRTY_CONTROL;
		v->guest.pkru = 0x10;
		fake_processor.pkru = 0x55555554;
		fake_processor.pkru_writes = 0;
		turn();
		assert_int_equal(keys_seen, 0x10);
		assert_int_equal(v->guest.pkru, 0x20);
		assert_int_equal(fake_processor.pkru, 0x55555554);
		assert_int_equal(fake_processor.pkru_writes, 2);
		svm_where(v, &where);
		assert_int_equal(where.paging.pkru, 0x20);
	}
	fake_processor.pkru = 0x20; /* all alike */
	turn();
	assert_int_equal(keys_seen, 0x20);
	assert_int_equal(fake_processor.pkru_writes, 2);
	/* Out of the guest's reach it keeps what it had. */
	v->guest.cr4 = 0;
	v->dirty |= DIRTY_CONTROL;
	guest = NULL;
	fake_processor.pkru = 0x55555554;
	turn();
	assert_int_equal(v->guest.pkru, 0x20);
	assert_int_equal(fake_processor.pkru_writes, 2);
	/* The host uses no keys, and has no such instructions. */
	vm.config.pkru_at = 0;
	v->guest.cr4 = ARCH_CR4_OSXSAVE;
	v->dirty |= DIRTY_CONTROL;
	turn();
	assert_int_equal(v->guest.pkru, 0x20);
	assert_int_equal(fake_processor.pkru_writes, 2);
}

static void can_take(void **state)
{
	u32 row;

	for (row = 0; row < 16; row++) {
		bool open = row & 1, blocked = row & 2, advance = row & 4, masked = row & 8;

		c->rflags = 2 | (open ? ARCH_RFLAGS_IF : 0);
		c->int_state = blocked ? INT_STATE_SHADOW : 0;
		v->advance = advance ? 2 : 0;
		s->nmi_masked = masked;
		assert_int_equal(svm_can_take(v, INJECT_INTERRUPT), open && (!blocked || advance));
		assert_int_equal(svm_can_take(v, INJECT_NMI), !masked && (!blocked || advance));
	}
	v->advance = 0;
}

/* EVENTINJ: APM 2 15.20, figure 15-4. */
static void inject(void **state)
{
	static const struct {
		struct injection event;
		u64 eventinj;
	} row[] = {
		{ { .kind = INJECT_INTERRUPT, .vector = 0xef }, 0x800000ef },
		{ { .kind = INJECT_NMI, .vector = 2 }, 0x80000202 },
		{ { .kind = INJECT_EXCEPTION, .vector = 6 }, 0x80000306 },
		{ { .kind = INJECT_EXCEPTION, .vector = 13, .has_code = true, .code = 0xfff8 },
		  0xfff880000b0d },
	};
	u32 i;

	for (i = 0; i < ARRAY_SIZE(row); i++) {
		svm_inject(v, &row[i].event);
		assert_int_equal(c->eventinj, row[i].eventinj);
		turn();
		assert_int_equal(seen.eventinj, row[i].eventinj);
		assert_int_equal(c->eventinj, 0); /* once */
		assert_int_equal(s->nmi_masked, i >= 1);
	}
	assert_true(c->intercept[VMCB_MISC1] & INTERCEPT_IRET);
}

static void window(void **state)
{
	u64 vintr = c->vintr;
	u32 misc1 = c->intercept[VMCB_MISC1];

	svm_window(v, BIT(INJECT_INTERRUPT));
	assert_int_equal(c->vintr, vintr | V_IRQ | V_IGN_TPR | 0xf0000);
	assert_int_equal(c->intercept[VMCB_MISC1], misc1 | INTERCEPT_VINTR);
	c->clean = CLEAN_ALL;
	svm_window(v, BIT(INJECT_INTERRUPT)); /* no news */
	assert_int_equal(c->clean, CLEAN_ALL);
	svm_window(v, 0);
	assert_int_equal(c->vintr, vintr);
	assert_int_equal(c->intercept[VMCB_MISC1], misc1);
}

static u64 done_so_far(u32 kind)
{
	return v->account.stats.flush_kind[kind];
}

/* Without FlushByAsid a flush is a new ASID; when they run out, all are flushed once. */
static void tags(void **state)
{
	u32 i, last, all = 0;

	turn();
	last = seen.guest_asid;
	turn();
	assert_int_equal(seen.guest_asid, last);
	assert_int_equal(seen.tlb_control, TLB_NOTHING);
	for (i = 0; i < 40; i++) {
		vcpu_owe(v, i % 2 ? FLUSH_NESTED : FLUSH_LOCAL, 0, FERMATA_CAUSE_HOST);
		turn();
		assert_int_not_equal(seen.guest_asid, last);
		assert_in_range(seen.guest_asid, 2, 15); /* 1 is the untagged guests' */
		if (seen.tlb_control == VMCB_FLUSH_ALL)
			all++;
		else
			assert_int_equal(seen.guest_asid, last + 1);
		last = seen.guest_asid;
	}
	assert_in_range(all, 2, 3);
	assert_int_equal(done_so_far(FERMATA_FLUSH_NEW_TAG), 41);
	assert_int_equal(done_so_far(FERMATA_FLUSH_ALL_TAGS), all + 1);
	turn();
	assert_int_equal(seen.tlb_control, TLB_NOTHING);
	/* One address never needs a new one. */
	fake_processor.invalidations = 0;
	vcpu_owe(v, FLUSH_ADDRESS, 0x7654321, FERMATA_CAUSE_ADDRESS);
	turn();
	assert_int_equal(seen.guest_asid, last);
	assert_int_equal(fake_processor.invalidations, 1);
	assert_int_equal(fake_processor.invalidation[0].what, 'A');
	assert_int_equal(fake_processor.invalidation[0].tag, last);
	assert_int_equal(fake_processor.invalidation[0].address, 0x7654321);
	/* On another CPU it has none. */
	v->tlb.tag.cpu = 1;
	v->dirty |= DIRTY_ROOT;
	turn();
	assert_int_not_equal(seen.guest_asid, last);
	assert_int_equal(v->account.stats.flush_cause[FERMATA_CAUSE_CPU], 1);
}

/* With FlushByAsid the ASID stays, and less is flushed where less is owed: APM 2 15.16.1. */
static void flush_by_asid(void **state)
{
	static const struct {
		u32 owed;
		u8 control;
		u32 kind, invlpga;
	} row[] = {
		{ FLUSH_NESTED, VMCB_FLUSH_ASID, FERMATA_FLUSH_TAG, 0 },
		{ FLUSH_LINEAR, VMCB_FLUSH_ASID, FERMATA_FLUSH_TAG, 0 },
		{ FLUSH_LINEAR | FLUSH_ADDRESS, VMCB_FLUSH_ASID, FERMATA_FLUSH_TAG, 0 },
		{ FLUSH_LOCAL, VMCB_FLUSH_LOCAL, FERMATA_FLUSH_LOCAL, 0 },
		{ FLUSH_LOCAL | FLUSH_ADDRESS, VMCB_FLUSH_LOCAL, FERMATA_FLUSH_LOCAL, 1 },
		{ FLUSH_ADDRESS, TLB_NOTHING, FERMATA_FLUSH_ADDRESS, 1 },
	};
	u32 i, asid;

	svm_features |= SVM_FEATURE_FLUSH_BY_ASID;
	turn();
	turn();
	asid = seen.guest_asid;
	for (i = 0; i < ARRAY_SIZE(row); i++) {
		u64 before = done_so_far(row[i].kind);

		fake_processor.invalidations = 0;
		vcpu_owe(v, row[i].owed, 0x1000, FERMATA_CAUSE_STATE);
		turn();
		assert_int_equal(seen.guest_asid, asid);
		assert_int_equal(seen.tlb_control, row[i].control);
		assert_int_equal(done_so_far(row[i].kind), before + 1);
		assert_int_equal(fake_processor.invalidations, row[i].invlpga);
		turn();
		assert_int_equal(seen.tlb_control, TLB_NOTHING);
	}
	/* Two addresses: there is room for one. */
	vcpu_owe(v, FLUSH_ADDRESS, 0x1000, FERMATA_CAUSE_ADDRESS);
	vcpu_owe(v, FLUSH_ADDRESS, 0x1fff, FERMATA_CAUSE_ADDRESS);
	assert_int_equal(v->tlb.owed, FLUSH_ADDRESS);
	vcpu_owe(v, FLUSH_ADDRESS, 0x2000, FERMATA_CAUSE_ADDRESS);
	turn();
	assert_int_equal(seen.tlb_control, VMCB_FLUSH_ASID);
	svm_features &= ~SVM_FEATURE_FLUSH_BY_ASID;
}

/* Without tags: one ASID for all, flushed at every entry. */
static void untagged(void **state)
{
	u32 i;

	vm.config.untagged = true;
	for (i = 0; i < 5; i++) {
		turn();
		assert_int_equal(seen.guest_asid, 1);
		assert_int_equal(seen.tlb_control, VMCB_FLUSH_ALL);
		if (i == 2)
			vcpu_owe(v, FLUSH_NESTED, 0, FERMATA_CAUSE_HOST);
	}
	svm_features |= SVM_FEATURE_FLUSH_BY_ASID;
	v->dirty |= DIRTY_ROOT;
	for (i = 0; i < 5; i++) {
		turn();
		assert_int_equal(seen.guest_asid, 1);
		assert_int_equal(seen.tlb_control, VMCB_FLUSH_ASID);
	}
	/* Whoever had the CPU before. */
	svm_cpus[0].tags.flush_all = true;
	v->dirty |= DIRTY_ROOT;
	turn();
	assert_int_equal(seen.tlb_control, VMCB_FLUSH_ALL);
	turn();
	assert_int_equal(seen.tlb_control, VMCB_FLUSH_ASID);
	svm_features &= ~SVM_FEATURE_FLUSH_BY_ASID;
}

/* A CPU with one ASID for guests: whoever comes after an untagged one flushes everything. */
static void untagged_shares_its_asid(void **state)
{
	tag_pool_init(&svm_cpus[0].tags, 2, 0, true);
	turn();
	turn();
	assert_int_equal(seen.guest_asid, 1);
	assert_int_equal(seen.tlb_control, TLB_NOTHING);
	vm.config.untagged = true;
	v->dirty |= DIRTY_ROOT;
	turn();
	assert_int_equal(seen.tlb_control, VMCB_FLUSH_ALL);
	vm.config.untagged = false;
	v->dirty |= DIRTY_ROOT;
	turn();
	assert_int_equal(seen.guest_asid, 1);
	assert_int_equal(seen.tlb_control, VMCB_FLUSH_ALL);
	turn();
	assert_int_equal(seen.tlb_control, TLB_NOTHING);
}

/* APM 2 15.4, 15.30: who has the CPU, and what stands in the way. */
static void detect(void **state)
{
	struct fermata_caps caps = { 0 };

	assert_true(*fake_msr(ARCH_MSR_EFER) & ARCH_EFER_SVME);
	assert_int_not_equal(*fake_msr(ARCH_MSR_VM_HSAVE_PA), 0);
	svm_backend.cpu_off();
	assert_false(*fake_msr(ARCH_MSR_EFER) & ARCH_EFER_SVME);
	assert_int_equal(*fake_msr(ARCH_MSR_VM_HSAVE_PA), 0);
	/* Somebody else's. */
	*fake_msr(ARCH_MSR_EFER) = ARCH_EFER_SVME;
	assert_int_equal(svm_backend.cpu_on(), -EBUSY);
	svm_backend.cpu_off(); /* not ours to switch off */
	assert_true(*fake_msr(ARCH_MSR_EFER) & ARCH_EFER_SVME);
	*fake_msr(ARCH_MSR_EFER) = 0;
	*fake_msr(ARCH_MSR_VM_CR) = 1 << 4;
	svm_backend.detect(&caps);
	assert_int_equal(caps.blocked, FERMATA_BLOCK_FIRMWARE);
	assert_int_equal(caps.tags, 16);
	assert_int_equal(caps.nested_levels, BIT(1) | BIT(2) | BIT(3));
}

/* ---- from nested paging to shadow paging and back, while rules are about linear addresses alone */

static void looks_at_paging(u64 *regs)
{
	assert_int_equal(c->nested_ctl, v->shadow ? 0 : NP_ENABLE);
	assert_int_equal(!!(c->intercept[VMCB_EXCEPTION] & BIT(ARCH_PF)), !!v->shadow);
	assert_int_equal(!!(c->intercept[VMCB_CR] & CR_WRITE(3)), !!v->shadow);
	assert_int_equal(!!(c->intercept[VMCB_MISC1] & INTERCEPT_INVLPG), !!v->shadow);
	if (v->shadow)
		assert_int_equal(c->cr3, v->shadow->cpu.root_phys);
	c->exitcode = SVM_EXIT_INTR;
	host_test.must_leave = true;
	host_test.leave_error = -EINTR;
}

static void once(void)
{
	u32 before = entered;

	host_test.must_leave = false;
	host_test.leave_error = 0;
	assert_int_equal(vcpu_run(v), -EINTR);
	assert_int_equal(entered, before + 1);
}

static void changes_over(void **state)
{
	struct fermata_rule r = { .event = FERMATA_ON_WRITE, .filters = BIT(FERMATA_FILTER_GVA) };
	u32 id;

	v->guest.cr0 = ARCH_CR0_PE | ARCH_CR0_ET | ARCH_CR0_PG;
	v->guest.cr4 = ARCH_CR4_PAE;
	v->guest.efer = ARCH_EFER_LME | ARCH_EFER_LMA;
	v->dirty |= DIRTY_CONTROL;
	c->cr3 = 0x5000;
	guest = looks_at_paging;
	once();
	assert_null(v->shadow);
	assert_int_equal(c->cr3, 0x5000);
	c->cr2 = 0x1234;
	assert_int_equal(rules_add(&vm, &r), 0);
	id = r.id;
	once();
	assert_non_null(v->shadow);
	assert_int_equal(v->shadow->cr3, 0x5000);
	assert_int_equal(c->cr2, 0x1234);
	assert_true(c->cr3 != 0x5000);
	v->shadow->cr3 = 0x6000; /* as by a MOV to CR3 */
	assert_int_equal(rules_remove(&vm, id), 0);
	once();
	assert_null(v->shadow);
	assert_int_equal(c->cr3, 0x6000);
	r.id = 0;
	assert_int_equal(rules_add(&vm, &r), 0);
	once();
	assert_int_equal(v->shadow->cr3, 0x6000);
}

/* A machine check could not be handed to such a host, where Linux keeps its handler to itself. */
static void fred_is_refused(void **state)
{
	struct fermata_caps caps = { 0 };

	fake_processor.cr4 = ARCH_CR4_FRED;
	svm_backend.detect(&caps);
	assert_int_equal(caps.blocked, FERMATA_BLOCK_FRED);
	fake_processor.cr4 = 0;
	caps.blocked = 0;
	svm_backend.detect(&caps);
	assert_int_equal(caps.blocked, 0);
}

/* The host has crashed: interrupts and INIT come again, SVM is off, and nothing is entered any more. */
static void crashed_host(void **state)
{
	u32 before = entered;

	*fake_msr(ARCH_MSR_EFER) |= ARCH_EFER_LMA;
	svm_backend.cpu_emergency();
	assert_int_equal(fake_processor.stgis, 1);
	assert_int_equal(*fake_msr(ARCH_MSR_EFER) & ARCH_EFER_SVME, 0);
	assert_true(*fake_msr(ARCH_MSR_EFER) & ARCH_EFER_LMA);
	turn();
	assert_int_equal(v->exit.kind, EXIT_NOTHING);
	assert_int_equal(entered, before);
	assert_int_equal(svm_backend.cpu_on(), 0);
}

static struct cpu_words of_another_core;

static struct cpu_words another_core(u32 leaf, u32 subleaf)
{
	return leaf == 0x8000000a ? of_another_core : fake_cpuid(leaf, subleaf);
}

/* A core of another kind: what nobody uses may differ, and what does is named. */
static void other_cores(void **state)
{
	struct cpu_words (*was)(u32, u32) = fake_processor.cpuid;
	struct cpu_words here = cpu_cpuid(0x8000000a, 0);

	fake_processor.cpuid = another_core;
	for (u32 bit = 0; bit < 32; bit++) {
		bool used = SVM_FEATURES_USED >> bit & 1;

		svm_backend.cpu_off();
		of_another_core = here;
		of_another_core.edx ^= BIT(bit);
		host_test.last_log[0] = 0;
		assert_int_equal(svm_backend.cpu_on(), used ? -ENODEV : 0);
		assert_true(!used == !strstr(host_test.last_log, "8000_000A"));
	}
	svm_backend.cpu_off();
	of_another_core = here;
	of_another_core.ebx--;
	assert_int_equal(svm_backend.cpu_on(), -ENODEV);
	of_another_core.ebx += 2;
	assert_int_equal(svm_backend.cpu_on(), 0);
	fake_processor.cpuid = was;
}

/* ---- beside another hypervisor */

static int begin_beside(void **state)
{
	beside = true;
	return begin(state);
}

static int done_beside(void **state)
{
	beside = false;
	return done(state);
}

static void looks_at_flush(u64 *regs)
{
	assert_int_equal(c->guest_asid, 15); /* the last of 16: the only one */
	seen.tlb_control = c->tlb_control;
	seen.clean = c->clean;
	c->exitcode = SVM_EXIT_INTR;
}

/* What a CPU has one of is as it was, and what is cached under our ASID goes at both ends of a stay. */
static void stay_beside(void **state)
{
	u32 before = fake_processor.invalidations;

	guest = looks_at_flush;
	svm_features |= SVM_FEATURE_TSC_RATE;
	for (u32 i = 0; i < 3; i++) {
		*fake_msr(ARCH_MSR_TSC_RATIO) = 3ull << 31; /* the other's guest's */
		svm_backend.load(v, 0);
		svm_backend.take(v);
		svm_run(v);
		assert_int_equal(seen.tlb_control, VMCB_FLUSH_ALL);
		assert_int_equal(seen.clean, 0);
		assert_int_equal(*fake_msr(ARCH_MSR_TSC_RATIO), TSC_RATIO_1);
		svm_run(v);
		assert_int_equal(seen.tlb_control, TLB_NOTHING);
		svm_backend.unload(v);
		assert_int_equal(*fake_msr(ARCH_MSR_TSC_RATIO), 3ull << 31);
		assert_int_equal(fake_processor.invalidations, before + i + 1);
		assert_int_equal(fake_processor.invalidation[before + i].what, 'R');
		assert_int_equal(fake_processor.invalidation[before + i].address,
				 host_virt_to_phys(svm_cpus[0].flusher));
	}
	assert_int_equal(svm_cpus[0].flusher->guest_asid, 15);
	assert_int_equal(svm_cpus[0].flusher->tlb_control, VMCB_FLUSH_ALL);
	svm_backend.cpu_off();
	assert_true(*fake_msr(ARCH_MSR_EFER) & ARCH_EFER_SVME);
	assert_int_equal(*fake_msr(ARCH_MSR_VM_HSAVE_PA), 0x7000);
}

static struct cpu_words flushes_by_asid(u32 leaf, u32 subleaf)
{
	struct cpu_words r = amd(leaf, subleaf);

	r.edx |= leaf == 0x8000000a ? SVM_FEATURE_FLUSH_BY_ASID : 0;
	return r;
}

/* Where the processor can, the other's translations stay. */
static void flush_beside(void **state)
{
	guest = looks_at_flush;
	fake_processor.cpuid = flushes_by_asid;
	svm_features |= SVM_FEATURE_FLUSH_BY_ASID;
	assert_int_equal(svm_backend.cpu_on(), 0);
	assert_int_equal(svm_cpus[0].flusher->tlb_control, VMCB_FLUSH_ASID);
	svm_backend.load(v, 0);
	svm_run(v);
	assert_int_equal(seen.tlb_control, VMCB_FLUSH_ASID);
	svm_backend.unload(v);
}

/* A thread that others ran before has its predictions flushed, and one that went on alone has not. */
static void predictions_beside(void **state)
{
	svm_backend.load(v, 0);
	host_test.barriers = 0;
	svm_backend.load(v, 0);
	assert_int_equal(host_test.barriers, 0);
	host_test.others_ran = true;
	svm_backend.load(v, 0);
	assert_int_equal(host_test.barriers, 1);
}

/* SVM is taken away between two turns, or just before one: the guest ends with a report, and nothing is entered. */
static void lost_beside(void **state)
{
	u32 before = entered;

	svm_backend.load(v, 0);
	*fake_msr(ARCH_MSR_EFER) = 0;
	svm_backend.take(v);
	svm_run(v);
	assert_int_equal(entered, before);
	assert_int_equal(v->exit.kind, EXIT_NOTHING);
	assert_int_equal(requests_inside(v), LEAVE_FOR_USER);
	assert_int_equal(page.exit.reason, FERMATA_EXIT_FAIL_ENTRY);
	assert_string_equal(v->audit.finding[0].field, "CR4.VMXE, EFER.SVME");
	svm_backend.unload(v);

	v->requests = 0;
	*fake_msr(ARCH_MSR_EFER) = ARCH_EFER_SVME;
	assert_int_equal(svm_backend.cpu_on(), 0);
	svm_backend.load(v, 0);
	svm_backend.take(v);
	svm_is_off = true;
	svm_run(v);
	assert_int_equal(entered, before + 1);
	assert_int_equal(v->exit.kind, EXIT_NOTHING);
	assert_int_equal(requests_inside(v), LEAVE_FOR_USER);
	assert_int_equal(page.exit.reason, FERMATA_EXIT_FAIL_ENTRY);
	svm_backend.unload(v);
}

static struct cpu_words encrypts(u32 leaf, u32 subleaf)
{
	return leaf == 0x80000000 ? (struct cpu_words){ .eax = 0x8000001f } :
	       leaf == 0x8000001f ? (struct cpu_words){ .eax = BIT(1) } :
				    amd(leaf, subleaf);
}

static void refused_beside(void **state)
{
	svm_backend.cpu_off();
	*fake_msr(ARCH_MSR_EFER) = 0;
	assert_int_equal(svm_backend.cpu_on(), -EBUSY);
	*fake_msr(ARCH_MSR_EFER) = ARCH_EFER_SVME;
	*fake_msr(ARCH_MSR_VM_HSAVE_PA) = 0;
	assert_int_equal(svm_backend.cpu_on(), -EBUSY);
	*fake_msr(ARCH_MSR_VM_HSAVE_PA) = 0x7000;
	fake_processor.cpuid = encrypts;
	assert_int_equal(svm_backend.cpu_on(), 0); /* it could, and the firmware has it off */
	svm_backend.cpu_off();
	*fake_msr(ARCH_MSR_SYSCFG) = BIT(23);
	assert_int_equal(svm_backend.cpu_on(), -EOPNOTSUPP);
}

#define BESIDE_TEST(name) cmocka_unit_test_setup_teardown(name, begin_beside, done_beside)

int main(void)
{
	const struct CMUnitTest tests[] = {
		RUN_TEST(other_cores),
		RUN_TEST(fred_is_refused),
		RUN_TEST(crashed_host),
		RUN_TEST(registers),
		RUN_TEST(what_the_hardware_gets),
		RUN_TEST(clean_bits),
		RUN_TEST(step),
		RUN_TEST(single_step),
		RUN_TEST(task_priority),
		RUN_TEST(breakpoints),
		RUN_TEST(no_data_breakpoints),
		RUN_TEST(protection_keys),
		RUN_TEST(can_take),
		RUN_TEST(inject),
		RUN_TEST(window),
		RUN_TEST(tags),
		RUN_TEST(detect),
		RUN_TEST(flush_by_asid),
		RUN_TEST(untagged),
		RUN_TEST(untagged_shares_its_asid),
		TEST(changes_over),
		BESIDE_TEST(stay_beside),
		BESIDE_TEST(flush_beside),
		BESIDE_TEST(lost_beside),
		BESIDE_TEST(refused_beside),
		BESIDE_TEST(predictions_beside),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
