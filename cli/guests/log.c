/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* fermata log: what the rules of a running guest have logged. */
#include "log.h"

#include <unistd.h>

#include "cli/text/say.h"
#include "guests.h"

int log_take(struct client *client, struct log_writer *writer, char *problem, size_t problem_size)
{
	struct json_object *answer, *records;
	size_t count;

	answer = client_call(client, "log", NULL, problem, problem_size);
	if (!answer)
		return -1;
	records = json_list(answer, "records");
	count = json_count(records);
	for (size_t i = 0; i < count; i++)
		log_record(writer, json_object_array_get_idx(records, i));
	log_dropped(writer, json_number(answer, "dropped"));
	json_object_put(answer);
	return count != 0;
}

static int show_log(const char *name, bool follow, enum log_format format)
{
	struct log_writer writer;
	struct client client;
	char problem[512];
	int result = 1;

	if (guest_open(&client, name))
		return STATUS_FAILED;
	log_begin(&writer, stdout, format);
	while (result > 0 || (follow && result == 0)) {
		result = log_take(&client, &writer, problem, sizeof(problem));
		if (result == 0 && follow) {
			fflush(stdout);
			usleep(LOG_POLL_US);
		}
	}
	log_end(&writer);
	client_close(&client);
	if (result < 0 && !follow) /* who follows goes on until the guest's end */
		return fail("%s", problem);
	return STATUS_OK;
}

static int run(const struct command *command, char **argv)
{
	struct guest_request request = { .format = LOG_TEXT };
	int status = guest_read(command, argv, &request);

	return status == OPTIONS_READ ? show_log(request.name, request.follow, request.format) :
					status;
}

static bool take_json(void *settings, const struct option_row *row, const char *text)
{
	*(uint32_t *)option_member(settings, row) = LOG_JSON;
	return true;
}

static const struct option_row options[] = {
	{ "follow", NULL, option_flag, GUEST_MEMBER(follow), .help = "go on until the guest ends" },
	{ "json", NULL, take_json, GUEST_MEMBER(format),
	  .help = "for programs: one JSON object a line" },
	{ "format", "FORMAT", option_choice, GUEST_MEMBER(format),
	  .help = "text (the default), json, or chrome: a trace for ui.perfetto.dev and "
		  "chrome://tracing, one track for each virtual CPU",
	  .words = log_formats },
	{ .name = NULL },
};

const struct command command_log = {
	.name = "log",
	.what = "print what the rules of a running guest have logged",
	.run = run,
	.usage = "NAME [--follow] [--json | --format FORMAT]",
	.options = options,
	.words = 1,
	.about =
		"What is printed is taken out of the log. A full log loses the newest records, and says so.\n"
		"`fermata run` takes the log itself if its rules log, unless it has --log channel.\n"
		"\n"
		"exit status: 0 shown; 1 there is no such guest\n"
		"\n"
		"examples:\n"
		"  fermata log web\n"
		"  fermata log web --follow --json | jq -r 'select(.event == \"cpuid\") | .rip'\n"
		"  fermata log web --follow --format chrome >web.trace.json\n",
};
