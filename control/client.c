/* SPDX-License-Identifier: MIT OR GPL-2.0 */
#include "client.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "door.h"
#include "plain.h"

#define ANSWER_MS 60000 /* nothing that a guest is asked takes that long */
#define SPEAKS_OTHERWISE                                                                           \
	"the guest '%s' speaks another protocol; are the command and it of one version?"

static int64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/*
 * The next line's object, in plain words. NULL with errno: ETIMEDOUT; EPIPE: the guest has gone; EPROTO: what it
 * says is not of this protocol; or another.
 */
static struct json_object *next_line(struct client *client, int limit_ms)
{
	int64_t until = now_ms() + limit_ms;
	char bytes[4096];
	size_t length;

	for (;;) {
		char *text = line_take(&client->in, &length);
		struct pollfd p = { .fd = client->fd, .events = POLLIN };
		int64_t left = until - now_ms();
		struct json_object *object;
		ssize_t n;

		if (text) {
			object = plain_object(json_tokener_parse(text));
			if (!object)
				errno = EPROTO;
			return object;
		}
		if (line_too_long(&client->in)) {
			errno = EPROTO;
			return NULL;
		}
		if (limit_ms >= 0 && left <= 0) {
			errno = ETIMEDOUT;
			return NULL;
		}
		if (poll(&p, 1, limit_ms < 0 ? -1 : (int)left) <= 0)
			continue;
		n = recv(client->fd, bytes, sizeof(bytes), 0);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			errno = EPIPE;
			return NULL;
		}
		if (!line_add(&client->in, bytes, (size_t)n))
			return NULL;
	}
}

/* What the guest says of an error. */
static void quote_error(struct json_object *error, char *problem, size_t problem_size)
{
	struct json_object *text = NULL;

	json_object_object_get_ex(error, "desc", &text);
	snprintf(problem, problem_size, "%s",
		 text ? json_object_get_string(text) : "no reason given");
}

static int read_greeting(struct client *client, int limit_ms, char *problem, size_t problem_size)
{
	struct json_object *line = next_line(client, limit_ms), *error;
	char why[200];
	int result = errno;

	if (!line) {
		snprintf(problem, problem_size,
			 result == ETIMEDOUT ?
				 "the guest '%s' does not answer; is it still starting, or its process stopped?" :
			 result == EPROTO ?
				 SPEAKS_OTHERWISE :
				 "the guest '%s' is ending, or is not one of this version",
			 client->name);
	} else if (json_object_object_get_ex(line, "fermata", NULL)) {
		result = 0;
	} else if (json_object_object_get_ex(line, "error", &error)) {
		quote_error(error, why, sizeof(why));
		snprintf(problem, problem_size, "the guest '%s' refuses: %s", client->name, why);
		result = EPROTO;
	} else {
		snprintf(problem, problem_size, SPEAKS_OTHERWISE, client->name);
		result = EPROTO;
	}
	json_object_put(line);
	return result;
}

int client_open(struct client *client, const char *name, int limit_ms, char *problem,
		size_t problem_size)
{
	struct folder folder;
	int error;

	*client = (struct client){ .fd = -1 };
	snprintf(client->name, sizeof(client->name), "%s", name);
	if (folder_open(&folder, problem, problem_size)) {
		errno = EPROTO;
		return -1;
	}
	client->fd = door_knock(&folder, name, &client->pid);
	error = errno;
	folder_close(&folder);
	if (client->fd < 0) {
		if (error == ENOENT || error == ECONNREFUSED)
			snprintf(problem, problem_size,
				 "no guest '%s' runs; `fermata ps` lists those that do", name);
		else
			snprintf(problem, problem_size, "cannot reach the guest '%s': %s", name,
				 strerror(error));
		errno = error;
		return -1;
	}
	error = read_greeting(client, limit_ms, problem, problem_size);
	if (error)
		client_close(client);
	errno = error;
	return error ? -1 : 0;
}

static bool send_line(struct client *client, struct json_object *line)
{
	size_t length, done = 0;
	const char *text = json_object_to_json_string_length(line, JSON_C_TO_STRING_PLAIN, &length);

	while (text && done <= length) {
		/* The newline takes the place of the 0 behind the text. */
		ssize_t n = done < length ?
				    send(client->fd, text + done, length - done, MSG_NOSIGNAL) :
				    send(client->fd, "\n", 1, MSG_NOSIGNAL);

		if (n < 0 && errno != EINTR)
			return false;
		if (n > 0)
			done += (size_t)n;
	}
	return text;
}

struct json_object *client_call(struct client *client, const char *command,
				struct json_object *arguments, char *problem, size_t problem_size)
{
	struct json_object *line = json_object_new_object(), *result = NULL, *error;
	bool sent;

	json_object_object_add(line, "execute", json_object_new_string(command));
	if (arguments)
		json_object_object_add(line, "arguments", arguments);
	sent = send_line(client, line);
	json_object_put(line);
	while (sent && (line = next_line(client, ANSWER_MS))) {
		if (json_object_object_get_ex(line, "return", &result)) {
			/* Of the commands that callers have, each returns an object. */
			result = json_object_is_type(result, json_type_object) ?
					 json_object_get(result) :
					 NULL;
			json_object_put(line);
			if (result)
				return result;
			errno = EPROTO;
			break;
		}
		if (json_object_object_get_ex(line, "error", &error)) {
			quote_error(error, problem, problem_size);
			json_object_put(line);
			return NULL;
		}
		json_object_put(line);
	}
	snprintf(problem, problem_size,
		 sent && errno == ETIMEDOUT ? "the guest '%s' does not answer" :
		 sent && errno == EPROTO    ? SPEAKS_OTHERWISE :
					      "the guest '%s' has ended",
		 client->name);
	return NULL;
}

struct json_object *client_event(struct client *client, int limit_ms)
{
	struct json_object *line;

	while ((line = next_line(client, limit_ms))) {
		if (json_object_object_get_ex(line, "event", NULL))
			return line;
		json_object_put(line);
	}
	return NULL;
}

void client_close(struct client *client)
{
	if (client->fd >= 0)
		close(client->fd);
	line_free(&client->in);
	client->fd = -1;
}
