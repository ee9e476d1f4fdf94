/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* The options of `fermata run`: one row each. */
#include "options.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cli/guests/log_format.h"
#include "cli/text/parse.h"
#include "cli/text/rule.h"
#include "cli/text/say.h"

#define DEBUG_AUDIT (1u << 31) /* beside FERMATA_SHADOW_* */
_Static_assert(!(FERMATA_SHADOW_ALL & DEBUG_AUDIT), "a bit of its own");

static bool take_memory(void *settings, const struct option_row *row, const char *text)
{
	switch (parse_size(text, option_member(settings, row))) {
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

static bool take_name(void *settings, const struct option_row *row, const char *text)
{
	struct run_options *options = settings;

	if (!name_valid(text)) {
		say("--name '%s': not a name; give 1 to 64 characters of A-Z a-z 0-9 . _ -", text);
		return false;
	}
	snprintf(options->name, sizeof(options->name), "%s", text);
	options->named = true;
	return true;
}

static bool take_clock(void *settings, const struct option_row *row, const char *text)
{
	char problem[300];

	if (clock_parse_spec(text, option_member(settings, row), problem, sizeof(problem)))
		return true;
	say("--clock %s: %s", text, problem);
	return false;
}

static bool take_rule(void *settings, const struct option_row *row, const char *text)
{
	struct run_options *options = settings;

	if (options->rules == FERMATA_MAX_RULES) {
		say("more than %d rules; a guest can have no more", FERMATA_MAX_RULES);
		return false;
	}
	options->rule[options->rules++] = text;
	return rule_check("--on", text);
}

static bool take_guest(void *settings, const struct option_row *row, const char *text)
{
	struct run_options *options = settings;

	if (options->guests == GUESTS_MAX) {
		say("more than %d guests in one command; start another for the rest", GUESTS_MAX);
		return false;
	}
	options->guest[options->guests++] = text;
	return true;
}

bool option_settings(void *settings, const struct option_row *row, const char *text)
{
	return option_text(settings, row, text);
}

static const struct option_word keys_words[] = { { "auto", KEYS_AUTO },
						 { "on", KEYS_ON },
						 { "off", KEYS_OFF },
						 { "none", KEYS_NONE },
						 { .name = NULL } };

static const struct option_word paging_words[] = { { "auto", 0 },
						   { "nested", FERMATA_VM_NESTED },
						   { "shadow", FERMATA_VM_SHADOW },
						   { .name = NULL } };

static const struct option_word debug_words[] = {
	{ "shadow-audit", DEBUG_AUDIT },
	{ "no-shadow-unsync", FERMATA_SHADOW_UNSYNC },
	{ "no-shadow-large", FERMATA_SHADOW_LARGE },
	{ "no-shadow-narrow", FERMATA_SHADOW_NARROW },
	{ "no-shadow-keep", FERMATA_SHADOW_KEEP },
	{ "no-shadow-prefetch", FERMATA_SHADOW_PREFETCH },
	{ "no-shadow-roots", FERMATA_SHADOW_ROOTS },
	{ "no-shadow-pcids", FERMATA_SHADOW_PCIDS },
	{ .name = NULL },
};

struct machine_config options_machine(const struct run_options *options)
{
	return (struct machine_config){
		.kernel = options->kernel,
		.initrd = options->initrd,
		.cmdline = options->append,
		.memory = options->memory,
		.vcpus = 1,
		.clock = options->clock,
		.kvmclock = options->kvmclock,
		.debug_exit = options->debug_exit,
		.no_tags = options->no_tags,
		.vm = {
			.flags = options->paging |
				 (options->debug & DEBUG_AUDIT ? FERMATA_VM_SHADOW_AUDIT : 0),
			.shadow_without = options->debug & FERMATA_SHADOW_ALL,
		},
	};
}

#define AT(member) offsetof(struct run_options, member)

const struct option_row run_rows[] = {
	{ "kernel", "FILE", option_text, AT(kernel),
	  .help = "Linux kernel (a 64-bit bzImage); the one option that is required",
	  .carry = CARRY_FILE },
	{ "initrd", "FILE", option_text, AT(initrd), .help = "initial file system; default: none",
	  .carry = CARRY_FILE },
	{ "append", "STRING", option_text, AT(append),
	  .help = "kernel command line; default: \"" DEFAULT_APPEND "\"" },
	{ "memory", "SIZE", take_memory, AT(memory),
	  .help = "guest memory in bytes, or with suffix K, M, G or T: a multiple of 4K, from "
		  "16M up to what this computer has free; default: 256M" },
	{ "name", "NAME", take_name, AT(name),
	  .help = "the guest's name, which no other running guest of yours may have: 1 to 64 "
		  "characters of A-Z a-z 0-9 . _ -; default: guest- and the process number",
	  .carry = CARRY_ANEW },
	{ "box", "KIND", take_place, AT(place),
	  .help = "where it runs. auto (the default): here if this computer can, else in the "
		  "box; none: here or not at all; amd: in the box with AMD-V (QEMU); intel: in "
		  "the box with VT-x (Bochs, a Skylake-X); bochs:MODEL: in the box with one of "
		  "Bochs's processors (a wrong MODEL lists them)",
	  .carry = CARRY_WHOLE },
	{ "keys", "WHEN", option_choice, AT(keys),
	  .help = "whether Ctrl-A is for Fermata (see below): on, off, or auto (the default): if "
		  "standard input is a terminal; none: nothing is typed into the guest at all, and its "
		  "input has no end, as services want it",
	  .words = keys_words, .carry = CARRY_WHOLE },
	{ "clock", "SPEC", take_clock, AT(clock),
	  .help = "how the guest's clock starts, several words with commas between: rate=X (a "
		  "number or fraction, 1/1000 to 1000), frozen, date=DATE, run-only (time passes "
		  "only while the guest itself executes); see `fermata clock --help`" },
	{ "kvmclock", NULL, option_flag, AT(kvmclock),
	  .help = "offer the guest KVM's paravirtual clock, which follows the guest's clock as "
		  "every other source does; without this option the guest is offered nothing "
		  "paravirtual" },
	{ "paging", "WHICH", option_choice, AT(paging),
	  .help = "nested: the processor walks two page tables (NPT, EPT); shadow: it walks one, "
		  "which the module keeps; auto (the default): nested where the processor has it",
	  .words = paging_words },
	{ "debug", "WORDS", option_list, AT(debug),
	  .help = "for work on Fermata itself; `man fermata` lists the words", .words = debug_words,
	  .repeats = true },
	{ "stats", NULL, option_flag, AT(stats),
	  .help = "at the end print the guest's exits by reason on standard error" },
	{ "on", "RULE", take_rule, AT(rule),
	  .help = "count, log, change or forbid what the guest does: 'EVENT [FILTER...] [do "
		  "ACTION...]', such as 'cpuid leaf=1 do log'; `fermata on --help` has the "
		  "words; up to 64 of these options",
	  .repeats = true },
	{ "log", "FILE", option_text, AT(log),
	  .help = "where the log of the rules goes; \"-\": to standard error (the default); "
		  "\"channel\": it is left for `fermata log NAME`",
	  .carry = CARRY_WHOLE },
	{ "log-format", "FORMAT", option_choice, AT(log_format),
	  .help = "text (the default), json (lines), or chrome (a trace for Perfetto)",
	  .words = log_formats, .carry = CARRY_WHOLE },
	{ "debug-exit", NULL, option_flag, AT(debug_exit),
	  .help = "give the guest a port F4h that ends it: writing V there makes the exit status "
		  "(V << 1) | 1, cut to 8 bits, as QEMU's isa-debug-exit does" },
	{ "no-vpid", NULL, option_flag, AT(no_tags),
	  .help = "run the guest without a VPID (VT-x) or an ASID (AMD-V) of its own, so that "
		  "each entry drops the processor's translations; both names mean the same. "
		  "Slower; it shows what tags are good for",
	  .also = "no-asid" },
	{ "settings", "FILE", option_settings, AT(settings),
	  .help = "a file of options, which count as if they stood here: quotes as in a shell, "
		  "over as many lines as you like; a line that begins with # says nothing",
	  .carry = CARRY_WHOLE },
	{ "guest", "'OPTIONS'", take_guest, AT(guest),
	  .help = "one of several guests at once: its own options, quoted as in a shell; options "
		  "that stand outside are for all guests (--box and --keys can only stand "
		  "there). Each line of output begins with [NAME]; input goes to the first "
		  "guest, and its end to all",
	  .repeats = true, .carry = CARRY_WHOLE },
	{ .name = NULL },
};
