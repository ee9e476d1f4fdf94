/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* Rules as a guest under test gives them to itself, through the runner. */
#ifndef GUESTS_RULES_H
#define GUESTS_RULES_H

#include <uapi/fermata.h>
#include "guest.h"

#define NO_RULE 0u

/* Its id; NO_RULE when this processor cannot intercept it, which is said. Other errors fail the test. */
static inline u32 rule_on(const char *text)
{
	u32 id = call_runner(CALL_RULE_ADD, (u32)(u64)text);

	if (id < CALL_FAILED)
		return id;
	if (id == CALL_FAILED + 95) /* EOPNOTSUPP */
		skip(text, "this processor cannot intercept it");
	else
		check_eq(id, 0, text);
	return NO_RULE;
}

static inline u32 rule_off(u32 id)
{
	u32 hits = call_runner(CALL_RULE_HITS, id);

	call_runner(CALL_RULE_REMOVE, id);
	return hits;
}

/* With that rule in force `act` makes so many hits. */
static inline void fires(const char *text, void (*act)(void), u32 times)
{
	u32 id = rule_on(text);

	act();
	if (id != NO_RULE)
		check_eq(rule_off(id), times, text);
}

static inline bool next_record(struct fermata_record *record)
{
	static struct fermata_record at;

	if (!call_runner(CALL_LOG_NEXT, (u32)(u64)&at))
		return false;
	*record = READ(at);
	return true;
}

#endif
