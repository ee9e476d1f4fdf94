/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* Dirty logs that cannot be, and logs that are asked, switched and lost at the same time. */
#include "abuse.h"

#define SIZE (4 * MIB)
#define PAGES (SIZE / PAGE)

static struct guest guest;
static uint8_t *data;
static volatile bool stop;
static uint64_t bitmap[PAGES / 64];

static int log_set(unsigned slot, unsigned flags)
{
	struct fermata_dirty_log log = { .slot = slot, .flags = flags };

	return ioctl(guest.vm, FERMATA_SET_DIRTY_LOG, &log);
}

static int ask(unsigned slot, uint64_t first, uint64_t count, const void *at)
{
	struct fermata_dirty what = {
		.slot = slot, .first = first, .count = count, .bitmap = (uintptr_t)at
	};

	return ioctl(guest.vm, FERMATA_GET_DIRTY, &what);
}

/* How many pages the answer names; -1. */
static int asked(void)
{
	struct fermata_dirty what = { .slot = 1, .count = PAGES, .bitmap = (uintptr_t)bitmap };
	unsigned bits = 0;

	if (ioctl(guest.vm, FERMATA_GET_DIRTY, &what))
		return -1;
	for (size_t i = 0; i < ARRAY_SIZE(bitmap); i++)
		bits += (unsigned)__builtin_popcountll(bitmap[i]);
	return bits == what.dirty ? (int)bits : -2;
}

static void start(void)
{
	data = ram_new(SIZE);
	guest_new(&guest, 2, MODE_LONG);
	count_setup(&guest, 0, SIZE);
	count_setup(&guest, 1, SIZE);
	must(!slot_set(guest.vm, 1, DATA_AT, SIZE, data, 0), "SET_MEMORY");
}

static void end(void)
{
	guest_end(&guest);
	munmap(data, SIZE);
}

static void arguments(void)
{
	const unsigned on = FERMATA_MEMORY_LOG_DIRTY;
	struct fermata_dirty what = { .slot = 1, .count = 64, .bitmap = (uintptr_t)bitmap };

	gives(ask(1, 0, 64, bitmap), ENOENT, "a question without a log");
	gives(log_set(32, on), EINVAL, "the log of slot 32");
	gives(log_set(~0u, 0), EINVAL, "the log of slot -1");
	gives(log_set(1, 1), EINVAL, "another flag");
	gives(log_set(1, ~0u), EINVAL, "all flags");
	gives(log_set(2, on), ENOENT, "the log of no slot");
	gives(log_set(2, 0), ENOENT, "ending it");
	gives(log_set(1, 0), 0, "ending a log that is not on");
	gives(log_set(1, on), 0, "a log");
	gives(log_set(1, on), 0, "once more");
	gives(ask(1, 0, 64, bitmap), 0, "a question");
	gives(ask(1, 0, 0, bitmap), EINVAL, "about no pages");
	gives(ask(1, 1, 64, bitmap), EINVAL, "from an odd page");
	gives(ask(1, 0, 63, bitmap), EINVAL, "about an odd number");
	gives(ask(1, 0, PAGES + 64, bitmap), EINVAL, "beyond the end");
	gives(ask(1, PAGES, 64, bitmap), EINVAL, "behind the end");
	gives(ask(1, 64, PAGES, bitmap), EINVAL, "across the end");
	gives(ask(1, ~63ull, 64, bitmap), EINVAL, "at the end of all numbers");
	gives(ask(1, 0, FERMATA_MAX_DIRTY + 64, bitmap), EINVAL, "about more than one call's");
	gives(ask(1, 0, 1ull << 63, bitmap), EINVAL, "about 2^63 pages");
	gives(ask(1, 0, ~63ull, bitmap), EINVAL, "about nearly 2^64");
	gives(ask(32, 0, 64, bitmap), EINVAL, "of slot 32");
	gives(ask(2, 0, 64, bitmap), ENOENT, "of no slot");
	what.reserved = 1;
	gives(ioctl(guest.vm, FERMATA_GET_DIRTY, &what), EINVAL, "with a reserved field");
	for (unsigned i = 0; i < times(2000); i++) {
		struct fermata_dirty_log log = { below(3), below(2) ? on : (uint32_t)interesting() };

		if (below(8))
			what = (struct fermata_dirty){ below(3),	  0,
						       below(40) * 32,	  below(40) * 32,
						       (uintptr_t)bitmap, interesting() };
		else
			chance_fill(&what, sizeof(what));
		what.bitmap = below(4) ? (uintptr_t)bitmap : interesting() & ~0xffffffull;
		if (what.count > PAGES)
			what.bitmap = 0;
		ioctl(guest.vm, FERMATA_SET_DIRTY_LOG, &log);
		if (ioctl(guest.vm, FERMATA_GET_DIRTY, &what) && errno != EINVAL &&
		    errno != ENOENT && errno != EFAULT)
			gives(-1, EINVAL, "GET_DIRTY of random contents");
	}
	log_set(1, 0);
}

/* Who cannot take an answer gets it again. */
static void pointers(void)
{
	uint8_t *edge = ram_new(2 * PAGE), *readonly = ram_new(PAGE);
	struct fermata_dirty *half = (struct fermata_dirty *)(edge + PAGE - sizeof(*half) / 2);
	struct fermata_dirty what = { .slot = 1, .count = PAGES, .bitmap = (uintptr_t)bitmap };

	mprotect(edge + PAGE, PAGE, PROT_NONE);
	memcpy(readonly, &what, sizeof(what));
	mprotect(readonly, PAGE, PROT_READ);
	gives(log_set(1, FERMATA_MEMORY_LOG_DIRTY), 0, "a log");
	must(!count_run(&guest, 0, 1), "count");
	gives(ask(1, 0, PAGES, NULL), EFAULT, "a bitmap at NULL");
	gives(ask(1, 0, PAGES, (void *)0xffff888000100000), EFAULT, "... in the kernel");
	gives(ask(1, 0, PAGES, (void *)0x8000000000000000), EFAULT, "... at no address");
	gives(ask(1, 0, PAGES, readonly), EFAULT, "... that is read-only");
	gives(ask(1, 0, PAGES, edge + PAGE - 64), EFAULT, "... half of which is there");
	gives(ioctl(guest.vm, FERMATA_GET_DIRTY, half), EFAULT, "a question half of which is there");
	gives(ioctl(guest.vm, FERMATA_GET_DIRTY, readonly), EFAULT, "a question that is read-only");
	ok(asked() == (int)PAGES, "after all these nothing of the answer is lost");
	ok(!asked(), "and then there is none");
	/* An answer in the very memory that is asked about: the kernel writes there, not the guest. */
	gives(ask(1, 0, PAGES, data + PAGE), 0, "an answer into the guest's memory");
	ok(!asked(), "is not the guest's write");
	memset(data, 0, SIZE);
	log_set(1, 0);
	munmap(edge, 2 * PAGE);
	munmap(readonly, PAGE);
}

/* Nothing is behind it, and there is much of it. */
static void large(void)
{
	struct fermata_caps caps;
	uint64_t size = 1ull << 38; /* a bitmap of 8 MiB */
	int device = device_open();
	void *at = mmap(NULL, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	void *room = ram_new(FERMATA_MAX_DIRTY / 8);

	must(at != MAP_FAILED && !ioctl(device, FERMATA_GET_CAPS, &caps), "256 GiB of addresses");
	close(device);
	if (caps.phys_bits < 39) {
		note("this processor's guests have no room for 256 GiB");
		return;
	}
	for (unsigned i = 0; i < 20; i++) {
		must(!slot_set(guest.vm, 3, size, size, at, FERMATA_MEMORY_LOG_DIRTY), "SET_MEMORY");
		if (i == 10)
			gives(ask(3, FERMATA_MAX_DIRTY, FERMATA_MAX_DIRTY, room), 0,
			      "4 GiB of a slot of 256 GiB");
		must(!slot_set(guest.vm, 3, 0, 0, NULL, 0), "SET_MEMORY");
	}
	ok(true, "a slot of 256 GiB with a log comes and goes");
	munmap(at, size);
	munmap(room, FERMATA_MAX_DIRTY / 8);
}

/* ---- all at once */

static void *asks(void *slot)
{
	uint64_t *room = ram_new(PAGE);

	while (!stop) {
		ask((uintptr_t)slot, 0, PAGES, below(4) ? room : NULL);
		ask((uintptr_t)slot, 64, 128, room);
		sleep_us(100);
	}
	munmap(room, PAGE);
	return NULL;
}

static void *switches(void *arg)
{
	uint8_t *spare = ram_new(MIB);

	while (!stop) {
		slot_set(guest.vm, 2, 64 * MIB, MIB, spare, below(2) ? FERMATA_MEMORY_LOG_DIRTY : 0);
		log_set(1, below(3) ? FERMATA_MEMORY_LOG_DIRTY : 0);
		log_set(2, below(2) ? FERMATA_MEMORY_LOG_DIRTY : 0);
		slot_set(guest.vm, 2, 0, 0, NULL, 0);
		madvise(data + below(PAGES) * PAGE, PAGE, MADV_PAGEOUT);
		sleep_us(300);
	}
	munmap(spare, MIB);
	return NULL;
}

static void *counts(void *passes)
{
	return (void *)(intptr_t)count_run(&guest, 1, (uintptr_t)passes);
}

static void together(void)
{
	unsigned passes = times(60);
	pthread_t thread[4];
	void *result;
	int mine;

	stop = false;
	must(!pthread_create(&thread[0], NULL, asks, (void *)1) &&
		     !pthread_create(&thread[1], NULL, asks, (void *)2) &&
		     !pthread_create(&thread[2], NULL, switches, NULL) &&
		     !pthread_create(&thread[3], NULL, counts, (void *)(uintptr_t)passes),
	     "pthread_create");
	mine = count_run(&guest, 0, passes);
	pthread_join(thread[3], &result);
	stop = true;
	for (unsigned i = 0; i < 3; i++)
		pthread_join(thread[i], NULL);
	ok(!mine && !result && !count_wrong(data, SIZE, 2 * passes),
	   "two vCPUs count right while logs are asked, switched and lost");
	log_set(1, 0);
	memset(data, 0, SIZE);
}

/* The slot goes, and comes back without its log. */
static void gone(void)
{
	gives(log_set(1, FERMATA_MEMORY_LOG_DIRTY), 0, "a log");
	gives(slot_set(guest.vm, 1, 0, 0, NULL, 0), 0, "its slot goes");
	gives(ask(1, 0, 64, bitmap), ENOENT, "and the log with it");
	gives(slot_set(guest.vm, 1, DATA_AT, SIZE, data, 0), 0, "a slot in its place");
	gives(ask(1, 0, 64, bitmap), ENOENT, "has none");
}

void abuse_dirty(void)
{
	ticks(50000);
	start();
	arguments();
	pointers();
	large();
	together();
	gone();
	end();
}
