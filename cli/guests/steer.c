/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* fermata pause, resume, quit. */
#include "cli/text/say.h"
#include "guests.h"

static const struct option_word clocks[] = { { "freeze", 1 }, { "advance", 2 }, { .name = NULL } };

/* pause, resume */
static int run_steer(const struct command *command, char **argv)
{
	struct guest_request request = { 0 };
	struct json_object *arguments = NULL;
	int status = guest_read(command, argv, &request);

	if (status != OPTIONS_READ)
		return status;
	if (request.clock) {
		arguments = json_object_new_object();
		json_add_text(arguments, "clock", clocks[request.clock - 1].name);
	}
	return guest_ask(request.name, command->name, arguments, NULL);
}

static int run_quit(const struct command *command, char **argv)
{
	struct guest_request request = { 0 };
	struct json_object *result, *event;
	struct client client;
	int status = guest_read(command, argv, &request);

	if (status != OPTIONS_READ)
		return status;
	if (guest_open(&client, request.name))
		return STATUS_FAILED;
	result = guest_call(&client, "quit", NULL);
	/* Its socket is closed when the machine has ended. */
	while (result && (event = client_event(&client, -1)))
		json_object_put(event);
	client_close(&client);
	json_object_put(result);
	return result ? STATUS_OK : STATUS_FAILED;
}

static const struct option_row pause_options[] = {
	{ "clock", "HOW", option_choice, GUEST_MEMBER(clock),
	  .help = "what `resume` does about the time of the pause, unless it is told itself: "
		  "freeze (the default) or advance",
	  .words = clocks },
	{ .name = NULL },
};

const struct command command_pause = {
	.name = "pause",
	.what = "hold a running guest",
	.run = run_steer,
	.usage = "NAME [--clock HOW]",
	.options = pause_options,
	.words = 1,
	.about = "When it returns, the guest executes nothing until `fermata resume`. What is typed into its console\n"
		 "waits. Holding a guest that is held already does nothing.\n"
		 "\n"
		 "exit status: 0 it is held; 1 there is no such guest\n"
		 "\n"
		 "examples:\n"
		 "  fermata pause web\n"
		 "  fermata pause web --clock advance\n",
};

static const struct option_row resume_options[] = {
	{ "clock", "HOW", option_choice, GUEST_MEMBER(clock),
	  .help = "what becomes of the time that the pause took. freeze: the guest never had it; "
		  "advance: the guest makes up for it, at 60 times its rate; default: what "
		  "`pause` was told, else freeze",
	  .words = clocks },
	{ .name = NULL },
};

const struct command command_resume = {
	.name = "resume",
	.what = "let a held guest go on",
	.run = run_steer,
	.usage = "NAME [--clock HOW]",
	.options = resume_options,
	.words = 1,
	.about = "A guest that a rule with `stop` holds before an instruction goes on with that instruction.\n"
		 "\n"
		 "exit status: 0 it runs; 1 there is no such guest\n"
		 "\n"
		 "examples:\n"
		 "  fermata resume web\n"
		 "  fermata resume web --clock advance\n",
};

const struct command command_quit = {
	.name = "quit",
	.what = "end a running guest at once",
	.run = run_quit,
	.usage = "NAME",
	.words = 1,
	.about = "Does what Ctrl-A x does on the guest's console: the guest is not asked. When it returns, the guest\n"
		 "has ended.\n"
		 "\n"
		 "exit status: 0 it has ended; 1 there is no such guest\n"
		 "\n"
		 "example:\n"
		 "  fermata quit web\n",
};
