/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* What the guest has cost so far, while it runs. */
#include <stdlib.h>
#include <string.h>

#include "fermata.h"
#include "verbs.h"

static void add(struct json_object *object, const char *name, uint64_t number)
{
	json_object_object_add(object, name, json_object_new_uint64(number));
}

static struct json_object *exits(const struct fermata_stats *stats)
{
	struct json_object *list = json_object_new_array();

	for (uint32_t i = 0; i < FERMATA_MAX_EXIT_CODES; i++) {
		uint32_t code = fermata_exit_code(i);
		struct json_object *one;

		if (!stats->exit[i].count)
			continue;
		one = json_object_new_object();
		json_object_object_add(one, "name",
				       json_object_new_string(
					       fermata_exit_code_name(stats->vendor, code)));
		add(one, "code", code);
		add(one, "count", stats->exit[i].count);
		add(one, "cycles", stats->exit[i].cycles);
		json_object_array_add(list, one);
	}
	return list;
}

/* Those that there were, by name. */
static struct json_object *flushes(const __u64 *count, uint32_t names, const char *(*name)(uint32_t))
{
	struct json_object *object = json_object_new_object();

	for (uint32_t i = 0; i < names; i++)
		if (count[i])
			add(object, name(i), count[i]);
	return object;
}

static int run_stats(struct control_call *call)
{
	const struct control_guest *guest = call->guest;
	struct fermata_stats *stats = malloc(sizeof(*stats));
	uint64_t now = verbs_now_ns();
	struct json_object *result;
	int error;

	if (!stats)
		return call_fail(call, ERROR_FAILED, "no memory");
	error = machine_stats(guest->machine, stats);
	if (error) {
		free(stats);
		return call_fail(call, ERROR_FAILED, "no statistics: %s", strerror(-error));
	}
	result = json_object_new_object();
	add(result, "ns", now - guest->since_ns);
	add(result, "tsc_khz", guest->tsc_khz);
	add(result, "vcpus", guest->vcpus);
	add(result, "entries", stats->entries);
	add(result, "user_exits", stats->user_exits);
	add(result, "injected", stats->injected);
	add(result, "halts", stats->halts);
	add(result, "nested_faults", stats->nested_faults);
	add(result, "large_mappings", stats->large_mappings);
	add(result, "shadow_tables", stats->shadow_tables);
	add(result, "shadow_released", stats->shadow_released);
	json_object_object_add(result, "flushes",
			       flushes(stats->flush_kind, FERMATA_FLUSH_KINDS,
				       fermata_flush_kind_name));
	json_object_object_add(result, "owed",
			       flushes(stats->flush_cause, FERMATA_FLUSH_CAUSES,
				       fermata_flush_cause_name));
	add(result, "guest_cycles", stats->guest_cycles);
	add(result, "halt_cycles", stats->halt_cycles);
	json_object_object_add(result, "exits", exits(stats));
	call->result = result;
	free(stats);
	return 0;
}

const struct control_verb verb_stats = {
	.name = "stats",
	.what = "counts and costs of exits since the guest was made",
	.run = run_stats,
};
