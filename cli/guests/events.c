/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* fermata run's rules and log, and fermata on, off, events, log: about what guests do. */
#include "events.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli/commands.h"
#include "fermata.h"
#include "guests.h"
#include "cli/text/help.h"
#include "log_format.h"
#include "cli/text/say.h"

#define POLL_MS 20	 /* between two looks at an empty log */
#define GRACE_MS 4000	 /* for the log's reader, after the guest's end */
#define ATTEMPT_MS 10000 /* for the greeting of a guest that starts, perhaps in a slow box */

static void sleep_ms(long ms)
{
	const struct timespec t = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 };

	nanosleep(&t, NULL);
}

/* ---- rules */

bool rules_log(const struct run_options *options)
{
	struct fermata_rule rule;

	for (unsigned i = 0; i < options->rules; i++)
		if (!fermata_rule_parse(options->rule[i], &rule, NULL) &&
		    rule.actions & FERMATA_DO_LOG)
			return true;
	return false;
}

bool rules_apply(struct machine *machine, const struct run_options *options)
{
	struct fermata_rule rule;

	for (unsigned i = 0; i < options->rules; i++) {
		if (!fermata_rule_parse(options->rule[i], &rule, NULL) &&
		    !machine_rule_add(machine, &rule))
			continue;
		say("--on '%s': %s", options->rule[i], fermata_error());
		return false;
	}
	return true;
}

void rules_end(struct machine *machine, const struct run_options *options)
{
	if (!rules_log(options))
		return;
	for (int ms = 0; ms < GRACE_MS && !machine_log_empty(machine); ms += POLL_MS)
		sleep_ms(POLL_MS);
	if (!machine_log_empty(machine))
		say("the end of the log is lost: nobody took it; `fermata log NAME --follow` does");
}

void rules_say_stop(const struct machine_end *end)
{
	say("rule %u (%s) holds the guest before the instruction at %#" PRIx64
	    " on vCPU %u; `fermata resume NAME` lets it go on",
	    end->stop.rule, fermata_event_name(end->stop.event) ?: "unknown", end->stop_rip,
	    end->stop_vcpu);
}

/* ---- taking the log */

/* 1: there was something, 0: nothing, -1: the guest has gone, or as `problem` says. */
static int take_log(struct client *client, struct log_writer *writer, char *problem,
		    size_t problem_size)
{
	struct json_object *answer, *records;
	size_t count = 0;

	answer = client_call(client, "log", NULL, problem, problem_size);
	if (!answer)
		return -1;
	if (json_object_object_get_ex(answer, "records", &records))
		count = json_object_array_length(records);
	for (size_t i = 0; i < count; i++)
		log_record(writer, json_object_array_get_idx(records, i));
	log_dropped(writer, guest_number(answer, "dropped"));
	json_object_put(answer);
	return count != 0;
}

struct log_thread {
	pthread_t thread;
	struct log_writer writer;
	char name[80];
	atomic_bool stopping;
};

static void *follow_log(void *opaque)
{
	struct log_thread *t = opaque;
	struct client client;
	char problem[512];
	int result;

	while (client_open(&client, t->name, ATTEMPT_MS, problem, sizeof(problem))) {
		if (t->stopping)
			return NULL;
		sleep_ms(POLL_MS);
	}
	while ((result = take_log(&client, &t->writer, problem, sizeof(problem))) >= 0) {
		if (!result) {
			fflush(t->writer.file);
			sleep_ms(POLL_MS);
		}
	}
	client_close(&client);
	return NULL;
}

struct log_thread *log_start(const struct run_options *options, bool *failed)
{
	struct log_thread *t;
	sigset_t all, old;
	FILE *file = stderr;
	int error;

	*failed = false;
	if (!options->log && !rules_log(options))
		return NULL;
	if (options->log && !strcmp(options->log, "channel"))
		return NULL;
	*failed = true;
	t = calloc(1, sizeof(*t));
	if (options->log && strcmp(options->log, "-"))
		file = fopen(options->log, "we");
	if (!t || !file) {
		say("cannot write the log '%s': %s; give --log another file",
		    options->log ? options->log : "-", strerror(errno));
		free(t);
		return NULL;
	}
	log_begin(&t->writer, file, options->log_format);
	snprintf(t->name, sizeof(t->name), "%s", options->name);
	sigfillset(&all); /* signals are the console's */
	pthread_sigmask(SIG_BLOCK, &all, &old);
	error = pthread_create(&t->thread, NULL, follow_log, t);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (!error) {
		*failed = false;
		return t;
	}
	say("cannot start a thread: %s; raise `ulimit -u`", strerror(error));
	if (file != stderr)
		fclose(file);
	free(t);
	return NULL;
}

void log_stop(struct log_thread *t)
{
	if (!t)
		return;
	t->stopping = true;
	pthread_join(t->thread, NULL);
	log_end(&t->writer);
	if (ferror(t->writer.file))
		say("the log is not whole: it could not be written");
	if (t->writer.file != stderr)
		fclose(t->writer.file);
	free(t);
}

/* ---- fermata on, off, events */

int command_on(int argc, char **argv)
{
	static const struct option list[] = { { "help", no_argument, NULL, 'h' },
					      { NULL, 0, NULL, 0 } };
	struct json_object *arguments, *answer;
	struct client client;
	int option;

	while ((option = options_next_mixed(argc, argv, list)) != -1)
		return option == 'h' ? help_print("on") : STATUS_FAILED;
	if (argc - optind != 2)
		return fail("on takes a guest's name and a rule; see `fermata on --help`");
	if (!rule_check("on", argv[optind + 1]) || guest_open(&client, argv[optind]))
		return STATUS_FAILED;
	arguments = json_object_new_object();
	json_object_object_add(arguments, "rule", json_object_new_string(argv[optind + 1]));
	answer = guest_call(&client, "on", arguments);
	if (answer)
		printf("%" PRIu64 "\n", guest_number(answer, "id"));
	json_object_put(answer);
	client_close(&client);
	return answer ? STATUS_OK : STATUS_FAILED;
}

int command_off(int argc, char **argv)
{
	static const struct option list[] = { { "help", no_argument, NULL, 'h' },
					      { NULL, 0, NULL, 0 } };
	struct json_object *arguments, *answer;
	struct client client;
	char *end;
	int option;
	long id;

	while ((option = options_next_mixed(argc, argv, list)) != -1)
		return option == 'h' ? help_print("off") : STATUS_FAILED;
	if (argc - optind != 2)
		return fail(
			"off takes a guest's name and a rule's number; see `fermata off --help`");
	id = strtol(argv[optind + 1], &end, 10);
	if (*end || id < 1)
		return fail("'%s' is not a rule's number; `fermata events %s` lists them",
			    argv[optind + 1], argv[optind]);
	if (guest_open(&client, argv[optind]))
		return STATUS_FAILED;
	arguments = json_object_new_object();
	json_object_object_add(arguments, "id", json_object_new_int64(id));
	answer = guest_call(&client, "off", arguments);
	json_object_put(answer);
	client_close(&client);
	return answer ? STATUS_OK : STATUS_FAILED;
}

static void print_rules(struct json_object *answer)
{
	double exits = (double)guest_number(answer, "exits");
	struct json_object *rules;

	printf("%4s %12s %12s %8s  %s\n", "ID", "HITS", "MATCHES", "EXITS", "RULE");
	if (!json_object_object_get_ex(answer, "rules", &rules))
		return;
	for (size_t i = 0; i < json_object_array_length(rules); i++) {
		struct json_object *rule = json_object_array_get_idx(rules, i);
		double matches = (double)guest_number(rule, "matches");

		printf("%4" PRIu64 " %12" PRIu64 " %12" PRIu64 " %7.2f%%  %s\n",
		       guest_number(rule, "id"), guest_number(rule, "hits"),
		       guest_number(rule, "matches"), exits > 0 ? 100 * matches / exits : 0,
		       guest_text(rule, "rule"));
	}
}

int command_events(int argc, char **argv)
{
	static const struct option list[] = { { "json", no_argument, NULL, 'j' },
					      { "help", no_argument, NULL, 'h' },
					      { NULL, 0, NULL, 0 } };
	struct json_object *answer;
	struct client client;
	const char *name;
	bool json = false;
	int option;

	while ((option = options_next_mixed(argc, argv, list)) != -1) {
		if (option == 'h')
			return help_print("events");
		if (option != 'j')
			return STATUS_FAILED;
		json = true;
	}
	name = options_guest_name(argc, argv);
	if (!name || guest_open(&client, name))
		return STATUS_FAILED;
	answer = guest_call(&client, "events", NULL);
	if (answer && json)
		puts(json_object_to_json_string_ext(answer, JSON_C_TO_STRING_PLAIN));
	else if (answer)
		print_rules(answer);
	json_object_put(answer);
	client_close(&client);
	return answer ? STATUS_OK : STATUS_FAILED;
}

/* ---- fermata log */

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
		result = take_log(&client, &writer, problem, sizeof(problem));
		if (result == 0 && follow) {
			fflush(stdout);
			sleep_ms(POLL_MS);
		}
	}
	log_end(&writer);
	client_close(&client);
	if (result < 0 && !follow) /* who follows goes on until the guest's end */
		return fail("%s", problem);
	return STATUS_OK;
}

int command_log(int argc, char **argv)
{
	static const struct option list[] = { { "follow", no_argument, NULL, 'f' },
					      { "json", no_argument, NULL, 'j' },
					      { "format", required_argument, NULL, 'F' },
					      { "help", no_argument, NULL, 'h' },
					      { NULL, 0, NULL, 0 } };
	enum log_format format = LOG_TEXT;
	bool follow = false;
	const char *name;
	int option;

	while ((option = options_next_mixed(argc, argv, list)) != -1) {
		switch (option) {
		case 'f':
			follow = true;
			break;
		case 'j':
			format = LOG_JSON;
			break;
		case 'F':
			if (!log_format_parse(optarg, &format))
				return fail("--format %s: not known; give text, json or chrome",
					    optarg);
			break;
		case 'h':
			return help_print("log");
		default:
			return STATUS_FAILED;
		}
	}
	name = options_guest_name(argc, argv);
	return name ? show_log(name, follow, format) : STATUS_FAILED;
}
