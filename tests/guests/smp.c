/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* Three vCPUs: INIT and SIPI, IPIs in all their kinds, shared memory, TLB shootdown. Run 1: x2APIC. */
#include "guest.h"

GUEST(.runs = 2, .vcpus = 3, .seconds = 60);

#define CPUS 3
#define TRAMPOLINE 0x8000ull
#define PING 0x55
#define ORDER 0x56
#define LOWEST 0x57

static volatile u32 started, pings[CPUS], lowest[CPUS], nmis[CPUS], orders_done;
static void (*volatile order)(u32 cpu);
u8 stacks[CPUS][8192] __attribute__((aligned(16)));
extern u8 trampoline[], trampoline_end[], trampoline_cs[], trampoline_ip[];

/* From real mode to 64-bit mode; the tables are the boot processor's (SDM 3A 9.8.5). */
asm(".pushsection .rodata\n"
    "	.code16\n"
    "	.globl trampoline, trampoline_end, trampoline_cs, trampoline_ip\n"
    "trampoline:\n"
    "	cli\n"
    "	call 1f\n"
    "1:	pop %bx\n"
    "	mov %cs, %ax\n"
    "	mov %ax, %ds\n"
    "	xor %ebp, %ebp\n"
    "	mov %bx, trampoline_ip - trampoline\n"
    "	mov %ax, trampoline_cs - trampoline\n"
    "	lgdtl (2f - trampoline)\n"
    "	mov %cr4, %eax\n"
    "	or $0x620, %eax\n"
    "	mov %eax, %cr4\n"
    "	mov $0x1000, %eax\n"
    "	mov %eax, %cr3\n"
    "	mov $0xc0000080, %ecx\n"
    "	mov $0x901, %eax\n"
    "	xor %edx, %edx\n"
    "	wrmsr\n"
    "	mov $0x80010033, %eax\n"
    "	mov %eax, %cr0\n"
    "	ljmpl $0x08, $(3f - trampoline + 0x8000)\n"
    "	.balign 8\n"
    "2:	.word 23\n"
    "	.long 4f - trampoline + 0x8000\n"
    "	.balign 8\n"
    "4:	.quad 0, 0x00af9b000000ffff, 0x00cf93000000ffff\n"
    "trampoline_ip: .word 0\n"
    "trampoline_cs: .word 0\n"
    "	.code64\n"
    "3:	mov $0x10, %eax\n"
    "	mov %eax, %ds\n"
    "	mov %eax, %es\n"
    "	mov %eax, %ss\n"
    "	mov $1, %eax\n"
    "	cpuid\n"
    "	shr $24, %ebx\n"
    "	mov %ebx, %edi\n"
    "	mov %ebx, %eax\n"
    "	shl $13, %eax\n"
    "	lea stacks+8192(%rax), %rsp\n"
    "	mov $other_main, %eax\n"
    "	call *%rax\n"
    "	ud2\n"
    "trampoline_end:\n"
    ".popsection");

static u32 me(void)
{
	return apic_x2 ? (u32)rdmsr(0x802) : *(volatile u32 *)(APIC_BASE_ADDRESS + APIC_ID) >> 24;
}

static void on_ping(struct frame *frame)
{
	__atomic_add_fetch(&pings[me()], 1, __ATOMIC_SEQ_CST);
	apic_eoi();
}

static void on_lowest(struct frame *frame)
{
	__atomic_add_fetch(&lowest[me()], 1, __ATOMIC_SEQ_CST);
	apic_eoi();
}

static void on_nmi(struct frame *frame)
{
	__atomic_add_fetch(&nmis[me()], 1, __ATOMIC_SEQ_CST);
}

static void on_order(struct frame *frame)
{
	order(me());
	__atomic_add_fetch(&orders_done, 1, __ATOMIC_SEQ_CST);
	apic_eoi();
}

void other_main(u32 cpu);
void other_main(u32 cpu)
{
	load_tables(&gdt_pointer, &idt_pointer);
	if (apic_x2)
		wrmsr(MSR_APIC_BASE, rdmsr(MSR_APIC_BASE) | BIT(10));
	apic_write(APIC_SVR, 0x1ff);
	__atomic_add_fetch(&started, 1, __ATOMIC_SEQ_CST);
	for (;;)
		asm volatile("sti\n\thlt" : : : "memory");
}

static void give_order(void (*what)(u32 cpu))
{
	order = what;
	orders_done = 0;
	apic_icr(0, ICR_OTHERS | ICR_ASSERT | ORDER);
}

static void start_others(void)
{
	memcpy((void *)TRAMPOLINE, trampoline, trampoline_end - trampoline);
	apic_icr(0, ICR_OTHERS | ICR_STARTUP | ICR_ASSERT | (TRAMPOLINE >> 12));
	check(WAIT_FOR(started == CPUS - 1, 5000),
	      "a SIPI starts those that wait for one (SDM 3A 8.4.4)");
	check_eq(*(u16 *)(TRAMPOLINE + (trampoline_cs - trampoline)), TRAMPOLINE >> 4,
		 "... with CS = vector << 8");
	check_eq(*(u16 *)(TRAMPOLINE + (trampoline_ip - trampoline)), 4, "... and IP = 0");
	apic_icr(1, ICR_STARTUP | ICR_ASSERT | (TRAMPOLINE >> 12));
	spin_us(2000);
	check_eq(started, 2, "a second SIPI is ignored");
	started = 1;
	apic_icr(1, ICR_INIT | ICR_ASSERT);
	spin_us(1000);
	pings[1] = 0;
	apic_icr(1, ICR_ASSERT | PING);
	spin_us(2000);
	check_eq(pings[1], 0, "after INIT a processor takes no interrupts");
	apic_icr(1, ICR_STARTUP | ICR_ASSERT | (TRAMPOLINE >> 12));
	check(WAIT_FOR(started == 2, 5000), "INIT and SIPI start a running one anew");
}

static void fixed(void)
{
	bool good = true;

	memset((void *)pings, 0, sizeof(pings));
	for (u32 cpu = 1; cpu < CPUS; cpu++)
		for (u32 i = 0; i < 200; i++) {
			apic_icr(cpu, ICR_ASSERT | PING);
			good &= WAIT_FOR(pings[cpu] == i + 1, 5000);
		}
	if (!good)
		say("of 200 each they saw %u and %u\n", pings[1], pings[2]);
	check(good && !pings[0], "200 IPIs to each that sleeps in HLT");
	apic_icr(0, ICR_OTHERS | ICR_ASSERT | PING);
	check(WAIT_FOR(pings[1] == 201 && pings[2] == 201, 5000), "all but self");
	irq_on();
	check_eq(pings[0], 0, "... not self");
	apic_icr(0, ICR_ALL | ICR_ASSERT | PING);
	check(WAIT_FOR(pings[0] == 1 && pings[1] == 202 && pings[2] == 202, 5000), "all, with self");
	apic_icr(apic_x2 ? ~0u : 0xff, ICR_ASSERT | PING);
	check(WAIT_FOR(pings[0] == 2 && pings[1] == 203 && pings[2] == 203, 5000),
	      "the broadcast ID");
	irq_off();
	nmis[1] = nmis[2] = 0;
	apic_icr(2, ICR_NMI | ICR_ASSERT);
	check(WAIT_FOR(nmis[2] == 1, 5000) && !nmis[1], "an NMI to one that sleeps");
}

static void ping_back(u32 cpu)
{
	apic_icr(0, ICR_ASSERT | PING);
}

static void both_ways(void)
{
	bool good = true;

	pings[0] = 0;
	irq_on();
	for (u32 i = 0; i < 200; i++) {
		give_order(ping_back);
		good &= WAIT_FOR(orders_done == CPUS - 1, 5000);
	}
	check(good, "orders are carried out by all");
	check(pings[0] >= 200 && pings[0] <= 400,
	      "and each answers with an IPI (two may become one)");
	irq_off();
}

static void set_logical(u32 cpu)
{
	apic_write(APIC_DFR, ~0u);
	apic_write(APIC_LDR, 1u << (24 + cpu));
}

static void logical(void)
{
	u32 sum;

	memset((void *)lowest, 0, sizeof(lowest));
	memset((void *)pings, 0, sizeof(pings));
	if (!apic_x2) {
		set_logical(0);
		give_order(set_logical);
		WAIT_FOR(orders_done == CPUS - 1, 5000);
	}
	apic_icr(6, ICR_ASSERT | 0x800 | PING);
	check(WAIT_FOR(pings[1] == 1 && pings[2] == 1, 5000),
	      "a logical destination of two (SDM 3A 10.6.2.2)");
	check_eq(pings[0], 0, "... not the third");
	if (apic_x2)
		return; /* lowest priority is not for x2APIC IPIs (SDM 3A 10.12.9) */
	for (u32 i = 0; i < 50; i++) {
		apic_icr(6, ICR_ASSERT | 0x900 | LOWEST);
		if (!WAIT_FOR(lowest[1] + lowest[2] == i + 1, 5000))
			break;
	}
	spin_us(2000);
	sum = lowest[1] + lowest[2];
	check(sum == 50 && !lowest[0], "lowest priority goes to one of those addressed");
}

static volatile u64 locked_counter;
static volatile bool go;

static void count(u32 cpu)
{
	while (!go)
		pause();
	for (u32 i = 0; i < 100000; i++)
		__atomic_add_fetch(&locked_counter, 1, __ATOMIC_SEQ_CST);
}

static void shared_memory(void)
{
	go = false;
	give_order(count);
	go = true;
	count(0);
	WAIT_FOR(orders_done == CPUS - 1, 20000);
	check_eq(locked_counter, 100000 * CPUS, "locked increments by all, none lost");
}

static volatile u64 *window;
static volatile u64 *window_pte;
static volatile u64 observed[CPUS];

static void observe(u32 cpu)
{
	invlpg((u64)window);
	observed[cpu] = *window;
}

static void shootdown(void)
{
	u64 first = new_page(), second = new_page();
	bool good = true;

	window = (volatile u64 *)0x1000000;
	window_pte = split_page(0x1000000);
	*(u64 *)first = 1;
	*(u64 *)second = 2;
	for (u32 i = 0; i < 100; i++) {
		*window_pte = (i & 1 ? second : first) | PTE_W | PTE_P;
		give_order(observe);
		good &= WAIT_FOR(orders_done == CPUS - 1, 5000);
		good &= observed[1] == 1 + (i & 1) && observed[2] == 1 + (i & 1);
	}
	check(good, "TLB shootdown by IPI");
}

static volatile u32 slot_stop, slot_errors;

static void use_slot(u32 cpu)
{
	volatile u64 *at = (volatile u64 *)(EXTRA_BASE + cpu * 4096);

	while (!slot_stop)
		for (u64 n = 0; n < 64; n++) {
			u64 value = at[n * 2048];

			slot_errors += value != 0 && value != 0x100 + cpu;
			at[n * 2048] = 0x100 + cpu;
		}
}

static void removed_under_them(void)
{
	bool good = true;

	slot_stop = 0;
	give_order(use_slot);
	for (u32 i = 0; i < 20; i++) {
		good &= call_runner(CALL_SLOT_ADD, 0) == 0;
		call_runner(CALL_SLEEP, 2);
		if (i & 1)
			call_runner(CALL_DONTNEED, 0);
		good &= call_runner(CALL_SLOT_REMOVE, 0) == 0;
	}
	slot_stop = 1;
	good &= WAIT_FOR(orders_done == CPUS - 1, 10000);
	check(good, "a slot comes and goes while others use it");
	check_eq(slot_errors, 0, "... and they read their own or nothing");
}

static volatile u64 last_tsc;
static volatile u32 tsc_back;

static void compare_tsc(u32 cpu)
{
	static volatile u32 lock;

	for (u32 i = 0; i < 20000; i++) {
		u64 now;

		while (__atomic_exchange_n(&lock, 1, __ATOMIC_ACQUIRE))
			pause();
		now = rdtsc();
		if (now < last_tsc)
			tsc_back++;
		last_tsc = now;
		__atomic_store_n(&lock, 0, __ATOMIC_RELEASE);
	}
}

void guest_main(u32 run)
{
	apic_on(run == 1);
	set_handler(PING, on_ping);
	set_handler(LOWEST, on_lowest);
	set_handler(ORDER, on_order);
	set_handler(NMI, on_nmi);
	start_others();
	fixed();
	both_ways();
	logical();
	shared_memory();
	shootdown();
	removed_under_them();
	give_order(compare_tsc);
	compare_tsc(0);
	WAIT_FOR(orders_done == CPUS - 1, 20000);
	check_eq(tsc_back, 0, "no processor's TSC is behind another's");
}
