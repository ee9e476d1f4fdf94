/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* Roots, faults and INVLPG: from what the guest's tables say to what the processor walks. */
#include "memory/shadow/internal.h"

/* ---- roots */

/* What all pages of a guest in this mode have in their roles. */
static u32 mode_of(const struct guest_paging *paging)
{
	u32 role = 0;

	if (!(paging->cr0 & SHADOW_CR0_PG))
		return ROLE_KIND(SHADOW_UNPAGED) | ROLE_WP;
	if (paging->efer & SHADOW_EFER_LMA)
		role |= ROLE_KIND(SHADOW_LONG);
	else if (paging->cr4 & SHADOW_CR4_PAE)
		role |= ROLE_KIND(SHADOW_PAE);
	else
		role |= ROLE_KIND(SHADOW_32BIT) | (paging->cr4 & SHADOW_CR4_PSE ? ROLE_PSE : 0);
	if (role_kind(role) != SHADOW_32BIT && paging->efer & SHADOW_EFER_NXE)
		role |= ROLE_NXE;
	if (role_kind(role) == SHADOW_LONG && paging->no_1g)
		role |= ROLE_NO_1G;
	if (paging->cr0 & SHADOW_CR0_WP)
		role |= ROLE_WP;
	else if (paging->cr4 & SHADOW_CR4_SMEP)
		role |= ROLE_SMEP;
	return role;
}

static bool optimised(const struct shadow *sh, u32 what)
{
	return sh->optimisations & what;
}

/*
 * A table that nothing pointed to was perhaps written by others than the guest's CPUs (a device), and
 * nobody has looked since: it is compared before it is used again.
 */
static struct shadow_page *page_get(struct shadow *sh, u64 gfn, u32 role)
{
	struct shadow_page *sp = shadow_find(sh, gfn, role);

	if (!sp)
		return shadow_create(sh, gfn, role);
	if (role & ROLE_DIRECT)
		return sp;
	if (sp->unsync || (!sp->parents.count && !sp->pins))
		shadow_sync(sh, sp, 0);
	return sp;
}

static struct shadow_page *root_get(struct shadow *sh, u64 gfn, u32 role)
{
	u32 found = sh->stats.pages;
	struct shadow_page *sp = page_get(sh, gfn, role);

	if (found == sh->stats.pages)
		sh->stats.roots_found++;
	else
		sh->stats.roots_made++;
	sp->pins++;
	return sp;
}

static void roots_put(struct shadow *sh, struct shadow_page *root[4])
{
	for (u32 i = 0; i < 4; i++) {
		struct shadow_page *sp = root[i];

		root[i] = NULL;
		if (sp && !--sp->pins && !optimised(sh, SHADOW_ROOTS))
			shadow_zap(sh, sp);
	}
}

static void roots_long(struct shadow *sh, struct shadow_cpu *cpu, const struct guest_paging *paging,
		       u32 mode, struct shadow_page *root[4])
{
	u8 levels = paging->cr4 & SHADOW_CR4_LA57 ? 5 : 4;

	root[0] = root_get(sh, (paging->cr3 & PTE_ADDRESS) >> 12, mode | ROLE_ACCESS | levels);
	cpu->levels = levels;
	cpu->root_phys = host_virt_to_phys(root[0]->table);
}

/* Unpaged, 32-bit and PAE guests get PAE tables: four of the second level (SDM 3A 4.4). */
static void roots_pae(struct shadow *sh, struct shadow_cpu *cpu, const struct guest_paging *paging,
		      u32 mode, struct shadow_page *root[4])
{
	for (u32 i = 0; i < 4; i++) {
		u32 role = mode | ROLE_ACCESS | 2;
		u64 gfn = (paging->cr3 & 0xfffff000) >> 12;

		if (role_kind(mode) == SHADOW_UNPAGED) {
			role |= ROLE_DIRECT;
			gfn = (u64)i << 18;
		} else if (role_kind(mode) == SHADOW_32BIT) {
			role |= ROLE_QUADRANT(i);
		} else {
			gfn = (paging->pdpte[i] & PTE_ADDRESS) >> 12;
		}
		if (role_kind(mode) == SHADOW_PAE && !(paging->pdpte[i] & PTE_P)) {
			WRITE_ONCE(cpu->pdpt[i], 0);
			continue;
		}
		root[i] = root_get(sh, gfn, role);
		WRITE_ONCE(cpu->pdpt[i], host_virt_to_phys(root[i]->table) | PTE_P);
	}
	cpu->levels = 3;
	cpu->root_phys = host_virt_to_phys(cpu->pdpt);
}

static struct flush collect(struct shadow *sh)
{
	struct flush flush = { .kinds = sh->lost_write ? FLUSH_LINEAR : FLUSH_NONE };

	sh->lost_write = false;
	return guest_memory_owe(sh->memory, flush);
}

enum shadow_result shadow_load(struct guest_memory *memory, struct shadow_cpu *cpu,
			       const struct guest_paging *paging, bool keep,
			       struct shadow_answer *answer)
{
	struct shadow *sh = shadow_of(memory);
	struct shadow_page *old[4];
	u32 mode = mode_of(paging);

	answer->owed = (struct flush){ 0 };
	host_lock(&memory->lock);
	if (sh->free_count < SHADOW_RESERVE) {
		host_unlock(&memory->lock);
		return SHADOW_REFILL;
	}
	/*
	 * All PCIDs' translations are here as they were when these tables were last looked through, and that
	 * was not before the guest dropped those of this PCID. But for INVLPG, which drops global ones of
	 * all PCIDs, and has looked at one address in one of them.
	 */
	if (!keep || cpu->stale || !optimised(sh, SHADOW_PCIDS)) {
		cpu->stale = false;
		if (sh->unsync_count)
			shadow_sync_all(sh, SYNC_ZAP | SYNC_PROTECT);
	}
	memcpy(old, cpu->root, sizeof(old));
	memset(cpu->root, 0, sizeof(cpu->root));
	if (role_kind(mode) == SHADOW_LONG)
		roots_long(sh, cpu, paging, mode, cpu->root);
	else
		roots_pae(sh, cpu, paging, mode, cpu->root);
	roots_put(sh, old);
	cpu->unlinked = sh->unlinked;
	answer->owed = collect(sh);
	host_unlock(&memory->lock);
	return SHADOW_DONE;
}

static struct shadow_page *top_of(const struct shadow_cpu *cpu, u64 linear)
{
	return cpu->levels == 3 ? cpu->root[linear >> 30 & 3] : cpu->root[0];
}

/* ---- faults */

#define HOW (SHADOW_REPEAT | SHADOW_ALONE) /* of an access, what is not the guest's */

struct fault {
	u64 linear, gpa;
	bool write;
	bool alone;
	bool changed; /* something was missing, or not as it should be */
	bool synced;  /* unsync tables were looked through */
	u32 access;   /* ROLE_*: what the leaf is to allow, before the host has its say */
	u32 key;
	const struct guest_walk_path *path;
	struct radix_leaf host;
};

static bool key_forbids_writes(const struct guest_paging *paging, u32 key)
{
	return paging->cr4 & SHADOW_CR4_PKE && paging->efer & SHADOW_EFER_LMA &&
	       paging->pkru >> 2 * key & 2;
}

/*
 * What all levels of the guest's tables allow together. A page that is not dirty is mapped read-only,
 * so that the first write comes here and the walk marks it.
 *
 * Without CR0.WP the supervisor writes to read-only pages. The processor runs with WP, so such a page
 * is the supervisor's alone after the supervisor has written, and the user's again, read-only, after
 * the next access of the user's. With SMEP it must not become executable by that. Nor does the supervisor
 * heed what PKRU says of writes then (SDM 3A 4.6.2), and to the processor, which does, a page of its own
 * has no key.
 */
static u32 leaf_access(const struct fault *fault, const struct guest_paging *paging,
		       const struct guest_walk_result *result, bool user)
{
	bool refused = !result->writable || (result->user && key_forbids_writes(paging, fault->key));
	u32 mode = mode_of(paging);
	u32 access = 0;

	if (!fault->path->leaf)
		return ROLE_ACCESS;
	access |= result->writable ? ROLE_WRITE : 0;
	access |= result->user ? ROLE_USER : 0;
	access |= result->executable ? ROLE_EXEC : 0;
	if (fault->write && !user && refused) {
		access |= ROLE_WRITE;
		if (result->user && mode & ROLE_SMEP)
			access &= ~ROLE_EXEC;
		access &= ~ROLE_USER;
	}
	if (!(fault->path->entry[fault->path->leaf].value & PTE_D))
		access &= ~ROLE_WRITE;
	return access;
}

static bool large_fits(const struct shadow *sh, const struct fault *fault)
{
	return fault->host.level >= 2 && fault->path->leaf != 1 && optimised(sh, SHADOW_LARGE) &&
	       !sh->tables[region_of(fault->gpa >> 12)];
}

/* The table below `sp` for the fault's address: as it should be, made if need be. */
static struct shadow_page *descend(struct shadow *sh, struct shadow_page *sp, struct fault *fault)
{
	u8 level = role_level(sp->role), leaf = fault->path->leaf;
	u32 slot = slot_of(fault->linear, level), role;
	u64 entry = entry_of_slot(sp, slot), origin = 0, gfn;
	struct shadow_page *child;

	role = (sp->role & ~(ROLE_LEVEL | ROLE_ACCESS | ROLE_QUADRANT(3) | ROLE_KEY(15))) |
	       (level - 1);
	if (sp->role & ROLE_DIRECT || level <= leaf) {
		gfn = fault->gpa >> 12 & ~((1ull << 9 * (level - 1)) - 1);
		role |= ROLE_DIRECT | fault->access | ROLE_KEY(fault->key);
		if (!(sp->role & ROLE_DIRECT))
			origin = fault->path->entry[level].value;
	} else {
		origin = fault->path->entry[level].value;
		gfn = (origin & PTE_ADDRESS) >> 12;
		role |= sp->role & entry_access(sp->role, origin);
		if (role_kind(role) == SHADOW_32BIT)
			role |= ROLE_QUADRANT(slot & 1);
	}
	if (entry & PTE_P && !(entry & PTE_PS)) {
		child = shadow_child(sh, sp, slot);
		if (child->gfn == gfn && child->role == role) {
			sp->origin[slot] = origin;
			child->recent = true;
			return child;
		}
	}
	if (entry & PTE_P)
		shadow_drop(sh, sp, slot);
	child = page_get(sh, gfn, role);
	/* What hangs below it may be unsync, and was not reachable when the guest last invalidated. */
	if (child->count && level > 2 && sh->unsync_count && !fault->synced) {
		shadow_sync_all(sh, 0);
		fault->synced = true;
	}
	/* Getting it may have looked at sp, too, but adds nothing there. */
	shadow_set_link(sh, sp, slot, child, origin);
	fault->changed = true;
	return child;
}

/* The entry of a page of the host's, with no more access than the host gives. */
static u64 leaf_to(const struct radix_leaf *host, u8 level, u32 access, u32 key)
{
	u64 entry = host->phys & ~(radix_size(level) - 1);

	if (!(host->access & RADIX_WRITE))
		access &= ~ROLE_WRITE;
	if (!(host->access & RADIX_EXEC)) /* a rule is about it */
		access &= ~ROLE_EXEC;
	if (level > 1)
		entry |= PTE_PS;
	if (host->access & RADIX_UNCACHED)
		entry |= PTE_PCD | PTE_PWT;
	return entry | shadow_leaf_bits(access, key);
}

static void put_leaf(struct shadow *sh, struct shadow_page *sp, struct fault *fault)
{
	u8 level = role_level(sp->role);
	u32 slot = slot_of(fault->linear, level), access = fault->access;
	u64 old, gfn = fault->gpa >> 12, entry, origin = 0;

	if (level == 1 && shadow_tracked(sh, gfn)) {
		if (fault->write && access & ROLE_WRITE)
			shadow_unsync(sh, gfn);
		if (shadow_tracked(sh, gfn))
			access &= ~ROLE_WRITE;
	}
	entry = leaf_to(&fault->host, level, access, fault->key);
	if (!(sp->role & ROLE_DIRECT))
		origin = fault->path->entry[level].value;
	old = entry_of_slot(sp, slot); /* unsync pages may have been synced above */
	if (old == entry) {
		sp->origin[slot] = origin;
		return;
	}
	fault->changed = true;
	if (old & PTE_P && !((old ^ entry) & (PTE_ADDRESS | PTE_PS))) {
		sp->origin[slot] = origin;
		if (!(entry & PTE_RW))
			shadow_note_loose(sh, old, level);
		WRITE_ONCE(sp->table[slot], entry);
		return;
	}
	if (old & PTE_P)
		shadow_drop(sh, sp, slot);
	shadow_set_leaf(sh, sp, slot, entry, origin);
	sp->quiet = 0;
}

/* Into a slot that has nothing yet, if the page's memory is there. */
static void put_neighbour(struct shadow *sh, struct shadow_page *sp, u32 slot, u64 gfn, u32 access,
			  u32 key, u64 origin)
{
	struct radix_leaf host;

	if (!radix_lookup(&sh->memory->radix, gfn << 12, &host))
		return;
	if (access & ROLE_WRITE && shadow_tracked(sh, gfn))
		access &= ~ROLE_WRITE;
	shadow_set_leaf(sh, sp, slot, leaf_to(&host, 1, access, key), origin);
	sh->stats.prefetched++;
}

static bool is_used(const struct shadow_page *sp, u32 slot)
{
	return sp->used[slot / 64] >> slot % 64 & 1;
}

/* Of the guest's own table: those that it has accessed. */
static void bring_mapped(struct shadow *sh, struct shadow_page *sp, u32 first)
{
	const u8 *table = shadow_table(sh, sp);
	u64 reserved = 0;

	if (!table)
		return;
	/* Whatever is reserved in any mode; NX where it is none. */
	if (role_kind(sp->role) != SHADOW_32BIT)
		reserved = (PTE_ADDRESS & ~((1ull << sh->memory->phys_bits) - 1)) |
			   (role_kind(sp->role) == SHADOW_PAE ? 0x7ffull << 52 : 0) |
			   (sp->role & ROLE_NXE ? 0 : PTE_NX);
	for (u32 i = first; i < first + 8; i++) {
		u64 now = guest_entry(sp, table, i);
		u32 access = sp->role & entry_access(sp->role, now);

		if (is_used(sp, i) || (now & (PTE_P | PTE_A)) != (PTE_P | PTE_A) || now & reserved)
			continue;
		if (!(now & PTE_D))
			access &= ~ROLE_WRITE;
		put_neighbour(sh, sp, i, (now & PTE_ADDRESS) >> 12, access, entry_key(now), now);
	}
}

/* Of a large page of the guest's, or of its memory without paging: all parts are alike. */
static void bring_parts(struct shadow *sh, struct shadow_page *sp, u32 first)
{
	for (u32 i = first; i < first + 8; i++)
		if (!is_used(sp, i))
			put_neighbour(sh, sp, i, sp->gfn + i, sp->role & ROLE_ACCESS,
				      role_key(sp->role), 0);
}

/*
 * Systems map and use pages in batches: take those of the same eight along whose memory is there. Level 1
 * only.
 */
static void bring_neighbours(struct shadow *sh, struct shadow_page *sp, const struct fault *fault)
{
	u32 slot = slot_of(fault->linear, 1), first = slot & ~7u;

	if ((sp->used[slot / 64] >> (first & 63) & 0xff) == 0xff)
		return;
	if (!(sp->role & ROLE_DIRECT))
		bring_mapped(sh, sp, first);
	else if (!fault->alone)
		bring_parts(sh, sp, first);
}

/* Remember where one page of the guest's is more than one of the processor's. */
static void note_broken(struct shadow *sh, const struct fault *fault, const struct shadow_page *sp)
{
	u32 at = slot_of(fault->linear, 2);

	if (fault->path->leaf > 2) {
		memset(sh->broken, 0xff, sizeof(sh->broken));
	} else if (role_kind(sp->role) == SHADOW_32BIT && fault->path->leaf == 2) {
		at &= ~1u;
		sh->broken[at / 64] |= 3ull << at % 64;
	} else if (fault->path->leaf > role_level(sp->role)) {
		sh->broken[at / 64] |= BIT_ULL(at % 64);
	}
}

static enum shadow_result map(struct shadow *sh, struct shadow_cpu *cpu, struct fault *fault,
			      struct shadow_answer *answer)
{
	struct shadow_page *sp = top_of(cpu, fault->linear), *child;

	if (!sp)
		return SHADOW_AGAIN;
	while (role_level(sp->role) > 1) {
		if (role_level(sp->role) == 2 && large_fits(sh, fault))
			break;
		sp->pins++; /* others may have to make room */
		child = descend(sh, sp, fault);
		sp->pins--;
		sp = child;
	}
	sp->pins++;
	sh->stats.faults++;
	answer->large = role_level(sp->role) > 1;
	sh->stats.large_faults += answer->large;
	if (fault->path->leaf > 1)
		note_broken(sh, fault, sp);
	put_leaf(sh, sp, fault);
	if (!answer->large && optimised(sh, SHADOW_PREFETCH))
		bring_neighbours(sh, sp, fault);
	sp->pins--;
	return fault->changed ? SHADOW_DONE : SHADOW_SAME;
}

/*
 * The guest's tables say what they said when the same fault was here last: it could not be served for want of
 * memory, its vCPU has not run since, and no other can have written to them.
 */
static bool is_repeated(const struct shadow *sh, const struct shadow_cpu *cpu,
			const struct fault *fault, u32 access)
{
	return access & SHADOW_REPEAT && cpu->walk.wanted && cpu->walk.linear == fault->linear &&
	       cpu->walk.access == (access & ~HOW) &&
	       cpu->walk.sequence == sh->memory->invalidations.sequence;
}

static int walk_guest(struct shadow *sh, struct shadow_cpu *cpu, const struct guest_paging *paging,
		      const struct fault *fault, u32 access)
{
	struct shadow_walk *walk = &cpu->walk;
	bool repeated = is_repeated(sh, cpu, fault, access);

	walk->wanted = false;
	if (repeated)
		return 0;
	walk->linear = fault->linear;
	walk->access = access & ~HOW;
	walk->sequence = sh->memory->invalidations.sequence;
	return guest_walk_path(sh->memory, paging, fault->linear, walk->access, &walk->result,
			       &walk->path);
}

/* Under lock, with pages to spare. */
static enum shadow_result fault_locked(struct shadow *sh, struct shadow_cpu *cpu,
				       const struct guest_paging *paging, struct fault *fault,
				       u32 access, struct shadow_answer *answer)
{
	bool user = access & FERMATA_ACCESS_USER && !(access & FERMATA_ACCESS_SYSTEM);
	const struct guest_walk_result *result = &cpu->walk.result;
	int err = walk_guest(sh, cpu, paging, fault, access);

	fault->path = &cpu->walk.path;
	answer->gpa = fault->gpa = result->gpa;
	switch (err) {
	case 0:
		break;
	case -EFAULT:
		return SHADOW_TABLE;
	case -EAGAIN:
		return SHADOW_AGAIN;
	default:
		return SHADOW_LOST;
	}
	if (result->fault) {
		answer->error_code = result->error_code;
		return SHADOW_GUEST_FAULT;
	}
	fault->write = access & FERMATA_ACCESS_WRITE;
	fault->alone = access & SHADOW_ALONE;
	answer->access = access & FERMATA_ACCESS_FETCH ? RADIX_EXEC :
			 fault->write		       ? RADIX_WRITE :
							 RADIX_READ;
	if (!radix_lookup(&sh->memory->radix, fault->gpa, &fault->host) ||
	    !(fault->host.access & answer->access)) {
		cpu->walk.wanted = true;
		return SHADOW_MEMORY;
	}
	if (fault->path->leaf)
		fault->key = entry_key(fault->path->entry[fault->path->leaf].value);
	fault->access = leaf_access(fault, paging, result, user);
	return map(sh, cpu, fault, answer);
}

enum shadow_result shadow_fault(struct guest_memory *memory, struct shadow_cpu *cpu,
				const struct guest_paging *paging, u64 linear, u32 access,
				struct shadow_answer *answer)
{
	struct shadow *sh = shadow_of(memory);
	struct fault fault;
	enum shadow_result result = SHADOW_REFILL;

	memset(answer, 0, sizeof(*answer));
	if (!cpu->root_phys)
		return SHADOW_AGAIN;
	fault.linear = paging->efer & SHADOW_EFER_LMA ? linear : (u32)linear;
	fault.changed = false;
	fault.synced = false;
	fault.key = 0;
	host_lock(&memory->lock);
	if (sh->free_count >= SHADOW_RESERVE) {
		result = fault_locked(sh, cpu, paging, &fault, access, answer);
		answer->owed = collect(sh);
	}
	host_unlock(&memory->lock);
	return result;
}

/* ---- INVLPG */

bool shadow_invlpg(struct guest_memory *memory, struct shadow_cpu *cpu, u64 linear)
{
	struct shadow *sh = shadow_of(memory);
	u32 at = slot_of(linear, 2);
	struct shadow_page *sp;
	bool broken;

	host_lock(&memory->lock);
	cpu->stale = true;
	/* Whatever the address, no table is found by an old entry any more (SDM 3A 4.10.4.1). */
	for (u32 i = 0; sh->unsync_upper && i < sh->unsync_count; i++)
		if (role_level(sh->unsync[i]->role) > 1)
			shadow_sync(sh, sh->unsync[i], 0);
	broken = sh->broken[at / 64] >> at % 64 & 1;
	for (sp = top_of(cpu, linear); sp;) {
		u8 level = role_level(sp->role);
		u32 slot = slot_of(linear, level);
		u64 entry;

		if (sp->unsync)
			shadow_sync_slot(sh, sp, slot);
		entry = entry_of_slot(sp, slot);
		if (!(entry & PTE_P) || is_leaf_at(level, entry))
			break;
		sp = shadow_child(sh, sp, slot);
	}
	broken |= cpu->unlinked != sh->unlinked;
	cpu->unlinked = sh->unlinked;
	host_unlock(&memory->lock);
	return broken;
}

/* ---- life */

int shadow_init(struct guest_memory *memory, u32 optimisations, u32 max_pages)
{
	struct shadow *sh = host_alloc(sizeof(*sh));
	struct flush owed;
	int err;

	if (!sh)
		return -ENOMEM;
	sh->memory = memory;
	sh->optimisations = optimisations;
	sh->max_pages = max_pages;
	host_lock(&memory->lock);
	memory->shadow = sh;
	memory->hooks.unmapping = shadow_unmap;
	memory->hooks.protecting = shadow_write_protect;
	memory->hooks.reaping = shadow_reap;
	host_unlock(&memory->lock);
	err = shadow_refill(memory, &owed);
	if (err)
		shadow_destroy(memory);
	return err;
}

void shadow_destroy(struct guest_memory *memory)
{
	struct shadow *sh = shadow_of(memory);

	if (!sh)
		return;
	host_lock(&memory->lock);
	memory->shadow = NULL;
	memory->hooks.unmapping = NULL;
	memory->hooks.protecting = NULL;
	memory->hooks.reaping = NULL;
	host_unlock(&memory->lock);
	shadow_supply_end(sh);
	host_free(sh);
}

int shadow_cpu_init(struct shadow_cpu *cpu)
{
	cpu->pdpt = host_page_alloc_low();
	return cpu->pdpt ? 0 : -ENOMEM;
}

void shadow_cpu_destroy(struct guest_memory *memory, struct shadow_cpu *cpu)
{
	if (!cpu->pdpt)
		return;
	host_lock(&memory->lock);
	roots_put(shadow_of(memory), cpu->root);
	host_unlock(&memory->lock);
	host_page_free(cpu->pdpt);
	memset(cpu, 0, sizeof(*cpu));
}

void shadow_get_stats(struct guest_memory *memory, struct shadow_stats *stats)
{
	host_lock(&memory->lock);
	*stats = shadow_of(memory)->stats;
	stats->held = shadow_held(shadow_of(memory));
	host_unlock(&memory->lock);
}
