/* SPDX-License-Identifier: MIT OR GPL-2.0 */
#include "log_format.h"

#include <inttypes.h>
#include <string.h>

#define RATE_NS 1000000u /* the clock's rate is told over spans of a millisecond or more */

const struct option_word log_formats[] = {
	{ "text", LOG_TEXT },
	{ "json", LOG_JSON },
	{ "chrome", LOG_CHROME },
	{ .name = NULL },
};

void log_begin(struct log_writer *writer, FILE *file, enum log_format format)
{
	*writer = (struct log_writer){ .file = file, .format = format };
	if (format == LOG_CHROME)
		fputs("{\"displayTimeUnit\":\"ns\",\"traceEvents\":[\n", file);
}

/* An event's number is the member whose name is none of every record's. */
static const char *number_name(struct json_object *record)
{
	static const char *const names[] = { "leaf", "msr", "port",   "cr",	 "dr",
					     "xcr",  "nr",  "vector", "counter", "gpa" };
	struct json_object *value;

	for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (json_object_object_get_ex(record, names[i], &value) &&
		    json_object_is_type(value, json_type_string))
			return names[i];
	return NULL;
}

static void title(struct json_object *record, char *out, size_t size)
{
	const char *number = number_name(record);
	struct json_object *linear;

	if (number && json_object_object_get_ex(record, "gva", &linear))
		snprintf(out, size, "%s %s=%s gva=%s", json_text(record, "event"), number,
			 json_text(record, number), json_text(record, "gva"));
	else if (number)
		snprintf(out, size, "%s %s=%s", json_text(record, "event"), number,
			 json_text(record, number));
	else
		snprintf(out, size, "%s", json_text(record, "event"));
}

/* ---- text */

static void write_text(struct log_writer *w, struct json_object *record)
{
	uint64_t guest = json_number(record, "guest_ns"), host = json_number(record, "host_ns");
	struct json_object *flags = json_list(record, "flags");
	char name[100];

	title(record, name, sizeof(name));
	fprintf(w->file,
		"%6" PRIu64 " vcpu %" PRIu64 " guest %" PRIu64 ".%09" PRIu64 " host %" PRIu64
		".%09" PRIu64 " %s value=%s old=%s rip=%s cr3=%s cpl=%" PRIu64 " rule=%" PRIu64,
		json_number(record, "sequence"), json_number(record, "vcpu"), guest / 1000000000u,
		guest % 1000000000u, host / 1000000000u, host % 1000000000u, name,
		json_text(record, "value"), json_text(record, "old"), json_text(record, "rip"),
		json_text(record, "cr3"), json_number(record, "cpl"), json_number(record, "rule"));
	for (size_t i = 0; i < json_count(flags); i++)
		fprintf(w->file, " %s",
			json_object_get_string(json_object_array_get_idx(flags, i)) ?: "-");
	putc('\n', w->file);
}

/* ---- the format of Perfetto and chrome://tracing: times are in microseconds */

static void write_track(struct log_writer *w, uint64_t vcpu)
{
	if (vcpu < 64 && w->tracks >> vcpu & 1)
		return;
	w->tracks |= 1ull << (vcpu & 63);
	fprintf(w->file,
		"{\"ph\":\"M\",\"pid\":1,\"tid\":%" PRIu64
		",\"name\":\"thread_name\",\"args\":{\"name\":\"vCPU %" PRIu64 "\"}},\n",
		vcpu, vcpu);
}

/* Guest time over host time since the counter's last value. */
static void write_rate(struct log_writer *w, uint64_t host, uint64_t guest)
{
	uint64_t span = host - w->rate_host;

	if (w->rate_host && (host <= w->rate_host || span < RATE_NS || guest < w->rate_guest))
		return;
	if (w->rate_host)
		fprintf(w->file,
			"{\"ph\":\"C\",\"pid\":1,\"ts\":%" PRIu64 ".%03" PRIu64
			",\"name\":\"clock rate\",\"args\":{\"rate\":%.6f}},\n",
			host / 1000, host % 1000, (double)(guest - w->rate_guest) / (double)span);
	w->rate_host = host;
	w->rate_guest = guest;
}

static void write_chrome(struct log_writer *w, struct json_object *record)
{
	uint64_t host = json_number(record, "host_ns"), cost = json_number(record, "cost_ns");
	uint64_t vcpu = json_number(record, "vcpu");
	struct json_object *quoted;
	char name[100];

	title(record, name, sizeof(name));
	quoted = json_object_new_string(name);
	write_track(w, vcpu);
	write_rate(w, host, json_number(record, "guest_ns"));
	fprintf(w->file,
		"{\"ph\":\"X\",\"pid\":1,\"tid\":%" PRIu64 ",\"ts\":%" PRIu64 ".%03" PRIu64
		",\"dur\":%" PRIu64 ".%03" PRIu64 ",\"cat\":\"exit\",\"name\":%s,\"args\":%s},\n",
		vcpu, host / 1000, host % 1000, cost / 1000, cost % 1000,
		json_object_to_json_string_ext(quoted, JSON_C_TO_STRING_PLAIN |
							       JSON_C_TO_STRING_NOSLASHESCAPE),
		json_object_to_json_string_ext(record, JSON_C_TO_STRING_PLAIN));
	json_object_put(quoted);
}

void log_record(struct log_writer *writer, struct json_object *record)
{
	writer->written++;
	switch (writer->format) {
	case LOG_TEXT:
		write_text(writer, record);
		return;
	case LOG_JSON:
		fprintf(writer->file, "%s\n",
			json_object_to_json_string_ext(record, JSON_C_TO_STRING_PLAIN));
		return;
	case LOG_CHROME:
		write_chrome(writer, record);
	}
}

void log_dropped(struct log_writer *writer, uint64_t dropped)
{
	uint64_t more = dropped - writer->dropped;

	if (!more)
		return;
	writer->dropped = dropped;
	if (writer->format == LOG_TEXT)
		fprintf(writer->file, "%" PRIu64 " records were lost: they came too fast\n", more);
	else if (writer->format == LOG_JSON)
		fprintf(writer->file, "{\"dropped\":%" PRIu64 "}\n", more);
}

/* The last element has no comma behind it. */
void log_end(struct log_writer *writer)
{
	if (writer->format == LOG_CHROME)
		fprintf(writer->file,
			"{\"ph\":\"M\",\"pid\":1,\"name\":\"process_name\",\"args\":{\"name\":\"guest\"}}\n"
			"],\"otherData\":{\"records\":%" PRIu64 ",\"dropped\":%" PRIu64 "}}\n",
			writer->written, writer->dropped);
	fflush(writer->file);
}
