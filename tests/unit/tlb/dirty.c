/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * An owner who has the writes to its guest's memory logged, and asks which there were. A page that was
 * written to before a question, and that no earlier answer named, must be in the answer. Writes during a
 * question may be in its answer or in the next one.
 */
#include <string.h>

#include "model.h"

/* Which slot's page a page of the process is; the slots with logs do not overlap there. */
static struct model_log *log_of(struct model_vm *vm, u32 user, u32 *page)
{
	u32 id = user >= USER_LARGE;

	*page = user - (id ? USER_LARGE : 0);
	return &vm->log[id];
}

void log_wrote(struct model_vm *vm, u32 user)
{
	struct model_log *log;
	u32 page;

	if (user >= GPA_RAM_END && user < USER_LARGE)
		return;
	log = log_of(vm, user, &page);
	if (log->on)
		log->due[page] = true;
}

void log_forget(struct model_vm *vm, u32 id)
{
	if (id < LOGS)
		vm->log[id].on = false;
}

static void switch_log(struct model_vm *vm, u32 id, bool on)
{
	const struct fermata_dirty_log log = { .slot = id,
					       .flags = on ? FERMATA_MEMORY_LOG_DIRTY : 0 };

	vm->log[id].on = false;
	memset(vm->log[id].due, 0, sizeof(vm->log[id].due));
	if (vm_log_dirty(&vm->vm, &log))
		wrong("the log of slot %u is refused", id);
	vm->log[id].on = on;
}

static void ask(struct model_vm *vm, u32 id)
{
	struct fermata_dirty what = { .slot = id, .count = vm->slot[id].pages };
	struct model_log *log = &vm->log[id];
	bool due[LOG_PAGES];
	u64 bitmap[LOG_PAGES / 64];

	memcpy(due, log->due, sizeof(due));
	memset(log->due, 0, sizeof(log->due));
	if (vm_take_dirty(&vm->vm, &what, bitmap))
		wrong("the log of slot %u has no answer", id);
	for (u32 page = 0; page < what.count; page++) {
		if (bitmap[page / 64] >> page % 64 & 1)
			log->due[page] = false;
		else if (due[page])
			wrong("VM %u: a write to page %u of slot %u is not in the log", vm->index,
			      page, id);
	}
	world.out->answers++;
}

void log_act(struct model_vm *vm)
{
	u32 id = below(LOGS);

	if (!vm->slot[id].live)
		return;
	if (!vm->log[id].on)
		switch_log(vm, id, true);
	else if (one_in(12))
		switch_log(vm, id, false);
	else
		ask(vm, id);
}
