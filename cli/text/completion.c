/* SPDX-License-Identifier: MIT OR GPL-2.0 */
#include "completion.h"

#include <stdio.h>
#include <string.h>

/* bash makes three words of --NAME=VALUE, the middle one "=". */
static const char beginning[] =
	"# SPDX-License-Identifier: MIT OR GPL-2.0\n"
	"# Made by `fermata help --completion` from the command's own lists.\n"
	"_fermata() {\n"
	"\tlocal current=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} verb=${COMP_WORDS[1]}\n"
	"\tlocal options='' words='' IFS=$' \\t\\n'\n"
	"\tCOMPREPLY=()\n"
	"\tif [[ $current == = ]]; then\n"
	"\t\tcurrent=''\n"
	"\telif [[ $before == = ]]; then\n"
	"\t\tbefore=${COMP_WORDS[COMP_CWORD - 2]}\n"
	"\tfi\n"
	"\tif [ \"$COMP_CWORD\" = 1 ]; then\n"
	"\t\tverb=''\n"
	"\tfi\n"
	"\tcase \"$verb $before\" in\n";

static const char middle[] = "\tesac\n"
			     "\tcase $verb in\n";

static const char end[] =
	"\tesac\n"
	"\tif [[ $current == -* || ! $words ]]; then\n"
	"\t\twords=$options\n"
	"\telif [[ $words == GUEST ]]; then\n"
	"\t\twords=$(fermata ps 2>/dev/null | while read -r name rest; do [[ $name == NAME ]] || echo \"$name\"; done)\n"
	"\tfi\n"
	"\tmapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$current\")\n"
	"}\n"
	"complete -F _fermata fermata\n";

static void print_case(const struct command *command, const char *name)
{
	printf("\t'%s --%s')\n", command->name, name);
}

/* What may stand behind an option that takes a value; of most values nothing is known. */
static void print_value(const struct command *command, const struct option_row *row,
			const char *name)
{
	if (!name)
		return;
	print_case(command, name);
	if (row->words) {
		printf("\t\tmapfile -t COMPREPLY < <(compgen -W '");
		for (const struct option_word *word = row->words; word->name; word++)
			printf("%s%s", word == row->words ? "" : " ", word->name);
		printf("' -- \"$current\")\n");
	} else if (!strcmp(row->value, "FILE")) {
		printf("\t\tcompopt -o filenames 2>/dev/null\n"
		       "\t\tmapfile -t COMPREPLY < <(compgen -f -- \"$current\")\n");
	}
	printf("\t\treturn\n\t\t;;\n");
}

static void print_verb(const struct command *command, const char *words)
{
	const struct option_row *row;

	printf("\t%s)\n\t\toptions='", command->name);
	for (size_t i = 0; (row = command_option(command, i)); i++) {
		printf("%s--%s", i ? " " : "", row->name);
		if (row->also)
			printf(" --%s", row->also);
	}
	printf("' words='%s'\n\t\t;;\n", words);
}

void completion_print(const struct command *const *commands, size_t count)
{
	char verbs[500] = "";
	const struct option_row *row;

	for (size_t i = 0; i < count; i++)
		snprintf(verbs + strlen(verbs), sizeof(verbs) - strlen(verbs), "%s%s", i ? " " : "",
			 commands[i]->name);
	fputs(beginning, stdout);
	for (size_t i = 0; i < count; i++) {
		for (size_t j = 0; (row = command_option(commands[i], j)); j++) {
			if (!row->value)
				continue;
			print_value(commands[i], row, row->name);
			print_value(commands[i], row, row->also);
		}
	}
	fputs(middle, stdout);
	printf("\t'')\n\t\toptions='--help --version' words='%s'\n\t\t;;\n", verbs);
	for (size_t i = 0; i < count; i++) {
		bool help = !strcmp(commands[i]->name, "help");

		print_verb(commands[i], help ? verbs : commands[i]->words ? "GUEST" : "");
	}
	fputs(end, stdout);
}
