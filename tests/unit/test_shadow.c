/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * The shadow engine against the architecture: random guest tables in every paging mode, edited while
 * they are in use, walked by a model of a processor that knows nothing but the shadow. What it reaches,
 * the error codes, and the accessed and dirty bits must be what the reference walker says.
 */
#include "shadow_fixture.h"
#include "reference_walk.h"
#include "test_random.h"

#define RAM (2 * MIB2) /* the guest's tables lie in the first TABLES pages, data anywhere */
#define TABLES 16

static u8 copy[RAM]; /* what the reference walker works on */
static bool edited;  /* since the last load: an address must be invalidated before it is used */
static bool logging,
	written[RAM / KIB4]; /* the dirty log's truth; what store() writes is nobody's */

static void start(u32 optimisations, u32 max_pages, u8 host_level)
{
	shadow_start(RAM, optimisations, max_pages, host_level);
	ref_ram = copy;
	ref_ram_size = RAM;
	edited = false;
	logging = false;
	memset(written, 0, sizeof(written));
}

static void load(void)
{
	load_root();
	edited = false;
}

static void audit(void)
{
	struct shadow_finding f;
	u32 hand = 0;

	if (shadow_audit(&memory, &hand, shadow_of(&memory)->total, &f))
		fail_msg("%s: role %#x table %#llx slot %u entry %#llx origin %#llx", f.what,
			 f.role, f.table, f.slot, f.entry, f.origin);
}

static void store(u64 gpa, u64 value, u32 size)
{
	store_bytes(gpa, value, size);
	edited = true;
}

/*
 * ---- the processor: CR0.WP and EFER.NXE are 1, SMEP and SMAP the guest's while it pages, PKE and PKRU the
 * guest's, nothing is cached
 */

static bool processor(u64 linear, u32 access, u64 *phys)
{
	bool user = access & SYSTEM ? false : access & USER || paging.cpl == 3;
	u64 cr4 = paging.cr0 & CR0_PG ? paging.cr4 : 0;
	bool w = true, u = true, x = true;
	u64 table = cpu.root_phys, entry;
	u8 level = cpu.levels;

	if (!(paging.efer & EFER_LMA))
		linear = (u32)linear;
	for (;; level--) {
		u64 index = linear >> (12 + 9 * (level - 1)) & 511;

		entry = ((u64 *)host_phys_to_virt(table))[index];
		if (!(entry & 1))
			return false;
		if (cpu.levels == 3 && level == 3) {
			assert_int_equal(entry & 0xfff, 1); /* the rest is reserved */
		} else {
			w &= entry >> 1 & 1;
			u &= entry >> 2 & 1;
			x &= !(entry >> 63);
		}
		if (level == 1 || (entry >> 7 & 1))
			break;
		table = entry & 0xffffffffff000;
	}
	assert_true(level <= 2);
	if (u && paging.efer & EFER_LMA && paging.cr4 & CR4_PKE && !(access & FETCH)) {
		u32 rights = paging.pkru >> (entry >> 59 & 15) * 2;

		if (rights & 1 || (access & WRITE && rights & 2))
			return false;
	}
	*phys = (entry & 0xffffffffff000) + linear % (1ull << (12 + 9 * (level - 1)));
	if (user && !u)
		return false;
	if (!user && u && access & FETCH && cr4 & CR4_SMEP)
		return false;
	if (!user && u && !(access & FETCH) && cr4 & CR4_SMAP && (access & SYSTEM || !paging.ac))
		return false;
	return !(access & WRITE && !w) && !(access & FETCH && !x);
}

/* ---- random worlds */

/*
 * PKRU, which the guest changes without a word to anybody. Without WP, what it forbids to read is not kept
 * for pages that the supervisor wrote: see docs/paging.md.
 */
static void random_keys(void)
{
	paging.pkru = (u32)random_u64() & (u32)random_u64();
	if (!(paging.cr0 & CR0_WP))
		paging.pkru &= 0xaaaaaaaa;
}

/* Long mode, nearly always with keys, and tables that mostly lead somewhere, to the user's pages. */
static bool about_keys;

static u64 random_entry(bool pae)
{
	u64 entry = (random_one_in(about_keys ? 12 : 4) ? 512 + random_below(512) :
							  1 + random_below(TABLES - 1)) *
		    KIB4;

	entry |= random_below(4096) & 0xf78;
	entry |= random_one_in(about_keys ? 40 : 12) ? 0 : 1;
	entry |= random_one_in(about_keys ? 12 : 5) ? 0 : 2;
	entry |= random_one_in(about_keys ? 20 : 4) ? 0 : 4;
	if (random_one_in(about_keys ? 8 : 4)) {
		entry |= 0x80;
		if (!random_one_in(4))
			entry = (entry & ~0x3fffe000ull) | (random_one_in(2) ? MIB2 : 0);
	}
	if (random_one_in(about_keys ? 200 : 50))
		entry += RAM;
	if (!pae)
		return entry & 0xffffffff;
	if (random_one_in(about_keys ? 40 : 10))
		entry |= 1ull << 63;
	if (random_one_in(about_keys ? 200 : 40))
		entry |= 1ull << (32 + random_below(20));
	if (paging.efer & EFER_LMA || random_one_in(40))
		entry |= (u64)random_below(4) << 59;
	return entry;
}

static void random_tables(bool pae)
{
	for (u64 at = 0; at < TABLES * KIB4; at += pae ? 8 : 4) {
		u64 entry = random_entry(pae);

		store(at, entry, pae ? 8 : 4);
	}
}

static void random_mode(void)
{
	bool lma = about_keys || random_one_in(4), pae = lma || random_one_in(3);

	memset(&paging, 0, sizeof(paging));
	paging.cr0 = 1 | (random_one_in(20) && !lma ? 0 : CR0_PG) | (random_one_in(3) ? 0 : CR0_WP);
	paging.cr4 = (pae ? CR4_PAE : 0) | (random_one_in(3) ? 0 : CR4_PSE) |
		     (random_one_in(2) ? CR4_SMEP : 0) | (lma && random_one_in(3) ? CR4_LA57 : 0);
	/* Without WP, SMAP is not kept for pages that the supervisor wrote: see docs/paging.md. */
	if (paging.cr0 & CR0_WP && random_one_in(2))
		paging.cr4 |= CR4_SMAP;
	if (!random_one_in(about_keys ? 8 : 3))
		paging.cr4 |= CR4_PKE;
	random_keys();
	paging.efer = (lma ? EFER_LMA : 0) | (random_one_in(3) ? 0 : EFER_NXE);
	paging.no_1g = random_one_in(3);
	paging.cr3 = (1 + random_below(TABLES - 1)) * KIB4;
	paging.has_pdptes = pae && !lma;
	for (u32 i = 0; i < 4; i++)
		paging.pdpte[i] = (1 + random_below(TABLES - 1)) * KIB4 | !random_one_in(8);
}

/* Few indices per level, so that places are come back to. */
static u64 random_linear(void)
{
	u64 linear = random_below(4096);

	for (u32 shift = 12; shift < 57; shift += random_one_in(8) ? 1 : 9)
		linear |= (u64)random_below(4) << shift;
	return linear;
}

/* What happens at an access until it is done or the guest's fault: compared with the manual's word. */
struct seen {
	u32 done, faults, keys, outside, lost, retries;
};

static void probe(u64 linear, u32 access, struct seen *seen)
{
	struct reference expected;
	struct shadow_answer answer;
	u32 tries = 0;
	u64 phys;
	u8 level;
	int err;

	if (edited)
		shadow_invlpg(&memory, &cpu, linear);
	memcpy(copy, ram, TABLES * KIB4);
	expected = ref_walk(&paging, memory.phys_bits, linear, access);
	for (u32 i = 0; logging && i < TABLES; i++) /* accessed and dirty bits */
		written[i] |= !!memcmp(copy + i * KIB4, ram + i * KIB4, KIB4);
	for (u32 repeat = 0;;) {
		enum shadow_result result;
		struct flush owed;

		assert_true(tries++ < 20);
		if (processor(linear, access, &phys)) {
			assert_false(expected.err || expected.fault);
			assert_int_equal(phys, host_virt_to_phys(ram + expected.gpa));
			seen->done++;
			if (access & WRITE && logging)
				written[expected.gpa / KIB4] = true;
			break;
		}
		result = shadow_fault(&memory, &cpu, &paging, linear,
				      repeat | access |
					      (access & SYSTEM || paging.cpl != 3 ? 0 : USER),
				      &answer);
		repeat = 0;
		pay(answer.owed);
		seen->retries++;
		if (result == SHADOW_DONE)
			continue;
		if (result == SHADOW_REFILL) {
			refill();
			continue;
		}
		if (result == SHADOW_GUEST_FAULT) {
			assert_true(expected.fault && !expected.err);
			assert_int_equal(answer.error_code, expected.code);
			seen->faults++;
			seen->keys += !!(answer.error_code & PFERR_KEY);
			break;
		}
		if (result == SHADOW_LOST) {
			assert_int_equal(expected.err, -ENOENT);
			assert_int_equal(answer.gpa, expected.gpa);
			seen->lost++;
			break;
		}
		if (result != SHADOW_MEMORY)
			fail_msg("result %d: linear %#llx access %u cpl %u ac %u cr0 %#llx cr4 %#llx efer %#llx levels %u",
				 result, linear, access, paging.cpl, paging.ac, paging.cr0,
				 paging.cr4, paging.efer, cpu.levels);
		assert_false(expected.err || expected.fault);
		assert_int_equal(answer.gpa, expected.gpa);
		err = guest_memory_fault(&memory, answer.gpa, answer.access, &cache, &owed, &level);
		pay(owed);
		repeat = SHADOW_REPEAT | (random_one_in(2) ? SHADOW_ALONE : 0);
		if (err) {
			assert_int_equal(err, -ENOENT);
			assert_true(answer.gpa >= RAM);
			seen->outside++;
			break;
		}
	}
	assert_memory_equal(ram, copy, TABLES * KIB4);
}

static void invalidate(void)
{
	if (random_one_in(16)) { /* all of it: the owner's memory goes */
		pay(guest_memory_invalidate_begin(&memory, 0, ~0ull));
		guest_memory_invalidate_end(&memory, 0, ~0ull);
		return;
	}
	u64 start = (uintptr_t)ram + random_below(RAM / KIB4) * KIB4;
	u64 end = start + (1 + random_below(8)) * KIB4;

	pay(guest_memory_invalidate_begin(&memory, start, end));
	guest_memory_invalidate_end(&memory, start, end);
}

/* The log is switched, or must say what was written, neither less nor more. */
static u32 ask_log(void)
{
	const struct fermata_dirty what = { .slot = 0, .count = RAM / KIB4 };
	u64 bitmap[RAM / KIB4 / 64], dirty = 0;
	struct flush owed;

	if (!logging && !random_one_in(8))
		return 0;
	if (!logging || random_one_in(6)) {
		logging = !logging;
		assert_int_equal(guest_memory_log_dirty(&memory, 0, logging, &owed), 0);
		pay(owed);
		memset(written, 0, sizeof(written));
		return 0;
	}
	assert_int_equal(guest_memory_take_dirty(&memory, &what, bitmap, &dirty, &owed), 0);
	pay(owed);
	for (u32 i = 0; i < RAM / KIB4; i++) {
		if (written[i] != (bitmap[i / 64] >> i % 64 & 1))
			fail_msg("page %u: %s", i,
				 written[i] ? "written, and not logged" : "logged, and not written");
		written[i] = false;
	}
	return dirty;
}

/* The host is short of memory. What it gets is gone from here, and freed: ASan closed. */
static void give_back(void)
{
	u32 before = shadow_held(shadow_of(&memory)), want = random_below(40), count;
	struct shadow_stats stats;
	struct flush owed;
	u64 released;

	shadow_get_stats(&memory, &stats);
	released = stats.released;
	count = shadow_release(&memory, want);
	shadow_retire(&memory, want - count, &owed);
	pay(owed);
	count += shadow_release(&memory, want - count);
	assert_true(count <= want);
	assert_int_equal(shadow_held(shadow_of(&memory)), before - count);
	shadow_get_stats(&memory, &stats);
	assert_int_equal(stats.released, released + count);
	assert_int_equal(stats.held, before - count);
}

static void random_guests(u32 optimisations, u32 max_pages, u8 host_level, u32 steps, u64 seed)
{
	struct seen seen = { 0 };
	struct shadow_stats stats;
	u32 dirty = 0;

	random_seed(seed);
	start(optimisations, max_pages, host_level);
	random_mode();
	load();
	for (u32 step = 0; step < steps; step++) {
		u32 access = random_below(16);

		if (access & WRITE && access & FETCH)
			access &= ~FETCH;
		if (step % 1500 == 0)
			random_tables(paging.cr4 & CR4_PAE);
		paging.cpl = random_one_in(2) ? 3 : 0;
		paging.ac = random_one_in(2);
		if (random_one_in(4))
			random_keys();
		switch (random_below(24)) {
		case 0:
			random_mode();
			load();
			break;
		case 1: /* another process, or the same again */
			paging.cr3 = (1 + random_below(TABLES - 1)) * KIB4;
			load();
			break;
		case 2 ... 6:
			store(random_below(TABLES) * KIB4 + random_below(8) * 8,
			      random_entry(paging.cr4 & CR4_PAE), paging.cr4 & CR4_PAE ? 8 : 4);
			break;
		case 7:
			if (random_one_in(4))
				invalidate();
			break;
		case 8:
			if (random_one_in(8))
				audit();
			break;
		case 9:
			if (random_one_in(4))
				dirty += ask_log();
			break;
		case 10:
			if (random_one_in(8))
				give_back();
			break;
		default:
			probe(random_linear(), access, &seen);
		}
	}
	audit();
	shadow_get_stats(&memory, &stats);
	/* Neither all faults nor all smooth, or the comparison says little. */
	assert_true(seen.done > steps / 20);
	assert_true(seen.faults > steps / 20);
	if (about_keys)
		assert_true(seen.keys > steps / 30);
	assert_true(seen.outside > steps / 2000);
	assert_true(seen.lost > steps / 2000);
	assert_true(dirty > steps / 500);
	assert_true(stats.unsyncs > steps / 200 && stats.synced_pages > steps / 200);
	if (optimisations & SHADOW_LARGE && host_level == 2)
		assert_true(stats.large_faults > steps / 2000);
	if (optimisations & SHADOW_PREFETCH)
		assert_true(stats.prefetched > steps / 600);
	if (max_pages)
		assert_true(stats.reclaimed > steps / 2000);
	assert_true(stats.released > steps / 500);
	stop();
}

static void all_optimisations(void **state)
{
	random_guests(SHADOW_ALL, 0, 1, 20000, 21);
}

static void large_host_pages(void **state)
{
	random_guests(SHADOW_ALL, 0, 2, 20000, 22);
}

static void none_of_them(void **state)
{
	random_guests(0, 0, 2, 10000, 23);
}

static void each_one_off(void **state)
{
	for (u32 bit = 1; bit < SHADOW_ALL; bit <<= 1)
		random_guests(SHADOW_ALL & ~bit, 0, 2, 6000, 24 + bit);
}

static void few_pages(void **state)
{
	random_guests(SHADOW_ALL, 40, 2, 10000, 25);
}

static void long_mode(void)
{
	paging = (struct guest_paging){
		.cr0 = CR0_PG | CR0_WP, .cr4 = CR4_PAE, .efer = EFER_LMA | EFER_NXE, .cr3 = KIB4
	};
}

/* First what nobody needs, then what was not used since the last time; never a root that is in use. */
static void short_of_memory(void **state)
{
	struct shadow *sh;
	struct flush owed;
	struct seen seen = { 0 };
	u32 used, count;

	random_seed(31);
	start(SHADOW_ALL, 0, 1);
	sh = shadow_of(&memory);
	long_mode();
	random_tables(true);
	load();
	for (u32 i = 0; i < 3000; i++)
		probe(random_linear(), random_below(2), &seen);
	used = sh->stats.pages;
	assert_true(used > 10);
	count = shadow_held(sh);
	assert_int_equal(shadow_release(&memory, 10000), count - used - SHADOW_RESERVE);
	assert_int_equal(sh->free_count, SHADOW_RESERVE);
	assert_int_equal(sh->stats.pages, used);
	/* All of them have been used, so now they are only marked. */
	shadow_retire(&memory, 10000, &owed);
	assert_int_equal(owed.kinds, FLUSH_NONE);
	assert_int_equal(sh->stats.pages, used);
	/* Nobody has used them since. They are not free before the flush is paid. */
	shadow_retire(&memory, 5, &owed);
	assert_int_equal(owed.kinds, FLUSH_LINEAR);
	assert_int_equal(shadow_release(&memory, 10000), 0);
	pay(owed);
	assert_int_equal(shadow_release(&memory, 10000), 5);
	shadow_retire(&memory, 10000, &owed);
	pay(owed);
	assert_int_equal(sh->stats.pages, 1);
	assert_true(cpu.root[0]->listed);
	shadow_release(&memory, 10000);
	assert_int_equal(shadow_held(sh), 1 + SHADOW_RESERVE);
	assert_int_equal(shadow_spare(&memory), 1);
	/* And what was there comes back. */
	for (u32 i = 0; i < 3000; i++)
		probe(random_linear(), random_below(2), &seen);
	audit();
	assert_true(sh->stats.pages > 10);
	/* No memory: what could not be dressed stays bare, to be tried again. */
	shadow_release(&memory, 10000);
	host_test.allocs_until_failure = 4;
	for (int i = 0; i < 2; i++) {
		while (sh->free)
			shadow_create(sh, 2000 + sh->free, ROLE_DIRECT | 1);
		assert_int_equal(shadow_refill(&memory, &owed), 0);
		pay(owed);
		host_test.allocs_until_failure = -1;
	}
	stop();
}

/* Where the guest's large pages are made of small ones, the key is in each, and where they are not. */
static void protection_keys(void **state)
{
	about_keys = true;
	random_guests(SHADOW_ALL, 0, 1, 20000, 26);
	random_guests(SHADOW_ALL, 0, 2, 20000, 27);
	random_guests(0, 40, 2, 10000, 28);
	about_keys = false;
}

#define PART_TABLE 2  /* a table of the guest's */
#define PART_ABSENT 5 /* the host has no memory there yet */
#define PART_FAULT 3

/*
 * A read fault in a large page of the guest's that `bits` are said of, whose memory comes in small ones: which
 * of the first sixteen parts can be read after it, and above those, which can be written.
 */
static u32 parts(u32 optimisations, u64 bits, u32 how)
{
	const u64 table = 0x27; /* present, writable, the user's, accessed */
	struct shadow_answer answer;
	struct flush owed;
	u32 reached = 0;
	u64 phys;
	u8 level;

	start(optimisations, 0, 1);
	long_mode();
	store(KIB4, 2 * KIB4 | table, 8);
	store(2 * KIB4, (MIB2 + PART_TABLE * KIB4) | table, 8);
	store(MIB2 + PART_TABLE * KIB4, MIB2 | bits, 8);
	load();
	for (u32 i = 0; i < 8; i++)
		if (i != PART_ABSENT) {
			assert_int_equal(guest_memory_fault(&memory, MIB2 + i * KIB4, RADIX_WRITE,
							    &cache, &owed, &level),
					 0);
			pay(owed);
		}
	assert_int_equal(shadow_fault(&memory, &cpu, &paging, PART_FAULT * KIB4, READ | how,
				      &answer),
			 SHADOW_DONE);
	pay(answer.owed);
	for (u32 i = 0; i < 16; i++) {
		if (processor(i * KIB4, READ, &phys)) {
			assert_int_equal(phys, host_virt_to_phys(ram + MIB2 + i * KIB4));
			reached |= BIT(i);
		}
		if (processor(i * KIB4, WRITE, &phys))
			reached |= BIT(i + 16);
	}
	audit();
	stop();
	return reached;
}

/* They come with the one that faults: those whose memory is there, with what the large page allows. */
static void parts_of_a_large_page(void **state)
{
	const u64 large = 0xa7, dirty = 0x40; /* accessed; as above */
	const u32 alone = BIT(PART_FAULT), all = 0xff & ~BIT(PART_ABSENT);

	assert_int_equal(parts(SHADOW_ALL, large, 0), all);
	assert_int_equal(parts(SHADOW_ALL, large | dirty, 0), all | (all & ~BIT(PART_TABLE)) << 16);
	assert_int_equal(parts(SHADOW_ALL, (large | dirty) & ~2ull, 0), all);
	assert_int_equal(parts(SHADOW_ALL, large, SHADOW_ALONE), alone);
	assert_int_equal(parts(SHADOW_ALL & ~SHADOW_PREFETCH, large | dirty, 0),
			 alone | alone << 16);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(short_of_memory),  cmocka_unit_test(all_optimisations),
		cmocka_unit_test(large_host_pages), cmocka_unit_test(none_of_them),
		cmocka_unit_test(each_one_off),	    cmocka_unit_test(few_pages),
		cmocka_unit_test(protection_keys),  cmocka_unit_test(parts_of_a_large_page),
	};

	return cmocka_run_group_tests_name("shadow", tests, NULL, NULL);
}
