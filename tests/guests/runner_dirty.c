/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* Dirty logs of a machine's memory, and a copy of EXTRA that follows it by them, as a migration would. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "runner.h"

#define EXTRA_PAGES (EXTRA_SIZE / 4096)

static uint64_t pages_of(uint32_t slot)
{
	static const uint64_t size[] = { RAM_SIZE, ROM_SIZE, HIGH_SIZE, EXTRA_SIZE };

	return slot < 4 ? size[slot] / 4096 : 64;
}

static uint32_t answer(int error)
{
	return error ? CALL_FAILED - (uint32_t)error : 0;
}

/* What is written after the question is in the next answer, so a page may be read as it changes. */
static bool copy_dirty(struct machine *m, uint64_t *dirty)
{
	uint64_t bitmap[EXTRA_PAGES / 64];

	if (fermata_memory_dirty(m->vm, SLOT_EXTRA, 0, EXTRA_PAGES, bitmap, dirty))
		return false;
	for (uint32_t page = 0; page < EXTRA_PAGES; page++)
		if (bitmap[page / 64] >> page % 64 & 1)
			memcpy(m->copy + page * 4096, m->extra + page * 4096, 4096);
	return true;
}

static void *copier(void *arg)
{
	const struct timespec pause = { .tv_nsec = 300000 };
	struct machine *m = arg;
	bool first = true;
	uint64_t dirty;

	while (atomic_load(&m->copying) && copy_dirty(m, &dirty)) {
		if (!first)
			m->copied += (uint32_t)dirty;
		first = false;
		nanosleep(&pause, NULL);
	}
	return NULL;
}

void dirty_stop(struct machine *m)
{
	atomic_store(&m->copying, false);
	if (m->copier_started)
		pthread_join(m->copier, NULL);
	m->copier_started = false;
}

static uint32_t copy_begin(struct machine *m)
{
	m->copy = m->copy ? m->copy : malloc(EXTRA_SIZE);
	if (!m->copy)
		return CALL_FAILED + ENOMEM;
	memcpy(m->copy, m->extra, EXTRA_SIZE);
	m->copied = 0;
	atomic_store(&m->copying, true);
	m->copier_started = !pthread_create(&m->copier, NULL, copier, m);
	return m->copier_started ? 0 : CALL_FAILED + EAGAIN;
}

static uint32_t copy_end(struct machine *m)
{
	uint32_t differ = 0;
	uint64_t dirty;

	dirty_stop(m);
	if (!copy_dirty(m, &dirty))
		return CALL_FAILED + EIO;
	for (uint32_t page = 0; page < EXTRA_PAGES; page++)
		differ += !!memcmp(m->copy + page * 4096, m->extra + page * 4096, 4096);
	free(m->copy);
	m->copy = NULL;
	return differ;
}

uint32_t dirty_call(struct machine *m, uint32_t call, uint32_t argument)
{
	uint64_t dirty = 0;
	int error;

	switch (call) {
	case CALL_LOG_DIRTY:
		return answer(
			fermata_memory_log_dirty(m->vm, argument & ~DIRTY_ON, argument & DIRTY_ON));
	case CALL_DIRTY:
		error = fermata_memory_dirty(m->vm, argument, 0, pages_of(argument), m->dirty,
					     &dirty);
		return error ? answer(error) : (uint32_t)dirty;
	case CALL_IS_DIRTY:
		return argument < RAM_SIZE / 4096 && (m->dirty[argument / 64] >> argument % 64 & 1);
	case CALL_COPY:
		return copy_begin(m);
	case CALL_COPY_END:
		return copy_end(m);
	default:
		return m->copied;
	}
}
