/* SPDX-License-Identifier: MIT OR GPL-2.0 */
#include "rules.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/guests/log.h"
#include "cli/text/say.h"
#include "fermata.h"

#define GRACE_US 4000000 /* for the log's reader, after the guest's end */
#define ATTEMPT_MS 10000 /* for the greeting of a guest that starts, perhaps in a slow box */

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
	for (int us = 0; us < GRACE_US && !machine_log_empty(machine); us += LOG_POLL_US)
		usleep(LOG_POLL_US);
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
		usleep(LOG_POLL_US);
	}
	while ((result = log_take(&client, &t->writer, problem, sizeof(problem))) >= 0) {
		if (!result) {
			fflush(t->writer.file);
			usleep(LOG_POLL_US);
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
