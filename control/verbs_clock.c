/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* The guest's clock: what it is, and what can be done to it. */
#include <stdio.h>
#include <string.h>

#include "clock_spec.h"
#include "fermata.h"
#include "verbs.h"

static void add_string(struct json_object *object, const char *name, const char *text)
{
	json_object_object_add(object, name, json_object_new_string(text));
}

static void add_number(struct json_object *object, const char *name, uint64_t number)
{
	json_object_object_add(object, name, json_object_new_uint64(number));
}

/* How the guest's RDTSC gets its answer now. */
static const char *in_force(const struct fermata_clock *clock)
{
	return clock->flags & FERMATA_CLOCK_TRAPPED ? "exiting" :
	       clock->flags & FERMATA_CLOCK_SCALED  ? "scaling" :
						      "offset";
}

static const char *state(const struct machine_clock *clock)
{
	const struct fermata_clock *c = &clock->now.clock;

	if (c->flags & FERMATA_CLOCK_HELD)
		return "paused";
	if (clock->catching_up)
		return "catching up";
	if (!(c->flags & FERMATA_CLOCK_FROZEN))
		return "running";
	return clock->now.guest_tsc - c->tsc_start < c->tsc_ticks ? "stepping" : "frozen";
}

struct json_object *verbs_show_clock(struct machine *machine)
{
	struct json_object *result = json_object_new_object(), *sources = json_object_new_array();
	struct machine_clock clock;
	char text[64];

	machine_clock_show(machine, &clock);
	add_string(result, "state", state(&clock));
	if (clock.now.clock.den == 1)
		snprintf(text, sizeof(text), "%u", clock.now.clock.num);
	else
		snprintf(text, sizeof(text), "%u/%u", clock.now.clock.num, clock.now.clock.den);
	add_string(result, "rate", text);
	json_object_object_add(result, "run_only",
			       json_object_new_boolean(
				       !!(clock.now.clock.flags & FERMATA_CLOCK_RUN_ONLY)));
	add_string(result, "rdtsc", in_force(&clock.now.clock));
	add_number(result, "tsc_khz", clock.now.clock.tsc_khz);
	add_number(result, "tsc_offset", clock.now.clock.tsc_offset);
	add_number(result, "tsc_multiplier", clock.now.clock.tsc_mult);
	add_number(result, "changes", clock.now.clock.changes);
	add_number(result, "ns", clock.now.guest_ns);
	add_string(result, "date", clock_format_date(clock.date, text, sizeof(text)));
	for (unsigned i = 0; i < clock.sources; i++) {
		struct json_object *source = json_object_new_object();

		add_string(source, "name", clock.source[i].name);
		add_number(source, "value", clock.source[i].value);
		add_string(source, "unit", clock.source[i].unit);
		json_object_object_add(source, "error_ns",
				       json_object_new_int64(clock.source[i].error));
		json_object_array_add(sources, source);
	}
	json_object_object_add(result, "sources", sources);
	return result;
}

static int change(struct control_call *call, const char *what, const char *value)
{
	struct machine *machine = call->guest->machine;
	bool wants_value = !strcmp(what, "rate") || !strcmp(what, "step") ||
			   !strcmp(what, "jump") || !strcmp(what, "set");
	uint32_t num, den;
	char problem[300];
	int64_t span;
	int result;

	if (wants_value != !!*value)
		return call_fail(call, ERROR_ARGUMENT, "clock %s takes %s", what,
				 wants_value ? "a value" : "no value");
	if (!strcmp(what, "freeze")) {
		result = machine_clock_freeze(machine);
	} else if (!strcmp(what, "thaw")) {
		result = machine_clock_thaw(machine);
	} else if (!strcmp(what, "rate")) {
		if (!clock_parse_rate(value, &num, &den, problem, sizeof(problem)))
			return call_fail(call, ERROR_ARGUMENT, "%s", problem);
		result = machine_clock_rate(machine, num, den);
	} else if (!strcmp(what, "step")) {
		if (!clock_parse_span(value, false, &span, problem, sizeof(problem)))
			return call_fail(call, ERROR_ARGUMENT, "%s", problem);
		result = machine_clock_step(machine, span);
	} else if (!strcmp(what, "jump")) {
		if (!clock_parse_span(value, true, &span, problem, sizeof(problem)))
			return call_fail(call, ERROR_ARGUMENT, "%s", problem);
		result = machine_clock_jump(machine, &span);
	} else {
		if (!clock_parse_date(value, &span, problem, sizeof(problem)))
			return call_fail(call, ERROR_ARGUMENT, "%s", problem);
		machine_clock_set_date(machine, span);
		result = 0;
	}
	return result ? call_fail(call, ERROR_FAILED, "%s", fermata_error()) : 0;
}

static int run_clock(struct control_call *call)
{
	const char *what = call_string(call, "do");

	if (machine_ended(call->guest->machine, NULL))
		return call_fail(call, ERROR_STATE, "the guest has ended");
	if (!*what && call_has(call, "value"))
		return call_fail(call, ERROR_ARGUMENT, "a value without 'do': what is it for?");
	if (*what && strcmp(what, "show") && change(call, what, call_string(call, "value")))
		return -1;
	call->result = verbs_show_clock(call->guest->machine);
	return 0;
}

const struct control_verb verb_clock = {
	.name = "clock",
	.what = "the guest's clock: change it, and what it is then",
	.argument = {
		{ "do", CONTROL_STRING, false, "show|freeze|thaw|rate|step|jump|set" },
		{ "value", CONTROL_STRING, false, NULL },
	},
	.run = run_clock,
};
