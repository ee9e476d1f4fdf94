/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* Memory slots that cannot be. */
#include "abuse.h"

static void slot_arguments(void)
{
	struct fermata_caps caps;
	int device = device_open(), vm = vm_create(), made = 0, gone = 0;
	char *at = ram_new(4 * MIB);
	uint64_t end;

	must(!ioctl(device, FERMATA_GET_CAPS, &caps), "GET_CAPS");
	end = 1ull << caps.phys_bits;
	gives(slot_set(vm, 32, 0, PAGE, at, 0), EINVAL, "slot 32");
	gives(slot_set(vm, ~0u, 0, PAGE, at, 0), EINVAL, "slot -1");
	gives(slot_set(vm, 0, 0, PAGE, at, 4), EINVAL, "an unknown flag");
	gives(slot_set(vm, 0, 0, PAGE, at, ~0u), EINVAL, "all flags");
	gives(slot_set(vm, 0, 1, PAGE, at, 0), EINVAL, "an odd guest address");
	gives(slot_set(vm, 0, 0, PAGE - 1, at, 0), EINVAL, "an odd size");
	gives(slot_set(vm, 0, 0, PAGE, at + 512, 0), EINVAL, "an odd user address");
	gives(slot_set(vm, 0, end, PAGE, at, 0), EINVAL, "beyond the physical addresses");
	gives(slot_set(vm, 0, end - PAGE, 2 * PAGE, at, 0), EINVAL, "across their end");
	gives(slot_set(vm, 0, -PAGE, 2 * PAGE, at, 0), EINVAL, "wrapping in the guest");
	gives(slot_set(vm, 0, 0, -PAGE, at, 0), EINVAL, "a negative size");
	gives(slot_set(vm, 0, 0, 2 * PAGE, (void *)-PAGE, 0), EINVAL, "wrapping in the host");
	gives(slot_set(vm, 0, 0, PAGE, (void *)0xffff888000000000, 0), EINVAL, "kernel memory");
	gives(slot_set(vm, 0, 0, PAGE, (void *)0x8000000000000000, 0), EINVAL,
	      "a non-canonical address");
	gives(slot_set(vm, 0, 0, 2 * PAGE, (void *)0x7ffffffff000, 0), EINVAL,
	      "across the end of user space");
	gives(slot_set(vm, 0, 0, 0, NULL, 0), ENOENT, "removing an empty slot");
	gives(slot_set(vm, 0, MIB, MIB, at, 0), 0, "a slot");
	gives(slot_set(vm, 0, 4 * MIB, MIB, at, 0), EEXIST, "the same number again");
	gives(slot_set(vm, 1, MIB, MIB, at, 0), EEXIST, "the same place again");
	gives(slot_set(vm, 1, 0, MIB + PAGE, at, 0), EEXIST, "one page too far");
	gives(slot_set(vm, 1, 2 * MIB - PAGE, MIB, at, 0), EEXIST, "one page too early");
	gives(slot_set(vm, 1, 0, 4 * MIB, at, 0), EEXIST, "all around it");
	gives(slot_set(vm, 1, MIB + PAGE, PAGE, at, 0), EEXIST, "inside it");
	gives(slot_set(vm, 1, 2 * MIB, MIB, at, 0), 0, "beside it, the same memory");
	gives(slot_set(vm, 2, end - PAGE, PAGE, at, 0), 0, "the last page there is");
	gives(slot_set(vm, 0, 0, 0, NULL, 0), 0, "removing it");
	gives(slot_set(vm, 0, 0, 0, NULL, 0), ENOENT, "removing it again");
	gives(slot_set(vm, 0, MIB, MIB, at, 0), 0, "and there it is again");
	slot_set(vm, 0, 0, 0, NULL, 0);
	slot_set(vm, 1, 0, 0, NULL, 0);
	slot_set(vm, 2, 0, 0, NULL, 0);
	for (unsigned i = 0; i < 40; i++)
		made += !slot_set(vm, i, i * MIB, PAGE, at, 0);
	for (unsigned i = 0; i < 40; i++)
		gone += !slot_set(vm, i, 0, 0, NULL, 0);
	ok(made == FERMATA_MAX_SLOTS && gone == FERMATA_MAX_SLOTS, "%d slots are there, %d went",
	   made, gone);
	close(vm);
	close(device);
	munmap(at, 4 * MIB);
}

/* Ends with what the guest's access to DATA_AT came to. */
static unsigned run_on(struct guest *g, const char *name)
{
	struct fermata_run *page = g->page[0];
	int result;

	do
		result = ioctl(g->vcpu[0], FERMATA_RUN, 0);
	while (result && errno == EINTR);
	if (result) {
		note("%s: RUN: %s", name, strerror(errno));
		return ~0u;
	}
	if (page->exit.reason == FERMATA_EXIT_IO)
		page->advance = 2;
	else if (page->exit.mmio.gpa >> 12 != DATA_AT >> 12 || !page->exit.mmio.write)
		note("%s: gpa %#llx, write %d", name, (unsigned long long)page->exit.mmio.gpa,
		     page->exit.mmio.write);
	return page->exit.reason;
}

static void run_gives(struct guest *g, unsigned wanted, const char *name)
{
	unsigned got = run_on(g, name);

	if (!ok(got == wanted, "%s: %s", name, exit_name(wanted)))
		note("got %s", exit_name(got));
}

/* What stands behind a slot is looked at when the guest needs it, and not before. */
static void backing(void)
{
	uint8_t *at = ram_new(PAGE);
	struct guest g;
	int file;

	guest_new(&g, 1, MODE_LONG);
	count_setup(&g, 0, PAGE);
	run_gives(&g, FERMATA_EXIT_MMIO, "no slot");
	must(!slot_set(g.vm, 1, DATA_AT, PAGE, at, 0), "SET_MEMORY");
	run_gives(&g, FERMATA_EXIT_IO, "then a slot");
	munmap(at, PAGE);
	run_gives(&g, FERMATA_EXIT_MEMORY_FAULT, "memory unmapped");
	run_gives(&g, FERMATA_EXIT_MEMORY_FAULT, "and again");
	must(mmap(at, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1,
		  0) == at,
	     "mmap");
	run_gives(&g, FERMATA_EXIT_IO, "mapped again");
	ok(*(uint64_t *)at == 1, "new memory is empty");
	mprotect(at, PAGE, PROT_READ);
	run_gives(&g, FERMATA_EXIT_MEMORY_FAULT, "a write to PROT_READ");
	mprotect(at, PAGE, PROT_NONE);
	run_gives(&g, FERMATA_EXIT_MEMORY_FAULT, "a write to PROT_NONE");
	mprotect(at, PAGE, PROT_READ | PROT_WRITE);
	run_gives(&g, FERMATA_EXIT_IO, "writable again");
	slot_set(g.vm, 1, 0, 0, NULL, 0);
	run_gives(&g, FERMATA_EXIT_MMIO, "the slot removed");
	must(!slot_set(g.vm, 1, DATA_AT, PAGE, at, FERMATA_MEMORY_READONLY), "SET_MEMORY");
	run_gives(&g, FERMATA_EXIT_MMIO, "a write to a read-only slot");
	slot_set(g.vm, 1, 0, 0, NULL, 0);

	file = memfd_create("abuse", MFD_CLOEXEC);
	must(file >= 0 && !ftruncate(file, PAGE), "memfd");
	mmap(at, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, file, 0);
	must(!slot_set(g.vm, 1, DATA_AT, PAGE, at, 0), "SET_MEMORY");
	run_gives(&g, FERMATA_EXIT_IO, "a file");
	must(!ftruncate(file, 0), "ftruncate");
	run_gives(&g, FERMATA_EXIT_MEMORY_FAULT, "the file truncated");
	must(!ftruncate(file, PAGE), "ftruncate");
	run_gives(&g, FERMATA_EXIT_IO, "the file longer again");
	ok(*(uint64_t *)at == 1, "it is a new page");
	slot_set(g.vm, 1, 0, 0, NULL, 0);
	close(file);

	/* Fermata's own pages as guest memory: the run page is user memory like any other. */
	g.page[0]->regs[FERMATA_RDX] = 41;
	must(!slot_set(g.vm, 1, DATA_AT, PAGE, g.page[0], 0), "SET_MEMORY");
	g.page[0]->regs[FERMATA_RBX] = DATA_AT + PAGE;
	run_gives(&g, FERMATA_EXIT_IO, "the run page as memory");
	slot_set(g.vm, 1, 0, 0, NULL, 0);
	munmap(at, PAGE);
	at = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, g.vm, 0);
	must(at != MAP_FAILED, "mmap of the clock page");
	must(!slot_set(g.vm, 1, DATA_AT, PAGE, at, 0), "SET_MEMORY");
	run_gives(&g, FERMATA_EXIT_MEMORY_FAULT, "a write to the clock page");
	munmap(at, PAGE);
	guest_end(&g);
}

/* Code and page tables in memory that cannot be had. */
static void missing_code(void)
{
	struct guest g;

	guest_new(&g, 1, MODE_LONG);
	count_setup(&g, 0, PAGE);
	mprotect(g.low, g.low_size, PROT_NONE);
	must(!ioctl(g.vcpu[0], FERMATA_RUN, 0), "RUN");
	ok(g.page[0]->exit.reason == FERMATA_EXIT_MEMORY_FAULT,
	   "everything PROT_NONE: MEMORY_FAULT");
	mprotect(g.low, g.low_size, PROT_READ);
	must(!ioctl(g.vcpu[0], FERMATA_RUN, 0), "RUN");
	ok(g.page[0]->exit.reason == FERMATA_EXIT_MEMORY_FAULT,
	   "page tables that cannot get their accessed bits: MEMORY_FAULT");
	mprotect(g.low, g.low_size, PROT_READ | PROT_WRITE);
	must(!ioctl(g.vcpu[0], FERMATA_RUN, 0), "RUN");
	ok(g.page[0]->exit.reason == FERMATA_EXIT_MMIO, "it runs when they can");
	slot_set(g.vm, 0, 0, 0, NULL, 0);
	must(!ioctl(g.vcpu[0], FERMATA_RUN, 0), "RUN");
	ok(g.page[0]->exit.reason == FERMATA_EXIT_MEMORY_FAULT,
	   "page tables without a slot: MEMORY_FAULT");
	guest_end(&g);
}

void abuse_slots(void)
{
	ticks(100000);
	slot_arguments();
	backing();
	missing_code();
}
