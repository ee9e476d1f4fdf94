/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* A file of options: what would stand behind `fermata run`, over as many lines as one likes. */
#ifndef CLI_SETTINGS_H
#define CLI_SETTINGS_H

/*
 * The file's words with the verb in front, as options_parse() takes them. Quotes are as in a shell; a line whose
 * first character that is no blank is # says nothing. To be freed at once, words and all. NULL with a line said.
 */
char **settings_read(const char *path);

#endif
