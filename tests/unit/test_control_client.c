/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* The client's end of the control channel, and the folder: against whoever stands in for the guest. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "cli/guests/name.h"
#include "control/client.h"
#include "control/door.h"
#include "control/folder.h"
#include "control/plain.h"

static char top[] = "/tmp/fermata-test-client-XXXXXX";
static char ours[100], theirs[100], hidden[100];

static int setup(void **state)
{
	snprintf(ours, sizeof(ours), "%s/fermata", top);
	snprintf(theirs, sizeof(theirs), "%s/theirs", top);
	snprintf(hidden, sizeof(hidden), "%s/hidden", top);
	return mkdir(ours, 0700) || mkdir(theirs, 0700);
}

static void empty(const char *folder)
{
	static const char *const names[] = { "web", "web:lock" };
	char path[200];

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		snprintf(path, sizeof(path), "%s/%s", folder, names[i]);
		unlink(path);
	}
}

static int teardown(void **state)
{
	if (!access(hidden, F_OK)) {
		unlink(ours);
		rename(hidden, ours);
	}
	empty(ours);
	empty(theirs);
	return rmdir(ours) || rmdir(theirs);
}

static int group_setup(void **state)
{
	return !mkdtemp(top) || setenv("XDG_RUNTIME_DIR", top, 1);
}

static int group_teardown(void **state)
{
	return rmdir(top);
}

/* ---- somebody who may rename things around the folder, and is quick */

static bool swaps; /* behind the next look at a folder, another one has its path */

static void looked(bool folder)
{
	if (!swaps || !folder)
		return;
	swaps = false;
	assert_int_equal(rename(ours, hidden), 0);
	assert_int_equal(symlink(theirs, ours), 0);
}

int __real_fstat(int fd, struct stat *st);
int __real_lstat(const char *path, struct stat *st);
int __wrap_fstat(int fd, struct stat *st);
int __wrap_lstat(const char *path, struct stat *st);

int __wrap_fstat(int fd, struct stat *st)
{
	int result = __real_fstat(fd, st);

	looked(!result && S_ISDIR(st->st_mode));
	return result;
}

int __wrap_lstat(const char *path, struct stat *st)
{
	int result = __real_lstat(path, st);

	looked(!result && S_ISDIR(st->st_mode));
	return result;
}

static bool has(const char *folder, const char *name)
{
	char path[200];

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	return !access(path, F_OK);
}

/* What was looked at is what is used. */
static void a_claim_stays_in_its_folder(void **state)
{
	struct name_claim claim;
	char problem[500] = "";

	swaps = true;
	assert_int_equal(name_claim(&claim, "web", problem, sizeof(problem)), 0);
	assert_false(swaps);
	assert_true(has(hidden, "web:lock"));
	assert_false(has(theirs, "web:lock"));
	name_release(&claim);
	assert_false(has(hidden, "web:lock"));
}

static void a_door_stays_in_its_folder(void **state)
{
	char problem[500] = "";
	struct door door;

	swaps = true;
	assert_int_equal(door_open(&door, "web", problem, sizeof(problem)), 0);
	assert_false(swaps);
	assert_true(has(hidden, "web"));
	assert_false(has(theirs, "web"));
	door_close(&door);
	assert_false(has(hidden, "web"));
}

static void a_link_is_no_folder(void **state)
{
	struct folder folder;
	char problem[500] = "";

	assert_int_equal(rmdir(ours), 0);
	assert_int_equal(symlink(theirs, ours), 0);
	assert_int_equal(folder_open(&folder, problem, sizeof(problem)), -1);
	assert_non_null(strstr(problem, "is not a folder that only you can write to"));
	assert_int_equal(unlink(ours), 0);
	assert_int_equal(mkdir(ours, 0770) | chmod(ours, 0770), 0);
	assert_int_equal(folder_open(&folder, problem, sizeof(problem)), -1);
	assert_non_null(strstr(problem, "is not a folder that only you can write to"));
	assert_int_equal(chmod(ours, 0700), 0);
	assert_int_equal(folder_open(&folder, problem, sizeof(problem)), 0);
	folder_close(&folder);
}

/* A service of root's has no login session, and root in one finds its guests. */
static void root_has_one_folder(void **state)
{
	struct folder folder;
	char problem[500] = "";

	if (geteuid() != 0)
		skip();
	setenv("XDG_RUNTIME_DIR", "/run/user/0", 1);
	assert_int_equal(folder_open(&folder, problem, sizeof(problem)), 0);
	assert_string_equal(folder.path, "/run/fermata");
	folder_close(&folder);
	unsetenv("XDG_RUNTIME_DIR");
	assert_int_equal(folder_open(&folder, problem, sizeof(problem)), 0);
	assert_string_equal(folder.path, "/run/fermata");
	folder_close(&folder);
	setenv("XDG_RUNTIME_DIR", top, 1);
}

/* ---- who stands in for the guest */

static int listen_at(const char *folder)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "%s/web", folder);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(fd, 4), 0);
	return fd;
}

static void nothing_but_a_socket_of_ours(void **state)
{
	int fd = listen_at(theirs), file;
	char from[200], to[200];
	struct folder folder;
	char problem[500];
	pid_t pid;

	assert_int_equal(folder_open(&folder, problem, sizeof(problem)), 0);
	assert_int_equal(door_knock(&folder, "web", &pid), -1);
	assert_int_equal(errno, ENOENT);
	snprintf(from, sizeof(from), "%s/web", theirs);
	snprintf(to, sizeof(to), "%s/web", ours);
	assert_int_equal(symlink(from, to), 0);
	assert_int_equal(door_knock(&folder, "web", &pid), -1);
	assert_int_equal(errno, EPERM);
	assert_int_equal(unlink(to), 0);
	file = open(to, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	assert_true(file >= 0);
	close(file);
	assert_int_equal(door_knock(&folder, "web", &pid), -1);
	assert_int_equal(errno, EPERM);
	assert_int_equal(rename(from, to), 0);
	if (geteuid() == 0) {
		assert_int_equal(chown(to, 65534, 65534), 0);
		assert_int_equal(door_knock(&folder, "web", &pid), -1);
		assert_int_equal(errno, EPERM);
		assert_int_equal(chown(to, 0, 0), 0);
	}
	file = door_knock(&folder, "web", &pid);
	assert_true(file >= 0);
	assert_int_equal(pid, getpid());
	close(file);
	folder_close(&folder);
	close(fd);
}

struct actor {
	pthread_t thread;
	int listener;
	const char *greeting, *answer;
	size_t flood; /* bytes without a newline, instead of an answer */
	size_t flooded;
};

static bool send_all(int fd, const char *text)
{
	return send(fd, text, strlen(text), MSG_NOSIGNAL) == (ssize_t)strlen(text);
}

static void *act(void *opaque)
{
	struct actor *actor = opaque;
	int fd = accept(actor->listener, NULL, NULL);
	char bytes[1 << 12];

	if (!actor->greeting ||
	    (send_all(fd, actor->greeting) && recv(fd, bytes, sizeof(bytes), 0) > 0)) {
		if (actor->answer)
			send_all(fd, actor->answer);
		memset(bytes, '{', sizeof(bytes));
		while (actor->flooded < actor->flood) {
			ssize_t n = send(fd, bytes, sizeof(bytes), MSG_NOSIGNAL);

			if (n < 0)
				break;
			actor->flooded += (size_t)n;
		}
		while (recv(fd, bytes, sizeof(bytes), 0) > 0)
			;
	}
	close(fd);
	return NULL;
}

static void begin(struct actor *actor)
{
	actor->listener = listen_at(ours);
	assert_int_equal(pthread_create(&actor->thread, NULL, act, actor), 0);
}

static void end(struct actor *actor)
{
	pthread_join(actor->thread, NULL);
	close(actor->listener);
	empty(ours);
}

#define GREETING "{\"fermata\":{\"version\":\"9\",\"protocol\":1,\"name\":\"web\"}}\n"
#define MEGABYTE (1u << 20)

/* It is not kept, and not waited for. */
static void a_line_without_end(void **state)
{
	struct actor first = { .flood = 64 * MEGABYTE },
		     later = { .greeting = GREETING, .flood = 64 * MEGABYTE };
	char problem[500] = "";
	struct client client;

	begin(&first);
	assert_int_equal(client_open(&client, "web", 30000, problem, sizeof(problem)), -1);
	assert_int_equal(errno, EPROTO);
	assert_non_null(strstr(problem, "speaks another protocol"));
	end(&first);
	assert_true(first.flooded < 2 * MEGABYTE);

	begin(&later);
	assert_int_equal(client_open(&client, "web", 30000, problem, sizeof(problem)), 0);
	assert_null(client_call(&client, "query", NULL, problem, sizeof(problem)));
	assert_non_null(strstr(problem, "speaks another protocol"));
	assert_true(client.in.room < MEGABYTE);
	client_close(&client);
	end(&later);
	assert_true(later.flooded < 2 * MEGABYTE);
}

/* "\033]0;title\007", CSI as one character and as one byte, DEL, and what is no UTF-8. */
#define ORDERS "\\u001b]0;t\\u0007 \\u009b1m \x9b \x7f \xc3\xa4 \xed\xa0\x80 \\n."
#define PLAIN "?]0;t? ??1m ? ? \xc3\xa4 ??? ?."

static void words_give_no_orders(void **state)
{
	struct actor error = { .greeting = GREETING,
			       .answer = "{\"error\":{\"desc\":\"" ORDERS "\"}}\n" };
	struct actor refusal = { .greeting = "{\"error\":{\"desc\":\"" ORDERS "\"}}\n" };
	struct actor result = { .greeting = GREETING,
				.answer = "{\"return\":{\"" ORDERS "\":[\"" ORDERS
					  "\",7,null]}}\n" };
	char problem[500] = "", *text;
	struct json_object *object;
	struct client client;

	begin(&error);
	assert_int_equal(client_open(&client, "web", 30000, problem, sizeof(problem)), 0);
	assert_null(client_call(&client, "query", NULL, problem, sizeof(problem)));
	assert_string_equal(problem, PLAIN);
	client_close(&client);
	end(&error);

	begin(&refusal);
	assert_int_equal(client_open(&client, "web", 30000, problem, sizeof(problem)), -1);
	assert_string_equal(problem, "the guest 'web' refuses: " PLAIN);
	end(&refusal);

	begin(&result);
	assert_int_equal(client_open(&client, "web", 30000, problem, sizeof(problem)), 0);
	object = client_call(&client, "query", NULL, problem, sizeof(problem));
	assert_non_null(object);
	assert_string_equal(json_object_to_json_string_ext(object, JSON_C_TO_STRING_PLAIN),
			    "{\"" PLAIN "\":[\"" PLAIN "\",7,null]}");
	json_object_put(object);
	client_close(&client);
	end(&result);

	text = strdup(
		"\xf0\x9f\x99\x82 \xf0\x80\x80\x80 \xf4\x90\x80\x80 \xe0\x80\x80 \xc0\xaf \xf0\x9f");
	plain_text(text);
	assert_string_equal(text, "\xf0\x9f\x99\x82 ???? ???? ??? ?? ??");
	free(text);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_claim_stays_in_its_folder), TEST(a_door_stays_in_its_folder),
		TEST(a_link_is_no_folder),	   TEST(nothing_but_a_socket_of_ours),
		TEST(root_has_one_folder),	   TEST(a_line_without_end),
		TEST(words_give_no_orders),
	};

	alarm(120);
	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
