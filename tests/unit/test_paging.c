/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* Shadow paging's exits: what becomes of a page fault, a write to CR3, an INVLPG. The shadow is the real one. */
#include "core_fixture.h"
#include "core/shadowing.h"
#include "rules/rules.h"

/* The guest's tables: PML4, PDPT, PD, PT, the latter for the first 2 MiB. */
#define PML4 0x1000u
#define PDPT 0x2000u
#define PD 0x3000u
#define PT 0x4000u
#define PAGE 0x6000u
#define ROOT2 0x8000u /* plain memory, until CR3 is pointed to it */
#define NOWHERE 0x40000000u

#define P BIT_ULL(0)
#define RW BIT_ULL(1)
#define A BIT_ULL(5)
#define D BIT_ULL(6)
#define PS BIT_ULL(7)

static u64 *entry(u32 table, u32 index)
{
	return (u64 *)(ram + table) + index;
}

static void tables(void)
{
	*entry(PML4, 0) = PDPT | P | RW;
	*entry(PDPT, 0) = PD | P | RW;
	*entry(PD, 0) = PT | P | RW;
	*entry(PD, 1) = 0 | P | RW |
			PS; /* a large page of the guest's where the host has small ones */
	*entry(PT, 6) = PAGE | P | RW;
	*entry(PT, 8) = ROOT2 | P | RW;
	*entry(PT, 9) = NOWHERE | P | RW;
	memcpy(ram + ROOT2, ram + PML4, 4096);
}

static void long_mode(struct vcpu *of)
{
	fake_hw(of)->mode = FERMATA_MODE_LONG;
	fake_hw(of)->rip = PAGE;
	fake_hw(of)->rflags = ARCH_RFLAGS_FIXED | ARCH_RFLAGS_IF;
	of->guest.cr0 = ARCH_CR0_PE | ARCH_CR0_ET | ARCH_CR0_PG | ARCH_CR0_WP;
	of->guest.cr4 = ARCH_CR4_PAE;
	of->guest.efer = ARCH_EFER_LME | ARCH_EFER_LMA | ARCH_EFER_NXE;
	of->shadow->cr3 = PML4;
	shadowing_changed(of);
}

static int shadowed(void **state)
{
	vm_flags = FERMATA_VM_SHADOW;
	make_vm();
	vm_flags = 0;
	add_vcpu();
	fake_hw(v)->segments.cs.base = 0;
	tables();
	long_mode(v);
	forget_flushes();
	return 0;
}

static struct exit *page_fault(u64 linear, u32 code)
{
	struct exit *x = fake_exit(EXIT_PAGE_FAULT, 0);

	x->fault.linear = linear;
	x->fault.code = code;
	return x;
}

static void write_cr3(u64 value)
{
	struct exit *x = fake_exit(EXIT_CR_WRITE, 3);

	x->mov.number = 3;
	x->mov.reg = FERMATA_RBX;
	x->mov.size = 8;
	x->mov.decoded = true;
	regs[FERMATA_RBX] = value;
}

/* Plays the script; its last exit is one that says nothing. */
static int play(void)
{
	fake_exit(EXIT_NOTHING, 0);
	return vcpu_run(v);
}

/* Another script, with everything else as it is. */
static void once_more(void)
{
	fake_reset();
	host_test.must_leave = false;
	host_test.leave_error = 0;
}

static void fills_the_shadow(void **state)
{
	page_fault(PAGE + 8, PFERR_WRITE);
	assert_int_equal(play(), -EINTR);
	assert_true(v->shadow->cpu.root_phys);
	assert_int_equal(v->account.stats.shadow_faults, 1);
	assert_int_equal(fake.injections, 0);
	assert_int_equal(*entry(PT, 6), PAGE | P | RW | A | D);
	assert_int_equal(*entry(PML4, 0) & A, A);
}

static void guests_own_fault(void **state)
{
	page_fault(0x7123, PFERR_WRITE | PFERR_USER);
	assert_int_equal(play(), -EINTR);
	assert_int_equal(fake.injections, 1);
	assert_int_equal(fake.injected[0].kind, INJECT_EXCEPTION);
	assert_int_equal(fake.injected[0].vector, ARCH_PF);
	assert_int_equal(fake.injected[0].code, PFERR_WRITE | PFERR_USER);
	assert_int_equal(v->guest.cr2, 0x7123);
	assert_int_equal(v->account.stats.shadow_faults, 0);
}

/* What the exit interrupted, as the backend notes it with the exit. */
static struct injection interrupted;

static void interrupt(struct vcpu *of, u32 turn)
{
	if (turn)
		return;
	of->waiting.injection = interrupted;
	of->waiting.valid = true;
}

/* SDM 3A table 6-5: of two faults that cannot be served in a row one becomes #DF, and the next the end. */
static void second_fault(void **state)
{
	interrupted =
		(struct injection){ .kind = INJECT_EXCEPTION, .vector = ARCH_PF, .has_code = true };
	fake.guest = interrupt;
	page_fault(0x7000, 0);
	assert_int_equal(play(), -EINTR);
	assert_int_equal(fake.injections, 1);
	assert_int_equal(fake.injected[0].vector, ARCH_DF);
	assert_int_equal(fake.injected[0].code, 0);
}

static void third_fault(void **state)
{
	interrupted =
		(struct injection){ .kind = INJECT_EXCEPTION, .vector = ARCH_DF, .has_code = true };
	fake.guest = interrupt;
	page_fault(0x7000, 0);
	assert_int_equal(play(), 0);
	assert_int_equal(pages[0].exit.reason, FERMATA_EXIT_SHUTDOWN);
	assert_int_equal(fake.injections, 0);
}

/* The fault of an NMI's delivery is served first; the NMI is not lost. */
static void fault_under_nmi(void **state)
{
	interrupted = (struct injection){ .kind = INJECT_NMI, .vector = ARCH_NMI };
	fake.guest = interrupt;
	page_fault(0x7000, 0);
	assert_int_equal(play(), -EINTR);
	assert_int_equal(fake.injections, 1);
	assert_int_equal(fake.injected[0].vector, ARCH_PF);
	assert_true(v->waiting.nmi);
}

/* A fault of ours while an event is delivered: the guest sees the event, and no fault. */
static void hidden_fault_under_event(void **state)
{
	interrupted = (struct injection){
		.kind = INJECT_EXCEPTION, .vector = ARCH_PF, .has_code = true, .code = 4
	};
	fake.guest = interrupt;
	page_fault(PAGE, PFERR_WRITE);
	assert_int_equal(play(), -EINTR);
	assert_int_equal(fake.injections, 1);
	assert_int_equal(fake.injected[0].vector, ARCH_PF);
	assert_int_equal(fake.injected[0].code, 4);
	assert_int_equal(v->account.stats.shadow_faults, 1);
}

static void device(void **state)
{
	memcpy(ram + PAGE, "\x89\x03", 2); /* MOV [RBX], EAX */
	*entry(PT, 6) |= A;
	regs[FERMATA_RBX] = 0x9010;
	regs[FERMATA_RAX] = 77;
	page_fault(0x9010, PFERR_WRITE);
	assert_int_equal(play(), 0);
	assert_int_equal(pages[0].exit.reason, FERMATA_EXIT_MMIO);
	assert_int_equal(pages[0].exit.mmio.gpa, NOWHERE + 0x10);
	assert_true(pages[0].exit.mmio.write);
	assert_int_equal(pages[0].exit.mmio.value, 77);
}

/* A table that the host has swapped out is brought back, not taken for absent. */
static void absent_table(void **state)
{
	host_test_user_absent(ram + PT, 4096, true);
	page_fault(PAGE, 0);
	page_fault(PAGE, 0);
	assert_int_equal(play(), -EINTR);
	assert_int_equal(fake.injections, 0);
	assert_true(host_test.page_gets > 0);
}

/* One that cannot be brought back is memory that the guest cannot have: the caller hears where. */
static void lost_table(void **state)
{
	host_test_user_absent(ram + PT, 4096, true);
	host_test.page_error = -EFAULT;
	page_fault(PAGE, 0);
	assert_int_equal(play(), 0);
	assert_int_equal(pages[0].exit.reason, FERMATA_EXIT_MEMORY_FAULT);
	assert_int_equal(pages[0].exit.mmio.gpa, PT + 6 * 8);
	host_test.page_error = 0;
}

/* A fault of the guest's that a rule is about is an exception's exit, and the guest's after that. */
static void ruled_fault(void **state)
{
	struct fermata_rule rule = { .event = FERMATA_ON_EXCEPTION, .filters = 1 };

	rule.range[FERMATA_FILTER_NUMBER] = (struct fermata_range){ ARCH_PF, ARCH_PF };
	assert_int_equal(rules_add(&vm, &rule), 0);
	page_fault(0x7123, PFERR_WRITE);
	assert_int_equal(play(), -EINTR);
	assert_int_equal(rules_get(&vm, &rule), 0);
	assert_int_equal(rule.hits, 1);
	assert_int_equal(fake.injections, 1);
	assert_int_equal(fake.injected[0].vector, ARCH_PF);
	assert_int_equal(fake.injected[0].code, PFERR_WRITE);
	assert_int_equal(fake_hw(v)->cr2, 0x7123);
	assert_int_equal(v->exit.kind, EXIT_NOTHING);
}

static void new_root(void **state)
{
	u64 root;

	page_fault(PAGE, 0);
	assert_int_equal(play(), -EINTR);
	root = v->shadow->cpu.root_phys;
	once_more();
	write_cr3(ROOT2);
	assert_int_equal(play(), -EINTR);
	assert_int_equal(v->shadow->cr3, ROOT2);
	assert_true(v->shadow->cpu.root_phys != root);
	assert_int_equal(fake.entry_rip[1], fake.entry_rip[0] + 3);
	assert_int_equal(fake.paid & (FLUSH_LOCAL | FLUSH_LINEAR), FLUSH_LOCAL);
	once_more();
	write_cr3(PML4); /* kept: the one from before */
	assert_int_equal(play(), -EINTR);
	assert_int_equal(v->shadow->cpu.root_phys, root);
}

/* A page that the guest wrote to becomes a table: every vCPU's right to write there is flushed. */
static void becomes_a_table(void **state)
{
	add_vcpu();
	page_fault(ROOT2 + 8, PFERR_WRITE);
	assert_int_equal(play(), -EINTR);
	assert_int_equal(vcpus[1].requests & (BIT(REQUEST_FLUSH_LINEAR) | BIT(REQUEST_FLUSH_NESTED)),
			 0);
	once_more();
	write_cr3(ROOT2);
	assert_int_equal(play(), -EINTR);
	assert_true(vcpus[1].requests & BIT_ULL(REQUEST_FLUSH_LINEAR));
	assert_true(fake.paid & FLUSH_LINEAR);
	assert_int_equal(vm.memory.flush.under_way, 0);
}

/* SDM 3A 4.4.1: reserved bits in a present PDPTE are refused, and CR3 stays. */
static void pdptes(void **state)
{
	v->guest.efer = ARCH_EFER_NXE;
	fake_hw(v)->mode = FERMATA_MODE_PROT32;
	memset(ram + PML4, 0, 4096);
	memset(ram + ROOT2, 0, 4096);
	*entry(PML4, 0) = PD | P;
	*entry(ROOT2, 1) = PD | P | RW;
	*entry(ROOT2 + 0x20, 0) = PD | P;
	*entry(ROOT2 + 0x20, 1) = RW; /* not present: nothing is reserved */
	write_cr3(ROOT2);
	assert_int_equal(play(), -EINTR);
	assert_int_equal(v->shadow->cr3, PML4);
	assert_int_equal(v->shadow->pdpte[0], PD | P);
	assert_int_equal(fake.injections, 1);
	assert_int_equal(fake.injected[0].vector, ARCH_GP);
	once_more();
	write_cr3(ROOT2 + 0x20);
	assert_int_equal(play(), -EINTR);
	assert_int_equal(v->shadow->cr3, ROOT2 + 0x20);
	assert_int_equal(fake.injections, 0);
	/* They are read at the write to CR3, not at the walk. */
	*entry(ROOT2 + 0x20, 0) = 0;
	once_more();
	page_fault(PAGE, 0);
	assert_int_equal(play(), -EINTR);
	assert_int_equal(fake.injections, 0);
	assert_int_equal(v->account.stats.shadow_faults, 1);
}

static u32 invlpg(u64 linear)
{
	once_more();
	fake_exit(EXIT_INVLPG, 3)->linear = linear;
	assert_int_equal(play(), -EINTR);
	assert_int_equal(fake.entry_rip[1], fake.entry_rip[0] + 3);
	return fake.flushes ? fake.paid : FLUSH_NONE;
}

static void invalidation(void **state)
{
	page_fault(PAGE, 0);
	page_fault(0x200000, 0);
	assert_int_equal(play(), -EINTR);
	assert_int_equal(v->account.stats.shadow_faults, 2);
	assert_int_equal(invlpg(PAGE), FLUSH_ADDRESS);
	assert_int_equal(v->tlb.linear, PAGE);
	assert_int_equal(invlpg(0x200000),
			 FLUSH_LOCAL); /* one page of the guest's, several of the processor's */
	assert_int_equal(invlpg(0x800000000000), FLUSH_NONE);
}

/* ---- INVPCID, which a guest has that was made for nested paging */

#define DESCRIPTOR 0x1020u /* in the PML4, which is mapped by the large page */
#define INVPCID_AT (PAGE + 0x10)

static void invpcid(u64 type, u64 first, u64 second)
{
	once_more();
	memcpy(ram + INVPCID_AT, "\x66\x0f\x38\x82\x03", 5); /* INVPCID EAX, [RBX] */
	*entry(DESCRIPTOR, 0) = first;
	*entry(DESCRIPTOR, 1) = second;
	fake_hw(v)->rip = INVPCID_AT;
	regs[FERMATA_RAX] = type;
	regs[FERMATA_RBX] = 0x200000 + DESCRIPTOR;
	fake_exit(EXIT_INVPCID, 0);
	assert_int_equal(play(), -EINTR);
}

static void invpcid_done(u64 type, u64 first, u64 second, u32 paid)
{
	invpcid(type, first, second);
	assert_int_equal(fake.injections, 0);
	assert_int_equal(fake.entry_rip[1], INVPCID_AT + 5);
	assert_int_equal(fake.flushes ? fake.paid & FLUSH_LINEAR : 0, paid);
}

static void invpcid_refused(u64 type, u64 first, u64 second)
{
	invpcid(type, first, second);
	assert_int_equal(fake.injections, 1);
	assert_int_equal(fake.injected[0].vector, ARCH_GP);
	assert_int_equal(fake.injected[0].code, 0);
	assert_int_equal(fake.entry_rip[1], INVPCID_AT);
}

static void process_contexts(void **state)
{
	page_fault(PAGE, 0);
	assert_int_equal(play(), -EINTR);
	for (u32 type = 0; type < 4; type++)
		invpcid_done(type, 0, PAGE, FLUSH_LINEAR);
	invpcid_refused(4, 0, 0);
	invpcid_refused(0, 1, PAGE); /* without CR4.PCIDE there is one context */
	invpcid_refused(1, 1, 0);
	invpcid_done(2, 1, 0, FLUSH_LINEAR);
	invpcid_refused(2, 0x1000, 0);
	invpcid_refused(0, 0, 0x800000000000);
	v->guest.cr4 |= ARCH_CR4_PCIDE;
	invpcid_done(1, 0, 0, FLUSH_LINEAR);
	invpcid_done(1, 7, 0, FLUSH_NONE); /* another context's translations are not kept */
	fake_hw(v)->cpl = 3;
	invpcid_refused(2, 0, 0);
	fake_hw(v)->cpl = 0;
	/* A descriptor that is not mapped is the guest's fault. */
	once_more();
	fake_hw(v)->rip = INVPCID_AT;
	regs[FERMATA_RBX] = 0x7000;
	regs[FERMATA_RAX] = 2;
	fake_exit(EXIT_INVPCID, 0);
	assert_int_equal(play(), -EINTR);
	assert_int_equal(fake.injected[0].vector, ARCH_PF);
	assert_int_equal(v->guest.cr2, 0x7000);
}

int main(void)
{
#define SHADOW_TEST(name) cmocka_unit_test_setup_teardown(name, shadowed, done)
	const struct CMUnitTest tests[] = {
		SHADOW_TEST(fills_the_shadow), SHADOW_TEST(guests_own_fault),
		SHADOW_TEST(second_fault),     SHADOW_TEST(third_fault),
		SHADOW_TEST(fault_under_nmi),  SHADOW_TEST(hidden_fault_under_event),
		SHADOW_TEST(device),	       SHADOW_TEST(absent_table),
		SHADOW_TEST(new_root),	       SHADOW_TEST(becomes_a_table),
		SHADOW_TEST(pdptes),	       SHADOW_TEST(invalidation),
		SHADOW_TEST(process_contexts), SHADOW_TEST(lost_table),
		SHADOW_TEST(ruled_fault),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
