/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* fermata ps, pause, resume, quit: about the user's guests that run, by their control channels. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "cli/commands.h"
#include "control/client.h"
#include "control/folder.h"
#include "guests.h"
#include "cli/text/help.h"
#include "name.h"
#include "cli/run/options.h"
#include "cli/text/parse.h"
#include "cli/text/say.h"

#define LIST_MS 3000 /* for one guest's greeting, when it is one of many */

const char *guest_text(struct json_object *object, const char *name)
{
	struct json_object *value;

	return json_object_object_get_ex(object, name, &value) ? json_object_get_string(value) : "-";
}

uint64_t guest_number(struct json_object *object, const char *name)
{
	struct json_object *value;

	return json_object_object_get_ex(object, name, &value) ? json_object_get_uint64(value) : 0;
}

void guest_print_json(struct json_object *object)
{
	puts(json_object_to_json_string_ext(object, JSON_C_TO_STRING_PRETTY |
							    JSON_C_TO_STRING_SPACED |
							    JSON_C_TO_STRING_NOSLASHESCAPE));
}

int guest_words_read(int argc, char **argv, int most, struct guest_words *words)
{
	static const struct option list[] = { { "json", no_argument, NULL, 'j' },
					      { "help", no_argument, NULL, 'h' },
					      { NULL, 0, NULL, 0 } };
	int option, left;

	memset(words, 0, sizeof(*words));
	while ((option = options_next_mixed(argc, argv, list)) != -1) {
		if (option == 'h') {
			help_print(argv[0]);
			return -1;
		}
		if (option != 'j')
			return STATUS_FAILED;
		words->json = true;
	}
	left = argc - optind;
	words->name = left > 0 ? argv[optind] : NULL;
	words->what = left > 1 ? argv[optind + 1] : "show";
	words->value = left > 2 ? argv[optind + 2] : NULL;
	if (!words->name)
		return fail("no guest named; `fermata ps` lists them, see `fermata %s --help`",
			    argv[0]);
	if (!name_valid(words->name))
		return fail("'%s' is no guest's name; `fermata ps` lists them", words->name);
	if (left > most)
		return fail("'%s': a word too many; see `fermata %s --help`", argv[optind + most],
			    argv[0]);
	return STATUS_OK;
}

/* ---- ps */

static int by_name(const void *left, const void *right)
{
	return strcmp(guest_text(*(struct json_object *const *)left, "name"),
		      guest_text(*(struct json_object *const *)right, "name"));
}

/* The socket of a process that was killed goes, unless somebody takes the name at this moment. */
static void clean(const char *folder, const char *name)
{
	struct name_claim claim;
	char path[FOLDER_ROOM + 300], problem[512];

	if (name_claim(&claim, name, problem, sizeof(problem)))
		return;
	snprintf(path, sizeof(path), "%s/%s", folder, name);
	unlink(path);
	name_release(&claim);
}

/* What a guest says of itself; NULL: there is none. */
static struct json_object *ask(const char *folder, const char *name)
{
	struct json_object *about;
	struct client client;
	char problem[512];
	int error;

	if (client_open(&client, name, LIST_MS, problem, sizeof(problem))) {
		error = errno;
		if (error == ECONNREFUSED)
			clean(folder, name);
		if (error == ENOENT || error == ECONNREFUSED)
			return NULL;
		about = NULL;
	} else {
		about = client_call(&client, "query", NULL, problem, sizeof(problem));
		client_close(&client);
	}
	if (!about) {
		about = json_object_new_object();
		json_object_object_add(about, "name", json_object_new_string(name));
		json_object_object_add(about, "state", json_object_new_string("silent"));
	}
	json_object_object_add(about, "pid", json_object_new_int(client.pid));
	return about;
}

static struct json_object *ask_all(const char *folder)
{
	struct json_object *list = json_object_new_array(), *about;
	DIR *dir = opendir(folder);
	struct dirent *entry;
	struct stat st;

	while (dir && (entry = readdir(dir))) {
		if (!name_valid(entry->d_name) ||
		    fstatat(dirfd(dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) ||
		    !S_ISSOCK(st.st_mode))
			continue;
		about = ask(folder, entry->d_name);
		if (about)
			json_object_array_add(list, about);
	}
	if (dir)
		closedir(dir);
	json_object_array_sort(list, by_name);
	return list;
}

static const char *format_since(struct json_object *about, char *text, size_t size)
{
	time_t since = (time_t)guest_number(about, "since");
	struct tm tm;

	if (!since || !localtime_r(&since, &tm) || !strftime(text, size, "%F %T", &tm))
		snprintf(text, size, "-");
	return text;
}

static void print_list(struct json_object *list)
{
	printf("%-20s %-8s %-6s %5s %7s %-19s %-12s %8s\n", "NAME", "STATE", "VENDOR", "VCPUS",
	       "MEMORY", "SINCE", "WHERE", "PID");
	for (size_t i = 0; i < json_object_array_length(list); i++) {
		struct json_object *about = json_object_array_get_idx(list, i);
		uint64_t memory = guest_number(about, "memory");
		char size[32], since[40];

		printf("%-20s %-8s %-6s %5s %7s %-19s %-12s %8s\n", guest_text(about, "name"),
		       guest_text(about, "state"), guest_text(about, "vendor"),
		       guest_text(about, "vcpus"),
		       memory ? format_size(memory, size, sizeof(size)) : "-",
		       format_since(about, since, sizeof(since)), guest_text(about, "where"),
		       guest_text(about, "pid"));
	}
}

int command_ps(int argc, char **argv)
{
	static const struct option list[] = { { "json", no_argument, NULL, 'j' },
					      { "help", no_argument, NULL, 'h' },
					      { NULL, 0, NULL, 0 } };
	char folder[FOLDER_ROOM], problem[512];
	struct json_object *guests;
	bool json = false;
	int option;

	while ((option = options_next(argc, argv, list)) != -1) {
		if (option == 'h')
			return help_print("ps");
		if (option != 'j')
			return STATUS_FAILED;
		json = true;
	}
	if (folder_find(folder, sizeof(folder), problem, sizeof(problem)))
		return fail("%s", problem);
	guests = ask_all(folder);
	if (json)
		guest_print_json(guests);
	else
		print_list(guests);
	json_object_put(guests);
	return STATUS_OK;
}

/* ---- pause, resume, quit */

int guest_open(struct client *client, const char *name)
{
	char problem[512];

	if (client_open(client, name, GUEST_GREETING_MS, problem, sizeof(problem)))
		return fail("%s", problem);
	return STATUS_OK;
}

struct json_object *guest_call(struct client *client, const char *command,
			       struct json_object *arguments)
{
	char problem[512];
	struct json_object *result =
		client_call(client, command, arguments, problem, sizeof(problem));

	if (!result)
		say("%s", problem);
	return result;
}

struct json_object *guest_words_call(const char *command, const struct guest_words *words)
{
	struct json_object *arguments, *result;
	struct client client;

	if (guest_open(&client, words->name))
		return NULL;
	arguments = json_object_new_object();
	json_object_object_add(arguments, "do", json_object_new_string(words->what));
	if (words->value)
		json_object_object_add(arguments, "value", json_object_new_string(words->value));
	result = guest_call(&client, command, arguments);
	client_close(&client);
	return result;
}

/* The words that steer a guest; clocks: --clock is one of them. NULL: *status is the command's. */
static const char *read_words(int argc, char **argv, bool clocks, const char **clock, int *status)
{
	static const struct option list[] = { { "clock", required_argument, NULL, 'c' },
					      { "help", no_argument, NULL, 'h' },
					      { NULL, 0, NULL, 0 } };
	int option;

	*clock = NULL;
	*status = STATUS_FAILED;
	while ((option = options_next_mixed(argc, argv, clocks ? list : list + 1)) != -1) {
		if (option == 'h')
			*status = help_print(argv[0]);
		if (option != 'c')
			return NULL;
		if (strcmp(optarg, "freeze") && strcmp(optarg, "advance")) {
			say("--clock %s: not known; give freeze or advance", optarg);
			return NULL;
		}
		*clock = optarg;
	}
	return options_guest_name(argc, argv);
}

/* pause, resume */
static int steer(int argc, char **argv)
{
	struct json_object *result, *arguments = NULL;
	struct client client;
	const char *name, *clock;
	int status;

	name = read_words(argc, argv, true, &clock, &status);
	if (!name)
		return status;
	if (guest_open(&client, name))
		return STATUS_FAILED;
	if (clock) {
		arguments = json_object_new_object();
		json_object_object_add(arguments, "clock", json_object_new_string(clock));
	}
	result = guest_call(&client, argv[0], arguments);
	client_close(&client);
	json_object_put(result);
	return result ? STATUS_OK : STATUS_FAILED;
}

int command_pause(int argc, char **argv)
{
	return steer(argc, argv);
}

int command_resume(int argc, char **argv)
{
	return steer(argc, argv);
}

int command_quit(int argc, char **argv)
{
	struct json_object *result, *event;
	struct client client;
	const char *name, *clock;
	int status;

	name = read_words(argc, argv, false, &clock, &status);
	if (!name)
		return status;
	if (guest_open(&client, name))
		return STATUS_FAILED;
	result = guest_call(&client, "quit", NULL);
	/* Its socket is closed when the machine has ended. */
	while (result && (event = client_event(&client, -1)))
		json_object_put(event);
	client_close(&client);
	json_object_put(result);
	return result ? STATUS_OK : STATUS_FAILED;
}
