/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* kernel/core/exits.c: what becomes of each kind of exit, and of the instruction behind it. */
#include "core_fixture.h"
#include "insn/insn.h"

static int begin(void **state)
{
	fresh(state);
	enter();
	return 0;
}

static int end(void **state)
{
	leave();
	return done(state);
}

#define EXIT_TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

static struct exit *an_exit(u8 kind, u8 length)
{
	v->exit = (struct exit){
		.kind = kind, .length = length, .code = 0x123, .info1 = 7, .info2 = 8
	};
	v->advance = 0;
	v->waiting.valid = false;
	memset(&pages[0].exit, 0xa5, sizeof(pages[0].exit));
	return &v->exit;
}

static void code(const void *bytes, u32 count)
{
	memcpy(ram + 0x1000, bytes, count);
}

/* Every kind: handled, claimed, or the end of the vCPU with a report. */
static void no_kind_is_lost(void **state)
{
	u32 kind;

	for (kind = 0; kind < EXIT_KINDS; kind++) {
		enum verdict verdict;

		assert_non_null(exit_handlers[kind]);
		if (kind == EXIT_PAGE_FAULT || kind == EXIT_INVLPG)
			continue; /* shadow paging's, which this vCPU has not */
		an_exit(kind, 2);
		v->exit.mov.reg = FERMATA_RCX;
		v->exit.mov.decoded = true;
		v->exit.exception.kind = INJECT_EXCEPTION;
		verdict = exit_handle(v);
		if (verdict != LEAVE_FOR_USER)
			continue;
		assert_int_equal(pages[0].exit.hw_reason, 0x123);
		assert_int_equal(pages[0].exit.hw_info1, 7);
		assert_int_equal(pages[0].exit.hw_info2, 8);
		assert_true(pages[0].exit.reason < FERMATA_EXIT_REASONS);
		if (kind == EXIT_UNCLAIMED)
			assert_int_equal(pages[0].exit.reason, FERMATA_EXIT_UNCLAIMED);
		v->mp_state = FERMATA_MP_RUNNABLE;
	}
	an_exit(EXIT_SHUTDOWN, 0);
	assert_int_equal(exit_handle(v), LEAVE_FOR_USER);
	assert_int_equal(pages[0].exit.reason, FERMATA_EXIT_SHUTDOWN);
	an_exit(EXIT_FAIL_ENTRY, 0);
	assert_int_equal(exit_handle(v), LEAVE_FOR_USER);
	assert_int_equal(pages[0].exit.reason, FERMATA_EXIT_FAIL_ENTRY);
}

/* A refused entry is audited, logged, and kept for the caller; more findings than lines are counted. */
static void refused_entry(void **state)
{
	struct fermata_audit audit;

	vcpu_get_audit(v, &audit);
	assert_int_equal(audit.count, 0);
	fake.broken_rules = 1;
	an_exit(EXIT_FAIL_ENTRY, 0);
	assert_int_equal(exit_handle(v), LEAVE_FOR_USER);
	vcpu_get_audit(v, &audit);
	assert_int_equal(audit.count, 1);
	assert_string_equal(audit.line[0], "a rule; APM 2 1.1; CR0 = 0x1234");
	assert_string_equal(audit.line[1], "");
	assert_non_null(strstr(host_test.last_log, audit.line[0]));

	v->audit.count = 0;
	fake.broken_rules = FERMATA_AUDIT_LINES + 2;
	assert_int_equal(exit_handle(v), LEAVE_FOR_USER);
	vcpu_get_audit(v, &audit);
	assert_int_equal(audit.count, FERMATA_AUDIT_LINES + 2);
	assert_string_equal(audit.line[FERMATA_AUDIT_LINES - 1], "a rule; APM 2 1.1; CR0 = 0x123b");
}

static void audit_text_fits(void **state)
{
	struct audit_finding f = { "0123456789", "section", "field", 0 };
	char text[64], whole[64];
	u32 size, length = audit_text(&f, whole, sizeof(whole));

	assert_int_equal(length, strlen(whole));
	assert_string_equal(whole, "0123456789; section; field = 0x0");
	for (size = 1; size < sizeof(text); size++) {
		memset(text, '!', sizeof(text));
		assert_int_equal(audit_text(&f, text, size), min(size - 1, length));
		assert_memory_equal(text, whole, strlen(text));
		assert_int_equal(text[size], '!');
	}
	f.value = ~0ull;
	audit_text(&f, whole, sizeof(whole));
	assert_string_equal(whole, "0123456789; section; field = 0xffffffffffffffff");
}

static void simple(void **state)
{
	an_exit(EXIT_CPUID, 2);
	regs[FERMATA_RAX] = 0x40000000;
	assert_int_equal(exit_handle(v), GO_ON);
	assert_int_equal(regs[FERMATA_RBX], 0x6d726546);
	assert_int_equal(v->advance, 2);

	an_exit(EXIT_HLT, 1);
	assert_int_equal(exit_handle(v), LEAVE_FOR_HOST);
	assert_int_equal(v->mp_state, FERMATA_MP_HALTED);
	assert_int_equal(v->advance, 1);
	v->mp_state = FERMATA_MP_RUNNABLE;

	an_exit(EXIT_HYPERCALL, 3);
	assert_int_equal(exit_handle(v), GO_ON);
	assert_int_equal((s64)regs[FERMATA_RAX], -38);
	assert_int_equal(v->advance, 3);

	an_exit(EXIT_INVD, 2);
	assert_int_equal(exit_handle(v), GO_ON);
	assert_int_equal(v->advance, 2);
	assert_false(v->waiting.valid);

	an_exit(EXIT_UNDEFINED, 3);
	assert_int_equal(exit_handle(v), GO_ON);
	assert_int_equal(v->advance, 0);
	assert_raised(ARCH_UD, false);

	an_exit(EXIT_PROTECTED, 2);
	assert_int_equal(exit_handle(v), GO_ON);
	assert_int_equal(v->advance, 0);
	assert_raised(ARCH_GP, true);

	an_exit(EXIT_WINDOW, 0);
	assert_int_equal(exit_handle(v), GO_ON);
	assert_int_equal(fake_hw(v)->windows, 0);
	assert_int_equal(fake.windows, 1);

	an_exit(EXIT_EXCEPTION, 0)->exception =
		(struct injection){ .kind = INJECT_EXCEPTION, .vector = ARCH_AC, .has_code = true };
	assert_int_equal(exit_handle(v), GO_ON);
	assert_raised(ARCH_AC, true);
}

static void msrs(void **state)
{
	an_exit(EXIT_MSR_WRITE, 2);
	regs[FERMATA_RCX] = 0xffffffff00000000 | ARCH_MSR_PAT;
	regs[FERMATA_RAX] = 0xffffffff00070406;
	regs[FERMATA_RDX] = 0xffffffff00070406;
	assert_int_equal(exit_handle(v), GO_ON);
	assert_int_equal(v->advance, 2);
	assert_int_equal(v->guest.pat, 0x0007040600070406);

	an_exit(EXIT_MSR_READ, 2);
	regs[FERMATA_RAX] = regs[FERMATA_RDX] = ~0ull;
	assert_int_equal(exit_handle(v), GO_ON);
	assert_int_equal(v->advance, 2);
	assert_int_equal(regs[FERMATA_RAX], 0x00070406);
	assert_int_equal(regs[FERMATA_RDX], 0x00070406);

	an_exit(EXIT_MSR_READ, 2);
	regs[FERMATA_RCX] = 0x48;
	assert_int_equal(exit_handle(v), GO_ON);
	assert_int_equal(v->advance, 0);
	assert_int_equal(regs[FERMATA_RAX], 0x00070406); /* untouched */
	assert_raised(ARCH_GP, true);
	an_exit(EXIT_MSR_WRITE, 2);
	assert_int_equal(exit_handle(v), GO_ON);
	assert_int_equal(v->advance, 0);
	assert_raised(ARCH_GP, true);
}

/* Without the hardware's word the length is decoded, and only of the instruction that must be there. */
static void lengths(void **state)
{
	an_exit(EXIT_CPUID, 0);
	code("\x2e\x0f\xa2", 3);
	assert_int_equal(exit_handle(v), GO_ON);
	assert_int_equal(v->advance, 3);
	/* Another CPU has rewritten the code: nothing happens, the guest runs what is there. */
	an_exit(EXIT_CPUID, 0);
	code("\xf4\xf4", 2);
	regs[FERMATA_RBX] = 0x77;
	assert_int_equal(exit_handle(v), GO_ON);
	assert_int_equal(v->advance, 0);
	assert_int_equal(regs[FERMATA_RBX], 0x77);
	/* Its page is not there. */
	an_exit(EXIT_HLT, 0);
	code("\xf4", 1);
	host_test_user_absent(ram + 0x1000, 4096, true);
	assert_int_equal(exit_handle(v), GO_ON);
	assert_int_equal(v->mp_state, FERMATA_MP_RUNNABLE);
	assert_int_equal(v->advance, 0);
	host_test_user_absent(ram + 0x1000, 4096, false);
	assert_int_equal(exit_handle(v), LEAVE_FOR_HOST);
	assert_int_equal(v->advance, 1);
	v->mp_state = FERMATA_MP_RUNNABLE;
	/* The code's last byte is the page's last, and nothing is behind it. */
	fake_hw(v)->rip = RAM - 2;
	memcpy(ram + RAM - 2, "\x0f\x32", 2);
	an_exit(EXIT_MSR_READ, 0);
	regs[FERMATA_RCX] = ARCH_MSR_PAT;
	assert_int_equal(exit_handle(v), GO_ON);
	assert_int_equal(v->advance, 2);
}

static void io(void **state)
{
	struct fermata_exit *out = &pages[0].exit;
	struct exit *x = an_exit(EXIT_IO, 2);

	x->io.port = 0x3f8;
	x->io.size = 1;
	regs[FERMATA_RAX] = 0x1122334455667788;
	assert_int_equal(exit_handle(v), LEAVE_FOR_USER);
	assert_int_equal(out->reason, FERMATA_EXIT_IO);
	assert_int_equal(out->io.port, 0x3f8);
	assert_int_equal(out->io.value, 0x88);
	assert_int_equal(out->insn_len, 2);
	assert_int_equal(v->advance, 0); /* RIP is still at it */
	x->io.size = 2;
	exit_handle(v);
	assert_int_equal(out->io.value, 0x7788);
	x->io.size = 4;
	exit_handle(v);
	assert_int_equal(out->io.value, 0x55667788);
	x->io.in = true;
	exit_handle(v);
	assert_int_equal(out->io.value, 0);
	assert_int_equal(out->io.in, 1);
	/* OUTSB: with the code, or not yet. */
	x->io.in = false;
	x->io.string = x->io.rep = true;
	x->io.size = 1;
	code("\xf3\x6e", 2);
	assert_int_equal(exit_handle(v), LEAVE_FOR_USER);
	assert_int_equal(out->insn_bytes, 15);
	assert_int_equal(out->insn[1], 0x6e);
	assert_int_equal(out->cpu_mode, FERMATA_MODE_LONG);
	host_test_user_absent(ram + 0x1000, 4096, true);
	assert_int_equal(exit_handle(v), GO_ON);
}

/* A port whose course is foretold is answered here, with IN's rules for RAX. */
static void foretold_io(void **state)
{
	struct fermata_forecast f = { .port = 0x40,
				      .size = 2,
				      .kind = FERMATA_FORECAST_COUNTER,
				      .hz = 1000000000,
				      .base = 0x9000,
				      .mask = 0xffff,
				      .down = 1 };
	struct exit *x = an_exit(EXIT_IO, 2);

	assert_int_equal(forecast_set(&vm.forecasts, &f), 0);
	host_test.tsc += 0x1000;
	x->io.port = 0x40;
	x->io.size = 2;
	x->io.in = true;
	regs[FERMATA_RAX] = ~0ull;
	assert_int_equal(exit_handle(v), GO_ON);
	assert_int_equal(regs[FERMATA_RAX], 0xffffffffffff8000);
	assert_int_equal(v->advance, 2);
	x->io.size = 1;
	assert_int_equal(exit_handle(v), LEAVE_FOR_USER);
	x->io.size = 2;
	x->io.in = false;
	assert_int_equal(exit_handle(v), LEAVE_FOR_USER);
}

static void fault(u64 gpa, u32 access, bool table)
{
	struct exit *x = an_exit(EXIT_NESTED_FAULT, 0);

	x->fault.gpa = gpa;
	x->fault.access = access;
	x->fault.table = table;
}

static int outside(void)
{
	int result;

	assert_int_equal(exit_handle(v), LEAVE_FOR_FAULT);
	leave();
	result = exit_handle_fault(v);
	enter();
	return result;
}

static void memory_faults(void **state)
{
	struct fermata_memory rom = { .slot = 1,
				      .gpa = 0x200000,
				      .size = 4096,
				      .user_addr = (uintptr_t)ram,
				      .flags = FERMATA_MEMORY_READONLY };
	struct fermata_exit *out = &pages[0].exit;
	struct radix_leaf leaf;

	fault(0x5123, RADIX_WRITE, false);
	assert_int_equal(outside(), GO_ON);
	assert_true(radix_lookup(&vm.memory.radix, 0x5000, &leaf));
	assert_int_equal(v->account.stats.nested_faults, 1);

	code("\x8b\x03", 2);
	fault(0x300004, RADIX_READ, false);
	assert_int_equal(outside(), LEAVE_FOR_USER);
	assert_int_equal(out->reason, FERMATA_EXIT_MMIO);
	assert_int_equal(out->mmio.gpa, 0x300004);
	assert_int_equal(out->mmio.write | out->mmio.fetch, 0);
	assert_int_equal(out->insn[0], 0x8b);

	leave();
	assert_int_equal(vm_set_memory(&vm, &rom), 0);
	enter();
	fault(0x200000, RADIX_READ, false);
	assert_int_equal(outside(), GO_ON);
	fault(0x200010, RADIX_WRITE, false);
	assert_int_equal(outside(), LEAVE_FOR_USER);
	assert_int_equal(out->reason, FERMATA_EXIT_MMIO);
	assert_int_equal(out->mmio.write, 1);

	/* Page tables in device memory: nobody can answer for the processor's walk. */
	fault(0x300000, RADIX_READ, true);
	assert_int_equal(outside(), LEAVE_FOR_USER);
	assert_int_equal(out->reason, FERMATA_EXIT_MEMORY_FAULT);
	/* Code in device memory: reported without its bytes. */
	fake_hw(v)->rip = 0x300000;
	fault(0x300000, RADIX_EXEC, false);
	assert_int_equal(outside(), LEAVE_FOR_USER);
	assert_int_equal(out->reason, FERMATA_EXIT_MMIO);
	assert_int_equal(out->mmio.fetch, 1);
	assert_int_equal(out->insn_bytes, 0);
	/* Device memory read by code that has gone meanwhile: the guest tries again. */
	fault(0x300000, RADIX_READ, false);
	assert_int_equal(outside(), GO_ON);

	host_test.page_error = -EFAULT;
	fault(0x7000, RADIX_READ, false);
	assert_int_equal(outside(), LEAVE_FOR_USER);
	assert_int_equal(out->reason, FERMATA_EXIT_MEMORY_FAULT);
	assert_int_equal(out->mmio.gpa, 0x7000);
	host_test.page_error = -EINTR;
	fault(0x7000, RADIX_READ, false);
	assert_int_equal(outside(), -EINTR);
	host_test.page_error = -EAGAIN;
	assert_int_equal(outside(), GO_ON);
	host_test.page_error = 0;
	host_test.allocs_until_failure = 0;
	leave();
	radix_cache_drain(&v->cache);
	enter();
	fault(0x7000, RADIX_READ, false);
	assert_int_equal(outside(), -ENOMEM);
	host_test.allocs_until_failure = -1;
}

/* The xAPIC page has no memory: its accesses are done from the instruction. */
static void apic_page(void **state)
{
	const u64 page = LAPIC_BASE_DEFAULT;

	code("\x89\x08", 2); /* mov %ecx, (%rax) */
	regs[FERMATA_RCX] = 0x1ff;
	fault(page + LAPIC_SVR, RADIX_WRITE, false);
	assert_int_equal(exit_handle(v), GO_ON);
	assert_int_equal(v->advance, 2);
	assert_int_equal(v->apic.svr, 0x1ff);

	code("\x8b\x18", 2); /* mov (%rax), %ebx */
	regs[FERMATA_RBX] = ~0ull;
	fault(page + LAPIC_SVR, RADIX_READ, false);
	assert_int_equal(exit_handle(v), GO_ON);
	assert_int_equal(regs[FERMATA_RBX], 0x1ff);

	/* The direction the processor reports and the one of the code differ: not ours to guess. */
	fault(page + LAPIC_SVR, RADIX_WRITE, false);
	assert_int_equal(exit_handle(v), LEAVE_FOR_FAULT);
	assert_int_equal(v->advance, 0);
	/* Code there, page tables there, another page, another mode: no APIC. */
	fault(page, RADIX_EXEC, false);
	assert_int_equal(exit_handle(v), LEAVE_FOR_FAULT);
	fault(page, RADIX_READ, true);
	assert_int_equal(exit_handle(v), LEAVE_FOR_FAULT);
	fault(page + 4096, RADIX_READ, false);
	assert_int_equal(exit_handle(v), LEAVE_FOR_FAULT);
	assert_int_equal(apic_set_base(&v->apic, apic_base(&v->apic) | LAPIC_BASE_X2APIC), 0);
	fault(page, RADIX_READ, false);
	assert_int_equal(exit_handle(v), LEAVE_FOR_FAULT);
}

/* The caller shares the page, and may write to it at the worst moment: when the bytes are being decoded. */
static bool scribbling;

int __real_insn_decode(const u8 *bytes, u32 count, u8 mode, struct insn *out);
int __wrap_insn_decode(const u8 *bytes, u32 count, u8 mode, struct insn *out);

int __wrap_insn_decode(const u8 *bytes, u32 count, u8 mode, struct insn *out)
{
	if (scribbling) {
		memset(pages[0].exit.insn, 0xf4, sizeof(pages[0].exit.insn));
		pages[0].exit.insn_bytes = 0xff;
		pages[0].exit.cpu_mode = FERMATA_MODE_REAL;
	}
	return __real_insn_decode(bytes, count, mode, out);
}

static void shared_page(void **state)
{
	const struct fermata_exit *out = &pages[0].exit;

	code("\x89\x48\x08", 3); /* mov %ecx, 8(%rax) */
	fault(0x300008, RADIX_WRITE, false);
	regs[FERMATA_RAX] = 0xffff888000300000;
	regs[FERMATA_RCX] = 0x12345678;
	scribbling = true;
	assert_int_equal(outside(), LEAVE_FOR_USER);
	scribbling = false;
	assert_int_equal(out->insn[0], 0xf4);
	assert_int_equal(out->mmio.op, FERMATA_MMIO_STORE);
	assert_int_equal(out->mmio.size, 4);
	assert_int_equal(out->mmio.value, 0x12345678);
	assert_int_equal(out->insn_len, 3);
}

/* The plain MOVs are decoded here; what is not quite one of them is the caller's. */
static void device_accesses(void **state)
{
	static const struct {
		u8 code[8];
		bool write;
		u8 op, size, reg, reg_size;
		u32 gpa;
		u64 value;
	} row[] = {
		/* mov %ecx, 8(%rax); mov %cl, 8(%rax); movl $-2, 8(%rax); movq $-2, 8(%rax) */
		{ { 0x89, 0x48, 8 }, true, FERMATA_MMIO_STORE, 4, 0, 0, 0x300008, 0x1122334455667788 },
		{ { 0x88, 0x48, 8 }, true, FERMATA_MMIO_STORE, 1, 0, 0, 0x300008, 0x1122334455667788 },
		{ { 0xc7, 0x40, 8, 0xfe, 0xff, 0xff, 0xff },
		  true,
		  FERMATA_MMIO_STORE,
		  4,
		  0,
		  0,
		  0x300008,
		  -2ull },
		{ { 0x48, 0xc7, 0x40, 8, 0xfe, 0xff, 0xff, 0xff },
		  true,
		  FERMATA_MMIO_STORE,
		  8,
		  0,
		  0,
		  0x300008,
		  -2ull },
		/* mov (%rax), %r9d; movzbl (%rax), %edx; movswq (%rax), %rdx */
		{ { 0x44, 0x8b, 0x08 }, false, FERMATA_MMIO_LOAD, 4, FERMATA_R9, 4, 0x300000, 0 },
		{ { 0x0f, 0xb6, 0x10 }, false, FERMATA_MMIO_LOAD, 1, FERMATA_RDX, 4, 0x300000, 0 },
		{ { 0x48, 0x0f, 0xbf, 0x10 },
		  false,
		  FERMATA_MMIO_LOAD_SIGN,
		  2,
		  FERMATA_RDX,
		  8,
		  0x300000,
		  0 },
		/* the other direction, another address, AH, FS, an exchange, an OR, over the page's end */
		{ { 0x89, 0x48, 8 }, false, 0, 0, 0, 0, 0x300008, 0 },
		{ { 0x89, 0x48, 8 }, true, 0, 0, 0, 0, 0x300010, 0 },
		{ { 0x88, 0x60, 8 }, true, 0, 0, 0, 0, 0x300008, 0 },
		{ { 0x64, 0x89, 0x48, 8 }, true, 0, 0, 0, 0, 0x300008, 0 },
		{ { 0x87, 0x48, 8 }, true, 0, 0, 0, 0, 0x300008, 0 },
		{ { 0x09, 0x48, 8 }, true, 0, 0, 0, 0, 0x300008, 0 },
		{ { 0x89, 0x88, 0xfe, 0x0f, 0, 0 }, true, 0, 0, 0, 0, 0x300ffe, 0 },
	};
	const struct fermata_exit *out = &pages[0].exit;
	u32 i;

	for (i = 0; i < ARRAY_SIZE(row); i++) {
		code(row[i].code, sizeof(row[i].code));
		fault(row[i].gpa, row[i].write ? RADIX_WRITE : RADIX_READ, false);
		regs[FERMATA_RAX] = 0xffff888000300000;
		regs[FERMATA_RCX] = 0x1122334455667788;
		assert_int_equal(outside(), LEAVE_FOR_USER);
		assert_int_equal(out->reason, FERMATA_EXIT_MMIO);
		assert_int_equal(out->mmio.op, row[i].op);
		assert_int_equal(out->mmio.size, row[i].size);
		assert_int_equal(out->mmio.reg, row[i].reg);
		assert_int_equal(out->mmio.reg_size, row[i].reg_size);
		assert_int_equal(out->mmio.value, row[i].value);
		assert_int_equal(out->insn_len != 0, row[i].op != 0);
		assert_memory_equal(out->insn, row[i].code, sizeof(row[i].code));
	}
	/* In other modes the segments count. */
	code(row[0].code, 3);
	fake_hw(v)->mode = FERMATA_MODE_PROT32;
	fault(0x300008, RADIX_WRITE, false);
	assert_int_equal(outside(), LEAVE_FOR_USER);
	assert_int_equal(out->mmio.op, FERMATA_MMIO_UNKNOWN);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		EXIT_TEST(no_kind_is_lost),
		EXIT_TEST(simple),
		EXIT_TEST(msrs),
		EXIT_TEST(lengths),
		EXIT_TEST(io),
		EXIT_TEST(foretold_io),
		EXIT_TEST(memory_faults),
		EXIT_TEST(device_accesses),
		EXIT_TEST(shared_page),
		EXIT_TEST(apic_page),
		EXIT_TEST(refused_entry),
		EXIT_TEST(audit_text_fits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
