/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* What the guest is, and its being held, released and ended. */
#include <string.h>
#include <time.h>

#include "fermata.h"
#include "verbs.h"

uint64_t verbs_now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void add_string(struct json_object *object, const char *name, const char *text)
{
	json_object_object_add(object, name, json_object_new_string(text));
}

static void add_number(struct json_object *object, const char *name, uint64_t number)
{
	json_object_object_add(object, name, json_object_new_uint64(number));
}

static const char *vendor_name(uint32_t vendor)
{
	return vendor == FERMATA_VENDOR_AMD   ? "amd" :
	       vendor == FERMATA_VENDOR_INTEL ? "intel" :
						"none";
}

static const char *state_of(struct machine *machine)
{
	if (machine_ended(machine, NULL))
		return "ended";
	return machine_paused(machine) ? "paused" : "running";
}

static int run_query(struct control_call *call)
{
	const struct control_guest *guest = call->guest;
	struct json_object *result = json_object_new_object();

	add_string(result, "name", guest->name);
	add_string(result, "state", state_of(guest->machine));
	add_string(result, "where", guest->where);
	add_string(result, "vendor", vendor_name(guest->vendor));
	add_number(result, "vcpus", guest->vcpus);
	add_number(result, "memory", guest->memory);
	add_number(result, "since", (uint64_t)guest->since);
	add_number(result, "seconds", (verbs_now_ns() - guest->since_ns) / 1000000000u);
	call->result = result;
	return 0;
}

const struct control_verb verb_query = {
	.name = "query",
	.what = "what the guest is, where and since when it runs, its state",
	.run = run_query,
};

static int gone(struct control_call *call)
{
	return call_fail(call, ERROR_STATE, "the guest has ended");
}

static int run_pause(struct control_call *call)
{
	if (machine_pause(call->guest->machine))
		return gone(call);
	if (call_has(call, "clock"))
		machine_pause_advances(call->guest->machine,
				       !strcmp(call_string(call, "clock"), "advance"));
	return 0;
}

const struct control_verb verb_pause = {
	.name = "pause",
	.what = "hold the guest: when this returns it executes nothing",
	.argument = { { "clock", CONTROL_STRING, false, "freeze|advance" } },
	.run = run_pause,
};

static int run_resume(struct control_call *call)
{
	struct machine *machine = call->guest->machine;
	bool advance = call_has(call, "clock") ? !strcmp(call_string(call, "clock"), "advance") :
						 machine_pause_advancing(machine);

	if (machine_resume(machine))
		return gone(call);
	if (advance && machine_clock_catch_up(machine))
		return call_fail(call, ERROR_FAILED, "%s", fermata_error());
	return 0;
}

const struct control_verb verb_resume = {
	.name = "resume",
	.what = "the guest goes on",
	.argument = { { "clock", CONTROL_STRING, false, "freeze|advance" } },
	.run = run_resume,
};

static int run_quit(struct control_call *call)
{
	machine_stop(call->guest->machine);
	return 0;
}

const struct control_verb verb_quit = {
	.name = "quit",
	.what = "end the guest at once",
	.run = run_quit,
};

/* ---- news */

static const char *how_it_ended(enum machine_end_kind kind)
{
	switch (kind) {
	case MACHINE_POWEROFF:
		return "poweroff";
	case MACHINE_RESET:
		return "reset";
	case MACHINE_DEBUG_EXIT:
		return "debug-exit";
	case MACHINE_DIED:
		return "died";
	default:
		return "quit";
	}
}

const char *verbs_event(enum machine_news news, const struct machine_end *end,
			struct json_object **data)
{
	*data = NULL;
	switch (news) {
	case MACHINE_NEWS_PAUSED:
		return "paused";
	case MACHINE_NEWS_RESUMED:
		return "resumed";
	case MACHINE_NEWS_STOPPED:
		*data = verbs_stop(end);
		return "stopped";
	default:
		*data = json_object_new_object();
		add_string(*data, "how", how_it_ended(end->kind));
		if (end->kind == MACHINE_DIED)
			add_string(*data, "why", end->why);
		if (end->kind == MACHINE_DEBUG_EXIT)
			add_number(*data, "value", end->value);
		return "ended";
	}
}
