/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* fermata ps: the user's guests that run, as their control channels describe them. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "cli/text/parse.h"
#include "cli/text/say.h"
#include "control/folder.h"
#include "guests.h"
#include "name.h"

#define LIST_MS 3000 /* for one guest's greeting, when it is one of many */

static int by_name(const void *left, const void *right)
{
	return strcmp(json_text(*(struct json_object *const *)left, "name"),
		      json_text(*(struct json_object *const *)right, "name"));
}

/* The socket of a process that was killed goes, unless somebody takes the name at this moment. */
static void clean(const char *name)
{
	struct name_claim claim;
	char problem[512];

	if (name_claim(&claim, name, problem, sizeof(problem)))
		return;
	unlinkat(claim.folder.fd, name, 0);
	name_release(&claim);
}

/* What a guest says of itself; NULL: there is none. */
static struct json_object *ask(const char *name)
{
	struct json_object *about;
	struct client client;
	char problem[512];
	int error;

	if (client_open(&client, name, LIST_MS, problem, sizeof(problem))) {
		error = errno;
		if (error == ECONNREFUSED)
			clean(name);
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

/* The folder is closed behind it. */
static struct json_object *ask_all(struct folder *folder)
{
	struct json_object *list = json_object_new_array(), *about;
	DIR *dir = fdopendir(folder->fd);
	struct dirent *entry;
	struct stat st;

	while (dir && (entry = readdir(dir))) {
		if (!name_valid(entry->d_name) ||
		    fstatat(dirfd(dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) ||
		    !S_ISSOCK(st.st_mode))
			continue;
		about = ask(entry->d_name);
		if (about)
			json_object_array_add(list, about);
	}
	if (dir)
		closedir(dir);
	else
		folder_close(folder);
	json_object_array_sort(list, by_name);
	return list;
}

static const char *format_since(struct json_object *about, char *text, size_t size)
{
	time_t since = (time_t)json_number(about, "since");
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
		uint64_t memory = json_number(about, "memory");
		char size[32], since[40];

		printf("%-20s %-8s %-6s %5s %7s %-19s %-12s %8s\n", json_text(about, "name"),
		       json_text(about, "state"), json_text(about, "vendor"),
		       json_text(about, "vcpus"),
		       memory ? format_size(memory, size, sizeof(size)) : "-",
		       format_since(about, since, sizeof(since)), json_text(about, "where"),
		       json_text(about, "pid"));
	}
}

static int run(const struct command *command, char **argv)
{
	struct guest_request request = { 0 };
	struct json_object *guests;
	struct folder folder;
	char problem[512];
	int status;

	status = options_read(command, argv, &request, NULL);
	if (status != OPTIONS_READ)
		return status;
	if (folder_open(&folder, problem, sizeof(problem)))
		return fail("%s", problem);
	guests = ask_all(&folder);
	if (request.json)
		json_print(guests);
	else
		print_list(guests);
	json_object_put(guests);
	return STATUS_OK;
}

static const struct option_row options[] = {
	{ "json", NULL, option_flag, GUEST_MEMBER(json),
	  .help = "for programs: a JSON list of objects" },
	{ .name = NULL },
};

const struct command command_ps = {
	.name = "ps",
	.what = "list the guests that run",
	.run = run,
	.usage = "[--json]",
	.options = options,
	.about =
		"Lists your guests: name, state (running, paused, ended, or silent: its process does not answer,\n"
		"as while a box starts), the processor's virtualization, virtual CPUs, memory, the time it was\n"
		"started, where it runs (here, or box and its kind), and the number of its process.\n"
		"\n"
		"exit status: 0, also when no guest runs; 1 the list could not be had\n"
		"\n"
		"examples:\n"
		"  fermata ps\n"
		"  fermata ps --json | jq -r '.[] | select(.state == \"running\") | .name'\n",
};
