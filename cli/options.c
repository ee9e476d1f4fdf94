/* SPDX-License-Identifier: MIT OR GPL-2.0 */
#include "options.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "parse.h"
#include "say.h"

int options_next(int argc, char **argv, const struct option *list)
{
	const char *word;
	int at = optind > 0 ? optind : 1, option;

	opterr = 0;
	option = getopt_long(argc, argv, "+:h", list, NULL);
	word = at < argc ? argv[at] : "";
	if (option == ':')
		say("option '%s' needs a value; see `fermata %s --help`", word, argv[0]);
	else if (option == '?' && optopt && strchr(word, '='))
		say("option '%.*s' takes no value; see `fermata %s --help`",
		    (int)strcspn(word, "="), word, argv[0]);
	else if (option == '?')
		say("unknown option '%s'; see `fermata %s --help`", word, argv[0]);
	else if (option == -1 && optind < argc) {
		say("'%s' is not an option; see `fermata %s --help`", argv[optind], argv[0]);
		return '?';
	}
	return option == ':' ? '?' : option;
}

static bool parse_keys(const char *text, enum console_keys *keys)
{
	if (!strcmp(text, "auto"))
		*keys = KEYS_AUTO;
	else if (!strcmp(text, "on"))
		*keys = KEYS_ON;
	else if (!strcmp(text, "off"))
		*keys = KEYS_OFF;
	else {
		say("--keys %s: not known; give auto, on or off", text);
		return false;
	}
	return true;
}

static bool parse_memory(const char *text, uint64_t *memory)
{
	switch (parse_size(text, memory)) {
	case 0:
		return true;
	case -ERANGE:
		say("--memory %s: more than a machine can have; give at most 1T", text);
		return false;
	default:
		say("--memory %s: not a size; give a number with K, M or G, such as 256M", text);
		return false;
	}
}

static bool parse_name(const char *text, char *name, size_t size)
{
	if (!name_valid(text)) {
		say("--name '%s': not a name; give 1 to 64 characters of A-Z a-z 0-9 . _ -", text);
		return false;
	}
	snprintf(name, size, "%s", text);
	return true;
}

bool options_parse(struct run_options *options, int argc, char **argv)
{
	static const struct option list[] = {
		{ "kernel", required_argument, NULL, 'k' },
		{ "initrd", required_argument, NULL, 'i' },
		{ "append", required_argument, NULL, 'a' },
		{ "memory", required_argument, NULL, 'm' },
		{ "name", required_argument, NULL, 'n' },
		{ "box", required_argument, NULL, 'b' },
		{ "keys", required_argument, NULL, 'K' },
		{ "stats", no_argument, NULL, 's' },
		{ "debug-exit", no_argument, NULL, 'd' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	bool good = true;
	int option;

	memset(options, 0, sizeof(*options));
	options->append = DEFAULT_APPEND;
	options->box = "amd";
	options->memory = DEFAULT_MEMORY;
	snprintf(options->name, sizeof(options->name), "guest-%d", getpid());
	while (good && (option = options_next(argc, argv, list)) != -1) {
		switch (option) {
		case 'k':
			options->kernel = optarg;
			break;
		case 'i':
			options->initrd = optarg;
			break;
		case 'a':
			options->append = optarg;
			break;
		case 'm':
			good = parse_memory(optarg, &options->memory);
			break;
		case 'n':
			good = parse_name(optarg, options->name, sizeof(options->name));
			break;
		case 'b':
			good = parse_place(optarg, &options->place, &options->box);
			break;
		case 'K':
			good = parse_keys(optarg, &options->keys);
			break;
		case 's':
			options->stats = true;
			break;
		case 'd':
			options->debug_exit = true;
			break;
		case 'h':
			options->help = true;
			return true;
		default:
			good = false;
		}
	}
	if (good && !options->kernel) {
		say("no kernel; give --kernel FILE, a Linux bzImage such as /boot/vmlinuz");
		return false;
	}
	return good;
}
