/* SPDX-License-Identifier: MIT OR GPL-2.0 */
#include "porter.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "door.h"

struct porter {
	pthread_t thread;
	porter_take *take;
	void *opaque;
	const char *const *names;
	int wake_fd;
	atomic_bool stopping;
	unsigned count;
	struct pollfd *polls; /* count + 1 */
	struct door door[];
};

static void *attend(void *opaque)
{
	struct porter *porter = opaque;

	while (!porter->stopping) {
		if (poll(porter->polls, porter->count + 1, -1) < 0)
			continue;
		for (unsigned i = 0; i < porter->count; i++) {
			int fd = porter->polls[i].revents ? door_admit(&porter->door[i]) : -1;

			if (fd >= 0 && !porter->take(porter->opaque, porter->names[i], fd))
				door_refuse(fd, "busy", "too many clients; end one of them");
		}
	}
	return NULL;
}

static void free_porter(struct porter *porter)
{
	for (unsigned i = 0; i < porter->count; i++)
		door_close(&porter->door[i]);
	if (porter->wake_fd >= 0)
		close(porter->wake_fd);
	free(porter->polls);
	free(porter);
}

struct porter *porter_start(const char *const *names, unsigned count, porter_take *take,
			    void *opaque, char *problem, size_t problem_size)
{
	struct porter *porter = calloc(1, sizeof(*porter) + count * sizeof(porter->door[0]));
	int error = 0;

	if (!porter || !(porter->polls = calloc(count + 1, sizeof(porter->polls[0])))) {
		free(porter);
		snprintf(problem, problem_size, "no memory for the control channel");
		return NULL;
	}
	porter->take = take;
	porter->opaque = opaque;
	porter->names = names;
	porter->wake_fd = -1;
	for (; porter->count < count; porter->count++) {
		struct door *door = &porter->door[porter->count];

		if (door_open(door, names[porter->count], problem, problem_size)) {
			free_porter(porter);
			return NULL;
		}
		porter->polls[porter->count] = (struct pollfd){ .fd = door->fd, .events = POLLIN };
	}
	porter->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	porter->polls[count] = (struct pollfd){ .fd = porter->wake_fd, .events = POLLIN };
	if (porter->wake_fd < 0)
		error = errno;
	else
		error = pthread_create(&porter->thread, NULL, attend, porter);
	if (!error)
		return porter;
	snprintf(problem, problem_size, "no thread for the control channel: %s", strerror(error));
	free_porter(porter);
	return NULL;
}

void porter_stop(struct porter *porter)
{
	uint64_t one = 1;

	if (!porter)
		return;
	porter->stopping = true;
	if (write(porter->wake_fd, &one, sizeof(one)) == sizeof(one))
		pthread_join(porter->thread, NULL);
	free_porter(porter);
}
