/* SPDX-License-Identifier: MIT OR GPL-2.0 */
#include "options.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/guests/events.h"
#include "cli/text/parse.h"
#include "cli/text/say.h"
#include "cli/text/words.h"

static int next(int argc, char **argv, const struct option *list, const char *letters)
{
	int at = optind > 0 ? optind : 1, option;
	bool mixed = letters[0] != '+';
	const char *word;

	opterr = 0;
	option = getopt_long(argc, argv, letters, list, NULL);
	/* Where words may stand between options, they have been moved behind what was read. */
	if (mixed && option != -1)
		at = optind - 1;
	word = at < argc ? argv[at] : "";
	if (option == ':')
		say("option '%s' needs a value; see `fermata %s --help`", word, argv[0]);
	else if (option == '?' && optopt && strchr(word, '='))
		say("option '%.*s' takes no value; see `fermata %s --help`",
		    (int)strcspn(word, "="), word, argv[0]);
	else if (option == '?')
		say("unknown option '%s'; see `fermata %s --help`", word, argv[0]);
	return option == ':' ? '?' : option;
}

int options_next(int argc, char **argv, const struct option *list)
{
	int option = next(argc, argv, list, "+:h");

	if (option == -1 && optind < argc) {
		say("'%s' is not an option; see `fermata %s --help`", argv[optind], argv[0]);
		return '?';
	}
	return option;
}

int options_next_mixed(int argc, char **argv, const struct option *list)
{
	return next(argc, argv, list, ":h");
}

const char *options_guest_name(int argc, char **argv)
{
	if (optind == argc)
		say("no guest named; `fermata ps` lists them, see `fermata %s --help`", argv[0]);
	else if (optind < argc - 1)
		say("'%s': one guest at a time; see `fermata %s --help`", argv[optind + 1], argv[0]);
	else if (!name_valid(argv[optind]))
		say("'%s' is no guest's name; `fermata ps` lists them", argv[optind]);
	else
		return argv[optind];
	return NULL;
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

static bool parse_paging(const char *text, struct fermata_vm_config *vm)
{
	static const uint32_t both = FERMATA_VM_SHADOW | FERMATA_VM_NESTED;

	vm->flags &= ~both;
	if (!strcmp(text, "shadow"))
		vm->flags |= FERMATA_VM_SHADOW;
	else if (!strcmp(text, "nested"))
		vm->flags |= FERMATA_VM_NESTED;
	else if (strcmp(text, "auto")) {
		say("--paging %s: not known; give auto, nested or shadow", text);
		return false;
	}
	return true;
}

static const struct {
	const char *name;
	uint32_t flags, without;
} debug_words[] = {
	{ "shadow-audit", FERMATA_VM_SHADOW_AUDIT, 0 },
	{ "no-shadow-unsync", 0, FERMATA_SHADOW_UNSYNC },
	{ "no-shadow-large", 0, FERMATA_SHADOW_LARGE },
	{ "no-shadow-narrow", 0, FERMATA_SHADOW_NARROW },
	{ "no-shadow-keep", 0, FERMATA_SHADOW_KEEP },
	{ "no-shadow-prefetch", 0, FERMATA_SHADOW_PREFETCH },
	{ "no-shadow-roots", 0, FERMATA_SHADOW_ROOTS },
	{ "no-shadow-pcids", 0, FERMATA_SHADOW_PCIDS },
};

#define DEBUG_WORDS (sizeof(debug_words) / sizeof(debug_words[0]))

static bool parse_debug(const char *text, struct fermata_vm_config *vm)
{
	for (const char *word = text;; word++) {
		size_t length = strcspn(word, ","), i = 0;

		while (i < DEBUG_WORDS && (strlen(debug_words[i].name) != length ||
					   strncmp(debug_words[i].name, word, length)))
			i++;
		if (i == DEBUG_WORDS) {
			say("--debug %.*s: not known; `man fermata` lists the words", (int)length,
			    word);
			return false;
		}
		vm->flags |= debug_words[i].flags;
		vm->shadow_without |= debug_words[i].without;
		word += length;
		if (!*word)
			return true;
	}
}

static bool parse_clock(const char *text, struct run_options *options)
{
	char problem[300];

	options->clock_words = text;
	if (clock_parse_spec(text, &options->clock, problem, sizeof(problem)))
		return true;
	say("--clock %s: %s", text, problem);
	return false;
}

static const struct option list[] = {
	{ "clock", required_argument, NULL, 'c' },
	{ "kernel", required_argument, NULL, 'k' },
	{ "initrd", required_argument, NULL, 'i' },
	{ "append", required_argument, NULL, 'a' },
	{ "memory", required_argument, NULL, 'm' },
	{ "name", required_argument, NULL, 'n' },
	{ "box", required_argument, NULL, 'b' },
	{ "keys", required_argument, NULL, 'K' },
	{ "guest", required_argument, NULL, 'g' },
	{ "stats", no_argument, NULL, 's' },
	{ "debug-exit", no_argument, NULL, 'd' },
	{ "no-vpid", no_argument, NULL, 't' },
	{ "no-asid", no_argument, NULL, 't' },
	{ "paging", required_argument, NULL, 'p' },
	{ "debug", required_argument, NULL, 'D' },
	{ "on", required_argument, NULL, 'o' },
	{ "log", required_argument, NULL, 'l' },
	{ "log-format", required_argument, NULL, 'f' },
	{ "kvmclock", no_argument, NULL, 'P' },
	{ "help", no_argument, NULL, 'h' },
	{ NULL, 0, NULL, 0 },
};

static bool add_rule(struct run_options *options, const char *text)
{
	if (options->rules == FERMATA_MAX_RULES) {
		say("more than %d rules; a guest can have no more", FERMATA_MAX_RULES);
		return false;
	}
	options->rule[options->rules++] = text;
	return rule_check("--on", text);
}

static bool parse_log_format(const char *text, enum log_format *format)
{
	if (log_format_parse(text, format))
		return true;
	say("--log-format %s: not known; give text, json or chrome", text);
	return false;
}

static bool add_guest(struct run_options *options, const char *text)
{
	if (options->guests == GUESTS_MAX) {
		say("more than %d guests in one command; start another for the rest", GUESTS_MAX);
		return false;
	}
	options->guest[options->guests++] = text;
	return true;
}

/* What an option says; false with a line said. */
static bool take(struct run_options *options, int option)
{
	switch (option) {
	case 'k':
		options->kernel = optarg;
		return true;
	case 'i':
		options->initrd = optarg;
		return true;
	case 'a':
		options->append = optarg;
		return true;
	case 'm':
		return parse_memory(optarg, &options->memory);
	case 'n':
		options->named = true;
		return parse_name(optarg, options->name, sizeof(options->name));
	case 'b':
		return parse_place(optarg, &options->place, &options->box);
	case 'K':
		return parse_keys(optarg, &options->keys);
	case 'c':
		return parse_clock(optarg, options);
	case 'g':
		return add_guest(options, optarg);
	case 'o':
		return add_rule(options, optarg);
	case 'l':
		options->log = optarg;
		return true;
	case 'f':
		return parse_log_format(optarg, &options->log_format);
	case 's':
		options->stats = true;
		return true;
	case 't':
		options->no_tags = true;
		return true;
	case 'P':
		options->kvmclock = true;
		return true;
	case 'd':
		options->debug_exit = true;
		return true;
	case 'p':
		options->paging = optarg;
		return parse_paging(optarg, &options->vm);
	case 'D':
		options->debug = optarg;
		return parse_debug(optarg, &options->vm);
	default:
		return false;
	}
}

bool options_parse(struct run_options *options, int argc, char **argv)
{
	int option;

	memset(options, 0, sizeof(*options));
	options->append = DEFAULT_APPEND;
	options->box = "amd";
	options->memory = DEFAULT_MEMORY;
	snprintf(options->name, sizeof(options->name), "guest-%d", getpid());
	while ((option = options_next(argc, argv, list)) != -1) {
		if (option == 'h') {
			options->help = true;
			return true;
		}
		if (!take(options, option))
			return false;
	}
	if (options->log && options->guests) {
		say("--log with several guests: take it with `fermata log NAME`, one for each");
		return false;
	}
	if (!options->kernel && !options->guests) {
		say("no kernel; give --kernel FILE, a Linux bzImage such as /boot/vmlinuz");
		return false;
	}
	return true;
}

static const char *option_name(int option)
{
	const struct option *o = list;

	while (o->val != option)
		o++;
	return o->name;
}

/* The words of one --guest, argv[0] being the verb. */
static bool parse_guest(struct run_options *guest, int argc, char **argv)
{
	int option;

	optind = 0; /* another argv: getopt_long() begins anew */
	while ((option = options_next(argc, argv, list)) != -1) {
		if (strchr("bKghlf", option)) {
			say("--%s in --guest: it is for the whole command; give it outside",
			    option_name(option));
			return false;
		}
		if (!take(guest, option))
			return false;
	}
	if (!guest->kernel) {
		say("no kernel for the guest '%s'; give --kernel FILE in its --guest, or outside for all",
		    guest->name);
		return false;
	}
	return true;
}

static bool split_guest(const char *text, struct run_options *guest)
{
	static const char verb[] = "run ";
	size_t size = sizeof(verb) + strlen(text);
	char *line = malloc(size), **words;
	int count;

	if (!line) {
		say("no memory for the words of --guest; free some");
		return false;
	}
	snprintf(line, size, "%s%s", verb, text);
	words = words_split(line, &count);
	free(line);
	if (!words) {
		say("--guest %s: %s", text,
		    errno == EINVAL ? "a quote or backslash without its end; close it" :
				      "no memory for its words; free some");
		return false;
	}
	guest->words = words;
	return parse_guest(guest, count, words);
}

static bool name_is_new(const struct run_options *guest, unsigned number)
{
	for (unsigned i = 0; i < number; i++) {
		if (!strcmp(guest[i].name, guest[number].name)) {
			say("two guests have the name '%s'; give each its own --name in its --guest",
			    guest[i].name);
			return false;
		}
	}
	return true;
}

bool options_guests(const struct run_options *options, struct run_options *guest)
{
	unsigned i;

	for (i = 0; i < options->guests; i++) {
		guest[i] = *options;
		guest[i].guests = 0;
		if (!options->named)
			snprintf(guest[i].name, sizeof(guest[i].name), "%.64s-%u", options->name,
				 i + 1);
		if (!split_guest(options->guest[i], &guest[i]) || !name_is_new(guest, i))
			break;
	}
	if (i == options->guests)
		return true;
	for (unsigned j = 0; j <= i; j++)
		free(guest[j].words);
	return false;
}
