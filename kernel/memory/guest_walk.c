/* SPDX-License-Identifier: MIT OR GPL-2.0 */
#include "memory/guest_walk.h"

#define WALK_CR0_WP BIT_ULL(16)
#define WALK_CR0_PG BIT_ULL(31)
#define WALK_CR4_PSE BIT_ULL(4)
#define WALK_CR4_PAE BIT_ULL(5)
#define WALK_CR4_LA57 BIT_ULL(12)
#define WALK_CR4_SMEP BIT_ULL(20)
#define WALK_CR4_SMAP BIT_ULL(21)
#define WALK_CR4_PKE BIT_ULL(22)
#define WALK_EFER_LMA BIT_ULL(10)
#define WALK_EFER_NXE BIT_ULL(11)

/* A guest's paging-structure entry (SDM 3A 4.3 to 4.5, APM 2 5.4.1) */
#define PTE_P BIT_ULL(0)
#define PTE_RW BIT_ULL(1)
#define PTE_US BIT_ULL(2)
#define PTE_A BIT_ULL(5)
#define PTE_D BIT_ULL(6)
#define PTE_PS BIT_ULL(7)
#define PTE_NX BIT_ULL(63)
#define PTE_ADDRESS 0x000ffffffffff000ull
#define PTE_KEY(e) ((u32)((e) >> 59) & 15)

#define BITS(high, low) ((~0ull >> (63 - (high))) & (~0ull << (low)))

/* A guest that rewrites its tables during the walk makes it start over, but not for ever. */
#define WALK_TRIES 64

enum kind { WALK_32BIT, WALK_PAE, WALK_LONG };

struct walk {
	struct guest_memory *memory;
	const struct guest_paging *paging;
	const struct slots *slots;
	u64 linear;
	enum kind kind;
	u8 levels;
	bool nxe;
	u64 reserved; /* bits reserved in every entry */
	u64 all;      /* bits that all of a long mode path's entries have */
	struct guest_walk_path *path;
};

static void walk_init(struct walk *walk, struct guest_memory *memory,
		      const struct guest_paging *paging, u64 linear)
{
	u32 bits = memory->phys_bits;

	walk->memory = memory;
	walk->paging = paging;
	walk->linear = paging->efer & WALK_EFER_LMA ? linear : (u32)linear;
	walk->nxe = (paging->cr4 & WALK_CR4_PAE) && (paging->efer & WALK_EFER_NXE);
	walk->reserved = bits < 52 ? BITS(51, bits) : 0;
	if (!walk->nxe)
		walk->reserved |= PTE_NX;
	if (paging->efer & WALK_EFER_LMA) {
		walk->kind = WALK_LONG;
		walk->levels = paging->cr4 & WALK_CR4_LA57 ? 5 : 4;
	} else if (paging->cr4 & WALK_CR4_PAE) {
		walk->kind = WALK_PAE;
		walk->levels = 3;
		walk->reserved |= BITS(62, 52);
	} else {
		walk->kind = WALK_32BIT;
		walk->levels = 2;
		walk->reserved = 0;
	}
}

static u64 walk_root(const struct walk *walk)
{
	switch (walk->kind) {
	case WALK_32BIT:
		return walk->paging->cr3 & 0xfffff000;
	case WALK_PAE:
		return walk->paging->cr3 & 0xffffffe0;
	default:
		return walk->paging->cr3 & PTE_ADDRESS;
	}
}

/* The bits of a linear address below what `level` translates. */
static u32 walk_shift(const struct walk *walk, u8 level)
{
	return 12 + (walk->kind == WALK_32BIT ? 10 : 9) * (level - 1);
}

static bool is_leaf(const struct walk *walk, u8 level, u64 entry)
{
	if (level == 1)
		return true;
	if (!(entry & PTE_PS) || level > 3)
		return false;
	switch (walk->kind) {
	case WALK_32BIT:
		return walk->paging->cr4 & WALK_CR4_PSE;
	case WALK_PAE:
		return level == 2;
	default:
		return level == 2 || !walk->paging->no_1g;
	}
}

/* SDM 3A tables 4-4 to 4-20: what must be zero in a present entry */
static u64 reserved_bits(const struct walk *walk, u8 level, bool leaf)
{
	u32 bits = walk->memory->phys_bits;

	if (walk->kind == WALK_32BIT) {
		/* PSE-36: a 4 MiB page's address bits 39:32 stand in bits 20:13 (SDM 3A 4.3) */
		if (!leaf || level == 1)
			return 0;
		return bits < 40 ? BITS(21, bits - 19) : BIT_ULL(21);
	}
	/* Bit 5 is reserved too, but QEMU's processor sets it, as if it were A. */
	if (walk->kind == WALK_PAE && level == 3)
		return walk->reserved | PTE_NX | BITS(8, 6) | BITS(2, 1);
	if (leaf && level > 1)
		return walk->reserved | BITS(walk_shift(walk, level) - 1, 13);
	if (level > 2)
		return walk->reserved | PTE_PS; /* set, and yet no leaf */
	return walk->reserved;
}

/* Is it in memory, with an accessed bit? VMX keeps PAE's PDPTEs in registers, and they have none. */
static bool has_accessed(const struct walk *walk, u8 level)
{
	return walk->kind != WALK_PAE || level != 3;
}

static int read_entry(struct walk *walk, u8 level, u64 table)
{
	u32 size = walk->kind == WALK_32BIT ? 4 : 8;
	u64 index = walk->linear >> walk_shift(walk, level);
	u64 gpa, value = 0;
	const struct slot *slot;
	int err;

	index &= walk->kind == WALK_32BIT ? 1023 : 511;
	gpa = table + index * size;
	walk->path->entry[level].gpa = gpa;
	if (!has_accessed(walk, level) && walk->paging->has_pdptes) {
		walk->path->entry[level].value = walk->paging->pdpte[index & 3];
		return 0;
	}
	slot = slots_find(walk->slots, gpa);
	if (!slot)
		return -ENOENT;
	if (size == 8)
		err = host_read_user_word(&value, slot->user_addr + (gpa - slot->gpa));
	else
		err = host_read_user(&value, slot->user_addr + (gpa - slot->gpa), size);
	walk->path->entry[level].value = value;
	return err;
}

/*
 * The error code of a fault whatever its cause. I/D is only reported where fetches can fault for
 * being fetches (SDM 3A 4.7).
 */
static u32 access_code(const struct walk *walk, u32 access, bool user)
{
	u32 code = 0;

	if (access & FERMATA_ACCESS_WRITE)
		code |= PFERR_WRITE;
	if (user)
		code |= PFERR_USER;
	if ((access & FERMATA_ACCESS_FETCH) && (walk->nxe || (walk->paging->cr4 & WALK_CR4_SMEP)))
		code |= PFERR_FETCH;
	return code;
}

/* Protection keys guard data in user pages, from the supervisor too (SDM 3A 4.6.2). */
static bool key_denies(const struct walk *walk, u32 access, bool user, u64 leaf)
{
	const struct guest_paging *paging = walk->paging;
	u32 rights = paging->pkru >> 2 * PTE_KEY(leaf);

	if (walk->kind != WALK_LONG || !(paging->cr4 & WALK_CR4_PKE) ||
	    (access & FERMATA_ACCESS_FETCH))
		return false;
	if (rights & 1)
		return true;
	return (rights & 2) && (access & FERMATA_ACCESS_WRITE) &&
	       (user || (paging->cr0 & WALK_CR0_WP));
}

/* SDM 3A 4.6.1; answers the fault's own bits, 0 when the access is allowed. */
static u32 check_access(const struct walk *walk, const struct guest_walk_result *result, u32 access,
			bool user)
{
	const struct guest_paging *paging = walk->paging;
	bool fetch = access & FERMATA_ACCESS_FETCH;
	u32 code = 0;

	if (user && !result->user)
		code |= PFERR_PRESENT;
	if (!user && result->user) {
		if (fetch && (paging->cr4 & WALK_CR4_SMEP))
			code |= PFERR_PRESENT;
		if (!fetch && (paging->cr4 & WALK_CR4_SMAP) &&
		    ((access & FERMATA_ACCESS_SYSTEM) || !paging->ac))
			code |= PFERR_PRESENT;
	}
	if (fetch && !result->executable)
		code |= PFERR_PRESENT;
	if ((access & FERMATA_ACCESS_WRITE) && !result->writable &&
	    (user || (paging->cr0 & WALK_CR0_WP)))
		code |= PFERR_PRESENT;
	if (result->user &&
	    key_denies(walk, access, user, walk->path->entry[walk->path->leaf].value))
		code |= PFERR_PRESENT | PFERR_KEY;
	return code;
}

/*
 * walk_tables() in long mode, which every page fault under shadow paging does twice. Tables mostly lie in
 * the same slot, and nothing is looked up that all levels have in common.
 */
static int walk_long(struct walk *walk, struct guest_walk_result *result)
{
	const struct slots *slots = walk->slots;
	const struct slot *slot = &slots->slot[slots->largest];
	u64 entry = walk->paging->cr3, reserved = walk->reserved, all = ~0ull, any = 0;
	u32 shift = 12 + 9 * (walk->levels - 1);

	for (u8 level = walk->levels;; level--, shift -= 9) {
		u64 gpa = (entry & PTE_ADDRESS) | (walk->linear >> (shift - 3) & 0xff8);
		bool leaf = level == 1;

		result->gpa = gpa;
		if (unlikely(gpa - slot->gpa >= slot->size)) {
			slot = slots_search(slots, gpa);
			if (!slot)
				return -ENOENT;
		}
		if (unlikely(host_read_user_word(&entry, slot->user_addr + (gpa - slot->gpa))))
			return -EFAULT;
		walk->path->entry[level].gpa = gpa;
		walk->path->entry[level].value = entry;
		if (!(entry & PTE_P)) {
			result->fault = 1;
			return 0;
		}
		if (!leaf && unlikely(entry & PTE_PS)) {
			leaf = is_leaf(walk, level, entry);
			reserved = reserved_bits(walk, level, leaf);
		}
		if (unlikely(entry & reserved)) {
			result->fault = 1;
			result->error_code = PFERR_PRESENT | PFERR_RSVD;
			return 0;
		}
		all &= entry;
		any |= entry;
		if (leaf) {
			walk->path->leaf = level;
			break;
		}
	}
	walk->all = all;
	result->writable = all & PTE_RW;
	result->user = all & PTE_US;
	result->executable = !(any & PTE_NX);
	return 0;
}

/* Is there nothing for set_accessed() to do? */
static bool is_accessed(const struct walk *walk, u32 access)
{
	return walk->all & PTE_A && (!(access & FERMATA_ACCESS_WRITE) ||
				     walk->path->entry[walk->path->leaf].value & PTE_D);
}

/* Down to the leaf. Answers 0 with the rights in result, or with result->fault and its own bits. */
static int walk_tables(struct walk *walk, struct guest_walk_result *result)
{
	u64 table = walk_root(walk);

	for (u8 level = walk->levels;; level--) {
		int err = read_entry(walk, level, table);
		u64 entry;
		bool leaf;

		if (err) {
			result->gpa = walk->path->entry[level].gpa;
			return err;
		}
		entry = walk->path->entry[level].value;
		leaf = is_leaf(walk, level, entry);
		if (!(entry & PTE_P)) {
			result->fault = 1;
			return 0;
		}
		if (entry & reserved_bits(walk, level, leaf)) {
			result->fault = 1;
			result->error_code = PFERR_PRESENT | PFERR_RSVD;
			return 0;
		}
		if (has_accessed(walk, level)) {
			result->writable &= !!(entry & PTE_RW);
			result->user &= !!(entry & PTE_US);
			result->executable &= !(entry & PTE_NX);
		}
		if (leaf) {
			walk->path->leaf = level;
			return 0;
		}
		table = entry & PTE_ADDRESS;
	}
}

/* As the processor does, top-down. 0 done, 1 an entry changed since it was read: walk again. */
static int set_accessed(struct walk *walk, u32 access, u64 *failed)
{
	u32 size = walk->kind == WALK_32BIT ? 4 : 8;

	for (u8 level = walk->levels; level >= walk->path->leaf; level--) {
		u64 gpa = walk->path->entry[level].gpa, old = walk->path->entry[level].value,
		    set = PTE_A;
		const struct slot *slot;
		int done;

		if (level == walk->path->leaf && (access & FERMATA_ACCESS_WRITE))
			set |= PTE_D;
		if ((old & set) == set || !has_accessed(walk, level))
			continue;
		*failed = gpa;
		slot = slots_find(walk->slots, gpa);
		if (!slot)
			return -ENOENT;
		if (slot->flags & FERMATA_MEMORY_READONLY)
			return -EACCES;
		done = host_cmpxchg_user(slot->user_addr + (gpa - slot->gpa), old, old | set, size);
		if (done <= 0)
			return done ? done : 1;
		dirty_wrote(slot, gpa, size);
		walk->path->entry[level].value = old | set;
	}
	return 0;
}

static u64 leaf_gpa(const struct walk *walk)
{
	u64 entry = walk->path->entry[walk->path->leaf].value;
	u64 offset = BITS(walk_shift(walk, walk->path->leaf) - 1, 0);

	if (walk->path->leaf == 1)
		return (entry & PTE_ADDRESS) | (walk->linear & 0xfff);
	if (walk->kind == WALK_32BIT && walk->path->leaf == 2)
		return (entry & 0xffc00000) | (entry & BITS(20, 13)) << (32 - 13) |
		       (walk->linear & offset);
	return (entry & PTE_ADDRESS & ~offset) | (walk->linear & offset);
}

static void result_init(struct guest_walk_result *result)
{
	memset(result, 0, sizeof(*result));
	result->writable = true;
	result->user = true;
	result->executable = true;
}

static int walk_once(struct walk *walk, u32 access, struct guest_walk_result *result)
{
	bool user = (walk->paging->cpl == 3 || (access & FERMATA_ACCESS_USER)) &&
		    !(access & FERMATA_ACCESS_SYSTEM);
	int err;

	result_init(result);
	walk->all = 0;
	err = walk->kind == WALK_LONG ? walk_long(walk, result) : walk_tables(walk, result);
	if (err)
		return err;
	if (!result->fault) {
		result->error_code = check_access(walk, result, access, user);
		result->fault = !!result->error_code;
	}
	if (result->fault) {
		result->error_code |= access_code(walk, access, user);
		return 0;
	}
	if (!(access & GUEST_WALK_PEEK) && !is_accessed(walk, access)) {
		err = set_accessed(walk, access, &result->gpa);
		if (err)
			return err;
	}
	result->gpa = leaf_gpa(walk);
	result->page_size = 1u << walk_shift(walk, walk->path->leaf);
	return 0;
}

int guest_walk_path(struct guest_memory *memory, const struct guest_paging *paging, u64 linear,
		    u32 access, struct guest_walk_result *result, struct guest_walk_path *path)
{
	struct guest_walk_path unwanted;
	struct walk walk;
	int err = 1;

	if (!(paging->cr0 & WALK_CR0_PG)) {
		result_init(result);
		result->gpa = (u32)linear;
		result->page_size = 4096;
		if (path)
			path->leaf = 0;
		return 0;
	}
	walk_init(&walk, memory, paging, linear);
	walk.path = path ? path : &unwanted;
	host_read_begin();
	walk.slots = READ_ONCE(memory->slots);
	for (u32 i = 0; i < WALK_TRIES && err > 0; i++)
		err = walk_once(&walk, access, result);
	host_read_end();
	return err > 0 ? -EAGAIN : err;
}

int guest_walk(struct guest_memory *memory, const struct guest_paging *paging, u64 linear,
	       u32 access, struct guest_walk_result *result)
{
	return guest_walk_path(memory, paging, linear, access, result, NULL);
}

/* ---- instruction fetch */

/*
 * One level: the entry for linear in `table`. Tables mostly lie in the same slot, so it is kept from
 * level to level. A slot holds whole pages, so a table lies in it entirely.
 */
static __always_inline bool fetch_entry(const struct slots *slots, const struct slot **slot,
					u64 table, u64 linear, u32 shift, u64 *entry,
					struct guest_code *note)
{
	u64 user;
	u64 offset = table - (*slot)->gpa;

	if (unlikely(offset >= (*slot)->size)) {
		const struct slot *other = slots_search(slots, table);

		if (!other)
			return false;
		*slot = other;
		offset = table - other->gpa;
	}
	user = (*slot)->user_addr + offset + (linear >> (shift - 3) & 0xff8);
	if (unlikely(host_read_user_word(entry, user)))
		return false;
	if (note)
		note->entry[note->levels++] = (struct host_user_word){ user, *entry };
	return likely(*entry & PTE_P);
}

/* Unrolled, so that every shift is a constant: this runs at every exit that decodes. */
static __always_inline bool fetch_walk(const struct slots *slots, const struct slot **slot,
				       const struct guest_paging *paging, u64 linear, u64 *gpa,
				       struct guest_code *note)
{
	u64 entry = paging->cr3, offset;

	if (paging->cr4 & WALK_CR4_LA57 &&
	    !fetch_entry(slots, slot, entry & PTE_ADDRESS, linear, 48, &entry, note))
		return false;
	if (!fetch_entry(slots, slot, entry & PTE_ADDRESS, linear, 39, &entry, note) ||
	    (entry & PTE_PS))
		return false;
	if (!fetch_entry(slots, slot, entry & PTE_ADDRESS, linear, 30, &entry, note))
		return false;
	offset = BITS(29, 0);
	if (!(entry & PTE_PS)) {
		if (!fetch_entry(slots, slot, entry & PTE_ADDRESS, linear, 21, &entry, note))
			return false;
		offset = BITS(20, 0);
		if (!(entry & PTE_PS)) {
			if (!fetch_entry(slots, slot, entry & PTE_ADDRESS, linear, 12, &entry, note))
				return false;
			offset = BITS(11, 0);
		}
	}
	*gpa = (entry & PTE_ADDRESS & ~offset) | (linear & offset);
	return true;
}

static inline bool fetch_is_fast(const struct guest_paging *paging)
{
	return paging->efer & WALK_EFER_LMA;
}

/* Code is short and rarely near the end of its page: two words, whatever was asked for. */
static __always_inline bool fetch_bytes(u64 user_addr, u8 *to, u32 size)
{
	u64 word[2];

	if (unlikely(size > sizeof(word) || (user_addr & 0xfff) > 4096 - sizeof(word)))
		return !host_read_user(to, user_addr, size);
	if (host_read_user_word(&word[0], user_addr) || host_read_user_word(&word[1], user_addr + 8))
		return false;
	memcpy(to, word, size);
	return true;
}

int guest_walk_fetch(struct guest_memory *memory, const struct guest_paging *paging, u64 linear,
		     u64 *gpa)
{
	const struct slots *slots;
	const struct slot *slot;
	bool found;

	if (!fetch_is_fast(paging))
		return -EFAULT;
	host_read_begin();
	slots = READ_ONCE(memory->slots);
	slot = &slots->slot[slots->largest];
	found = fetch_walk(slots, &slot, paging, linear, gpa, NULL);
	host_read_end();
	return found ? 0 : -EFAULT;
}

bool guest_code_find(struct guest_memory *memory, struct guest_code *code,
		     const struct guest_paging *paging, u64 linear)
{
	const struct slots *slots;
	const struct slot *slot;
	bool found;
	u64 gpa;

	code->page = GUEST_CODE_NONE;
	code->levels = 0;
	/* Before the slots: they may change from here on. */
	code->sequence = READ_ONCE(memory->invalidations.sequence);
	if (!fetch_is_fast(paging))
		return false;
	host_read_begin();
	slots = READ_ONCE(memory->slots);
	slot = &slots->slot[slots->largest];
	found = fetch_walk(slots, &slot, paging, linear & ~0xfffull, &gpa, code);
	if (found && gpa - slot->gpa >= slot->size)
		slot = slots_search(slots, gpa);
	found = found && slot;
	if (found)
		code->user = slot->user_addr + (gpa - slot->gpa);
	host_read_end();
	if (!found)
		return false;
	code->cr3 = paging->cr3;
	code->page = linear & ~0xfffull;
	return true;
}

/* Walk and copy in one read section; size does not cross a page. */
static bool fetch_fast(struct guest_memory *memory, const struct guest_paging *paging, u64 linear,
		       u8 *to, u32 size, u64 *gpa)
{
	const struct slots *slots;
	const struct slot *slot;
	bool done = false;

	if (!fetch_is_fast(paging))
		return false;
	host_read_begin();
	slots = READ_ONCE(memory->slots);
	slot = &slots->slot[slots->largest];
	if (likely(fetch_walk(slots, &slot, paging, linear, gpa, NULL))) {
		if (unlikely(*gpa - slot->gpa >= slot->size))
			slot = slots_search(slots, *gpa);
		done = slot && fetch_bytes(slot->user_addr + (*gpa - slot->gpa), to, size);
	}
	host_read_end();
	return done;
}

static int fetch_page(struct guest_memory *memory, const struct guest_paging *paging, u64 linear,
		      u8 *to, u32 size, struct guest_walk_result *result)
{
	int err = guest_walk(memory, paging, linear, FERMATA_ACCESS_FETCH | GUEST_WALK_PEEK, result);

	if (err)
		return err;
	if (result->fault)
		return -EFAULT;
	return guest_memory_read(memory, result->gpa, to, size);
}

int guest_fetch(struct guest_memory *memory, const struct guest_paging *paging, u64 linear, u8 *to,
		u32 size, struct guest_walk_result *result)
{
	u32 here = min(size, 4096 - (u32)(linear & 0xfff));
	struct guest_walk_result slow;
	u64 gpa;
	int err;

	if (!result)
		result = &slow;
	if (likely(fetch_fast(memory, paging, linear, to, here, &gpa))) {
		result->fault = 0;
		result->gpa = gpa;
	} else {
		err = fetch_page(memory, paging, linear, to, here, result);
		if (err)
			return err;
	}
	if (here < size && !fetch_page(memory, paging, linear + here, to + here, size - here, &slow))
		here = size;
	return here;
}
