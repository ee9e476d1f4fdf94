/* SPDX-License-Identifier: MIT OR GPL-2.0 */
#include "guests.h"

#include "cli/text/parse.h"
#include "cli/text/say.h"

#define GREETING_MS 60000 /* a box on a slow computer starts in that time */

int guest_read(const struct command *command, char **argv, struct guest_request *request)
{
	const char *word[OPTION_WORDS];
	int status = options_read(command, argv, request, word);

	if (status != OPTIONS_READ)
		return status;
	if (!word[0])
		return fail("no guest named; `fermata ps` lists them, see `fermata %s --help`",
			    command->name);
	if (!name_valid(word[0]))
		return fail("'%s' is not a guest's name; `fermata ps` lists them", word[0]);
	request->name = word[0];
	request->what = word[1];
	request->value = word[2];
	return OPTIONS_READ;
}

int guest_open(struct client *client, const char *name)
{
	char problem[512];

	if (client_open(client, name, GREETING_MS, problem, sizeof(problem)))
		return fail("%s", problem);
	return STATUS_OK;
}

struct json_object *guest_call(struct client *client, const char *command,
			       struct json_object *arguments)
{
	char problem[512];
	struct json_object *result =
		client_call(client, command, arguments, problem, sizeof(problem));

	if (!result)
		say("%s", problem);
	return result;
}

int guest_ask(const char *name, const char *command, struct json_object *arguments,
	      void (*print)(struct json_object *result))
{
	struct json_object *result;
	struct client client;

	if (guest_open(&client, name)) {
		json_object_put(arguments);
		return STATUS_FAILED;
	}
	result = guest_call(&client, command, arguments);
	client_close(&client);
	if (result && print)
		print(result);
	json_object_put(result);
	return result ? STATUS_OK : STATUS_FAILED;
}

int guest_do(const struct guest_request *request, const char *command,
	     void (*print)(struct json_object *result))
{
	struct json_object *arguments = json_object_new_object();

	json_add_text(arguments, "do", request->what);
	if (request->value)
		json_add_text(arguments, "value", request->value);
	return guest_ask(request->name, command, arguments, print);
}
