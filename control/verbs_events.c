/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* Rules about what the guest does, and their log. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fermata.h"
#include "verbs.h"

#define LOG_MOST                                                                                   \
	90 /* records in an answer, 700 bytes each at most: a line is no longer than LINE_LONGEST */

static void add_number(struct json_object *object, const char *name, uint64_t number)
{
	json_object_object_add(object, name, json_object_new_uint64(number));
}

static void add_string(struct json_object *object, const char *name, const char *text)
{
	json_object_object_add(object, name, json_object_new_string(text));
}

/* Values of 64 bits are text: not every reader of JSON keeps them whole as numbers. */
static struct json_object *hex(uint64_t value)
{
	char text[24];

	snprintf(text, sizeof(text), "%#" PRIx64, value);
	return json_object_new_string(text);
}

static void add_hex(struct json_object *object, const char *name, uint64_t value)
{
	json_object_object_add(object, name, hex(value));
}

/* ---- on, off, events */

static int run_on(struct control_call *call)
{
	struct fermata_span wrong = { 0 };
	struct fermata_rule rule;

	if (fermata_rule_parse(call_string(call, "rule"), &rule, &wrong))
		return call_fail(call, ERROR_ARGUMENT, "%s (at character %u)", fermata_error(),
				 wrong.at + 1);
	if (machine_rule_add(call->guest->machine, &rule))
		return call_fail(call, ERROR_FAILED, "%s", fermata_error());
	call->result = json_object_new_object();
	add_number(call->result, "id", rule.id);
	return 0;
}

const struct control_verb verb_on = {
	.name = "on",
	.what = "a rule about what the guest does: EVENT [FILTER...] [do ACTION...]",
	.argument = { { "rule", CONTROL_STRING, true, NULL } },
	.run = run_on,
};

static int run_off(struct control_call *call)
{
	int64_t id = call_integer(call, "id", 0);

	if (id < 1 || id > UINT32_MAX)
		return call_fail(call, ERROR_ARGUMENT, "there is no rule %lld", (long long)id);
	if (machine_rule_remove(call->guest->machine, (unsigned)id))
		return call_fail(call, ERROR_ARGUMENT, "%s", fermata_error());
	return 0;
}

const struct control_verb verb_off = {
	.name = "off",
	.what = "remove a rule",
	.argument = { { "id", CONTROL_INTEGER, true, NULL } },
	.run = run_off,
};

static struct json_object *about_rule(const struct fermata_rule *rule)
{
	struct json_object *one = json_object_new_object();
	char text[1000];

	fermata_rule_text(rule, text, sizeof(text));
	add_number(one, "id", rule->id);
	add_string(one, "event", fermata_event_name(rule->event) ?: "unknown");
	add_string(one, "rule", text);
	add_number(one, "hits", rule->hits);
	add_number(one, "matches", rule->matches);
	return one;
}

static int run_events(struct control_call *call)
{
	struct machine *machine = call->guest->machine;
	struct fermata_stats *stats = calloc(1, sizeof(*stats));
	struct json_object *list = json_object_new_array();
	struct fermata_rule rule = { .id = 1 };

	for (; !machine_rule_get(machine, &rule); rule.id++)
		json_object_array_add(list, about_rule(&rule));
	call->result = json_object_new_object();
	json_object_object_add(call->result, "rules", list);
	if (stats && !machine_stats(machine, stats))
		add_number(call->result, "exits", stats->entries);
	free(stats);
	return 0;
}

const struct control_verb verb_events = {
	.name = "events",
	.what = "the rules in force, with their hits",
	.run = run_events,
};

/* ---- log */

static struct json_object *flags_of(const struct fermata_record *r)
{
	static const char *const name[] = { "skipped", "set", "injected", "stopped", "faulted" };
	struct json_object *list = json_object_new_array();

	for (unsigned i = 0; i < sizeof(name) / sizeof(name[0]); i++)
		if (r->flags >> i & 1)
			json_object_array_add(list, json_object_new_string(name[i]));
	return list;
}

static uint64_t ns_of(const struct control_guest *guest, uint64_t ticks)
{
	return guest->tsc_khz ? (uint64_t)((unsigned __int128)ticks * 1000000u / guest->tsc_khz) : 0;
}

static struct json_object *about_record(const struct control_guest *guest,
					const struct fermata_record *r)
{
	struct json_object *one = json_object_new_object(), *regs = json_object_new_array();
	const char *number = fermata_event_number_name(r->event);

	add_number(one, "sequence", r->sequence);
	add_number(one, "vcpu", r->vcpu);
	add_number(one, "host_ns", ns_of(guest, r->exit_tsc));
	add_number(one, "cost_ns", ns_of(guest, r->host_tsc - r->exit_tsc));
	add_number(one, "guest_ns", r->guest_ns);
	add_string(one, "event", fermata_event_name(r->event) ?: "unknown");
	if (number)
		add_hex(one, number, r->number);
	if (r->event >= FERMATA_ON_READ && r->event <= FERMATA_ON_EXEC && r->linear != UINT64_MAX)
		add_hex(one, "gva", r->linear);
	add_hex(one, "value", r->value);
	add_hex(one, "old", r->old);
	add_hex(one, "code", r->code);
	add_hex(one, "rip", r->rip);
	add_hex(one, "cr3", r->cr3);
	add_number(one, "cpl", r->cpl);
	add_string(one, "reason", fermata_exit_code_name(guest->vendor, r->hw_reason));
	for (unsigned i = 0; i < sizeof(r->regs) / sizeof(r->regs[0]); i++)
		json_object_array_add(regs, hex(r->regs[i]));
	json_object_object_add(one, "regs", regs);
	add_number(one, "rule", r->rule);
	json_object_object_add(one, "flags", flags_of(r));
	if (r->flags & (FERMATA_RECORD_FAULTED | FERMATA_RECORD_INJECTED))
		add_number(one, "vector", r->vector);
	return one;
}

static int by_time(const void *left, const void *right)
{
	const struct fermata_record *a = left, *b = right;

	return a->host_tsc < b->host_tsc ? -1 : a->host_tsc > b->host_tsc;
}

static int run_log(struct control_call *call)
{
	struct fermata_record *record = calloc(LOG_MOST, sizeof(*record));
	struct json_object *list;
	uint64_t dropped;
	unsigned count;

	if (!record)
		return call_fail(call, ERROR_FAILED, "no memory");
	list = json_object_new_array();
	count = machine_log_read(call->guest->machine, record, LOG_MOST, &dropped);
	qsort(record, count, sizeof(*record), by_time);
	for (unsigned i = 0; i < count; i++)
		json_object_array_add(list, about_record(call->guest, &record[i]));
	free(record);
	call->result = json_object_new_object();
	json_object_object_add(call->result, "records", list);
	add_number(call->result, "dropped", dropped);
	return 0;
}

const struct control_verb verb_log = {
	.name = "log",
	.what = "takes up to 90 records out of the log of the rules",
	.run = run_log,
};

/* The event `stopped`. */
struct json_object *verbs_stop(const struct machine_end *end)
{
	struct json_object *data = json_object_new_object();
	const char *number = fermata_event_number_name(end->stop.event);

	add_number(data, "rule", end->stop.rule);
	add_number(data, "vcpu", end->stop_vcpu);
	add_string(data, "event", fermata_event_name(end->stop.event) ?: "unknown");
	if (number)
		add_hex(data, number, end->stop.number);
	add_hex(data, "value", end->stop.value);
	add_hex(data, "old", end->stop.old);
	add_hex(data, "rip", end->stop_rip);
	return data;
}
