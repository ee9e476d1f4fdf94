/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* One text that holds the words of a command line, with a shell's quotes. Pure functions. */
#ifndef CLI_WORDS_H
#define CLI_WORDS_H

/*
 * Splits at blanks, tabs and newlines. As in a shell '...' is literal, "..." too but for \" and \\, and
 * elsewhere a backslash takes the next character as it is. The list ends with NULL, is one
 * allocation, and the caller's to free(). NULL with errno: EINVAL: a quote or backslash without its
 * end; ENOMEM.
 */
char **words_split(const char *text, int *count);

/* The text of which words_split() makes these words again, for the caller to free(); NULL: ENOMEM. */
char *words_join(char *const *words);

#endif
