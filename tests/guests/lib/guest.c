/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* Console, checks, descriptor tables, exceptions. */
#include <stdarg.h>
#include "guest.h"

u32 guest_run, tsc_khz;

/* ---- console */

static void put(char c)
{
	outb(PORT_PRINT, c);
}

static void put_text(const char *text)
{
	while (*text)
		put(*text++);
}

static void put_number(u64 n, u32 base)
{
	char digits[24];
	int i = sizeof(digits) - 1;

	digits[i] = 0;
	do {
		digits[--i] = "0123456789abcdef"[n % base];
		n /= base;
	} while (n);
	put_text(digits + i);
}

static void put_format(const char *format, va_list list)
{
	for (; *format; format++) {
		if (*format != '%') {
			put(*format);
			continue;
		}
		switch (*++format) {
		case 's':
			put_text(va_arg(list, const char *));
			break;
		case 'u':
			put_number(va_arg(list, u32), 10);
			break;
		case 'x':
			put_number(va_arg(list, u32), 16);
			break;
		case 'l':
			put_number(va_arg(list, u64), 16);
			format++;
			break;
		default:
			put(*format);
		}
	}
}

void say(const char *format, ...)
{
	va_list list;

	va_start(list, format);
	put_format(format, list);
	va_end(list);
}

bool check(bool good, const char *name)
{
	say("%sok - %s\n", good ? "" : "not ", name);
	return good;
}

bool check_eq(u64 got, u64 wanted, const char *name)
{
	bool good = check(got == wanted, name);

	if (!good)
		say("# got %lx, wanted %lx\n", got, wanted);
	return good;
}

void skip(const char *name, const char *why)
{
	say("ok - %s # SKIP %s\n", name, why);
}

_Noreturn void guest_exit(u32 status)
{
	for (;;)
		outl(PORT_EXIT, status);
}

/* ---- descriptor tables */

struct gate idt[256];
u64 gdt[16];
struct tss tss;
struct descriptor_table idt_pointer, gdt_pointer;

static handler *handlers[256];
static u8 ist_stack[8192] __attribute__((aligned(16)));
static u8 kernel_stack[8192] __attribute__((aligned(16)));
extern char vector_stubs[];

void set_handler(u8 vector, handler *handler)
{
	handlers[vector] = handler;
}

void guest_tables(void)
{
	u64 at = (u64)&tss;

	for (u32 i = 0; i < 256; i++) {
		u64 stub = (u64)vector_stubs + 16 * i;

		idt[i] = (struct gate){ .offset_low = stub,
					.selector = SELECTOR_CODE,
					.ist = i == DF ? 1 : 0,
					.type = 0x8e,
					.offset_mid = stub >> 16,
					.offset_high = stub >> 32 };
	}
	idt[USER_DONE].type = 0xee;
	gdt[1] = 0x00af9b000000ffff; /* code, 64-bit */
	gdt[2] = 0x00cf93000000ffff;
	gdt[3] = 0x00affb000000ffff; /* the same for privilege 3 */
	gdt[4] = 0x00cff3000000ffff;
	gdt[5] = (sizeof(tss) - 1) | (at & 0xffffff) << 16 | 0x89ull << 40 | (at >> 24 & 0xff) << 56;
	gdt[6] = at >> 32;
	gdt[7] = 0x00cf13000000ffff;
	tss.io_map = sizeof(tss);
	tss.rsp[0] = (u64)kernel_stack + sizeof(kernel_stack);
	tss.ist[0] = (u64)ist_stack + sizeof(ist_stack);
	gdt_pointer = (struct descriptor_table){ sizeof(gdt) - 1, (u64)gdt };
	idt_pointer = (struct descriptor_table){ sizeof(idt) - 1, (u64)idt };
	load_tables(&gdt_pointer, &idt_pointer);
	asm volatile("ltr %w0" : : "r"(SELECTOR_TSS));
}

/* ---- exceptions */

volatile struct fault fault;
u64 catch_at, catch_sp;

static void caught(struct frame *frame)
{
	fault.vector = frame->vector;
	fault.code = frame->code;
	fault.rip = frame->rip;
	fault.rflags = frame->rflags;
	fault.cr2 = read_cr2();
	frame->rip = catch_at;
	frame->cs = SELECTOR_CODE;
	frame->ss = SELECTOR_DATA;
	frame->rsp = catch_sp;
	frame->rflags = 2;
	catch_at = 0;
}

void exception(struct frame *frame)
{
	if (handlers[frame->vector]) {
		handlers[frame->vector](frame);
		return;
	}
	if (catch_at && (frame->vector < 32 || frame->vector == USER_DONE)) {
		caught(frame);
		return;
	}
	say("not ok - vector %u, which nobody expects\n", (u32)frame->vector);
	say("# code %lx at %lx, rflags %lx, cr2 %lx, rsp %lx\n", frame->code, frame->rip,
	    frame->rflags, read_cr2(), frame->rsp);
	guest_exit(1);
}

bool check_fault(u64 vector, u64 code, const char *name)
{
	bool good = check(fault.vector == vector && fault.code == code, name);

	if (!good)
		say("# got vector %u (256: none) code %lx, wanted %u code %lx\n", (u32)fault.vector,
		    fault.code, (u32)vector, code);
	return good;
}

bool check_no_fault(const char *name)
{
	return check_fault(NO_FAULT, 0, name);
}

u64 try_rdmsr(u32 msr)
{
	u32 low = 0, high = 0;

	ATTEMPT("rdmsr", : "+a"(low), "+d"(high) : "c"(msr) : "memory");
	return low | (u64)high << 32;
}

void try_wrmsr(u32 msr, u64 value)
{
	ATTEMPT("wrmsr", : : "c"(msr), "a"((u32)value), "d"((u32)(value >> 32)) : "memory");
}

void user_pages(bool on)
{
	u64 *level[] = { table_entry(USER_BASE, 4), table_entry(USER_BASE, 3),
			 table_entry(USER_BASE, 2) };

	for (u32 i = 0; i < 3; i++)
		*level[i] = on ? *level[i] | PTE_U : *level[i] & ~PTE_U;
	write_cr3(read_cr3());
}

u64 user_run(const void *code, size_t size, u64 rdi)
{
	u64 rax = 0;

	memcpy((void *)USER_BASE, code, size);
	user_pages(true);
	/* clang-format off */
	ATTEMPT("push $0x23\n\tpush %[stack]\n\tpushfq\n\tpush $0x1b\n\tpush %[entry]\n\tiretq",
		: "+a"(rax), "+D"(rdi)
		: [stack] "r"(USER_BASE + 0x100000), [entry] "r"(USER_BASE)
		: "memory", "rcx", "rdx", "rsi", "r8", "r9", "r10", "r11");
	/* clang-format on */
	user_pages(false);
	return rax;
}

/* ---- page tables */

static u64 next_page = 0x600000;

u64 new_page(void)
{
	u64 page = next_page;

	next_page += 4096;
	memset((void *)page, 0, 4096);
	return page;
}

u64 *table_entry(u64 linear, u32 level)
{
	u64 table = read_cr3() & PTE_ADDRESS;

	for (u32 at = read_cr4() & CR4_LA57 ? 5 : 4;; at--) {
		u64 *entry = (u64 *)table + (linear >> (12 + 9 * (at - 1)) & 511);

		if (at == level)
			return entry;
		table = *entry & PTE_ADDRESS;
	}
}

u64 *split_page(u64 linear)
{
	u64 *pde = table_entry(linear, 2), old = *pde;
	u64 *table = (u64 *)new_page();

	for (u32 i = 0; i < 512; i++)
		table[i] = ((old & ~(PTE_PS | 0x1ff000ull)) | PTE_P) + i * 4096;
	*pde = (u64)table | PTE_P | PTE_W | (old & PTE_U);
	write_cr3(read_cr3());
	return table;
}

/* ---- local APIC */

bool apic_x2;

/* x2APIC cannot be left but through "disabled" (SDM 3A 10.12.5). */
void apic_on(bool x2)
{
	u64 base = rdmsr(MSR_APIC_BASE) & ~0xc00ull;

	if (rdmsr(MSR_APIC_BASE) & BIT(10))
		wrmsr(MSR_APIC_BASE, base);
	wrmsr(MSR_APIC_BASE, base | BIT(11));
	if (x2)
		wrmsr(MSR_APIC_BASE, base | BIT(11) | BIT(10));
	apic_x2 = x2;
	apic_write(APIC_SVR, 0x1ff);
}

u32 apic_read(u32 offset)
{
	if (apic_x2)
		return rdmsr(0x800 + (offset >> 4));
	return *(volatile u32 *)(APIC_BASE_ADDRESS + offset);
}

void apic_write(u32 offset, u32 value)
{
	if (apic_x2)
		wrmsr(0x800 + (offset >> 4), value);
	else
		*(volatile u32 *)(APIC_BASE_ADDRESS + offset) = value;
}

void apic_icr(u32 destination, u32 low)
{
	if (apic_x2) {
		wrmsr(0x830, (u64)destination << 32 | low);
		return;
	}
	apic_write(APIC_ICR_HIGH, destination << 24);
	apic_write(APIC_ICR, low);
}

bool apic_bit(u32 first, u8 vector)
{
	return apic_read(first + vector / 32 * 16) >> (vector % 32) & 1;
}

/* ---- what the compiler may call */

void *memset(void *at, int value, size_t size)
{
	void *start = at;

	asm volatile("rep stosb" : "+D"(at), "+c"(size) : "a"(value) : "memory");
	return start;
}

void *memcpy(void *to, const void *from, size_t size)
{
	void *start = to;

	asm volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(size) : : "memory");
	return start;
}

int memcmp(const void *a, const void *b, size_t size)
{
	const u8 *x = a, *y = b;

	for (; size; size--, x++, y++)
		if (*x != *y)
			return *x - *y;
	return 0;
}
