/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* Which of the guest's RAM is written to. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"

#define PAGE 4096u

/* RAM's slots, as map_memory() has them. False: there is no such one. */
static bool part(const struct machine *machine, unsigned slot, uint64_t *gpa, uint64_t *pages)
{
	*gpa = slot ? LAYOUT_HIGH_RAM : 0;
	*pages = (slot ? layout_high_size(machine->ram_size) : layout_low_size(machine->ram_size)) /
		 PAGE;
	return *pages;
}

int machine_log_dirty(struct machine *machine, bool on)
{
	uint64_t gpa, pages;
	int result = 0;

	pthread_mutex_lock(&machine->dirty.lock);
	for (unsigned slot = 0; slot < 2 && !result; slot++)
		if (part(machine, slot, &gpa, &pages))
			result = fermata_memory_log_dirty(machine->vm, slot, on);
	if (!result && on != machine->dirty.on) {
		machine->dirty.on = on;
		machine->dirty.asked_at = host_ns();
	}
	pthread_mutex_unlock(&machine->dirty.lock);
	return result;
}

static void add_range(struct machine_dirty *dirty, uint64_t gpa, uint64_t pages)
{
	struct machine_dirty_range *last = dirty->ranges ? &dirty->range[dirty->ranges - 1] : NULL;

	if (last && !dirty->left_out && last->gpa + last->pages * PAGE == gpa)
		last->pages += pages;
	else if (dirty->ranges < MACHINE_DIRTY_RANGES)
		dirty->range[dirty->ranges++] = (struct machine_dirty_range){ gpa, pages };
	else
		dirty->left_out++;
}

static int ask(struct machine *machine, unsigned slot, uint64_t *bitmap, struct machine_dirty *dirty)
{
	uint64_t gpa, pages, count;
	int result;

	if (!part(machine, slot, &gpa, &pages))
		return 0;
	result = fermata_memory_dirty(machine->vm, slot, 0, pages, bitmap, &count);
	if (result)
		return result;
	dirty->pages += count;
	for (uint64_t at = 0, end; at < pages; at = end + 1) {
		if (!bitmap[at / 64] && at % 64 == 0) {
			end = at + 63;
			continue;
		}
		for (end = at; end < pages && bitmap[end / 64] >> end % 64 & 1; end++)
			;
		if (end > at)
			add_range(dirty, gpa + at * PAGE, end - at);
	}
	return 0;
}

int machine_dirty(struct machine *machine, struct machine_dirty *dirty)
{
	uint64_t *bitmap = calloc(machine->ram_size / PAGE / 64 + 1, sizeof(*bitmap));
	uint64_t now;
	int result = bitmap ? 0 : -ENOMEM;

	memset(dirty, 0, sizeof(*dirty));
	pthread_mutex_lock(&machine->dirty.lock);
	if (!machine->dirty.on)
		result = -ENOENT;
	for (unsigned slot = 0; slot < 2 && !result; slot++)
		result = ask(machine, slot, bitmap, dirty);
	if (!result) {
		now = host_ns();
		dirty->ns = now - machine->dirty.asked_at;
		machine->dirty.asked_at = now;
	}
	pthread_mutex_unlock(&machine->dirty.lock);
	free(bitmap);
	return result;
}
