/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * Physical memory: pages that the hypervisor takes for itself, and frames behind its owners' memory, each of
 * which belongs to nobody from the moment when the hypervisor has said that it let go of it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "model.h"

#define BASE 0x40000000ull /* physical; 2 MiB aligned */
#define POOL 12288u	   /* pages for the hypervisor */
#define SMALL 512u	   /* frames */
#define LARGE (4 * 512u)   /* frames that come as pages of 2 MiB */
#define FIRST_SMALL POOL
#define FIRST_LARGE (POOL + SMALL)
#define TOTAL (POOL + SMALL + LARGE)
#define NOBODY 0xff

static u8 *memory; /* page n is at memory + n * 4096, physical BASE + n * 4096 */

static struct {
	u8 order_plus_1; /* POOL: allocated, the first of so many */
	bool live;	 /* POOL */
	u8 vm;		 /* frames: whose, NOBODY */
	bool taken;
	u16 user; /* which of its pages */
} page[TOTAL];

static u32 free_pages[POOL], free_count, free_begin; /* a ring */
static u32 free_small[SMALL], small_count;

#define USER_BASE(index) (0x100000000ull * ((index) + 1))

void memory_init(void)
{
	if (!memory) {
		u8 *at = mmap(NULL, (TOTAL + 512) * 4096ull, PROT_READ | PROT_WRITE,
			      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

		if (at == MAP_FAILED)
			abort();
		memory = (u8 *)(((uintptr_t)at + 0x1fffff) & ~0x1fffffull);
	}
	madvise(memory, TOTAL * 4096ull, MADV_DONTNEED); /* zero again */
	memset(page, 0, sizeof(page));
	free_begin = 0;
	free_count = 0;
	/* The last 64 are for blocks of more than one. */
	for (u32 i = 0; i < POOL - 64; i++)
		free_pages[free_count++] = i;
	small_count = 0;
	for (u32 i = 0; i < SMALL; i++) {
		page[FIRST_SMALL + i].vm = NOBODY;
		free_small[small_count++] = FIRST_SMALL + i;
	}
	for (u32 i = 0; i < LARGE; i++)
		page[FIRST_LARGE + i].vm = NOBODY;
}

static u32 number_of(u64 phys)
{
	u64 n = (phys - BASE) >> 12;

	return phys >= BASE && n < TOTAL ? n : ~0u;
}

u64 host_virt_to_phys(const void *virt)
{
	return (u64)((const u8 *)virt - memory) + BASE;
}

void *host_phys_to_virt(u64 phys)
{
	if (number_of(phys) == ~0u)
		wrong("physical address %#llx is no memory", phys);
	return memory + (phys - BASE);
}

bool memory_is_live_page(u64 phys)
{
	u32 n = number_of(phys);

	return n < POOL && page[n].live;
}

u64 memory_read(u64 phys)
{
	return *(u64 *)host_phys_to_virt(phys);
}

void memory_write(u64 phys, u64 value)
{
	*(u64 *)host_phys_to_virt(phys) = value;
}

/* ---- pages for the hypervisor: the last one freed comes back at once, or the first one */

void *host_page_alloc(void)
{
	u32 n;

	if (!free_count)
		wrong("out of pages");
	free_count--;
	if (one_in(2)) {
		n = free_pages[free_begin];
		free_begin = (free_begin + 1) % POOL;
	} else {
		n = free_pages[(free_begin + free_count) % POOL];
	}
	page[n].live = true;
	machine_count_leaks(1);
	return memset(memory + n * 4096ull, 0, 4096);
}

void *host_page_alloc_low(void)
{
	return host_page_alloc();
}

void host_page_free(void *p)
{
	u32 n = number_of(host_virt_to_phys(p));

	if (n >= POOL || !page[n].live)
		wrong("a page is freed that is none");
	page[n].live = false;
	memset(p, 0xee, 4096);
	free_pages[(free_begin + free_count++) % POOL] = n;
	machine_count_leaks(-1);
}

void *host_pages_alloc(u32 order)
{
	for (u32 n = POOL - 64; n < POOL; n += 8) {
		if (page[n].live)
			continue;
		page[n].live = true;
		machine_count_leaks(1);
		return memset(memory + n * 4096ull, 0, 4096ull << order);
	}
	wrong("out of blocks of pages");
}

void host_pages_free(void *pages, u32 order)
{
	page[number_of(host_virt_to_phys(pages))].live = false;
	machine_count_leaks(-1);
}

/* ---- a process's page table */

static u32 frame_new(void)
{
	u32 at;

	if (!small_count)
		wrong("out of frames");
	/* Seldom a fresh one: what somebody else had is the interesting one. */
	at = one_in(2) ? small_count - 1 : below(small_count);
	{
		u32 n = free_small[at];

		free_small[at] = free_small[--small_count];
		return n;
	}
}

static void bring_in(struct model_vm *vm, u32 user, bool writable)
{
	struct user_page *u = &vm->user[user];
	u32 n = frame_new();
	u8 *at = memory + n * 4096ull;

	if (user < USER_SMALL)
		memcpy(at, vm->swap[user], 4096);
	page[n].vm = vm->index;
	page[n].user = user;
	u->frame = n;
	u->writable = writable;
}

static void drop_frame(struct model_vm *vm, u32 user)
{
	struct user_page *u = &vm->user[user];
	u8 *at = memory + u->frame * 4096ull;
	u32 n = u->frame;

	if (!n)
		return;
	u->frame = 0;
	page[n].vm = NOBODY;
	if (user >= USER_LARGE)
		vm->huge = false;
	if (user < USER_SMALL) {
		memcpy(vm->swap[user], at, 4096);
		memset(at, 0xee, 4096);
	}
	if (n < FIRST_LARGE)
		free_small[small_count++] = n;
}

static struct model_vm *process_of(u64 user_addr, u32 *user)
{
	for (u32 i = 0; i < VMS; i++) {
		u64 at = user_addr - USER_BASE(i);

		if (!world.vm[i] || user_addr < USER_BASE(i) || at >= USER_PAGES * 4096ull)
			continue;
		*user = at >> 12;
		return world.vm[i];
	}
	wrong("no process has memory at %#llx", user_addr);
}

u64 process_user(const struct model_vm *vm)
{
	return USER_BASE(vm->index);
}

void process_init(struct model_vm *vm)
{
	memset(vm->user, 0, sizeof(vm->user));
	memset(vm->swap, 0, sizeof(vm->swap));
	vm->huge = false;
}

void process_exit(struct model_vm *vm)
{
	for (u32 i = 0; i < USER_PAGES; i++)
		drop_frame(vm, i);
}

void process_poke(struct model_vm *vm, u32 user, u32 offset, u64 value)
{
	memcpy(vm->swap[user] + offset, &value, sizeof(value));
}

static u64 user_range(const struct model_vm *vm, u32 first)
{
	return process_user(vm) + first * 4096ull;
}

/* Written to swap: mmu notifier around the change of the process's page table, then the frame is free. */
void process_unmap(struct model_vm *vm, u32 first, u32 pages)
{
	vm_invalidate_begin(&vm->vm, user_range(vm, first), user_range(vm, first + pages));
	for (u32 i = first; i < first + pages; i++)
		drop_frame(vm, i);
	vm_invalidate_end(&vm->vm, user_range(vm, first), user_range(vm, first + pages));
}

/* As fork() does before it shares the pages with the child. */
void process_protect(struct model_vm *vm, u32 first, u32 pages)
{
	vm_invalidate_begin(&vm->vm, user_range(vm, first), user_range(vm, first + pages));
	for (u32 i = first; i < first + pages; i++) {
		vm->user[i].writable = false;
		if (i >= USER_LARGE && pages < 512)
			vm->huge = false;
	}
	vm_invalidate_end(&vm->vm, user_range(vm, first), user_range(vm, first + pages));
}

/* Migration, compaction, or the copy that a write to a shared page makes. */
void process_move(struct model_vm *vm, u32 user)
{
	bool writable;

	vm_invalidate_begin(&vm->vm, user_range(vm, user), user_range(vm, user + 1));
	if (vm->user[user].frame && user < USER_SMALL) {
		writable = vm->user[user].writable;
		drop_frame(vm, user);
		bring_in(vm, user, writable);
	}
	vm_invalidate_end(&vm->vm, user_range(vm, user), user_range(vm, user + 1));
}

static bool any_frame(const struct model_vm *vm, u32 first, u32 end)
{
	for (u32 i = first; i < end; i++)
		if (vm->user[i].frame)
			return true;
	return false;
}

/*
 * Small pages become a large one, or a large one many small ones in the same place. Where nothing is, a large
 * page comes by a fault of the owner's, of which nobody is told.
 */
void process_huge(struct model_vm *vm, bool huge)
{
	u64 start = user_range(vm, USER_LARGE), end = user_range(vm, USER_PAGES);
	u32 block = FIRST_LARGE;
	bool told = !huge || any_frame(vm, USER_LARGE, USER_PAGES);

	if (told)
		vm_invalidate_begin(&vm->vm, start, end);
	for (u32 i = USER_LARGE; huge && i < USER_PAGES; i++)
		drop_frame(vm, i);
	for (u32 i = 0; huge && block < TOTAL; block += 512) {
		for (i = 0; i < 512 && page[block + i].vm == NOBODY; i++)
			;
		if (i == 512)
			break;
	}
	if (huge && block < TOTAL) {
		for (u32 i = 0; i < 512; i++) {
			page[block + i].vm = vm->index;
			page[block + i].user = USER_LARGE + i;
			vm->user[USER_LARGE + i] =
				(struct user_page){ .frame = block + i, .writable = true };
		}
	}
	vm->huge = huge && block < TOTAL;
	if (told)
		vm_invalidate_end(&vm->vm, start, end);
}

int host_page_get(u64 user_addr, bool write, struct host_page *out)
{
	struct user_page *u;
	struct model_vm *vm;
	u32 user;

	yield();
	vm = process_of(user_addr, &user);
	u = &vm->user[user];
	if (write && u->frame && !u->writable) {
		/* Nobody shares it any more, or it is copied. */
		if (!vm->huge && one_in(2))
			process_move(vm, user);
		if (u->frame)
			u->writable = true;
		/* Write access to one page of a large one ends its being one. */
		if (user >= USER_LARGE && vm->huge && one_in(2))
			process_huge(vm, false);
	}
	if (!u->frame)
		bring_in(vm, user, write || one_in(2));
	if (write)
		u->writable = true;
	*out = (struct host_page){
		.phys = BASE + u->frame * 4096ull,
		.level = user >= USER_LARGE && vm->huge ? 2 : 1,
		.writable = u->writable,
		.cached = true,
		.cookie = u,
	};
	/* A large page is writable as a whole. */
	for (u32 i = USER_LARGE; out->level == 2 && u->writable && i < USER_PAGES; i++)
		vm->user[i].writable = true;
	machine_count_leaks(1);
	yield();
	return 0;
}

void host_page_put(struct host_page *got)
{
	machine_count_leaks(-1);
}

u32 host_pages_near(u64 user_addr, u32 count, u64 *phys)
{
	struct model_vm *vm;
	u32 user, i;

	yield();
	vm = process_of(user_addr, &user);
	count = one_in(2) ? 0 : 1 + below(count); /* the others the host has to fetch */
	for (i = 0; i < count && user + i < USER_PAGES; i++) {
		const struct user_page *u = &vm->user[user + i];

		if (!u->frame || !u->writable || (user + i >= USER_LARGE && vm->huge))
			break;
		phys[i] = BASE + u->frame * 4096ull;
	}
	yield();
	return i;
}

void host_page_dirty(u64 phys)
{
}

void memory_wrote(u64 phys)
{
	u32 n = number_of(phys);

	if (n != ~0u && n >= POOL && page[n].vm != NOBODY)
		log_wrote(world.vm[page[n].vm], page[n].user);
}

static void *user_at(u64 user_addr, bool write)
{
	struct model_vm *vm;
	u32 user;

	vm = process_of(user_addr, &user);
	if (!vm->user[user].frame || (write && !vm->user[user].writable))
		return NULL;
	return memory + vm->user[user].frame * 4096ull + (user_addr & 0xfff);
}

int host_read_user(void *to, u64 user_addr, size_t size)
{
	void *at = user_at(user_addr, false);

	if (at)
		memcpy(to, at, size);
	return at ? 0 : -EFAULT;
}

int host_read_user_word(u64 *to, u64 user_addr)
{
	return host_read_user(to, user_addr, sizeof(*to));
}

int host_write_user(u64 user_addr, const void *from, size_t size)
{
	void *at = user_at(user_addr, true);

	if (at) {
		memcpy(at, from, size);
		memory_wrote(host_virt_to_phys(at));
	}
	return at ? 0 : -EFAULT;
}

int host_cmpxchg_user(u64 user_addr, u64 old, u64 new_value, u32 size)
{
	u64 *at = user_at(user_addr, true);

	if (!at)
		return -EFAULT;
	if (*at != old)
		return 0;
	*at = new_value;
	memory_wrote(host_virt_to_phys(at));
	return 1;
}

bool host_user_unchanged(const struct host_user_word *words, u32 count, u64 user_addr, u64 *to)
{
	return false; /* instructions' lengths come from the processor here */
}

/* ---- who may reach what */

static const struct model_slot *slot_of(const struct model_vm *vm, u64 gpa, u32 *from)
{
	for (u32 i = *from; i < SLOTS; i++) {
		const struct model_slot *slot = &vm->slot[i];

		if (slot->live && (gpa >> 12) - slot->gpa < slot->pages && gpa >> 12 >= slot->gpa) {
			*from = i + 1;
			return slot;
		}
	}
	return NULL;
}

bool memory_in_slot(const struct model_vm *vm, u64 gpa, bool write)
{
	const struct model_slot *slot;
	u32 from = 0;

	while ((slot = slot_of(vm, gpa, &from)))
		if (!write || !slot->readonly)
			return true;
	return false;
}

bool memory_legal(const struct model_vm *vm, u64 gpa, u64 phys, bool write)
{
	const struct model_slot *slot;
	u32 n = number_of(phys), from = 0;

	if (n == ~0u || n < POOL || (gpa ^ phys) & 0xfff)
		return false;
	while ((slot = slot_of(vm, gpa, &from))) {
		u32 user = (gpa >> 12) - slot->gpa + slot->user;

		if (page[n].vm == vm->index && page[n].user == user && vm->user[user].frame == n &&
		    !(write && (slot->readonly || !vm->user[user].writable)))
			return true;
	}
	return false;
}

bool memory_is_table(const struct model_vm *vm, u64 phys, u64 *gpa)
{
	u32 n = number_of(phys);

	if (n == ~0u || n < POOL || page[n].vm != vm->index || page[n].user < GPA_TABLES ||
	    page[n].user >= GPA_TABLES_END)
		return false;
	*gpa = page[n].user * 4096ull | (phys & 0xfff);
	return true;
}

void memory_describe(u64 phys, char *to, size_t size)
{
	u32 n = number_of(phys);

	if (n == ~0u)
		snprintf(to, size, "%#llx, no memory", phys);
	else if (n < POOL)
		snprintf(to, size, "%#llx, the hypervisor's own%s", phys,
			 page[n].live ? "" : ", freed");
	else if (page[n].vm == NOBODY)
		snprintf(to, size, "%#llx, which was given back to the host", phys);
	else
		snprintf(to, size, "%#llx, page %u of VM %u%s", phys, page[n].user, page[n].vm,
			 world.vm[page[n].vm] && world.vm[page[n].vm]->user[page[n].user].writable ?
				 "" :
				 ", read-only");
}
