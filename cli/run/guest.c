/* SPDX-License-Identifier: MIT OR GPL-2.0 */
#include "guest.h"

#include <stdio.h>
#include <stdlib.h>

#include "cli/text/say.h"
#include "rules.h"

/* In a box the command finds its kind in the environment (box/README.md). */
static const char *where(void)
{
	static char text[80];
	const char *kind = getenv("BOX_KIND");

	if (!kind || !*kind)
		return "here";
	snprintf(text, sizeof(text), "box %s", kind);
	return text;
}

struct control *guest_control(struct machine *machine, const struct run_options *options)
{
	const struct control_guest guest = {
		.name = options->name,
		.where = where(),
		.vcpus = options_machine(options).vcpus,
		.memory = options->memory,
		.machine = machine,
	};
	struct control *control;
	char problem[512];

	if (!rules_apply(machine, options))
		return NULL;
	control = control_start(&guest, problem, sizeof(problem));
	if (!control)
		say("%s", problem);
	return control;
}

int guest_status(struct machine *machine, const struct run_options *options)
{
	struct machine_end end = { 0 };

	machine_ended(machine, &end);
	switch (end.kind) {
	case MACHINE_POWEROFF:
		return STATUS_OK;
	case MACHINE_RESET:
		say("the guest '%s' asked for a reset; run it again to start it anew",
		    options->name);
		return STATUS_OK;
	case MACHINE_DEBUG_EXIT:
		return (int)((end.value << 1 | 1) & 0xff);
	case MACHINE_DIED:
		say("the guest '%s' died: %s", options->name, end.why);
		if (end.report)
			say_block(end.report);
		return STATUS_DIED;
	default:
		return STATUS_OK;
	}
}
