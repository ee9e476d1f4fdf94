/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * Rules about events: each fires as often as its instruction runs, is filtered, and acts; and what the
 * instruction does is what it does without rules.
 */
#include "rules.h"

GUEST(.seconds = 60);

static void empty_log(void)
{
	struct fermata_record record;

	while (next_record(&record))
		;
}

/* ---- cpuid, and what all events have */

static struct words plain_leaf_1, seen_leaf_1;

static void cpuid_twice(void)
{
	cpuid(0, 0);
	seen_leaf_1 = cpuid(1, 0);
}

static bool same_words(struct words a, struct words b)
{
	return a.a == b.a && a.b == b.b && a.c == b.c && a.d == b.d;
}

static void filters(void)
{
	plain_leaf_1 = cpuid(1, 0);
	fires("cpuid", cpuid_twice, 2);
	check(same_words(plain_leaf_1, seen_leaf_1), "CPUID answers as without rules");
	fires("cpuid leaf=1", cpuid_twice, 1);
	fires("cpuid leaf=2..5", cpuid_twice, 0);
	fires("cpuid leaf=0..1 cpl=0", cpuid_twice, 2);
	fires("cpuid cpl=3", cpuid_twice, 0);
	fires("cpuid cr3=0x1000", cpuid_twice, 2);
	fires("cpuid cr3=0x2000", cpuid_twice, 0);
	fires("cpuid rip=0x100000..0x1fffff", cpuid_twice, 2);
	fires("cpuid rip=0x200000..0x2fffff", cpuid_twice, 0);
	fires("cpuid first=1", cpuid_twice, 1);
	fires("cpuid every=2", cpuid_twice, 1);
	fires("cpuid every=3", cpuid_twice, 0);
}

static void many(void)
{
	for (u32 i = 0; i < 30; i++)
		cpuid(0, 0);
}

static void actions(void)
{
	struct words zero = cpuid(0, 0);
	u32 id = rule_on("cpuid leaf=0 do set eax=0x1234 set rdx=5"), a;

	a = cpuid(0, 0).a;
	check_eq(a, 0x1234, "`set` replaces a register after the instruction");
	check(cpuid(0, 0).b == zero.b && cpuid(0, 0).d == 5, "and no other one");
	check(cpuid(1, 0).a == plain_leaf_1.a, "where the filter does not match it does nothing");
	rule_off(id);

	id = rule_on("cpuid do skip");
	asm volatile("cpuid" : "+a"(a) : "c"(0) : "rbx", "rdx");
	check_eq(a, 0x1234, "`skip` goes on behind the instruction");
	rule_off(id);

	id = rule_on("cpuid do skip set rax=77");
	check_eq(cpuid(0, 0).a, 77, "`skip set` answers in the instruction's place");
	rule_off(id);

	id = rule_on("cpuid do inject gp:0x18");
	ATTEMPT("cpuid", : : "a"(0), "c"(0) : "rbx", "rdx", "memory");
	rule_off(id);
	check_fault(GP, 0x18, "`inject` raises an exception in the instruction's place");
	id = rule_on("cpuid do inject ud");
	ATTEMPT("cpuid", : : "a"(0), "c"(0) : "rbx", "rdx", "memory");
	rule_off(id);
	check_fault(UD, 0, "with and without an error code");

	fires("cpuid first=10 every=2", many, 10);
	fires("cpuid every=4", many, 7);
}

static void order(void)
{
	u32 first = rule_on("cpuid do set eax=1"), second = rule_on("cpuid do set eax=2");
	u32 third = rule_on("cpuid");

	check_eq(cpuid(0, 0).a, 1, "of several rules that decide the first one does");
	rule_off(first);
	check_eq(cpuid(0, 0).a, 2, "and the next one when it is gone");
	check_eq(rule_off(second), 2, "the others count their hits");
	check_eq(rule_off(third), 2, "all of them");
	check(call_runner(CALL_RULE_HITS, first) == CALL_FAILED, "a rule that was removed is gone");
}

static void stops(void)
{
	u32 before = call_runner(CALL_STOPS, 0), id = rule_on("cpuid leaf=1 do stop");
	u32 count = rule_on("cpuid leaf=1");
	struct words words = cpuid(1, 0);

	rule_off(id);
	check_eq(call_runner(CALL_STOPS, 0), before + 1, "`stop` ends the caller's turn, once");
	check(same_words(words, plain_leaf_1), "and the instruction is carried out afterwards");
	check_eq(call_runner(CALL_STOP_EVENT, 0), FERMATA_ON_CPUID, "the caller hears which event");
	check_eq(call_runner(CALL_STOP_NUMBER, 0), 1, "and its number");
	check_eq(rule_off(count), 1, "a rule behind the one that stopped counts once");
}

static void log(void)
{
	struct fermata_record a = { 0 }, b = { 0 };
	u64 before = rdtsc();
	u32 id;

	empty_log();
	id = rule_on("cpuid leaf=1 do log");
	cpuid_twice();
	cpuid_twice();
	check_eq(rule_off(id), 2, "two hits");
	check(next_record(&a) && next_record(&b), "make two records");
	check(a.event == FERMATA_ON_CPUID && a.number == 1 && a.rule == id && a.vcpu == 0 &&
		      a.cpl == 0,
	      "a record says what it was, by which rule, and where");
	check_eq(a.cr3, read_cr3(), "in which address space");
	check(a.rip >= GUEST_LOAD && a.rip < GUEST_LOAD + 0x100000, "at which instruction");
	check(a.regs[0] == plain_leaf_1.a && a.regs[2] == plain_leaf_1.c, "with what came of it");
	check_eq(b.sequence, a.sequence + 1, "records are numbered");
	check(b.host_tsc > a.host_tsc && b.guest_ns >= a.guest_ns && a.guest_ns > 0 && before > 0,
	      "and have the host's time and the guest's");
}

/* ---- MSRs */

static void msrs_used(void)
{
	rdmsr(MSR_PAT);
	wrmsr(MSR_PAT, rdmsr(MSR_PAT));
	rdmsr(MSR_EFER);
}

#define MSR_KERNEL_GS_BASE 0xc0000102
#define MSR_SYSENTER_EIP 0x176

static void direct_msrs_used(void)
{
	u64 gs = rdmsr(MSR_KERNEL_GS_BASE), eip = rdmsr(MSR_SYSENTER_EIP);

	wrmsr(MSR_KERNEL_GS_BASE, 0x12345678);
	wrmsr(MSR_SYSENTER_EIP, 0x654321);
	check(rdmsr(MSR_KERNEL_GS_BASE) == 0x12345678 && rdmsr(MSR_SYSENTER_EIP) == 0x654321,
	      "MSRs that do not exit otherwise read back what was written");
	wrmsr(MSR_KERNEL_GS_BASE, gs);
	wrmsr(MSR_SYSENTER_EIP, eip);
}

static void swaps_gs(void)
{
	u64 gs = rdmsr(MSR_KERNEL_GS_BASE);

	wrmsr(MSR_KERNEL_GS_BASE, 0x87654000);
	asm volatile("swapgs" : : : "memory");
	check_eq(rdmsr(0xc0000101), 0x87654000, "what a trapped WRMSR wrote is in the register");
	asm volatile("swapgs" : : : "memory");
	wrmsr(MSR_KERNEL_GS_BASE, gs);
}

static void msrs(void)
{
	struct fermata_record r = { 0 };
	u64 pat = rdmsr(MSR_PAT);
	u32 id;

	fires("rdmsr", msrs_used, 3);
	fires("rdmsr msr=0x270..0x280", msrs_used, 2);
	fires("rdmsr msr=efer", msrs_used, 1);
	fires("wrmsr", msrs_used, 1);
	fires("wrmsr msr=pat value=0", msrs_used, 0);
	fires("rdmsr msr=kernel_gs_base", direct_msrs_used, 2);
	fires("wrmsr msr=0x176", direct_msrs_used, 2);
	fires("rdmsr", direct_msrs_used, 4);
	fires("wrmsr", swaps_gs, 2);

	id = rule_on("rdmsr msr=pat do set rax=1 set rdx=2");
	check_eq(rdmsr(MSR_PAT), 0x200000001, "RDMSR reads what a rule sets");
	rule_off(id);
	id = rule_on("wrmsr msr=pat do skip");
	wrmsr(MSR_PAT, 0);
	rule_off(id);
	check_eq(rdmsr(MSR_PAT), pat, "a skipped WRMSR writes nothing");
	id = rule_on("wrmsr msr=pat do log");
	empty_log();
	wrmsr(MSR_PAT, pat & ~0xffull);
	check(next_record(&r) && r.old == pat && r.value == (pat & ~0xffull),
	      "the log has the value before and the one written");
	wrmsr(MSR_PAT, pat);
	rule_off(id);
	id = rule_on("rdmsr do inject gp:0");
	ATTEMPT("rdmsr", : : "c"(MSR_PAT) : "rax", "rdx", "memory");
	rule_off(id);
	check_fault(GP, 0, "RDMSR raises what a rule injects");
	id = rule_on("rdmsr msr=0x48");
	try_rdmsr(0x48);
	check_fault(GP, 0, "an unknown MSR faults as without rules");
	check_eq(rule_off(id), 1, "and counts");
}

/* ---- ports */

static void ports_used(void)
{
	u32 value;

	outl(PORT_ECHO, 0x12345678);
	value = inl(PORT_ECHO);
	outb(PORT_ECHO + 4, 9);
	check_eq(value, 0x12345678, "ports work as without rules");
}

static void ports(void)
{
	struct fermata_record r = { 0 };
	u32 id;

	fires("out port=0x500", ports_used, 1);
	fires("out port=0x500..0x507", ports_used, 2);
	fires("in port=0x500", ports_used, 1);
	fires("out port=0x500..0x507 value=9", ports_used, 1);
	fires("in port=0x504", ports_used, 0);
	id = rule_on("in port=0x500 do skip set eax=0xabcd");
	check_eq(inl(PORT_ECHO), 0xabcd, "IN answered by a rule");
	rule_off(id);
	id = rule_on("in port=0x500 do set eax=0x1111");
	check_eq(inl(PORT_ECHO), 0x1111, "and after the device's answer");
	rule_off(id);
	id = rule_on("out port=0x500 do skip");
	outl(PORT_ECHO, 77);
	rule_off(id);
	check_eq(inl(PORT_ECHO), 0x12345678, "a skipped OUT does not reach the device");
	id = rule_on("in port=0x500 do log");
	empty_log();
	inl(PORT_ECHO);
	check(next_record(&r) && r.number == PORT_ECHO && r.value == 0x12345678 && r.code == 4,
	      "the log has what IN read, from where, and how wide");
	rule_off(id);
}

/* ---- time */

static u64 aux;

static void tsc_used(void)
{
	u64 a = rdtsc(), b;
	u32 low, high, c;

	asm volatile("rdtscp" : "=a"(low), "=d"(high), "=c"(c));
	b = low | (u64)high << 32;
	aux = c;
	check(b > a && rdtsc() > b, "time goes on");
}

static void rdtsc_only(void)
{
	rdtsc();
}

static void tsc(void)
{
	bool rdtscp = cpuid(0x80000001, 0).d >> 27 & 1;
	u32 id;

	fires("rdtsc", rdtsc_only, 1);
	fires("rdtscp", rdtsc_only, 0);
	id = rule_on("rdtsc do set rax=0x55 set rdx=0");
	check_eq(rdtsc(), 0x55, "RDTSC reads what a rule sets");
	rule_off(id);
	id = rule_on("rdtsc do inject gp:0");
	ATTEMPT("rdtsc", : : : "rax", "rdx", "memory");
	rule_off(id);
	check_fault(GP, 0, "or raises what it injects");
	if (!rdtscp) {
		skip("RDTSCP", "the processor has none");
		return;
	}
	wrmsr(MSR_TSC_AUX, 0x1234);
	fires("rdtsc", tsc_used, 2);
	fires("rdtscp", tsc_used, 1);
	check_eq(aux, 0x1234, "RDTSCP reads TSC_AUX");
}

/* ---- control and debug registers */

static void registers_used(void)
{
	u64 cr4 = read_cr4(), cr3 = read_cr3(), cr8 = read_cr8();

	write_cr4(cr4 ^ CR4_DE);
	check_eq(read_cr4(), cr4 ^ CR4_DE, "CR4 reads what was written");
	write_cr4(cr4);
	write_cr3(cr3);
	check_eq(read_cr3(), cr3, "CR3 too");
	write_cr8(5);
	check_eq(read_cr8(), 5, "CR8 too");
	write_cr8(cr8);
}

static void cr0_used(void)
{
	u64 cr0 = read_cr0();

	write_cr0(cr0 | CR0_TS);
	check_eq(read_cr0(), cr0 | CR0_TS, "CR0 reads what was written");
	asm volatile("clts" : : : "memory");
	check_eq(read_cr0(), cr0, "CLTS clears TS");
	asm volatile("lmsw %w0" : : "r"((u32)cr0 | 8) : "memory");
	check_eq(read_cr0(), cr0 | CR0_TS, "LMSW sets TS");
	write_cr0(cr0);
}

static void debug_used(void)
{
	write_dr0(0x1234);
	write_dr3(0x4321);
	check(read_dr0() == 0x1234 && read_dr3() == 0x4321, "debug registers read what was written");
	check((read_dr6() & 0xf00) == 0xf00, "DR6 too");
	write_dr0(0);
	write_dr3(0);
}

static void switch_cr3(void)
{
	u64 cr3 = read_cr3(), other = new_page();

	memcpy((void *)other, (void *)cr3, 4096);
	write_cr3(other);
	write_cr3(other);
	check_eq(read_cr3(), other, "another CR3");
	write_cr3(cr3);
}

static void registers(void)
{
	struct fermata_record r = { 0 };
	u32 id;

	fires("mov-to-cr cr=4", registers_used, 2);
	fires("mov-to-cr cr=3", registers_used, 1);
	fires("mov-from-cr cr=3", registers_used, 2);
	fires("mov-to-cr cr=8", registers_used, 2);
	fires("mov-from-cr cr=8", registers_used, 2);
	fires("mov-to-cr cr=4..8 value=5", registers_used, 1);
	fires("mov-to-cr", registers_used, 5);
	fires("mov-to-cr cr=0", cr0_used, 2);
	fires("clts", cr0_used, 1);
	fires("lmsw", cr0_used, 1);
	fires("mov-to-dr", debug_used, 4);
	fires("mov-to-dr dr=3", debug_used, 2);
	fires("mov-from-dr", debug_used, 3);
	fires("mov-from-dr dr=6", debug_used, 1);
	fires("cr3-switch", switch_cr3, 2);
	fires("mov-to-cr cr=3", switch_cr3, 3);
	id = rule_on("mov-to-cr cr=4 do log skip");
	empty_log();
	write_cr4(read_cr4() ^ CR4_DE);
	rule_off(id);
	check(next_record(&r) && r.old == read_cr4() && r.value == (r.old ^ CR4_DE),
	      "the log has what was there and what was to be written");
	check(!(read_cr4() & CR4_DE), "and the rule has kept it from that");
	id = rule_on("mov-from-cr cr=3 do set rax=0x5000");
	if (id != NO_RULE) {
		u64 value;

		asm volatile("mov %%cr3, %%rax" : "=a"(value));
		rule_off(id);
		check_eq(value, 0x5000, "a rule answers for CR3");
	}
}

/* ---- the rest that is plain */

static volatile u32 ticks;

static void tick(struct frame *frame)
{
	ticks++;
	apic_eoi();
}

static void halt_once(void)
{
	call_runner(CALL_DELAYED_MSI, 0x50);
	asm volatile("sti\n\thlt\n\tcli" : : : "memory");
}

static void call_once(void)
{
	u64 rax = 0x4321;

	if (calls_by_vmcall())
		asm volatile(VMCALL : "+a"(rax) : : "memory");
	else
		asm volatile(VMMCALL : "+a"(rax) : : "memory");
	check_eq(rax, (u64)-38, "an unknown hypercall says so");
}

static void pause_thrice(void)
{
	pause();
	pause();
	pause();
}

static void write_back(void)
{
	asm volatile("wbinvd" : : : "memory");
}

static void not_there(void)
{
	ATTEMPT("monitor", : : "a"(USER_BASE), "c"(0), "d"(0) : "memory");
	check_fault(UD, 0, "MONITOR: #UD");
	ATTEMPT("mwait", : : "a"(0), "c"(0) : "memory");
	check_fault(UD, 0, "MWAIT: #UD");
	ATTEMPT("rdpmc", : : "c"(3) : "rax", "rdx", "memory");
	check_fault(GP, 0, "RDPMC: #GP(0)");
}

static void others(void)
{
	u32 id;
	u64 rax = 5;

	apic_on(false);
	set_handler(0x50, tick);
	fires("hlt", halt_once, 1);
	check_eq(ticks, 1, "HLT waits for its interrupt");
	id = rule_on("hlt do skip");
	asm volatile("hlt" : : : "memory"); /* interrupts are off: it would not come back */
	check_eq(rule_off(id), 1, "a skipped HLT does not wait");
	fires("hypercall", call_once, 1);
	fires("hypercall nr=0x4321", call_once, 1);
	fires("hypercall nr=1", call_once, 0);
	id = rule_on("hypercall do skip set rax=12");
	if (calls_by_vmcall())
		asm volatile(VMCALL : "+a"(rax) : : "memory");
	else
		asm volatile(VMMCALL : "+a"(rax) : : "memory");
	rule_off(id);
	check_eq(rax, 12, "a hypercall that a rule answers");
	fires("pause", pause_thrice, 3);
	fires("wbinvd", write_back, 1);
	fires("monitor", not_there, 1);
	fires("mwait", not_there, 1);
	fires("rdpmc counter=3", not_there, 1);
	fires("rdpmc counter=4", not_there, 0);
	id = rule_on("rdpmc do skip set rax=3 set rdx=0");
	asm volatile("rdpmc" : "=a"(rax) : "c"(0) : "rdx");
	rule_off(id);
	check_eq(rax, 3, "a rule gives a counter where there is none");
}

void guest_main(u32 run)
{
	filters();
	actions();
	order();
	stops();
	log();
	msrs();
	ports();
	tsc();
	registers();
	others();
}
