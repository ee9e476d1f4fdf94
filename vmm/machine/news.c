/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* How those outside hear that something happened: an eventfd to poll, and a listener to call. */
#include <unistd.h>

#include "internal.h"

void news_raise(struct machine *machine)
{
	uint64_t one = 1;

	if (machine->news.raised)
		return;
	/* An eventfd takes 2^64 - 2 of these before a write could fail. */
	if (write(machine->news.event_fd, &one, sizeof(one)) == sizeof(one))
		machine->news.raised = true;
}

int machine_event_fd(struct machine *machine)
{
	return machine->news.event_fd;
}

void machine_event_take(struct machine *machine)
{
	uint64_t count;

	pthread_mutex_lock(&machine->lock);
	if (machine->news.raised && read(machine->news.event_fd, &count, sizeof(count)) > 0)
		machine->news.raised = false;
	pthread_mutex_unlock(&machine->lock);
}

void news_tell(struct machine *machine, enum machine_news news)
{
	if (machine->news.listener)
		machine->news.listener(machine->news.opaque, news, &machine->end);
}

void machine_listen(struct machine *machine, machine_listener *listener, void *opaque)
{
	pthread_mutex_lock(&machine->lock);
	machine->news.listener = listener;
	machine->news.opaque = opaque;
	pthread_mutex_unlock(&machine->lock);
}
