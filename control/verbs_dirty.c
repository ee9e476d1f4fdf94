/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* Which of the guest's memory is written to. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fermata.h"
#include "verbs.h"

static void add(struct json_object *object, const char *name, uint64_t number)
{
	json_object_object_add(object, name, json_object_new_uint64(number));
}

static struct json_object *show(const struct control_guest *guest, const struct machine_dirty *dirty)
{
	struct json_object *result = json_object_new_object(), *ranges = json_object_new_array();

	json_object_object_add(result, "log", json_object_new_boolean(true));
	add(result, "pages", dirty->pages);
	add(result, "page_size", 4096);
	add(result, "memory", guest->memory);
	add(result, "ns", dirty->ns);
	for (unsigned i = 0; i < dirty->ranges; i++) {
		struct json_object *range = json_object_new_object();

		add(range, "gpa", dirty->range[i].gpa);
		add(range, "pages", dirty->range[i].pages);
		json_object_array_add(ranges, range);
	}
	json_object_object_add(result, "ranges", ranges);
	add(result, "left_out", dirty->left_out);
	return result;
}

static int ask(struct control_call *call)
{
	struct machine_dirty *dirty = malloc(sizeof(*dirty));
	int error = dirty ? machine_dirty(call->guest->machine, dirty) : -ENOMEM;

	if (!error)
		call->result = show(call->guest, dirty);
	free(dirty);
	if (error == -ENOENT)
		return call_fail(call, ERROR_STATE, "no log of its writes is on: dirty on");
	if (error)
		return call_fail(call, ERROR_FAILED, "no answer: %s", strerror(-error));
	return 0;
}

static int run_dirty(struct control_call *call)
{
	const char *what = call_string(call, "do");
	bool on = !strcmp(what, "on");

	if (machine_ended(call->guest->machine, NULL))
		return call_fail(call, ERROR_STATE, "the guest has ended");
	if (!*what || !strcmp(what, "show"))
		return ask(call);
	if (machine_log_dirty(call->guest->machine, on))
		return call_fail(call, ERROR_FAILED, "%s", fermata_error());
	call->result = json_object_new_object();
	json_object_object_add(call->result, "log", json_object_new_boolean(on));
	return 0;
}

const struct control_verb verb_dirty = {
	.name = "dirty",
	.what = "which of its memory the guest writes to: a log on and off, and what was written since",
	.argument = { { "do", CONTROL_STRING, false, "show|on|off" } },
	.run = run_dirty,
};
