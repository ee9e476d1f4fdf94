/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * A processor's caches of translations, which forget nothing that they need not forget (SDM 3A 4.10,
 * 3C 29.4; APM 2 5.5, 15.16). Several entries may say different things of one address, and any of them
 * is used (SDM 3A 4.10.2.3 forbids nothing else). What is kept:
 *
 *  - linear addresses: where they lead, and for each level the table that comes next, with the rights so
 *    far, by tag, PCID and, on Intel's, the root of the nested tables. With nested paging physical
 *    addresses stand in them, so what changes below the guest makes them stale too;
 *  - guest-physical addresses, likewise; Intel keeps these by root alone, AMD by ASID.
 */
#include "model.h"

#define BUCKETS 128
#define WAYS 12

#define PTE_P 1ull
#define PTE_W 2ull
#define PTE_U 4ull
#define PTE_PS 0x80ull
#define PTE_G 0x100ull
#define PTE_NX (1ull << 63)
#define ADDRESS 0x000ffffffffff000ull

/* Rights: the guest's tables', and the nested ones'. */
#define G_W BIT(0)
#define G_U BIT(1)
#define G_X BIT(2)
#define H_W BIT(3)
#define H_X BIT(4)
#define ALL_RIGHTS 0x1f

struct entry {
	u32 kind;	/* 0: unused */
	u8 level;	/* structures: of the table that it leads to */
	u8 shift;	/* of what it translates; */
	u8 guest_shift; /* of the guest's page that it is a part of */
	u8 rights;
	bool global;
	u16 pcid;
	u32 tag;
	u64 root;
	u64 key;  /* address >> shift */
	u64 phys; /* of the page, or of the table */
	u64 gpa;
};

struct processor {
	struct entry entry[BUCKETS][WAYS];
	u8 used[BUCKETS]; /* so many of each bucket's, from the first on, have been in use */
	u32 cpu;
};

static struct processor processors[CPUS];

struct processor *processor_of(u32 cpu)
{
	return &processors[cpu];
}

void processor_init(u32 cpu)
{
	memset(&processors[cpu], 0, sizeof(processors[cpu]));
	processors[cpu].cpu = cpu;
}

/* ---- the caches */

static struct entry *bucket_of(struct processor *p, u32 kind, u8 level, u64 key)
{
	u64 hash = (key ^ key >> 9 ^ key >> 18 ^ key >> 27) * 7 + kind * 31 + level * 5;

	return p->entry[hash % BUCKETS];
}

static u16 pcid_of(const struct context *c)
{
	return c->pcide ? c->cr3 & 0xfff : 0;
}

static bool same_tag(const struct entry *e, const struct context *c)
{
	/* APM 2 15.16: all of a guest's by ASID. SDM 3C 29.4.1, 29.4.2: guest-physical ones by root. */
	if (c->ept && e->kind & KINDS_NESTED)
		return e->root == c->root;
	if (e->tag != c->tag || (c->ept && e->root != c->root))
		return false;
	return e->kind & KINDS_NESTED || e->global || e->pcid == pcid_of(c);
}

/* Any of those that translate the address. */
static const struct entry *find(struct processor *p, const struct context *c, u32 kind, u8 level,
				u8 shift, u64 address)
{
	struct entry *bucket = bucket_of(p, kind, level, address >> shift), *found = NULL;
	u32 seen = 0;

	for (u32 i = 0; i < WAYS; i++) {
		struct entry *e = &bucket[i];

		if (e->kind == kind && e->level == level && e->shift == shift &&
		    e->key == address >> shift && same_tag(e, c) && one_in(++seen))
			found = e;
	}
	return found;
}

static void keep(struct processor *p, const struct context *c, struct entry new)
{
	struct entry *bucket = bucket_of(p, new.kind, new.level, new.key), *at = NULL;
	u32 bucket_number;

	new.tag = c->tag;
	new.root = c->ept ? c->root : 0;
	new.pcid = new.kind &KINDS_NESTED ? 0 : pcid_of(c);
	if (c->ept && new.kind & KINDS_NESTED)
		new.tag = 0;
	for (u32 i = 0; i < WAYS; i++) {
		struct entry *e = &bucket[i];

		if (!e->kind)
			at = at ?: e;
		else if (e->kind == new.kind && e->level == new.level && e->shift == new.shift &&
			 e->key == new.key && e->tag == new.tag && e->root == new.root &&
			 e->pcid == new.pcid && e->phys == new.phys && e->rights == new.rights &&
			 e->global == new.global && e->guest_shift == new.guest_shift)
			return;
	}
	if (!at) /* a processor may always forget one */
		at = &bucket[below(WAYS)];
	*at = new;
	bucket_number = (bucket - p->entry[0]) / WAYS;
	while (p->used[bucket_number] <= at - bucket)
		p->used[bucket_number]++;
}

static bool dropped(const struct entry *e, const struct drop *d)
{
	if (!(e->kind & d->kinds) || (d->by & BY_ROOT && e->root != d->root) ||
	    (d->by & BY_TAG && e->tag != d->tag) || (d->by & BUT_UNTAGGED && !e->tag) ||
	    (d->by & BUT_UNNESTED && !e->root))
		return false;
	if (e->kind & KINDS_NESTED)
		return !(d->by & BY_GPA) || e->key == d->gpa >> e->shift;
	if (e->global ? d->by & BUT_GLOBAL : d->by & BY_PCID && e->pcid != d->pcid)
		return false;
	if (!(d->by & BY_LINEAR))
		return true;
	/* The page that the guest sees, however many entries it became (SDM 3A 4.10.2.3). */
	if (e->kind == KIND_LINEAR && e->guest_shift > e->shift)
		return e->key >> (e->guest_shift - e->shift) == d->linear >> e->guest_shift;
	return e->key == d->linear >> e->shift;
}

void processor_drop(struct processor *p, const struct drop *drop)
{
	for (u32 i = 0; i < BUCKETS; i++)
		for (u32 n = 0; n < p->used[i]; n++)
			if (p->entry[i][n].kind && dropped(&p->entry[i][n], drop))
				p->entry[i][n].kind = 0;
}

/* ---- walks */

static const u8 shifts[] = { 0, 12, 21, 30, 39, 48 };

/* A page that nobody may walk any more, or another VM's: what comes out of it may be anything. */
static void check_table(const struct context *c, u64 phys)
{
	char where[120];

	if (memory_is_live_page(phys))
		return;
	memory_describe(phys, where, sizeof(where));
	wrong("VM %u: a page walk reads a table at %s", c->vm->index, where);
}

/* Of a nested entry: what it allows; false: nothing. Leaves have PS in both formats, EPT none at level 1. */
static bool nested_rights(bool ept, u64 entry, u8 *rights)
{
	if (ept) { /* SDM 3C tables 29-1 to 29-7 */
		if (!(entry & 7))
			return false;
		*rights &= ~((entry & 2 ? 0 : H_W) | (entry & 4 ? 0 : H_X));
		return entry & 1;
	}
	if (!(entry & PTE_P) || !(entry & PTE_U)) /* APM 2 15.25.5: accesses count as the user's */
		return false;
	*rights &= ~((entry & PTE_W ? 0 : H_W) | (entry & PTE_NX ? H_X : 0));
	return true;
}

static u8 wanted_of(u32 access)
{
	return access & ACCESS_WRITE ? H_W : access & ACCESS_FETCH ? H_X : 0;
}

/* From guest-physical to physical, with the shift and rights of what was found. */
static bool translate_gpa(struct processor *p, const struct context *c, u64 gpa, u8 wanted,
			  u64 *phys, u8 *shift, u8 *rights)
{
	const struct entry *e = NULL;
	u64 table = c->root, entry;
	u8 level = 4, l, first = 1 + below(3);

	*rights = H_W | H_X;
	for (l = 0; l < 3 && !e; l++)
		e = find(p, c, KIND_NESTED, 0, shifts[1 + (first + l) % 3], gpa);
	if (e && !one_in(8)) {
		if ((e->rights & wanted) == wanted) {
			*phys = e->phys | (gpa & ((1ull << e->shift) - 1));
			*shift = e->shift;
			*rights = e->rights;
			return true;
		}
		/* SDM 3C 29.4.3.1: a violation drops what it came from; AMD walks again (APM 2 5.5.2). */
		processor_drop(p, DROP(KINDS_NESTED,
				       BY_GPA | (c->ept ? BY_ROOT : 0) | (c->ept ? 0 : BY_TAG),
				       .gpa = gpa, .root = c->root, .tag = c->tag));
		if (c->ept && one_in(2))
			return false;
	} else {
		for (l = 0; l < 3; l++) {
			u8 at = 1 + (first + l) % 3;

			e = one_in(4) ? NULL :
					find(p, c, KIND_NESTED_STRUCTURE, at, shifts[at + 1], gpa);
			if (!e)
				continue;
			table = e->phys;
			*rights = e->rights;
			level = at;
			break;
		}
	}
	for (;; level--) {
		check_table(c, table);
		entry = memory_read(table + (gpa >> shifts[level] & 511) * 8);
		if (!nested_rights(c->ept, entry, rights))
			return false;
		if (level == 1 || entry & PTE_PS)
			break;
		table = entry & ADDRESS;
		keep(p, c,
		     (struct entry){ .kind = KIND_NESTED_STRUCTURE,
				     .level = level - 1,
				     .shift = shifts[level],
				     .key = gpa >> shifts[level],
				     .phys = table,
				     .rights = *rights });
	}
	*shift = shifts[level];
	*phys = entry & ADDRESS & ~((1ull << *shift) - 1);
	if ((*rights & wanted) != wanted)
		return false;
	keep(p, c,
	     (struct entry){ .kind = KIND_NESTED,
			     .shift = *shift,
			     .key = gpa >> *shift,
			     .phys = *phys,
			     .rights = *rights });
	*phys |= gpa & ((1ull << *shift) - 1);
	return true;
}

/* What the access needs of the guest's tables; EFER.NXE is 1, SMEP and SMAP 0. */
static bool guest_allows(const struct context *c, u8 rights, u32 access)
{
	return !(access & ACCESS_USER && !(rights & G_U)) &&
	       !(access & ACCESS_WRITE && !(rights & G_W) && (c->wp || access & ACCESS_USER)) &&
	       !(access & ACCESS_FETCH && !(rights & G_X));
}

static u32 fault_code(u32 access, bool present)
{
	return (present ? 1 : 0) | (access & ACCESS_WRITE ? 2 : 0) |
	       (access & ACCESS_USER ? 4 : 0) | (access & ACCESS_FETCH ? 16 : 0);
}

static bool reserved(u8 level, u64 entry)
{
	if (!(entry & PTE_PS) || level == 1)
		return false;
	return level > 3 || entry & ADDRESS & ((1ull << shifts[level]) - 1) & ~0x1fffull;
}

static u32 nested_access(u32 access)
{
	return access & ACCESS_WRITE ? RADIX_WRITE :
	       access & ACCESS_FETCH ? RADIX_EXEC :
				       RADIX_READ;
}

struct walk {
	u64 table, table_gpa;
	u8 level, rights;
};

/* Where to begin: at CR3, or at a table that a paging-structure cache knows. */
static void begin(struct processor *p, const struct context *c, u64 linear, bool afresh,
		  struct walk *w)
{
	u8 first = below(3);

	*w = (struct walk){ .level = 4,
			    .rights = ALL_RIGHTS,
			    .table_gpa = c->cr3 & ADDRESS,
			    .table = c->cr3 & ADDRESS };
	for (u8 l = 0; l < 3 && !afresh; l++) {
		u8 at = 1 + (first + l) % 3;
		const struct entry *e =
			one_in(4) ? NULL : find(p, c, KIND_STRUCTURE, at, shifts[at + 1], linear);

		if (!e)
			continue;
		w->table = e->phys;
		w->table_gpa = e->gpa;
		w->rights = e->rights;
		w->level = at;
		return;
	}
}

/* The host's side of reading a guest's table; nothing to check without nested paging, but that it lives. */
static void check_guest_table(const struct context *c, u64 gpa, u64 phys)
{
	char where[120];

	if (!c->nested) {
		check_table(c, phys);
		return;
	}
	if (memory_legal(c->vm, gpa, phys, false))
		return;
	memory_describe(phys, where, sizeof(where));
	wrong("VM %u: a page walk finds the guest's table %#llx at %s", c->vm->index, gpa, where);
}

static enum reached walk(struct processor *p, const struct context *c, u64 linear, u32 access,
			 bool afresh, struct reach *reach)
{
	struct walk w;
	u64 entry, phys;
	u8 shift, rights = H_W | H_X, guest_shift;

	begin(p, c, linear, afresh, &w);
	for (;; w.level--) {
		if (c->nested && (w.level == 4 || !w.table)) {
			reach->gpa = w.table_gpa;
			reach->table = true;
			reach->access = RADIX_READ;
			if (!translate_gpa(p, c, w.table_gpa, 0, &w.table, &shift, &rights))
				return NESTED_FAULT;
		}
		check_guest_table(c, w.table_gpa, w.table);
		entry = memory_read(w.table + (linear >> shifts[w.level] & 511) * 8);
		reach->code = fault_code(access, entry & PTE_P);
		if (!(entry & PTE_P))
			return GUEST_FAULT;
		if (reserved(w.level, entry)) {
			reach->code |= 8;
			return GUEST_FAULT;
		}
		w.rights &= ~((entry & PTE_W ? 0 : G_W) | (entry & PTE_U ? 0 : G_U) |
			      (entry & PTE_NX ? G_X : 0));
		if (w.level == 1 || entry & PTE_PS)
			break;
		w.table_gpa = entry & ADDRESS;
		w.table = c->nested ? 0 : w.table_gpa;
		if (c->nested) {
			reach->gpa = w.table_gpa;
			reach->table = true;
			reach->access = RADIX_READ;
			if (!translate_gpa(p, c, w.table_gpa, 0, &w.table, &shift, &rights))
				return NESTED_FAULT;
		}
		keep(p, c,
		     (struct entry){ .kind = KIND_STRUCTURE,
				     .level = w.level - 1,
				     .shift = shifts[w.level],
				     .key = linear >> shifts[w.level],
				     .phys = w.table,
				     .gpa = w.table_gpa,
				     .rights = w.rights });
	}
	if (!guest_allows(c, w.rights, access))
		return GUEST_FAULT;
	shift = guest_shift = shifts[w.level];
	phys = entry & ADDRESS & ~((1ull << shift) - 1);
	phys |= linear & ((1ull << shift) - 1);
	rights = H_W | H_X;
	if (c->nested) {
		reach->gpa = phys;
		reach->table = false;
		reach->access = nested_access(access);
		if (!translate_gpa(p, c, phys, wanted_of(access), &phys, &shift, &rights))
			return NESTED_FAULT;
		shift = shift < guest_shift ? shift : guest_shift;
	}
	/* As one entry, or as a part of it. */
	if (shift > 12 && one_in(3))
		shift = 12;
	keep(p, c,
	     (struct entry){ .kind = KIND_LINEAR,
			     .shift = shift,
			     .key = linear >> shift,
			     .guest_shift = guest_shift,
			     .global = c->pge && entry & PTE_G,
			     .phys = phys & ~((1ull << shift) - 1),
			     .rights = (w.rights & (G_W | G_U | G_X)) | rights });
	reach->phys = phys;
	return REACHED;
}

/* What a fault drops (SDM 3A 4.10.4.1, 3C 29.4.3.1); AMD's walks again before it faults (APM 2 5.5.2). */
static void drop_for_fault(struct processor *p, const struct context *c, u64 linear)
{
	processor_drop(p,
		       DROP(KINDS_LINEAR, BY_TAG | BY_PCID | (c->ept ? BY_ROOT : 0) | BY_LINEAR,
			    .tag = c->tag, .pcid = pcid_of(c), .root = c->root, .linear = linear));
}

enum reached processor_access(struct processor *p, const struct context *c, u64 linear, u32 access,
			      bool speculative, struct reach *reach)
{
	const struct entry *e = NULL;
	u8 first = below(3), wanted = wanted_of(access);
	enum reached reached;

	for (u8 l = 0; l < 3 && !e; l++)
		e = find(p, c, KIND_LINEAR, 0, shifts[1 + (first + l) % 3], linear);
	if (e && !speculative && !one_in(8)) {
		if (guest_allows(c, e->rights, access) && (e->rights & wanted) == wanted) {
			reach->phys = e->phys | (linear & ((1ull << e->shift) - 1));
			return REACHED;
		}
		drop_for_fault(p, c, linear);
	}
	reached = walk(p, c, linear, access, false, reach);
	if (reached == REACHED || speculative)
		return reached;
	drop_for_fault(p, c, linear);
	/* A fault may come of what is cached (SDM 3A 4.10.4.3), but AMD walks again before it (APM 2 5.5.2). */
	if (reached == GUEST_FAULT && c->intel && one_in(2))
		return reached;
	if (reached == NESTED_FAULT && c->ept) {
		processor_drop(p, DROP(KINDS_NESTED, BY_GPA | BY_ROOT, .gpa = reach->gpa,
				       .root = c->root));
		return reached;
	}
	if (reached == NESTED_FAULT)
		processor_drop(p, DROP(KINDS_NESTED, BY_GPA | BY_TAG, .gpa = reach->gpa,
				       .tag = c->tag));
	return walk(p, c, linear, access, true, reach);
}

/* ---- another hypervisor's guest, by what it does to the caches */

static void leave(struct processor *p, struct context *c, u32 kind, u8 level, u8 shift, u64 linear)
{
	keep(p, c,
	     (struct entry){ .kind = kind,
			     .level = level,
			     .shift = shift,
			     .guest_shift = shift,
			     .key = linear >> shift,
			     .phys = RIVAL_FRAME,
			     .gpa = RIVAL_FRAME,
			     .rights = ALL_RIGHTS,
			     .global = one_in(2) });
}

void processor_rival(struct processor *p, u32 tag, bool nested)
{
	bool intel = world.config->intel;
	struct context c = { .intel = intel,
			     .nested = nested,
			     .ept = intel && nested,
			     .tag = tag,
			     .root = nested ? RIVAL_ROOT : 0 };

	for (u32 i = 0; i < BUCKETS; i++)
		for (u32 n = 0; n < p->used[i]; n++) {
			const struct entry *e = &p->entry[i][n];

			/* Its own PCID is any. */
			c.cr3 = e->pcid;
			c.pcide = true;
			if (e->kind && e->phys != RIVAL_FRAME && same_tag(e, &c))
				wrong("CPU %u: another hypervisor's guest finds a translation of ours under its tag %u",
				      p->cpu, tag);
		}
	c.pcide = false;
	for (u32 i = 0; i < 8; i++) {
		u64 linear = random_linear();

		leave(p, &c, KIND_LINEAR, 0, 12, linear);
		leave(p, &c, KIND_STRUCTURE, 1, shifts[2], linear);
		if (nested) {
			leave(p, &c, KIND_NESTED, 0, 12, (u64)below(GPA_RAM_END) << 12);
			leave(p, &c, KIND_NESTED_STRUCTURE, 1, 21, 0);
		}
	}
}
