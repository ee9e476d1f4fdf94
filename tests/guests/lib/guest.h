/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* What every test guest has: a console, checks, exceptions that can be expected, the processor. */
#ifndef GUESTS_GUEST_H
#define GUESTS_GUEST_H

#include <stdbool.h>
#include <stddef.h>
#include "abi.h"

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;

#define BIT(n) (1ull << (n))

/* GUEST(.runs = 2, .expect = { 0, FERMATA_EXIT_SHUTDOWN }); */
extern char _start[];
#define GUEST(...)                                                                                 \
	const struct guest_header guest_header __attribute__((section(".header"), used)) = {       \
		.magic = GUEST_MAGIC, .entry = (u64)_start, ##__VA_ARGS__                          \
	}

void guest_main(u32 run);
_Noreturn void guest_exit(u32 status);
extern u32 guest_run, tsc_khz;

/* ---- saying and checking. %s %u %x (u32), %lx (u64) */
void say(const char *format, ...) __attribute__((format(printf, 1, 2)));
bool check(bool good, const char *name);
bool check_eq(u64 got, u64 wanted, const char *name);
void skip(const char *name, const char *why);

/* ---- exceptions and interrupts */
struct frame {
	u64 r15, r14, r13, r12, r11, r10, r9, r8, rdi, rsi, rbp, rbx, rdx, rcx, rax;
	u64 vector, code, rip, cs, rflags, rsp, ss;
};

#define SELECTOR_CODE 0x08
#define SELECTOR_DATA 0x10
#define SELECTOR_USER_CODE 0x1b
#define SELECTOR_USER_DATA 0x23
#define SELECTOR_TSS 0x28
#define SELECTOR_ABSENT 0x38 /* a data segment with P = 0 */

struct gate {
	u16 offset_low, selector;
	u8 ist, type;
	u16 offset_mid;
	u32 offset_high, reserved;
} __attribute__((packed));

struct descriptor_table {
	u16 limit;
	u64 base;
} __attribute__((packed));

struct tss {
	u32 reserved0;
	u64 rsp[3], reserved1, ist[7], reserved2;
	u16 reserved3, io_map;
} __attribute__((packed));

extern struct gate idt[256];
extern u64 gdt[16];
extern struct tss tss;
extern struct descriptor_table idt_pointer, gdt_pointer;

typedef void handler(struct frame *frame);
void set_handler(u8 vector, handler *handler);
void guest_tables(void);
void load_tables(const struct descriptor_table *gdt, const struct descriptor_table *idt);

#define NO_FAULT 256u
enum { DE, DB, NMI, BP, OF, BR, UD, NM, DF, TS = 10, NP, SS, GP, PF, MF = 16, AC, MC, XM };

/* The last exception that ATTEMPT() met, or vector NO_FAULT. */
extern volatile struct fault {
	u64 vector, code, rip, cr2, rflags;
} fault;
extern u64 catch_at, catch_sp;

/* ATTEMPT("wrmsr", : : "c"(0x10), "a"(0), "d"(0)): runs it; what it raises is in `fault`. */
#define ATTEMPT(text, ...)                                                                         \
	do {                                                                                       \
		fault.vector = NO_FAULT;                                                           \
		fault.code = 0;                                                                    \
		asm volatile("movq %%rsp, catch_sp\n\tmovq $771f, catch_at\n\t" text               \
			     "\n771:\tmovq $0, catch_at" __VA_ARGS__);                             \
		asm volatile("" : : : "memory");                                                   \
	} while (0)

/* That ATTEMPT() met this vector, with this error code. */
bool check_fault(u64 vector, u64 code, const char *name);
bool check_no_fault(const char *name);

/* Runs machine code at privilege 3 until INT 80h or a fault; what it met is in `fault`. */
#define USER_BASE 0x1800000ull /* 2 MiB of RAM, user pages while it runs */
#define USER_DONE 0x80
void user_pages(bool on); /* the 2 MiB at USER_BASE become the user's */
u64 user_run(const void *code, size_t size, u64 rdi);

/* ---- the processor */
struct words {
	u32 a, b, c, d;
};

static inline struct words cpuid(u32 leaf, u32 subleaf)
{
	struct words r;

	asm volatile("cpuid"
		     : "=a"(r.a), "=b"(r.b), "=c"(r.c), "=d"(r.d)
		     : "a"(leaf), "c"(subleaf));
	return r;
}

/* Each vendor's processors know their own hypercall only, three bytes: the other one is undefined. */
#define VMCALL "vmcall"
#define VMMCALL "vmmcall"
static inline bool calls_by_vmcall(void)
{
	return cpuid(0, 0).b == 0x756e6547; /* "Genu", ineIntel */
}

static inline u64 rdmsr(u32 msr)
{
	u32 low, high;

	asm volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(msr));
	return low | (u64)high << 32;
}

static inline void wrmsr(u32 msr, u64 value)
{
	asm volatile("wrmsr" : : "c"(msr), "a"((u32)value), "d"((u32)(value >> 32)) : "memory");
}

/* The faults they may raise are in `fault`. */
u64 try_rdmsr(u32 msr);
void try_wrmsr(u32 msr, u64 value);

#define DEFINE_CONTROL(name)                                                                       \
	static inline u64 read_##name(void)                                                        \
	{                                                                                          \
		u64 value;                                                                         \
                                                                                                   \
		asm volatile("mov %%" #name ", %0" : "=r"(value) : : "memory");                    \
		return value;                                                                      \
	}                                                                                          \
	static inline void write_##name(u64 value)                                                 \
	{                                                                                          \
		asm volatile("mov %0, %%" #name : : "r"(value) : "memory");                        \
	}
DEFINE_CONTROL(cr0)
DEFINE_CONTROL(cr2)
DEFINE_CONTROL(cr3)
DEFINE_CONTROL(cr4)
DEFINE_CONTROL(cr8)
DEFINE_CONTROL(dr0)
DEFINE_CONTROL(dr1)
DEFINE_CONTROL(dr2)
DEFINE_CONTROL(dr3)
DEFINE_CONTROL(dr6)
DEFINE_CONTROL(dr7)

#define CR0_PE BIT(0)
#define CR0_MP BIT(1)
#define CR0_TS BIT(3)
#define CR0_NE BIT(5)
#define CR0_WP BIT(16)
#define CR0_NW BIT(29)
#define CR0_CD BIT(30)
#define CR0_PG BIT(31)
#define CR4_DE BIT(3)
#define CR4_PSE BIT(4)
#define CR4_PAE BIT(5)
#define CR4_PGE BIT(7)
#define CR4_UMIP BIT(11)
#define CR4_LA57 BIT(12)
#define CR4_PCIDE BIT(17)
#define CR4_OSXSAVE BIT(18)
#define CR4_SMEP BIT(20)
#define CR4_SMAP BIT(21)
#define CR4_PKE BIT(22)
#define EFER_LME BIT(8)
#define EFER_LMA BIT(10)
#define EFER_NXE BIT(11)
#define RFLAGS_TF BIT(8)
#define RFLAGS_IF BIT(9)
#define RFLAGS_AC BIT(18)

#define MSR_TSC 0x10
#define MSR_APIC_BASE 0x1b
#define MSR_TSC_ADJUST 0x3b
#define MSR_PAT 0x277
#define MSR_TSC_DEADLINE 0x6e0
#define MSR_EFER 0xc0000080
#define MSR_TSC_AUX 0xc0000103
#define MSR_KVM_WALL_CLOCK 0x4b564d00
#define MSR_KVM_SYSTEM_TIME 0x4b564d01

static inline u64 rdtsc(void)
{
	u32 low, high;

	asm volatile("rdtsc" : "=a"(low), "=d"(high) : : "memory");
	return low | (u64)high << 32;
}

/* ns per tick of the TSC, of 2^32, as the clock has it: 32 bits and a shift hold it. */
static inline u64 ns_per_tick(void)
{
	u64 mult = (((u64)1000000 << 32) + tsc_khz / 2) / tsc_khz;
	u32 shift = 0;

	while (mult >> shift >> 32)
		shift++;
	return shift ? (mult + (1ull << (shift - 1))) >> shift << shift : mult;
}

static inline u64 xgetbv(void)
{
	u32 low, high;

	asm volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
	return low | (u64)high << 32;
}

static inline void outb(u16 port, u8 value)
{
	asm volatile("outb %0, %1" : : "a"(value), "d"(port) : "memory");
}

static inline void outl(u16 port, u32 value)
{
	asm volatile("outl %0, %1" : : "a"(value), "d"(port) : "memory");
}

static inline u32 inl(u16 port)
{
	u32 value;

	asm volatile("inl %1, %0" : "=a"(value) : "d"(port) : "memory");
	return value;
}

static inline u32 call_runner(u32 call, u32 argument)
{
	outl(PORT_ARGUMENT, argument);
	outl(PORT_CALL, call);
	return inl(PORT_CALL);
}

static inline void irq_on(void)
{
	asm volatile("sti; nop" : : : "memory");
}

static inline void irq_off(void)
{
	asm volatile("cli" : : : "memory");
}

static inline void pause(void)
{
	asm volatile("pause" : : : "memory");
}

#define READ(x) (*(volatile typeof(x) *)&(x))

/* Spins until the condition holds, at most that many ms of the TSC; false: it never did. */
#define WAIT_FOR(condition, ms)                                                                    \
	({                                                                                         \
		u64 end_ = rdtsc() + (u64)(ms) * tsc_khz;                                          \
		bool held_;                                                                        \
                                                                                                   \
		while (!(held_ = (condition)) && rdtsc() < end_)                                   \
			pause();                                                                   \
		held_;                                                                             \
	})

static inline void spin_us(u64 us)
{
	u64 end = rdtsc() + us * tsc_khz / 1000;

	while (rdtsc() < end)
		pause();
}

/* ---- page tables: the leaf or table entry of a level (1: 4 KiB), by the tables in CR3 */
#define PTE_P BIT(0)
#define PTE_W BIT(1)
#define PTE_U BIT(2)
#define PTE_A BIT(5)
#define PTE_D BIT(6)
#define PTE_PS BIT(7)
#define PTE_G BIT(8)
#define PTE_NX BIT(63)
#define PTE_ADDRESS 0x000ffffffffff000ull
u64 *table_entry(u64 linear, u32 level);
/* Replaces the 2 MiB page around `linear` by 512 pages of 4 KiB. */
u64 *split_page(u64 linear);
u64 new_page(void); /* 4 KiB of zeroed RAM */

static inline void invlpg(u64 linear)
{
	asm volatile("invlpg (%0)" : : "r"(linear) : "memory");
}

/* ---- the local APIC (SDM 3A 10). Registers by their offset in the xAPIC page. */
#define APIC_ID 0x20
#define APIC_TPR 0x80
#define APIC_PPR 0xa0
#define APIC_EOI 0xb0
#define APIC_LDR 0xd0
#define APIC_DFR 0xe0
#define APIC_SVR 0xf0
#define APIC_ISR 0x100
#define APIC_TMR 0x180
#define APIC_IRR 0x200
#define APIC_ESR 0x280
#define APIC_ICR 0x300
#define APIC_ICR_HIGH 0x310
#define APIC_LVT_TIMER 0x320
#define APIC_LVT_LINT1 0x360
#define APIC_TIMER_INITIAL 0x380
#define APIC_TIMER_CURRENT 0x390
#define APIC_TIMER_DIVIDE 0x3e0
#define APIC_BASE_ADDRESS 0xfee00000ull
#define APIC_MASKED BIT(16)
#define TIMER_PERIODIC BIT(17)
#define TIMER_DEADLINE BIT(18)
#define ICR_NMI 0x400
#define ICR_INIT 0x500
#define ICR_STARTUP 0x600
#define ICR_ASSERT 0x4000
#define ICR_SELF 0x40000
#define ICR_ALL 0x80000
#define ICR_OTHERS 0xc0000
#define APIC_HZ 1000000000ull

extern bool apic_x2;
void apic_on(bool x2);
u32 apic_read(u32 offset);
void apic_write(u32 offset, u32 value);
void apic_icr(u32 destination, u32 low);
/* Bit `vector` of IRR, ISR or TMR. */
bool apic_bit(u32 first, u8 vector);

static inline void apic_eoi(void)
{
	apic_write(APIC_EOI, 0);
}

void *memset(void *at, int value, size_t size);
void *memcpy(void *to, const void *from, size_t size);
int memcmp(const void *a, const void *b, size_t size);

#endif
