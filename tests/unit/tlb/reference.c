/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * What a guest may see. A processor of its own would keep what its tables said at any time since it last
 * invalidated that (SDM 3A 4.10.2 to 4.10.4), so the tables' entries are kept with the times when they
 * changed, and each vCPU with the times when it invalidated what. A page is legal when the tables lead there,
 * each entry read at a time that was not invalidated since, an upper one never after the one below it.
 * Below the guest there is no such leeway: the page must be what its owner has there now.
 */
#include <stdio.h>

#include "model.h"

#define PTE_P 1ull
#define PTE_W 2ull
#define PTE_U 4ull
#define PTE_PS 0x80ull
#define PTE_G 0x100ull
#define PTE_NX (1ull << 63)
#define ADDRESS 0x000ffffffffff000ull
#define FOREVER (~0ull)

static const u8 shifts[] = { 0, 12, 21, 30, 39 };

/*
 * Pages of linear addresses in use: indices 0 and 1 of the upper three levels, 0 to 3 of the last; and the direct
 * map of guest-physical memory behind index 3 of every root, whose tables do not change.
 */
u32 linear_id(u64 linear)
{
	if (linear >> 39 == 3)
		return 32 + (linear >> 12 & 31);
	return (linear >> 39 & 1) << 4 | (linear >> 30 & 1) << 3 | (linear >> 21 & 1) << 2 |
	       (linear >> 12 & 3);
}

u64 random_linear(void)
{
	return (u64)below(2) << 39 | (u64)below(2) << 30 | below(2) << 21 | below(4) << 12 |
	       below(512) * 8;
}

/* ---- the guest's tables */

/* Of the direct map; it has U = 0, so that the user's accesses fault there. */
static u64 fixed(u32 page, u32 index)
{
	switch (page) {
	case GPA_DIRECT:
		return index ? 0 : (GPA_DIRECT + 1) << 12 | 0x63;
	case GPA_DIRECT + 1:
		return index ? 0 : (GPA_DIRECT + 2) << 12 | 0x63;
	default:
		return index < GPA_RAM_END ? (u64)index << 12 | 0x63 : 0;
	}
}

static struct history *history_of(const struct model_vm *vm, u64 gpa)
{
	u32 page = gpa >> 12, index = (gpa & 0xfff) / 8;

	if (page < GPA_TABLES || page >= GPA_TABLES_END || index >= INDICES)
		return NULL;
	return (struct history *)&vm->history[page][index];
}

u64 reference_current(const struct model_vm *vm, u64 gpa)
{
	const struct history *h = history_of(vm, gpa);

	if (gpa >> 12 < GPA_TABLES)
		return fixed(gpa >> 12, (gpa & 0xfff) / 8);
	return h ? h->version[h->count - 1].value : 0;
}

void reference_init(struct model_vm *vm)
{
	for (u32 page = 0; page < GPA_TABLES; page++)
		for (u32 i = 0; i < 512; i++)
			process_poke(vm, page, i * 8, fixed(page, i));
	for (u32 page = GPA_TABLES; page < GPA_TABLES_END; page++)
		for (u32 i = 0; i < INDICES; i++) {
			u64 value = i == 3 ? GPA_DIRECT << 12 | 0x67 : 0;

			vm->history[page][i] = (struct history){ .count = 1 };
			vm->history[page][i].version[0].value = value;
			process_poke(vm, page, i * 8, value);
		}
}

/* Nobody can have kept what was gone before each vCPU last dropped everything. */
static void forget(struct model_vm *vm, struct history *h)
{
	u64 oldest = FOREVER;
	u32 gone = 0;

	for (u32 i = 0; i < vm->vcpus; i++)
		oldest = min(oldest, vm->vcpu[i].view.all);
	while (gone + 1 < h->count && h->version[gone + 1].since <= oldest)
		gone++;
	h->count -= gone;
	memmove(h->version, h->version + gone, h->count * sizeof(h->version[0]));
}

bool reference_store(struct model_vm *vm, u64 gpa, u64 value)
{
	struct history *h = history_of(vm, gpa);

	if (h->count == VERSIONS)
		forget(vm, h);
	if (h->count == VERSIONS)
		return false;
	h->version[h->count++] = (struct version){ value, ++world.now };
	return true;
}

/* ---- when what was invalidated */

static void later(u64 *at, u64 when)
{
	*at = max(*at, when);
}

static u32 region(u32 id, u32 size)
{
	return id >= 32 ? 32 : id & ~(size ? 7u : 3u);
}

void view_flush(struct view *view, u64 when)
{
	later(&view->all, when);
}

void view_flush_local(struct view *view, u64 when)
{
	for (u32 i = 0; i < PCIDS; i++)
		later(&view->pcid[i], when);
}

void view_flush_pcid(struct view *view, u32 pcid, u64 when)
{
	later(&view->pcid[pcid], when);
}

void view_flush_address(struct view *view, u32 pcid, u64 linear, u64 when)
{
	u32 id = linear_id(linear);

	later(&view->page[pcid][id], when);
	for (u32 size = 0; size < 2; size++)
		later(&view->large[pcid][size][region(id, size)], when);
}

/* Of the current PCID, global ones too, and all of its paging-structure caches (SDM 3A 4.10.4.1). */
void view_invlpg(struct view *view, u64 linear, u64 when)
{
	u32 pcid = view->pcide ? view->cr3 & 0xfff : 0, id = linear_id(linear);

	view_flush_address(view, pcid, linear, when);
	later(&view->structures[pcid], when);
	view->structures_done[pcid] = ++world.now;
	later(&view->global_page[id], when);
	for (u32 size = 0; size < 2; size++)
		later(&view->global_large[size][region(id, size)], when);
}

bool view_load_cr3(struct view *view, u64 cr3, bool keep, u64 when)
{
	u32 kept = 0;

	for (u32 i = 0; i < view->roots; i++)
		if (view->root[i].until > view->all)
			view->root[kept++] = view->root[i];
	view->roots = kept;
	if (view->roots == ROOTS)
		return false;
	if (view->roots)
		view->root[view->roots - 1].until = when;
	view->root[view->roots++] = (struct root){ cr3, when, FOREVER };
	view->cr3 = cr3;
	if (!keep)
		later(&view->pcid[view->pcide ? cr3 & 0xfff : 0], when);
	return true;
}

/* ---- the judge */

struct question {
	const struct model_vm *vm;
	u64 linear, phys;
	u32 access;
	bool fault;  /* whether it may fault; else whether phys may be reached */
	bool wp;     /* CR0.WP as it is: what is cached of rights is weighed anew each time */
	bool global; /* by a global page */
	u8 level;    /* of the leaf */
	u64 leaf;    /* the leaf read after; it may have been found by older tables */
	u64 until;   /* all entries read before */
	u64 walked;  /* a fault: the walk that found it came after this */
};

static bool denied(bool wp, u64 rights, u32 access)
{
	return (access & ACCESS_USER && !(rights & PTE_U)) ||
	       (access & ACCESS_WRITE && !(rights & PTE_W) && (wp || access & ACCESS_USER)) ||
	       (access & ACCESS_FETCH && rights & PTE_NX);
}

static bool is_reserved(u8 level, u64 entry)
{
	if (!(entry & PTE_PS) || level == 1)
		return false;
	return level > 3 || entry & ADDRESS & ((1ull << shifts[level]) - 1) & ~0x1fffull;
}

static bool search(const struct question *q, u64 table, u8 level, u64 rights, u64 since);

/* With `entry` read at `since` at the earliest, and in force until `end`. */
static bool follow(const struct question *q, u64 entry, u8 level, u64 rights, u64 since, u64 end)
{
	u64 mask = (1ull << shifts[level]) - 1, gpa;

	if (!(entry & PTE_P) || is_reserved(level, entry))
		return q->fault && end > q->walked; /* nobody keeps that it is not present */
	rights = (rights & entry & ~PTE_NX) | ((rights | entry) & PTE_NX);
	if (level > 1 && !(entry & PTE_PS))
		return search(q, entry & ADDRESS, level - 1, rights, since);
	if (level != q->level || end <= q->leaf || (q->global && !(entry & PTE_G)))
		return false;
	if (q->fault || denied(q->wp, rights, q->access))
		return q->fault && denied(q->wp, rights, q->access);
	gpa = (entry & ADDRESS & ~mask) | (q->linear & mask);
	return memory_legal(q->vm, gpa, q->phys, q->access & ACCESS_WRITE);
}

static bool search(const struct question *q, u64 table, u8 level, u64 rights, u64 since)
{
	u64 at = table | (q->linear >> shifts[level] & 511) * 8;
	const struct history *h = history_of(q->vm, at);

	if (!h)
		return follow(q, reference_current(q->vm, at), level, rights, since, FOREVER);
	for (u32 i = h->count; i-- > 0;) {
		u64 end = i + 1 == h->count ? FOREVER : h->version[i + 1].since;
		u64 from = max(h->version[i].since, since);

		if (end <= since || from >= q->until)
			continue;
		if (follow(q, h->version[i].value, level, rights, from, end))
			return true;
	}
	return false;
}

/*
 * A global page may have been cached anew after its INVLPG by what another PCID knows of the tables above it:
 * INVLPG drops that of its own PCID alone (SDM 3A 4.10.4.1).
 */
static u64 upper_since(const struct view *view, u64 since, u32 pcid)
{
	u64 upper = view->all;

	if (!view->pcide)
		return since;
	if (view->pcid[pcid] <= since)
		later(&upper, view->pcid[pcid]);
	if (view->structures[pcid] <= since)
		later(&upper, view->structures[pcid]);
	return upper;
}

/* A leaf of any size, under any root that the vCPU may still have translations of. */
static bool allowed(struct model_vcpu *mv, struct question *q)
{
	struct view *view = &mv->view;
	u32 pcid = view->pcide ? view->cr3 & 0xfff : 0, id = linear_id(q->linear), part;

	for (q->level = 1; q->level <= 4; q->level++) {
		for (part = 0; part < 4; part++) {
			u64 since = view->all, structures = view->structures[pcid];

			q->global = part & 1;
			if (q->global && !view->pge)
				continue;
			if (q->global) {
				later(&since, view->global_page[id]);
				if (q->level == 2 || q->level == 3)
					later(&since, view->global_large[q->level - 2]
									[region(id, q->level - 2)]);
			} else {
				later(&since, view->pcid[pcid]);
				later(&since, view->page[pcid][id]);
				if (q->level == 2 || q->level == 3)
					later(&since, view->large[pcid][q->level - 2]
								 [region(id, q->level - 2)]);
			}
			/* Paging-structure caches were dropped once more: all before that, or all after. */
			q->until = FOREVER;
			if (!q->global && structures > since) {
				if (part & 2)
					q->until = view->structures_done[pcid];
				else
					since = structures;
			} else if (part & 2) {
				continue;
			}
			for (u32 i = view->roots; i-- > 0;) {
				const struct root *r = &view->root[i];
				u64 upper = !q->global ?
						    since :
						    upper_since(view, since,
								view->pcide ? r->cr3 & 0xfff : 0);

				q->leaf = since;
				if (r->until <= upper)
					continue;
				if (!q->global && view->pcide && (r->cr3 & 0xfff) != pcid)
					continue;
				if (search(q, r->cr3 & ADDRESS, 4, ~PTE_NX, max(upper, r->since)))
					return true;
			}
		}
	}
	return false;
}

/* As the tables are now. False: not present. */
static bool walk_now(struct model_vcpu *mv, u64 linear, u64 *gpa, u64 *rights)
{
	u64 table = mv->view.cr3 & ADDRESS, entry;
	u8 level;

	*rights = ~PTE_NX;
	for (level = 4;; level--) {
		u64 mask = (1ull << shifts[level]) - 1;

		*gpa = table | (linear >> shifts[level] & 511) * 8;
		if (!memory_in_slot(mv->vm, *gpa, false))
			return true;
		entry = reference_current(mv->vm, *gpa);
		if (!(entry & PTE_P) || is_reserved(level, entry))
			return false;
		*rights = (*rights & entry & ~PTE_NX) | ((*rights | entry) & PTE_NX);
		*gpa = (entry & ADDRESS & ~mask) | (linear & mask);
		if (level == 1 || entry & PTE_PS)
			return true;
		table = entry & ADDRESS;
	}
}

bool reference_outside(struct model_vcpu *mv, u64 linear, bool write)
{
	u64 gpa, rights;

	return walk_now(mv, linear, &gpa, &rights) && !memory_in_slot(mv->vm, gpa, write);
}

static void complain(struct model_vcpu *mv, u64 linear, u32 access, u64 phys, const char *what)
{
	u64 gpa = 0, rights = 0;
	bool there = walk_now(mv, linear, &gpa, &rights);
	char where[120];

	memory_describe(phys, where, sizeof(where));
	wrong("VM %u vCPU %u on CPU %u at %#llx (%s%s%s): %s %s; the tables say %#llx%s%s",
	      mv->vm->index, mv->vcpu.id, mv->vcpu.cpu, linear, access & ACCESS_USER ? "user " : "",
	      access & ACCESS_WRITE ? "write" : "", access & ACCESS_FETCH ? "fetch" : "", what,
	      phys ? where : "", gpa, there ? "" : ", not present",
	      denied(mv->view.wp, rights, access) ? ", not allowed" : "");
}

void reference_reached(struct model_vcpu *mv, u64 linear, u32 access, u64 phys)
{
	struct question q = {
		.vm = mv->vm, .linear = linear, .phys = phys, .access = access, .wp = mv->view.wp
	};
	u64 gpa, rights;

	if (++world.out->accesses >= world.enough)
		world.stopping = true;
	if (walk_now(mv, linear, &gpa, &rights) && !denied(mv->view.wp, rights, access) &&
	    memory_legal(mv->vm, gpa, phys, access & ACCESS_WRITE))
		return;
	world.out->stale++;
	if (!allowed(mv, &q))
		complain(mv, linear, access, phys, "reaches");
}

void reference_faulted(struct model_vcpu *mv, u64 linear, u32 access)
{
	struct question q = { .vm = mv->vm,
			      .linear = linear,
			      .access = access,
			      .wp = mv->view.wp,
			      .fault = true,
			      .walked = mv->exited };
	u64 gpa, rights;

	world.out->faults++;
	if (!walk_now(mv, linear, &gpa, &rights) || denied(mv->view.wp, rights, access))
		return;
	world.out->stale++;
	if (!allowed(mv, &q))
		complain(mv, linear, access, 0, "faults");
}
