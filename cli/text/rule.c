/* SPDX-License-Identifier: MIT OR GPL-2.0 */
#include "rule.h"

#include <stdio.h>

#include "fermata.h"
#include "say.h"

bool rule_check(const char *what, const char *text)
{
	struct fermata_span wrong = { 0 };
	struct fermata_rule rule;
	char line[600];
	int n;

	if (!fermata_rule_parse(text, &rule, &wrong))
		return true;
	say("%s: %s", what, fermata_error());
	n = snprintf(line, sizeof(line), "  %.256s\n  %*s", text, (int)(wrong.at % 256), "");
	for (unsigned i = 0; i < wrong.length && i < 256; i++)
		line[n++] = i ? '~' : '^';
	line[n++] = '\n';
	line[n] = 0;
	say_block(line);
	return false;
}
