// SPDX-License-Identifier: MIT OR GPL-2.0
/* Rules in words: EVENT [FILTER...] [do ACTION...]. The page for people is docs/events.md. */
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"

/* ---- names */

#define NUMBER_ONLY (1u << FERMATA_FILTER_NUMBER)
#define WITH_VALUE (1u << FERMATA_FILTER_VALUE)
#define WITH_GVA (1u << FERMATA_FILTER_GVA)
#define WITH_GPA (1u << FERMATA_FILTER_GPA)

static const struct {
	const char *name;
	const char *number; /* what its number is called in a filter; NULL: it has none */
	uint32_t filters;   /* besides the number and those that all have */
} events[FERMATA_ON_EVENTS] = {
	[FERMATA_ON_RDTSC] = { "rdtsc" },
	[FERMATA_ON_RDTSCP] = { "rdtscp" },
	[FERMATA_ON_RDPMC] = { "rdpmc", "counter" },
	[FERMATA_ON_RDPRU] = { "rdpru", "counter" },
	[FERMATA_ON_CPUID] = { "cpuid", "leaf" },
	[FERMATA_ON_RDMSR] = { "rdmsr", "msr" },
	[FERMATA_ON_WRMSR] = { "wrmsr", "msr", WITH_VALUE },
	[FERMATA_ON_IN] = { "in", "port" },
	[FERMATA_ON_OUT] = { "out", "port", WITH_VALUE },
	[FERMATA_ON_MOV_TO_CR] = { "mov-to-cr", "cr", WITH_VALUE },
	[FERMATA_ON_MOV_FROM_CR] = { "mov-from-cr", "cr" },
	[FERMATA_ON_MOV_TO_DR] = { "mov-to-dr", "dr", WITH_VALUE },
	[FERMATA_ON_MOV_FROM_DR] = { "mov-from-dr", "dr" },
	[FERMATA_ON_CLTS] = { "clts" },
	[FERMATA_ON_LMSW] = { "lmsw", NULL, WITH_VALUE },
	[FERMATA_ON_HLT] = { "hlt" },
	[FERMATA_ON_PAUSE] = { "pause" },
	[FERMATA_ON_MONITOR] = { "monitor" },
	[FERMATA_ON_MWAIT] = { "mwait" },
	[FERMATA_ON_INVLPG] = { "invlpg", NULL, WITH_GVA },
	[FERMATA_ON_INVPCID] = { "invpcid" },
	[FERMATA_ON_WBINVD] = { "wbinvd" },
	[FERMATA_ON_XSETBV] = { "xsetbv", "xcr", WITH_VALUE },
	[FERMATA_ON_RDRAND] = { "rdrand" },
	[FERMATA_ON_RDSEED] = { "rdseed" },
	[FERMATA_ON_SGDT] = { "sgdt" },
	[FERMATA_ON_SIDT] = { "sidt" },
	[FERMATA_ON_SLDT] = { "sldt" },
	[FERMATA_ON_STR] = { "str" },
	[FERMATA_ON_LGDT] = { "lgdt" },
	[FERMATA_ON_LIDT] = { "lidt" },
	[FERMATA_ON_LLDT] = { "lldt" },
	[FERMATA_ON_LTR] = { "ltr" },
	[FERMATA_ON_EXCEPTION] = { "exception", "vector", WITH_GVA },
	[FERMATA_ON_HYPERCALL] = { "hypercall", "nr" },
	[FERMATA_ON_CR3_SWITCH] = { "cr3-switch", NULL, WITH_VALUE },
	[FERMATA_ON_SYSCALL] = { "syscall", "nr" },
	[FERMATA_ON_READ] = { "read", NULL, WITH_GPA | WITH_GVA },
	[FERMATA_ON_WRITE] = { "write", NULL, WITH_GPA | WITH_GVA },
	[FERMATA_ON_EXEC] = { "exec", NULL, WITH_GPA | WITH_GVA },
};

static const struct {
	const char *name;
	uint8_t filter;
} common[] = {
	{ "value", FERMATA_FILTER_VALUE }, { "cpl", FERMATA_FILTER_CPL },
	{ "cr3", FERMATA_FILTER_CR3 },	   { "rip", FERMATA_FILTER_RIP },
	{ "gva", FERMATA_FILTER_GVA },	   { "gpa", FERMATA_FILTER_GPA },
};

/* Words that stand for a number, each where its filter is. */
static const struct {
	const char *filter, *name;
	uint64_t value;
} constants[] = {
	{ "msr", "tsc", 0x10 },
	{ "msr", "apic_base", 0x1b },
	{ "msr", "tsc_adjust", 0x3b },
	{ "msr", "tsc_deadline", 0x6e0 },
	{ "msr", "pat", 0x277 },
	{ "msr", "efer", 0xc0000080 },
	{ "msr", "star", 0xc0000081 },
	{ "msr", "lstar", 0xc0000082 },
	{ "msr", "fs_base", 0xc0000100 },
	{ "msr", "gs_base", 0xc0000101 },
	{ "msr", "kernel_gs_base", 0xc0000102 },
	{ "vector", "de", 0 },
	{ "vector", "db", 1 },
	{ "vector", "bp", 3 },
	{ "vector", "of", 4 },
	{ "vector", "br", 5 },
	{ "vector", "ud", 6 },
	{ "vector", "nm", 7 },
	{ "vector", "df", 8 },
	{ "vector", "ts", 10 },
	{ "vector", "np", 11 },
	{ "vector", "ss", 12 },
	{ "vector", "gp", 13 },
	{ "vector", "pf", 14 },
	{ "vector", "mf", 16 },
	{ "vector", "ac", 17 },
	{ "vector", "xm", 19 },
};

static const char *const registers[FERMATA_REGS] = {
	"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
	"r8",  "r9",  "r10", "r11", "r12", "r13", "r14", "r15",
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

const char *fermata_event_name(unsigned event)
{
	return event < FERMATA_ON_EVENTS ? events[event].name : NULL;
}

const char *fermata_event_number_name(unsigned event)
{
	if (event >= FERMATA_ON_EVENTS)
		return NULL;
	/* In a rule that is the filter of its own, which is true of accesses that overlap it. */
	return events[event].filters & WITH_GPA ? "gpa" : events[event].number;
}

/* ---- words of a rule */

struct parser {
	const char *text;
	unsigned at, length;	  /* the word in hand; behind it: the next */
	unsigned gva, gva_length; /* the word that said gva= */
	struct fermata_span *wrong;
};

static bool next_word(struct parser *p)
{
	p->at += p->length;
	p->at += strspn(p->text + p->at, " \t\n,");
	p->length = strcspn(p->text + p->at, " \t\n,");
	return p->length;
}

static bool is(const struct parser *p, const char *word)
{
	return p->length == strlen(word) && !memcmp(p->text + p->at, word, p->length);
}

/* Within the word in hand: from `from`, so many characters. */
static int wrong_part(const struct parser *p, unsigned from, unsigned length, const char *format,
		      ...) __attribute__((format(printf, 4, 5)));
#define wrong_word(p, ...) wrong_part(p, 0, (p)->length, __VA_ARGS__)

static int wrong_part(const struct parser *p, unsigned from, unsigned length, const char *format,
		      ...)
{
	char what[160];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(what, sizeof(what), format, arguments);
	va_end(arguments);
	if (p->wrong)
		*p->wrong =
			(struct fermata_span){ .at = p->at + from, .length = length ? length : 1 };
	return fermata_fail(EINVAL, "%s", what);
}

static bool parse_number(const char *text, unsigned length, const char *filter, __u64 *value)
{
	char digits[32], *end;

	for (size_t i = 0; filter && i < COUNT(constants); i++) {
		if (!strcmp(filter, constants[i].filter) && strlen(constants[i].name) == length &&
		    !memcmp(text, constants[i].name, length)) {
			*value = constants[i].value;
			return true;
		}
	}
	if (!length || length >= sizeof(digits) || text[0] < '0' || text[0] > '9')
		return false;
	memcpy(digits, text, length);
	digits[length] = 0;
	errno = 0;
	*value = strtoull(digits, &end, 0);
	return !*end && !errno;
}

/* What is behind the first `from` characters of the word: N, or A..B. */
static int parse_range(const struct parser *p, unsigned from, const char *filter,
		       struct fermata_range *range)
{
	const char *text = p->text + p->at + from;
	unsigned length = p->length - from, first = length;

	for (unsigned i = 0; i + 1 < length; i++) {
		if (text[i] == '.' && text[i + 1] == '.') {
			first = i;
			break;
		}
	}
	if (!parse_number(text, first, filter, &range->first))
		return wrong_part(p, from, first, "not a number");
	range->last = range->first;
	if (first == length)
		return 0;
	if (!parse_number(text + first + 2, length - first - 2, filter, &range->last))
		return wrong_part(p, from + first + 2, length - first - 2,
				  "not a number; a range is A..B");
	if (range->first > range->last)
		return wrong_part(p, from, length, "the range ends before it begins");
	return 0;
}

static int parse_event(struct parser *p, struct fermata_rule *rule)
{
	if (!next_word(p))
		return wrong_word(p, "nothing here; give an event, such as cpuid");
	for (unsigned i = 0; i < FERMATA_ON_EVENTS; i++) {
		if (is(p, events[i].name)) {
			rule->event = i;
			return 0;
		}
	}
	return wrong_word(p, "no such event; see `fermata run --help`");
}

static int take_filter(struct parser *p, struct fermata_rule *rule, unsigned filter, unsigned key,
		       const char *name)
{
	int err;

	if (rule->filters & 1u << filter)
		return wrong_word(p, "said before; give each filter once");
	err = parse_range(p, key + 1, name, &rule->range[filter]);
	if (!err)
		rule->filters |= 1u << filter;
	if (filter == FERMATA_FILTER_GVA) {
		p->gva = p->at;
		p->gva_length = p->length;
	}
	if (!err && filter == FERMATA_FILTER_CR3) {
		rule->range[filter].first &= ~0xfffull;
		rule->range[filter].last &= ~0xfffull;
	}
	return err;
}

static int parse_count(struct parser *p, unsigned key, __u64 *count)
{
	const char *text = p->text + p->at + key + 1;

	if (*count)
		return wrong_word(p, "said before; give each filter once");
	if (!parse_number(text, p->length - key - 1, NULL, count) || !*count)
		return wrong_part(p, key + 1, p->length - key - 1, "not a number from 1 up");
	return 0;
}

static bool key_is(const struct parser *p, unsigned key, const char *name)
{
	return strlen(name) == key && !memcmp(p->text + p->at, name, key);
}

static int parse_filter(struct parser *p, struct fermata_rule *rule)
{
	const char *word = p->text + p->at, *sign = memchr(word, '=', p->length);
	const char *number = events[rule->event].number;
	unsigned key = sign ? (unsigned)(sign - word) : 0;

	if (!sign)
		return wrong_word(p, "neither a filter (NAME=VALUE) nor `do`");
	if (key_is(p, key, "first"))
		return parse_count(p, key, &rule->first);
	if (key_is(p, key, "every"))
		return parse_count(p, key, &rule->every);
	if (number && key_is(p, key, number))
		return take_filter(p, rule, FERMATA_FILTER_NUMBER, key, number);
	for (size_t i = 0; i < COUNT(common); i++) {
		uint8_t filter = common[i].filter;
		bool has = (filter != FERMATA_FILTER_VALUE && filter != FERMATA_FILTER_GVA &&
			    filter != FERMATA_FILTER_GPA) ||
			   events[rule->event].filters & 1u << filter;

		if (key_is(p, key, common[i].name) && has)
			return take_filter(p, rule, filter, key, common[i].name);
	}
	if (number)
		return wrong_part(p, 0, key,
				  "no such filter of %s; it has %s=, cpl=, cr3=, rip=%s%s",
				  events[rule->event].name, number,
				  events[rule->event].filters & WITH_VALUE ? ", value=" : "",
				  events[rule->event].filters & WITH_GVA ? ", gva=" : "");
	return wrong_part(p, 0, key, "no such filter of %s; it has cpl=, cr3=, rip=%s%s%s",
			  events[rule->event].name,
			  events[rule->event].filters & WITH_VALUE ? ", value=" : "",
			  events[rule->event].filters & WITH_GPA ? ", gpa=" : "",
			  events[rule->event].filters & WITH_GVA ? ", gva=" : "");
}

/* `rax`, or `eax`: what 32 bits are written to has zeros above them. */
static bool parse_register(const char *text, unsigned length, uint8_t *reg, uint64_t *limit)
{
	for (uint8_t i = 0; i < FERMATA_REGS; i++) {
		const char *name = registers[i];

		*reg = i;
		*limit = UINT64_MAX;
		if (strlen(name) == length && !memcmp(text, name, length))
			return true;
		*limit = UINT32_MAX;
		if (i < 8 && length == 3 && text[0] == 'e' && !memcmp(text + 1, name + 1, 2))
			return true;
		if (i >= 8 && length == strlen(name) + 1 && !memcmp(text, name, length - 1) &&
		    text[length - 1] == 'd')
			return true;
	}
	return false;
}

static int parse_set(struct parser *p, struct fermata_rule *rule)
{
	const char *word, *sign;
	unsigned key, digits;
	uint64_t limit;
	__u64 value;
	bool minus;
	uint8_t reg;

	if (!next_word(p))
		return wrong_word(p, "nothing here; give REGISTER=VALUE");
	word = p->text + p->at;
	sign = memchr(word, '=', p->length);
	if (!sign)
		return wrong_word(p, "not REGISTER=VALUE");
	key = (unsigned)(sign - word);
	if (!parse_register(word, key, &reg, &limit))
		return wrong_part(p, 0, key, "not a general register, such as rax, ecx, r8");
	minus = sign[1] == '-' && p->length > key + 2;
	digits = p->length - key - 1 - minus;
	if (!parse_number(sign + 1 + minus, digits, NULL, &value))
		return wrong_part(p, key + 1, p->length - key - 1, "not a number");
	if (minus)
		value = -value & limit;
	if (value > limit)
		return wrong_part(p, key + 1, p->length - key - 1, "more than 32 bits for %.*s",
				  (int)key, word);
	if (rule->sets == 4)
		return wrong_word(p, "a rule can set four registers");
	rule->actions |= FERMATA_DO_SET;
	rule->reg[rule->sets] = reg;
	rule->value[rule->sets++] = value;
	return 0;
}

static int parse_inject(struct parser *p, struct fermata_rule *rule)
{
	const char *word, *colon;
	__u64 vector, code;
	unsigned length;

	if (!next_word(p))
		return wrong_word(p, "nothing here; give VECTOR or VECTOR:CODE");
	word = p->text + p->at;
	colon = memchr(word, ':', p->length);
	length = colon ? (unsigned)(colon - word) : p->length;
	if (!parse_number(word, length, "vector", &vector) || vector > 31 ||
	    !(0x703f7dfbu >> vector & 1))
		return wrong_part(p, 0, length, "not an exception: 0, 1, 3-8, 10-14, 16-21, 28-30");
	rule->vector = (uint8_t)vector;
	rule->actions |= FERMATA_DO_INJECT;
	if (!colon)
		return 0;
	if (!(0x27d00u >> vector & 1))
		return wrong_part(p, length, p->length - length, "vector %u has no error code",
				  rule->vector);
	length = p->length - length - 1;
	if (!parse_number(colon + 1, length, NULL, &code) || code > UINT32_MAX)
		return wrong_part(p, (unsigned)(colon + 1 - word), length,
				  "not an error code of 32 bits");
	rule->has_code = 1;
	rule->code = (uint32_t)code;
	return 0;
}

static bool is_trap(const struct fermata_rule *rule)
{
	const struct fermata_range *vector = &rule->range[FERMATA_FILTER_NUMBER];

	return rule->filters & NUMBER_ONLY && ((vector->first == 1 && vector->last == 1) ||
					       (vector->first >= 3 && vector->last <= 4));
}

/* After an action has been taken: does it go with the others? */
static int check_actions(const struct parser *p, const struct fermata_rule *rule)
{
	uint32_t a = rule->actions;

	if (a & FERMATA_DO_STOP && a & (FERMATA_DO_SKIP | FERMATA_DO_SET | FERMATA_DO_INJECT))
		return wrong_word(p, "`stop` goes with `log` only");
	if (a & FERMATA_DO_INJECT && a & (FERMATA_DO_SKIP | FERMATA_DO_SET))
		return wrong_word(p,
				  "`inject` takes the instruction's place; it goes with `log` only");
	if (a & FERMATA_DO_SKIP && rule->event == FERMATA_ON_EXCEPTION && !is_trap(rule))
		return wrong_word(p,
				  "a fault would come again at once; only vectors 1, 3 and 4 can be"
				  " skipped");
	return 0;
}

static int parse_action(struct parser *p, struct fermata_rule *rule)
{
	int err = 0;

	if (is(p, "count"))
		return 0;
	if (is(p, "log"))
		rule->actions |= FERMATA_DO_LOG;
	else if (is(p, "stop"))
		rule->actions |= FERMATA_DO_STOP;
	else if (is(p, "skip"))
		rule->actions |= FERMATA_DO_SKIP;
	else if (is(p, "set"))
		err = parse_set(p, rule);
	else if (is(p, "inject"))
		err = parse_inject(p, rule);
	else
		return wrong_word(p, "no such action; there are count, log, stop, skip,"
				     " set REGISTER=VALUE, inject VECTOR[:CODE]");
	return err ?: check_actions(p, rule);
}

/* A rule about memory says which: gpa=, or gva= alone, whose pages are looked up again and again. */
static int check_memory(struct parser *p, const struct fermata_rule *rule)
{
	const struct fermata_range *gva = &rule->range[FERMATA_FILTER_GVA];

	if (!(events[rule->event].filters & WITH_GPA) || rule->filters & WITH_GPA)
		return 0;
	if (!(rule->filters & WITH_GVA))
		return wrong_word(p, "which memory? give gpa=A..B or gva=A..B before `do`");
	if ((gva->last >> 12) - (gva->first >> 12) < FERMATA_MAX_GVA_PAGES)
		return 0;
	p->at = p->gva;
	p->length = p->gva_length;
	return wrong_word(p, "gva= without gpa= can be %u pages of 4 KiB at most",
			  FERMATA_MAX_GVA_PAGES);
}

int fermata_rule_parse(const char *text, struct fermata_rule *rule, struct fermata_span *wrong)
{
	struct parser p = { .text = text, .wrong = wrong };
	int err;

	memset(rule, 0, sizeof(*rule));
	err = parse_event(&p, rule);
	while (!err && next_word(&p) && !is(&p, "do"))
		err = parse_filter(&p, rule);
	if (!err)
		err = check_memory(&p, rule);
	if (err || !p.length)
		return err;
	if (!next_word(&p))
		return wrong_word(&p, "nothing here; give an action, such as log");
	do {
		err = parse_action(&p, rule);
	} while (!err && next_word(&p));
	return err;
}

/* ---- and back */

struct writer {
	char *out;
	size_t room, length;
};

static void add(struct writer *w, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void add(struct writer *w, const char *format, ...)
{
	size_t left = w->length < w->room ? w->room - w->length : 0;
	va_list arguments;

	va_start(arguments, format);
	w->length += (size_t)vsnprintf(left ? w->out + w->length : NULL, left, format, arguments);
	va_end(arguments);
}

static void add_range(struct writer *w, const char *name, const struct fermata_range *range)
{
	const char *format = range->first < 10 ? " %s=%" PRIu64 : " %s=%#" PRIx64;

	add(w, format, name, (uint64_t)range->first);
	if (range->last != range->first)
		add(w, range->last < 10 ? "..%" PRIu64 : "..%#" PRIx64, (uint64_t)range->last);
}

static void add_actions(struct writer *w, const struct fermata_rule *rule)
{
	if (!rule->actions)
		add(w, " count");
	if (rule->actions & FERMATA_DO_LOG)
		add(w, " log");
	if (rule->actions & FERMATA_DO_STOP)
		add(w, " stop");
	if (rule->actions & FERMATA_DO_SKIP)
		add(w, " skip");
	for (unsigned i = 0; i < rule->sets && i < 4; i++)
		add(w, " set %s=%#" PRIx64, registers[rule->reg[i] % FERMATA_REGS],
		    (uint64_t)rule->value[i]);
	if (rule->actions & FERMATA_DO_INJECT)
		add(w, " inject %u", rule->vector);
	if (rule->has_code)
		add(w, ":%#x", rule->code);
}

size_t fermata_rule_text(const struct fermata_rule *rule, char *out, size_t size)
{
	struct writer w = { .out = out, .room = size };
	const char *number = fermata_event_number_name(rule->event);

	add(&w, "%s", fermata_event_name(rule->event) ?: "unknown");
	if (rule->filters & NUMBER_ONLY)
		add_range(&w, number ? number : "number", &rule->range[FERMATA_FILTER_NUMBER]);
	for (size_t i = 0; i < COUNT(common); i++)
		if (rule->filters & 1u << common[i].filter)
			add_range(&w, common[i].name, &rule->range[common[i].filter]);
	if (rule->first)
		add(&w, " first=%" PRIu64, (uint64_t)rule->first);
	if (rule->every)
		add(&w, " every=%" PRIu64, (uint64_t)rule->every);
	add(&w, " do");
	add_actions(&w, rule);
	return w.length;
}
