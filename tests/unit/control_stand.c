/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * control_stand NAME: the control channel of a guest that is none, until its standard input ends or a client
 * quits the guest. Lines there make things happen: "records N" are logged; "dropped N" were lost; "die" ends the
 * guest; "event" tells one.
 */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "control/control.h"
#include "fake_machine.h"

static void act(struct control *control, char *line)
{
	char what[20];
	unsigned n = 0;

	if (sscanf(line, "%19s %u", what, &n) < 1)
		return;
	pthread_mutex_lock(&fake.lock);
	if (!strcmp(what, "records"))
		fake.records += n;
	else if (!strcmp(what, "dropped"))
		fake.dropped = n;
	else if (!strcmp(what, "die"))
		fake.end = (struct machine_end){ .kind = MACHINE_DIED, .why = "of grief" };
	pthread_mutex_unlock(&fake.lock);
	if (!strcmp(what, "die"))
		fake_news(MACHINE_NEWS_ENDED);
	if (!strcmp(what, "event"))
		control_event(control, "told", NULL);
	puts("done");
}

int main(int argc, char **argv)
{
	struct control_guest guest = { .where = "here", .vcpus = 1, .memory = 1 << 20 };
	struct control *control;
	char problem[500], line[100];

	setvbuf(stdin, NULL, _IONBF, 0);
	setvbuf(stdout, NULL, _IOLBF, 0);
	guest.name = argc > 1 ? argv[1] : "web";
	control = control_start(&guest, problem, sizeof(problem));
	if (!control) {
		fprintf(stderr, "%s\n", problem);
		return 1;
	}
	puts("ready");
	while (!fake.end.kind) {
		struct pollfd p = { .fd = STDIN_FILENO, .events = POLLIN };

		if (poll(&p, 1, 20) == 1 && !fgets(line, sizeof(line), stdin))
			break;
		if (p.revents)
			act(control, line);
	}
	control_stop(control);
	return 0;
}
