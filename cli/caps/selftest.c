/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * fermata selftest: the test guests on this computer, or in the box, and a report that somebody else can read.
 * Nothing in it names the computer's owner: no names of hosts, users or files, no addresses, no serial numbers.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "caps.h"
#include "cli/run/host.h"
#include "cli/run/run.h"
#include "cli/text/json.h"
#include "cli/text/say.h"
#include "trial.h"

struct selftest_options {
	struct place place;
	const char *guests;
	bool json;
};

/* ---- what computer it was */

/* A word of the first processor's in /proc/cpuinfo, or of a file's first line; "-": unknown. */
static const char *word_of(const char *path, const char *key, char *out, size_t size)
{
	FILE *file = fopen(path, "re");
	char line[4096];

	snprintf(out, size, "-");
	while (file && fgets(line, sizeof(line), file)) {
		char *value = key ? strchr(line, ':') : line;

		if (key && (strncmp(line, key, strlen(key)) || !value))
			continue;
		value += key ? 1 + strspn(value + 1, " ") : 0;
		value[strcspn(value, "\n")] = 0;
		snprintf(out, size, "%.*s", (int)size - 1, *value ? value : "-");
		break;
	}
	if (file)
		fclose(file);
	return out;
}

static const struct fact {
	const char *name, *key, *path,
		*in_file; /* in_file: as it is called there; NULL: all of it */
} facts[] = {
	{ "family", "family", "/proc/cpuinfo", "cpu family" },
	{ "model", "model", "/proc/cpuinfo", "model\t" },
	{ "stepping", "stepping", "/proc/cpuinfo", "stepping" },
	{ "microcode", "microcode", "/proc/cpuinfo", "microcode" },
	{ "its flaws, says Linux", "bugs", "/proc/cpuinfo", "bugs" },
	{ "CPUs online", "online", "/sys/devices/system/cpu/online", NULL },
	{ "clock source", "clocksource",
	  "/sys/devices/system/clocksource/clocksource0/current_clocksource", NULL },
	{ "computer", "computer", "/sys/class/dmi/id/product_name", NULL },
	{ "firmware", "firmware", "/sys/class/dmi/id/bios_version", NULL },
};
#define FACTS (sizeof(facts) / sizeof(facts[0]))

static void print_computer(const struct host *host)
{
	struct utsname u;
	char text[1000];

	uname(&u);
	printf("fermata                 " FERMATA_VERSION ", interface %d\n", FERMATA_ABI_VERSION);
	printf("kernel                  %s %s\n", u.release, u.version);
	for (size_t i = 0; i < FACTS; i++)
		printf("%-23s %s\n", facts[i].name,
		       word_of(facts[i].path, facts[i].in_file, text, sizeof(text)));
	printf("in a virtual machine    %s\n\n", host->hypervisor ? "yes" : "no");
	caps_print(host);
}

static struct json_object *json_computer(const struct host *host)
{
	struct json_object *object = json_object_new_object();
	struct utsname u;
	char text[1000];

	uname(&u);
	json_add_text(object, "kernel", u.release);
	json_add_text(object, "kernel_version", u.version);
	for (size_t i = 0; i < FACTS; i++)
		json_add_text(object, facts[i].key,
			      word_of(facts[i].path, facts[i].in_file, text, sizeof(text)));
	json_object_object_add(object, "hypervisor", json_object_new_boolean(host->hypervisor));
	json_object_object_add(object, "caps", caps_json(host));
	return object;
}

/* ---- the module's words since it was loaded: lines of the kernel's log, as far as we may read it */

static void kernel_lines(void (*each)(void *to, const char *line), void *to)
{
	int fd = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	char record[8192];
	ssize_t n;

	while (fd >= 0 && (n = read(fd, record, sizeof(record) - 1)) > 0) {
		char *text;

		record[n] = 0;
		text = strchr(record, ';');
		if (!text || strncmp(text + 1, "fermata: ", 9))
			continue;
		text[1 + strcspn(text + 1, "\n")] = 0;
		each(to, text + 1);
	}
	if (fd >= 0)
		close(fd);
}

static void print_line(void *to, const char *line)
{
	(void)to;
	printf("  %s\n", line);
}

static void add_line(void *to, const char *line)
{
	json_object_array_add(to, json_object_new_string(line));
}

/* ---- guests */

static void print_trial(const char *name, const struct trial *t)
{
	printf("%-16s %-6s %4u checks, %u failed, %.1f s", name, trial_good(t) ? "good" : "FAILED",
	       t->checks, t->failed, t->seconds);
	if (t->timeout)
		printf(", not finished in time");
	else if (t->status > 1)
		printf(", the runner ended with status %d", t->status);
	printf("\n");
	if (!trial_good(t))
		printf("%s\n", t->said ? t->said : "");
	fflush(stdout);
}

static struct json_object *json_trial(const char *name, const struct trial *t)
{
	struct json_object *object = json_object_new_object();

	json_add_text(object, "name", name);
	json_object_object_add(object, "good", json_object_new_boolean(trial_good(t)));
	json_object_object_add(object, "checks", json_object_new_int64(t->checks));
	json_object_object_add(object, "failed", json_object_new_int64(t->failed));
	json_object_object_add(object, "seconds", json_object_new_double(t->seconds));
	json_object_object_add(object, "finished", json_object_new_boolean(!t->timeout));
	json_object_object_add(object, "status", json_object_new_int(t->status));
	json_object_object_add(object, "said",
			       trial_good(t) || !t->said ? NULL : json_object_new_string(t->said));
	return object;
}

/* Those that were asked for, or all. False with a line said: there is no such guest. */
static bool choose(struct trials *trials, const char *const *word, bool chosen[TRIALS_MAX])
{
	for (size_t i = 0; i < TRIALS_MAX; i++)
		chosen[i] = !word[0];
	for (unsigned w = 0; w < OPTION_WORDS && word[w]; w++) {
		size_t i = 0;

		while (i < trials->count && strcmp(trials->names[i], word[w]))
			i++;
		if (i == trials->count) {
			say("no test guest '%s' in %s", word[w], trials->folder);
			return false;
		}
		chosen[i] = true;
	}
	return true;
}

static int test_here(const struct selftest_options *o, const struct trials *trials,
		     const bool chosen[TRIALS_MAX])
{
	struct json_object *report = NULL, *list = NULL, *log = NULL;
	unsigned good = 0, bad = 0;
	struct host host;

	host_probe(&host);
	if (o->json) {
		report = json_object_new_object();
		json_add_text(report, "fermata", FERMATA_VERSION);
		json_object_object_add(report, "computer", json_computer(&host));
		json_object_object_add(report, "guests", list = json_object_new_array());
		json_object_object_add(report, "log", log = json_object_new_array());
	} else {
		print_computer(&host);
		printf("\n");
	}
	for (size_t i = 0; !host.obstacles && i < trials->count; i++) {
		struct trial trial;

		if (!chosen[i])
			continue;
		if (!trial_run(&trial, trials, trials->names[i]))
			return STATUS_FAILED;
		if (list)
			json_object_array_add(list, json_trial(trials->names[i], &trial));
		else
			print_trial(trials->names[i], &trial);
		*(trial_good(&trial) ? &good : &bad) += 1;
		free(trial.said);
	}
	if (report) {
		kernel_lines(add_line, log);
		json_object_object_add(report, "good", json_object_new_boolean(good && !bad));
		json_print(report);
		json_object_put(report);
	} else {
		printf("\nwhat the module has said to the kernel's log\n");
		kernel_lines(print_line, NULL);
		printf("\n%u of %u guests are good.%s\n", good, good + bad,
		       host.obstacles ? " None was run: see above what stands in the way." :
		       bad ? " Please send all of this with your report of the problem." :
			     "");
	}
	return good && !bad ? STATUS_OK : STATUS_FAILED;
}

static int run(const struct command *command, char **argv)
{
	struct selftest_options options = { .place = PLACE_DEFAULT };
	const char *word[OPTION_WORDS] = { NULL };
	int status = options_read(command, argv, &options, word);
	bool chosen[TRIALS_MAX];
	struct trials trials;

	if (status != OPTIONS_READ)
		return status;
	if (!trials_find(&trials, options.guests) || !choose(&trials, word, chosen))
		status = STATUS_FAILED;
	else if (options.place.where == PLACE_BOX)
		status = selftest_in_box(options.place.box, trials.folder, trials.names,
					 trials.count, word, options.json);
	else
		status = test_here(&options, &trials, chosen);
	trials_free(&trials);
	return status;
}

static const struct option_row options[] = {
	{ "json", NULL, option_flag, offsetof(struct selftest_options, json),
	  .help = "for programs: one JSON object" },
	{ "box", "KIND", take_place, offsetof(struct selftest_options, place),
	  .help = "which computer: none: this one (the default, as is auto); amd, intel or "
		  "bochs:MODEL: the box, as in `fermata run`" },
	{ "guests", "FOLDER", option_text, offsetof(struct selftest_options, guests),
	  .help = "where the test guests and their runner are, instead of those that came with the command" },
	{ .name = NULL },
};

const struct command command_selftest = {
	.name = "selftest",
	.what = "try this computer with the test guests, and report",
	.run = run,
	.usage = "[--json] [--box KIND] [--guests FOLDER] [GUEST...]",
	.options = options,
	.words = OPTION_WORDS,
	.about =
		"Runs the test guests, small kernels that each try one subject (cpuid, msr, paging, timer, ...), or\n"
		"up to three of them by name. Standard output is a report: the processor, what `fermata caps` says,\n"
		"each guest's result, and what the module has said to the kernel's log. It names no host, user or\n"
		"file of yours. No hardware had run Fermata when it was written, so a report is welcome, a good one\n"
		"too. It takes a minute, and in the box some more.\n"
		"\n"
		"exit status: 0 all of these guests are good; 1 not, or none could run\n"
		"\n"
		"examples:\n"
		"  fermata selftest >report.txt\n"
		"  fermata selftest --box amd cpuid msr\n",
};
