/* SPDX-License-Identifier: MIT OR GPL-2.0 */
#include "settings.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/text/say.h"
#include "cli/text/words.h"

#define LONGEST 65536u

/* The file's text; NULL with a line said. */
static char *read_text(const char *path)
{
	char *text = malloc(LONGEST + 1);
	FILE *file = text ? fopen(path, "re") : NULL;
	size_t length = file ? fread(text, 1, LONGEST + 1, file) : 0;
	bool good = file && !ferror(file);

	if (!good)
		say("--settings %s: %s", path, strerror(errno));
	else if (length > LONGEST)
		say("--settings %s: longer than %u bytes; is it the right file?", path, LONGEST);
	else if (memchr(text, 0, length))
		say("--settings %s: not a text; give a file of options", path);
	if (file)
		fclose(file);
	if (good && length <= LONGEST && !memchr(text, 0, length)) {
		text[length] = 0;
		return text;
	}
	free(text);
	return NULL;
}

/* Comments become blanks, and so do backslashes that join lines, as they are joined anyway. */
static void make_blanks(char *text)
{
	char *join = text;

	while ((join = strstr(join, "\\\n")))
		memset(join, ' ', 2);
	for (char *line = text; *line;) {
		size_t length = strcspn(line, "\n");

		if (line[strspn(line, " \t")] == '#')
			memset(line, ' ', length);
		line += length + (line[length] == '\n');
	}
}

char **settings_read(const char *path)
{
	char *text = read_text(path), *line, **words = NULL;
	int count;

	if (!text)
		return NULL;
	make_blanks(text);
	if (asprintf(&line, "run %s", text) >= 0) {
		words = words_split(line, &count);
		free(line);
	}
	free(text);
	if (!words && errno == EINVAL)
		say("--settings %s: a quote or backslash without its end; close it", path);
	else if (!words)
		say("no memory for the words of --settings; free some");
	return words;
}
