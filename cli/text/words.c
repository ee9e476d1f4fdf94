/* SPDX-License-Identifier: MIT OR GPL-2.0 */
#include "words.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static bool blank(char c)
{
	return c == ' ' || c == '\t' || c == '\n';
}

/* Copies one word to *to, ends it, and moves both on; false: it does not end. */
static bool take_word(const char **from, char **to)
{
	const char *p = *from;
	char quote = 0;

	for (; *p && (quote || !blank(*p)); p++) {
		if (quote ? *p == quote : *p == '\'' || *p == '"') {
			quote = quote ? 0 : *p;
			continue;
		}
		if (*p == '\\' && (!quote || (quote == '"' && (p[1] == '"' || p[1] == '\\'))))
			p++;
		if (!*p)
			return false;
		*(*to)++ = *p;
	}
	*(*to)++ = 0;
	*from = p;
	return !quote;
}

char **words_split(const char *text, int *count)
{
	/* Every word but the last has a blank behind it; each needs a pointer, and one more ends them. */
	size_t length = strlen(text), most = length / 2 + 1;
	char **words = malloc((most + 1) * sizeof(*words) + length + 1), *to;

	if (!words)
		return NULL;
	to = (char *)(words + most + 1);
	for (*count = 0;;) {
		while (blank(*text))
			text++;
		if (!*text)
			break;
		words[(*count)++] = to;
		if (!take_word(&text, &to)) {
			free(words);
			errno = EINVAL;
			return NULL;
		}
	}
	words[*count] = NULL;
	return words;
}

char *words_join(char *const *words)
{
	char *text, *to;
	size_t size = 1;

	for (char *const *word = words; *word; word++)
		size += 4 * strlen(*word) + 3;
	text = to = malloc(size);
	if (!text)
		return NULL;
	for (char *const *word = words; *word; word++) {
		*to++ = '\'';
		for (const char *p = *word; *p; p++) {
			if (*p == '\'')
				to = stpcpy(to, "'\\''");
			else
				*to++ = *p;
		}
		to = stpcpy(to, word[1] ? "' " : "'");
	}
	*to = 0;
	return text;
}
