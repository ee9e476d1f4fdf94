/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * Rules about linear addresses alone: they follow the guest's tables, whatever the guest does to these and on
 * whichever level. Run 1: another processor writes there meanwhile.
 */
#include "rules.h"

void other_main(void);
GUEST(.runs = 2, .vcpus = 2, .others = (u64)other_main, .seconds = 60);

#define LINEAR 0x10000000000ull /* the third entry of the root: nothing is mapped there */
#define WRITES "write gva=0x10000000100..0x10000000107"
#define READS "read gva=0x10000000100..0x10000000107"
#define TABLE (PTE_W | PTE_P)
#define word(at) (*(volatile u64 *)(at))

/* From the root down: which table, and which of its entries, is LINEAR's. */
static volatile u64 *entry[5];

static u64 pages[8];

static void load_again(void)
{
	write_cr3(read_cr3());
}

/* Tables for LINEAR below `root`, to that page. */
static void map(u64 root, u64 page)
{
	u64 table = root;

	for (u32 level = 4; level; level--) {
		u64 next = level > 1 ? new_page() : page;
		volatile u64 *at = (volatile u64 *)table + (LINEAR >> (12 + 9 * (level - 1)) & 511);

		if (root == (read_cr3() & PTE_ADDRESS))
			entry[level] = at;
		*at = next | TABLE;
		table = next;
	}
}

/* The second level's table and below, or the third's, or ...: tables that lead to `page`. */
static u64 subtree(u32 level, u64 page)
{
	for (u32 at = 1; at < level; at++) {
		u64 table = new_page();

		((volatile u64 *)table)[LINEAR >> (12 + 9 * (at - 1)) & 511] = page | TABLE;
		page = table;
	}
	return page | TABLE;
}

static void writes(u64 page)
{
	word(page + 0x100) = 1;
	*(volatile u8 *)(page + 0x107) = 2;
	*(volatile u8 *)(page + 0x108) = 3;
	*(volatile u8 *)(page + 0xff) = 4;
	*(volatile u32 *)(page + 0xfe) = 5;
}

/* ---- as it is */

static void aliases(void)
{
	u32 id = rule_on(WRITES), other;

	writes(LINEAR);
	check_eq(rule_off(id), 3, "writes to linear addresses");
	id = rule_on(WRITES);
	writes(pages[0]);
	check_eq(rule_off(id), 0, "the same memory by another address is none");
	id = rule_on(READS);
	writes(LINEAR);
	word(LINEAR + 0x100);
	word(LINEAR + 0x108);
	check_eq(rule_off(id), 1, "a read");
	id = rule_on(WRITES);
	other = rule_on("write gva=0x10000000100 cpl=3");
	check_eq(rule_off(other), 0, "a rule about the same page comes and goes");
	word(LINEAR + 0x100) = 7;
	check_eq(rule_off(id), 1, "the other one is in force");
	word(LINEAR + 0x100) = 8;
	id = rule_on("write gva=0x10000000100 do skip");
	word(LINEAR + 0x100) = 9;
	rule_off(id);
	check_eq(word(pages[0] + 0x100), 8, "`skip`");
}

static void refused(void)
{
	static const char much[] = "write gva=0x10000000fff..0x10000010000";
	u32 id = call_runner(CALL_RULE_ADD, (u32)(u64)much), more[5];

	check_eq(id, CALL_FAILED + 22, "a byte of a 17th page is too much");
	for (u32 i = 0; i < 4; i++)
		more[i] = rule_on("read gva=0x20000000000..0x2000000ffff");
	more[4] = call_runner(CALL_RULE_ADD, (u32)(u64) "read gva=0x20000000000");
	check_eq(more[4], CALL_FAILED + 7, "and so is a 65th page of all rules");
	for (u32 i = 0; i < 4; i++)
		rule_off(more[i]);
	id = rule_on("exec gva=0x8000000000000000"); /* not canonical: nothing can be there */
	check_eq(rule_off(id), 0, "an address that there is not");
	id = rule_on("write gva=0xffffffffffffffff");
	check_eq(rule_off(id), 0, "the last address");
}

/* ---- the guest changes its tables */

static void remap(void)
{
	u32 id = rule_on(WRITES);

	for (u32 i = 0; i < 20; i++) {
		*entry[1] = pages[i & 1] | TABLE;
		invlpg(LINEAR);
		word(LINEAR + 0x100) = i;
		word(LINEAR + 0x200) = i;
	}
	check_eq(rule_off(id), 20, "every write, wherever the page is remapped to");
	check(word(pages[0] + 0x100) == 18 && word(pages[1] + 0x100) == 19,
	      "each went where the tables led");
	*entry[1] = pages[0] | TABLE;
	invlpg(LINEAR);
}

static void levels(void)
{
	static const char *const names[5] = { "", "an entry of the page table", "a PDE", "a PDPTE",
					      "a PML4E" };

	for (u32 level = 1; level <= 4; level++) {
		u64 old = *entry[level], tree = subtree(level, pages[2]);
		u32 id = rule_on(WRITES);

		word(LINEAR + 0x100) = 1;
		*entry[level] = tree;
		load_again();
		word(LINEAR + 0x100) = 0x100 + level;
		*entry[level] = 0;
		load_again();
		*entry[level] = tree;
		word(LINEAR + 0x100) = 0x200 + level;
		*entry[level] = old;
		load_again();
		word(LINEAR + 0x100) = 0x300 + level;
		check_eq(rule_off(id), 4, names[level]);
		check(word(pages[2] + 0x100) == 0x200 + level &&
			      word(pages[0] + 0x100) == 0x300 + level,
		      "... leads to another page, nowhere, there, and back");
	}
}

/* Nothing is mapped when the rule comes. */
static void from_nothing(void)
{
	for (u32 level = 1; level <= 4; level++) {
		u64 old = *entry[level];
		u32 id;

		*entry[level] = 0;
		load_again();
		id = rule_on(WRITES);
		ATTEMPT("movq $1, (%0)", : : "r"(LINEAR + 0x100) : "memory");
		*entry[level] = old;
		word(LINEAR + 0x100) = 5;
		check_eq(rule_off(id), 1, "a rule waits until something is mapped");
		check_fault(PF, 2, "... and until then the guest has its fault");
	}
}

/* The entry is written by parts, by an instruction that writes more, and by one that writes elsewhere too. */
static void writers(void)
{
	u64 tree = pages[3] | TABLE, copies[3] = { 0, tree, 0 };
	u32 id = rule_on(WRITES);
	void *from = copies + 1, *to = (void *)entry[1];
	u64 count = 8;

	*(volatile u32 *)entry[1] = (u32)tree;
	invlpg(LINEAR);
	word(LINEAR + 0x100) = 1;
	*entry[1] = 0;
	invlpg(LINEAR);
	asm volatile("rep movsb" : "+S"(from), "+D"(to), "+c"(count) : : "memory");
	word(LINEAR + 0x100) = 2;
	asm volatile("lock btrq $0, %0" : "+m"(*entry[1]));
	invlpg(LINEAR);
	asm volatile("lock btsq $0, %0" : "+m"(*entry[1]));
	word(LINEAR + 0x100) = 3;
	check_eq(rule_off(id), 3, "entries written in other ways");
	check_eq(word(pages[3] + 0x100), 3, "... are followed");
	*entry[1] = pages[0] | TABLE;
	invlpg(LINEAR);
}

static void large(void)
{
	u64 old = *entry[2], table, base = 0x1a00000;
	u32 id = rule_on(WRITES);

	*entry[2] = base | PTE_PS | TABLE;
	load_again();
	word(LINEAR + 0x100) = 0x11;
	word(LINEAR + 0x1100) = 0x12;
	word(base + 0x100) = 0x13;
	table = new_page();
	for (u32 i = 0; i < 512; i++)
		((volatile u64 *)table)[i] = (base + i * 4096) | TABLE;
	*entry[2] = table | TABLE;
	load_again();
	word(LINEAR + 0x100) = 0x14;
	((volatile u64 *)table)[0] = pages[1] | TABLE;
	invlpg(LINEAR);
	word(LINEAR + 0x100) = 0x15;
	*entry[2] = base | PTE_PS | TABLE;
	load_again();
	word(LINEAR + 0x100) = 0x16;
	check_eq(rule_off(id), 4, "a large page, small ones in its place, and back");
	check(word(base + 0x100) == 0x16 && word(pages[1] + 0x100) == 0x15, "... as they led");
	*entry[2] = old;
	load_again();
}

/* Clear, they are set by the processor, on its way through tables that it must not write to unseen. */
static void accessed_dirty(void)
{
	u32 id;

	for (u32 level = 1; level <= 4; level++)
		*entry[level] &= ~(PTE_A | PTE_D);
	load_again();
	id = rule_on(WRITES);
	word(LINEAR + 0x200);
	check(*entry[1] & PTE_A && *entry[2] & PTE_A && *entry[3] & PTE_A && *entry[4] & PTE_A,
	      "accessed bits are set in closed tables (SDM 3A 4.8)");
	check(!(*entry[1] & PTE_D), "a read sets no dirty bit");
	word(LINEAR + 0x100) = 1;
	check(*entry[1] & PTE_D, "a write does");
	*entry[1] &= ~(PTE_A | PTE_D);
	invlpg(LINEAR);
	word(LINEAR + 0x100) = 2;
	check_eq(*entry[1] & (PTE_A | PTE_D), PTE_A | PTE_D, "a first write sets both");
	check_eq(rule_off(id), 2, "and each write was seen once");
}

/* The watched memory is the table that says where it is. */
static void table_itself(void)
{
	u64 table = (u64)entry[1] & PTE_ADDRESS;
	u32 id;

	*entry[1] = table | TABLE;
	invlpg(LINEAR);
	id = rule_on("write gva=0x10000000000..0x10000000fff");
	word(LINEAR + 0x800) = 0;
	check_eq(word(table + 0x800), 0, "a table that maps itself");
	word(LINEAR) = pages[0] | TABLE;
	invlpg(LINEAR);
	word(LINEAR + 0x100) = 0x77;
	check_eq(rule_off(id), 3, "... leads elsewhere by a write to itself");
	check_eq(word(pages[0] + 0x100), 0x77, "... where the next one goes");
}

/* ---- two pages, code, events */

static void two_pages(void)
{
	struct fermata_record r = { 0 };
	u32 id;

	while (next_record(&r))
		;
	entry[1][1] = pages[4] | TABLE;
	id = rule_on("write gva=0x10000001000..0x10000001fff do log");
	word(LINEAR + 0xffc) = 0x1122334455667788;
	check_eq(rule_off(id), 1, "an access that reaches into the next page");
	check(next_record(&r) && r.linear == LINEAR + 0x1000 && r.number == pages[4] && r.code == 4,
	      "its record says where that part lies");
	check_eq(word(pages[4]) & 0xffffffff, 0x11223344, "and it is there");
	check_eq(word(pages[0] + 0xffc) & 0xffffffff, 0x55667788, "as is the other one");
	id = rule_on("write gva=0x10000000fff..0x10000001000");
	word(LINEAR + 0xffc) = 1;
	word(LINEAR + 0xff0) = 1;
	*(volatile u16 *)(LINEAR + 0x1000) = 1;
	/* The one that is in both pages counts for each, as docs/events.md says of such accesses. */
	check_eq(rule_off(id), 3, "a range in two pages that lie apart");
}

static void code(void)
{
	static const u8 first[] = { 0xb8, 1, 0, 0, 0, 0xc3 }, second[] = { 0xb8, 2, 0, 0, 0, 0xc3 };
	u32 (*function)(void) = (u32(*)(void))(LINEAR + 0x800);
	u32 sum = 0, id;

	memcpy((void *)(pages[0] + 0x800), first, sizeof(first));
	memcpy((void *)(pages[1] + 0x800), second, sizeof(second));
	id = rule_on("exec gva=0x10000000800");
	sum += function();
	*entry[1] = pages[1] | TABLE;
	invlpg(LINEAR);
	sum += 16 * function();
	sum += 256 * ((u32(*)(void))(pages[1] + 0x800))();
	*entry[1] = pages[0] | TABLE;
	invlpg(LINEAR);
	check_eq(rule_off(id), 2, "execution at a linear address");
	check_eq(sum, 0x221, "... of what is there");
}

static volatile u32 interrupts;

static void on_interrupt(struct frame *frame)
{
	interrupts++;
	word(LINEAR + 0x100) = interrupts;
}

static void events(void)
{
	u32 id;

	set_handler(0x50, on_interrupt);
	id = rule_on(WRITES);
	for (u32 i = 0; i < 5; i++)
		asm volatile("int $0x50" : : : "memory");
	ATTEMPT("ud2", : : : "memory");
	check_eq(rule_off(id), 5, "handlers of interrupts write there");
	check_eq(interrupts, 5, "each once");
	check_fault(UD, 0, "an exception comes through");
}

/* ---- address spaces */

static void spaces(void)
{
	u64 old = read_cr3(), root = new_page();
	char there[] = WRITES " cr3=0x00000000";
	u32 all, one, hits;

	memcpy((void *)root, (void *)(old & PTE_ADDRESS), 4096);
	map(root, pages[5]);
	for (u32 i = sizeof(there) - 2, at = root; at; i--, at >>= 4)
		there[i] = "0123456789abcdef"[at & 15];
	all = rule_on(WRITES);
	one = rule_on(there);
	for (u32 i = 0; i < 10; i++) {
		write_cr3(root);
		word(LINEAR + 0x100) = i;
		writes(pages[5]);
		word(LINEAR + 0x200) = i;
		write_cr3(old);
		word(LINEAR + 0x100) = 100 + i;
		writes(pages[0]);
	}
	hits = rule_off(all);
	check_eq(rule_off(one), 10, "cr3=: in that address space only");
	check_eq(hits, 20, "without it in both");
	all = rule_on(there);
	word(LINEAR + 0x100) = 6;
	write_cr3(root);
	word(LINEAR + 0x100) = 7;
	write_cr3(old);
	word(LINEAR + 0x100) = 8;
	check_eq(rule_off(all), 1, "a rule about a space that comes");
	check(word(pages[5] + 0x100) == 7 && word(pages[0] + 0x100) == 8, "... sees what it has");
	/* Another space's table is edited while this one is in force. */
	all = rule_on(WRITES);
	((volatile u64 *)root)[LINEAR >> 39 & 511] = subtree(4, pages[6]);
	write_cr3(root);
	word(LINEAR + 0x100) = 9;
	write_cr3(old);
	check_eq(rule_off(all), 1, "tables that were written from outside");
	check_eq(word(pages[6] + 0x100), 9, "... lead where they say");
}

/* ---- another processor */

static volatile u32 wanted, started, go, done;

void other_main(void)
{
	u64 value = 0;

	while (!wanted)
		pause();
	while (wanted == 1)
		asm volatile("cli\n\thlt" : : : "memory");
	load_tables(&gdt_pointer, &idt_pointer);
	started = 1;
	for (;;) {
		while (!go)
			pause();
		for (u32 i = 0; i < 40; i++)
			word(LINEAR + 0x100) = ++value;
		go = 0;
		done++;
	}
}

static void together(void)
{
	u32 id, edits = 0;

	if (!check(WAIT_FOR(started, 5000), "the other processor runs"))
		return;
	id = rule_on(WRITES);
	go = 1;
	while (go) {
		*entry[1] = pages[edits++ & 1] | TABLE;
		invlpg(LINEAR);
		pause();
	}
	check_eq(rule_off(id), 40, "another processor's writes, while the page moves");
	*entry[1] = pages[0] | TABLE;
	load_again();
	go = 1;
	WAIT_FOR(!go, 5000);
	id = rule_on(WRITES);
	go = 1;
	WAIT_FOR(!go, 20000);
	check_eq(rule_off(id), 40, "a rule that comes while it runs");
	check_eq(word(pages[0] + 0x100), 120, "none was lost");
}

void guest_main(u32 run)
{
	for (u32 i = 0; i < 8; i++)
		pages[i] = new_page();
	map(read_cr3(), pages[0]);
	wanted = 1 + run;
	if (run) {
		together();
		return;
	}
	aliases();
	refused();
	remap();
	levels();
	from_nothing();
	writers();
	large();
	accessed_dirty();
	table_itself();
	two_pages();
	code();
	events();
	spaces();
}
