/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * One thread per guest: it admits clients, answers their lines and tells them events. Everything that a
 * client can make grow has a bound; who exceeds one is told, as far as he listens, and dropped.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "door.h"
#include "fermata.h"
#include "line.h"
#include "queue.h"
#include "verbs.h"

#define CLIENTS 16
#define PATIENCE_NS 10000000000u /* for the rest of a line, and for one who leaves */
#define WATERMARK (64u << 10)	 /* he first reads that, then he is listened to again */
#define EVENTS 1024		 /* that wait for the thread */

struct client {
	int fd; /* -1: none */
	struct line in;
	struct queue out;
	bool at_end;	/* of what he has to say */
	bool leaving;	/* he is not listened to any more, and goes when `out` is empty */
	bool dropped;	/* he goes at once */
	uint64_t since; /* when half a line came, or he began to leave; 0: neither */
	struct control *control;
};

struct control {
	struct control_guest guest;
	struct door door;
	pthread_t thread;
	int wake_fd; /* events or the end */
	atomic_bool stopping;
	struct client client[CLIENTS];

	pthread_mutex_t lock; /* of what follows */
	char *event[EVENTS];
	unsigned events, lost;
};

/* ---- one client */

static void say(struct client *client, char *text)
{
	if (!text || !queue_put(&client->out, text, strlen(text)))
		client->dropped = true;
	free(text);
}

static void dismiss(struct client *client, const char *class, const char *why)
{
	say(client, command_error(class, why));
	client->leaving = true;
}

static void answer_lines(struct client *client)
{
	size_t length;
	char *text;

	while (!client->dropped && !client->leaving && client->out.length < WATERMARK) {
		text = line_take(&client->in, &length);
		if (!text) {
			if (line_too_long(&client->in))
				dismiss(client, ERROR_SYNTAX, "a line is longer than 65536 bytes");
			/* What he asked he may still want to read; half a line is nothing. */
			client->leaving |= client->at_end;
			break;
		}
		if (strspn(text, " \t\r") < length)
			say(client,
			    command_answer(control_verbs, &client->control->guest, text, length));
		if (!queue_send(&client->out, client->fd))
			client->dropped = true;
	}
	if (!client->leaving && (!line_half(&client->in) || client->out.length >= WATERMARK))
		client->since = 0;
	else if (!client->since)
		client->since = verbs_now_ns();
}

static void read_more(struct client *client)
{
	char bytes[4096];
	ssize_t n = recv(client->fd, bytes, sizeof(bytes), MSG_DONTWAIT);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n < 0 || (n > 0 && !line_add(&client->in, bytes, (size_t)n)))
		client->dropped = true;
	client->at_end = n == 0;
}

static void remove_client(struct client *client)
{
	close(client->fd);
	line_free(&client->in);
	queue_free(&client->out);
	*client = (struct client){ .fd = -1, .control = client->control };
}

static void add_client(struct control *control, int fd)
{
	for (unsigned i = 0; i < CLIENTS; i++) {
		struct client *client = &control->client[i];

		if (client->fd >= 0)
			continue;
		client->fd = fd;
		say(client, command_greeting(control->guest.name));
		return;
	}
	door_refuse(fd, "busy", "too many clients; end one of them");
}

/* Answers, sends what can be sent, and lets those go who are to go. */
static void tend_clients(struct control *control)
{
	for (unsigned i = 0; i < CLIENTS; i++) {
		struct client *client = &control->client[i];

		if (client->fd < 0)
			continue;
		answer_lines(client);
		if (!client->dropped && !queue_send(&client->out, client->fd))
			client->dropped = true;
		if (client->dropped || (client->leaving && !client->out.length))
			remove_client(client);
	}
}

/* ---- events */

static void wake(struct control *control)
{
	uint64_t one = 1;

	/* It takes 2^64 - 2 of these before one could fail. */
	if (write(control->wake_fd, &one, sizeof(one)) < 0)
		errno = 0;
}

void control_event(struct control *control, const char *name, struct json_object *data)
{
	char *line = command_event(name, data);

	pthread_mutex_lock(&control->lock);
	if (line && control->events < EVENTS) {
		control->event[control->events++] = line;
		line = NULL;
	} else {
		control->lost++;
	}
	pthread_mutex_unlock(&control->lock);
	free(line);
	wake(control);
}

static void tell_all(struct control *control, const char *line)
{
	for (unsigned i = 0; i < CLIENTS; i++) {
		struct client *client = &control->client[i];

		if (client->fd >= 0 && !client->leaving &&
		    !queue_put(&client->out, line, strlen(line)))
			client->dropped = true;
	}
}

static void tell_events(struct control *control)
{
	unsigned count, lost;
	uint64_t wakes;
	char **events;

	if (read(control->wake_fd, &wakes, sizeof(wakes)) < 0)
		return;
	events = malloc(EVENTS * sizeof(*events));
	if (!events)
		return;
	pthread_mutex_lock(&control->lock);
	count = control->events;
	lost = control->lost;
	memcpy(events, control->event, count * sizeof(*events));
	control->events = control->lost = 0;
	pthread_mutex_unlock(&control->lock);
	for (unsigned i = 0; i < count; i++) {
		tell_all(control, events[i]);
		free(events[i]);
	}
	free(events);
	if (lost) {
		struct json_object *data = json_object_new_object();
		char *line;

		json_object_object_add(data, "count", json_object_new_uint64(lost));
		line = command_event("lost", data);
		if (line)
			tell_all(control, line);
		free(line);
	}
}

/* The machine is locked here. */
static void hear(void *opaque, enum machine_news news, const struct machine_end *end)
{
	struct control *control = opaque;
	struct json_object *data;
	const char *name = verbs_event(news, end, &data);

	control_event(control, name, data);
}

/* ---- the thread */

/* Milliseconds until patience with somebody ends; -1: nobody needs any. */
static int patience(struct control *control)
{
	uint64_t now = verbs_now_ns(), nearest = ~0ull;

	for (unsigned i = 0; i < CLIENTS; i++) {
		struct client *client = &control->client[i];

		if (client->fd < 0 || !client->since)
			continue;
		if (now - client->since < PATIENCE_NS) {
			if (client->since + PATIENCE_NS - now < nearest)
				nearest = client->since + PATIENCE_NS - now;
			continue;
		}
		if (client->leaving)
			client->dropped = true;
		else
			dismiss(client, ERROR_SYNTAX, "a line has no end");
		client->since = now;
		nearest = 0;
	}
	return nearest == ~0ull ? -1 : (int)((nearest + 999999u) / 1000000u);
}

static short wanted(const struct client *client)
{
	bool listening = !client->leaving && !client->at_end && client->out.length < WATERMARK;

	return (short)((listening ? POLLIN : 0) | (client->out.length ? POLLOUT : 0));
}

static void *serve(void *opaque)
{
	struct control *control = opaque;

	while (!control->stopping) {
		struct pollfd p[2 + CLIENTS] = {
			{ .fd = control->wake_fd, .events = POLLIN },
			{ .fd = control->door.fd, .events = POLLIN },
		};
		int fd;

		tend_clients(control);
		for (unsigned i = 0; i < CLIENTS; i++) {
			p[2 + i].fd = control->client[i].fd;
			p[2 + i].events = wanted(&control->client[i]);
		}
		if (poll(p, 2 + CLIENTS, patience(control)) < 0)
			continue;
		for (unsigned i = 0; i < CLIENTS; i++) {
			if (p[2 + i].revents & POLLIN)
				read_more(&control->client[i]);
			else if (p[2 + i].revents & (POLLHUP | POLLERR))
				control->client[i].dropped = true;
		}
		tell_events(control);
		fd = p[1].revents ? door_admit(&control->door) : -1;
		if (fd >= 0)
			add_client(control, fd);
	}
	tell_events(control);
	tend_clients(control);
	return NULL;
}

static bool prepare(struct control *control, const struct control_guest *guest, char *problem,
		    size_t problem_size)
{
	struct fermata_caps caps = { 0 };
	int error;

	fermata_caps(&caps);
	control->guest = *guest;
	control->guest.control = control;
	control->guest.vendor = caps.vendor;
	control->guest.tsc_khz = caps.tsc_khz;
	control->guest.since = time(NULL);
	control->guest.since_ns = verbs_now_ns();
	for (unsigned i = 0; i < CLIENTS; i++)
		control->client[i] = (struct client){ .fd = -1, .control = control };
	control->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (control->wake_fd < 0) {
		snprintf(problem, problem_size, "no eventfd: %s; raise `ulimit -n`",
			 strerror(errno));
		return false;
	}
	if (door_open(&control->door, guest->name, problem, problem_size)) {
		close(control->wake_fd);
		return false;
	}
	machine_listen(guest->machine, hear, control);
	error = pthread_create(&control->thread, NULL, serve, control);
	if (!error) {
		pthread_setname_np(control->thread, "control");
		return true;
	}
	machine_listen(guest->machine, NULL, NULL);
	door_close(&control->door);
	close(control->wake_fd);
	snprintf(problem, problem_size, "cannot start a thread: %s; raise `ulimit -u`",
		 strerror(error));
	return false;
}

struct control *control_start(const struct control_guest *guest, char *problem, size_t problem_size)
{
	struct control *control = calloc(1, sizeof(*control));

	if (!control) {
		snprintf(problem, problem_size, "no memory for the control channel");
		return NULL;
	}
	pthread_mutex_init(&control->lock, NULL);
	if (prepare(control, guest, problem, problem_size))
		return control;
	pthread_mutex_destroy(&control->lock);
	free(control);
	return NULL;
}

void control_stop(struct control *control)
{
	if (!control)
		return;
	machine_listen(control->guest.machine, NULL, NULL);
	control->stopping = true;
	wake(control);
	pthread_join(control->thread, NULL);
	for (unsigned i = 0; i < CLIENTS; i++)
		if (control->client[i].fd >= 0)
			remove_client(&control->client[i]);
	door_close(&control->door);
	close(control->wake_fd);
	for (unsigned i = 0; i < control->events; i++)
		free(control->event[i]);
	pthread_mutex_destroy(&control->lock);
	free(control);
}
