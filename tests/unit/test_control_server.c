/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* The control channel of a machine that is none (fake_machine.h), over its real socket: clients of all kinds. */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "control/client.h"
#include "control/control.h"
#include "control/door.h"
#include "control/line.h"
#include "control/queue.h"
#include "fake_machine.h"

/* ---- the server */

static char folder[] = "/tmp/fermata-test-control-XXXXXX";
static char path[100];
static struct control *control;

static struct control *open_control(char *problem, size_t size)
{
	const struct control_guest guest = {
		.name = "web",
		.where = "here",
		.vcpus = 2,
		.memory = 1 << 20,
	};

	return control_start(&guest, problem, size);
}

static int setup(void **state)
{
	char problem[500];

	memset(&fake.end, 0, sizeof(fake.end));
	fake.paused = false;
	control = open_control(problem, sizeof(problem));
	return control ? 0 : -1;
}

static int teardown(void **state)
{
	control_stop(control);
	assert_int_equal(access(path, F_OK), -1);
	return 0;
}

static int group_setup(void **state)
{
	if (!mkdtemp(folder))
		return -1;
	setenv("XDG_RUNTIME_DIR", folder, 1);
	snprintf(path, sizeof(path), "%s/fermata/web", folder);
	return 0;
}

static int group_teardown(void **state)
{
	char sub[100];

	snprintf(sub, sizeof(sub), "%s/fermata", folder);
	return rmdir(sub) || rmdir(folder);
}

/* ---- a client without manners */

static int dial(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct timeval limit = { .tv_sec = 30 };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	assert_true(fd >= 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	return fd;
}

static void say(int fd, const char *text)
{
	assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

/* The next line; false at the end. */
static bool hear(int fd, char *line, size_t size)
{
	size_t n = 0;
	ssize_t r = 0;

	while (n < size - 1 && (r = recv(fd, line + n, 1, 0)) == 1 && line[n] != '\n')
		n++;
	line[n] = 0;
	if (r < 0 && errno != ECONNRESET)
		fail_msg("nothing heard: %s", strerror(errno));
	return r == 1;
}

static void hears(int fd, const char *part)
{
	char line[8192];

	if (!hear(fd, line, sizeof(line)))
		fail_msg("the end instead of %s", part);
	if (!strstr(line, part))
		fail_msg("%s instead of %s", line, part);
}

static void hears_the_end(int fd)
{
	char line[8192];

	while (hear(fd, line, sizeof(line)))
		;
	close(fd);
}

static int greeted(void)
{
	int fd = dial();

	hears(fd, "{\"fermata\":{\"version\":");
	return fd;
}

/* Somebody else is served as ever. */
static void all_is_well(void)
{
	int fd = greeted();

	say(fd, "{\"execute\":\"query\",\"id\":1}\n");
	hears(fd, "\"name\":\"web\"");
	close(fd);
}

/* ---- the tests */

static void speaks(void **state)
{
	struct stat st;
	int fd = greeted();

	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	say(fd, "{\"execute\":\"query\",\"id\":[1]}\n{\"execute\":\"stats\"}\n\n \r\n");
	hears(fd, "\"state\":\"running\",\"where\":\"here\",\"vendor\":\"amd\",\"vcpus\":2,"
		  "\"memory\":1048576");
	hears(fd, "\"exits\":[{\"name\":\"cpuid\",\"code\":114,\"count\":5,\"cycles\":50}]");
	for (const char *c = "{\"execute\":\"pause\"}\n"; *c; c++)
		assert_int_equal(send(fd, c, 1, 0), 1);
	hears(fd, "{\"return\":{}}");
	hears(fd, "{\"event\":\"paused\",\"data\":{},\"timestamp\":{");
	say(fd, "{\"execute\":\"query\"}\n");
	hears(fd, "\"state\":\"paused\"");
	say(fd, "{\"execute\":\"resume\"}\n");
	hears(fd, "{\"return\":{}}");
	hears(fd, "{\"event\":\"resumed\"");
	say(fd, "{\"execute\":\"commands\"}\n");
	hears(fd, "{\"return\":[{\"name\":\"commands\",");
	/* The last command may come with the end of what he has to say. */
	say(fd, "{\"execute\":\"query\"}\n{\"execute\":\"query\",\"id\":3}\n{\"execute\":");
	shutdown(fd, SHUT_WR);
	hears(fd, "\"name\":\"web\"");
	hears(fd, "\"id\":3}");
	hears_the_end(fd);
	all_is_well();
}

/* Each verb of the clock does what it says, and answers what the clock is then; a wrong word is named. */
static void clock_verbs(void **state)
{
	static const struct {
		const char *what, *value, *did;
		int64_t number, den;
	} good[] = {
		{ "rate", "2.5", "rate", 5, 2 },
		{ "freeze", NULL, "freeze", 0, 0 },
		{ "thaw", NULL, "thaw", 0, 0 },
		{ "step", "10ms", "step", 10000000, 0 },
		{ "jump", "-1.5s", "jump", -1500000000, 0 },
		{ "set", "2030-01-01", "set", 1893456000, 0 },
	};
	static const char *const bad[][2] = {
		{ "{\"do\":\"rate\"}", "clock rate takes a value" },
		{ "{\"do\":\"rate\",\"value\":\"fast\"}", "'fast' is no rate" },
		{ "{\"do\":\"step\",\"value\":\"-1s\"}", "'-1s' is no span of time" },
		{ "{\"do\":\"jump\",\"value\":\"5\"}", "'5' is no span of time" },
		{ "{\"do\":\"set\",\"value\":\"2030-02-30\"}", "'2030-02-30' is on no calendar" },
		{ "{\"do\":\"freeze\",\"value\":\"1\"}", "clock freeze takes no value" },
		{ "{\"do\":\"stop\"}", "\"class\":\"argument\"" },
		{ "{\"value\":\"1\"}", "a value without 'do'" },
	};
	int fd = greeted();
	char line[300];

	for (unsigned i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		snprintf(line, sizeof(line),
			 "{\"execute\":\"clock\",\"arguments\":{\"do\":\"%s\"%s%s%s}}\n",
			 good[i].what, good[i].value ? ",\"value\":\"" : "",
			 good[i].value ? good[i].value : "", good[i].value ? "\"" : "");
		say(fd, line);
		hears(fd, "\"rate\":\"1/3\"");
		assert_string_equal(fake.hand.did, good[i].did);
		assert_int_equal(fake.hand.number, good[i].number);
		assert_int_equal(fake.hand.den, good[i].den);
	}
	fake.hand.did = "nothing";
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		snprintf(line, sizeof(line), "{\"execute\":\"clock\",\"arguments\":%s}\n",
			 bad[i][0]);
		say(fd, line);
		hears(fd, bad[i][1]);
	}
	say(fd, "{\"execute\":\"clock\"}\n");
	hears(fd, "\"error_ns\":-5");
	assert_string_equal(fake.hand.did, "nothing");
	fake.hand.result = -EINVAL;
	say(fd, "{\"execute\":\"clock\",\"arguments\":{\"do\":\"freeze\"}}\n");
	hears(fd, "\"class\":\"failed\"");
	fake.hand.result = 0;
	say(fd,
	    "{\"execute\":\"pause\"}\n{\"execute\":\"resume\",\"arguments\":{\"clock\":\"advance\"}}\n");
	for (unsigned returns = 0; returns < 2; returns += !!strstr(line, "return"))
		assert_true(hear(fd, line, sizeof(line))); /* events come in between */
	assert_string_equal(fake.hand.did, "catch up");
	close(fd);
}

static void dirty_verb(void **state)
{
	int fd = greeted();

	say(fd, "{\"execute\":\"dirty\"}\n");
	hears(fd, "\"class\":\"state\",\"desc\":\"no log of its writes is on: dirty on\"");
	say(fd, "{\"execute\":\"dirty\",\"arguments\":{\"do\":\"on\"}}\n");
	hears(fd, "\"return\":{\"log\":true}");
	say(fd, "{\"execute\":\"dirty\",\"arguments\":{\"do\":\"show\"}}\n");
	hears(fd, "\"pages\":3,\"page_size\":4096,");
	say(fd, "{\"execute\":\"dirty\"}\n");
	hears(fd, "\"ns\":17,\"ranges\":[{\"gpa\":20480,\"pages\":3}],\"left_out\":2");
	say(fd, "{\"execute\":\"dirty\",\"arguments\":{\"do\":\"off\"}}\n");
	hears(fd, "\"return\":{\"log\":false}");
	say(fd, "{\"execute\":\"dirty\",\"arguments\":{\"do\":\"wipe\"}}\n");
	hears(fd, "'do' is to be one of show|on|off");
	close(fd);
}

/* What resume is told counts, else what pause was told last, else freeze. */
static void clock_of_a_pause(void **state)
{
	static const struct {
		const char *pause, *again, *resume;
		bool catches_up;
	} cases[] = {
		{ "", "", "", false },
		{ "advance", "", "", true },
		{ "", "", "", false }, /* the one before is forgotten */
		{ "freeze", "", "advance", true },
		{ "advance", "", "freeze", false },
		{ "advance", "freeze", "", false },
		{ "freeze", "advance", "", true },
	};
	char line[8192];
	int fd = greeted();

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const char *const words[] = { cases[i].pause, cases[i].again, cases[i].resume };

		fake.hand.did = "nothing";
		for (unsigned j = 0; j < 3; j++) {
			const char *verb = j == 2 ? "resume" : "pause";

			if (*words[j])
				snprintf(line, sizeof(line),
					 "{\"execute\":\"%s\",\"arguments\":{\"clock\":\"%s\"}}\n",
					 verb, words[j]);
			else
				snprintf(line, sizeof(line), "{\"execute\":\"%s\"}\n", verb);
			say(fd, line);
			do {
				assert_true(hear(fd, line, sizeof(line)));
			} while (strstr(line, "{\"event\""));
			assert_string_equal(line, "{\"return\":{}}");
		}
		assert_string_equal(fake.hand.did, cases[i].catches_up ? "catch up" : "nothing");
	}
	say(fd, "{\"execute\":\"pause\",\"arguments\":{\"clock\":\"jump\"}}\n");
	do {
		assert_true(hear(fd, line, sizeof(line)));
	} while (strstr(line, "{\"event\""));
	assert_non_null(strstr(line, "'clock' is to be one of freeze|advance"));
	close(fd);
}

static void client_speaks(void **state)
{
	struct json_object *result, *event, *text;
	struct client client;
	char problem[500];

	assert_int_equal(client_open(&client, "web", 30000, problem, sizeof(problem)), 0);
	assert_int_equal(client.pid, getpid());
	result = client_call(&client, "query", NULL, problem, sizeof(problem));
	assert_true(json_object_object_get_ex(result, "name", NULL));
	json_object_put(result);
	assert_null(client_call(&client, "dance", NULL, problem, sizeof(problem)));
	assert_string_equal(problem, "no command 'dance'; see 'commands'");
	result = client_call(&client, "quit", NULL, problem, sizeof(problem));
	assert_non_null(result);
	json_object_put(result);
	event = client_event(&client, 30000);
	assert_true(json_object_object_get_ex(event, "data", &text));
	assert_string_equal(json_object_to_json_string_ext(text, JSON_C_TO_STRING_PLAIN),
			    "{\"how\":\"quit\"}");
	json_object_put(event);
	assert_null(client_call(&client, "resume", NULL, problem, sizeof(problem)));
	assert_string_equal(problem, "the guest has ended");
	assert_null(client_event(&client, 0));
	assert_int_equal(errno, ETIMEDOUT);
	client_close(&client);
	assert_int_equal(client_open(&client, "nobody", 30000, problem, sizeof(problem)), -1);
	assert_int_equal(errno, ENOENT);
}

/* What is said before the end is heard before it. */
static void tells_the_end(void **state)
{
	int fd = greeted();

	fake.end.kind = MACHINE_DIED;
	snprintf(fake.end.why, sizeof(fake.end.why), "of \"grief\"");
	fake_news(MACHINE_NEWS_ENDED);
	control_stop(control);
	hears(fd, "\"data\":{\"how\":\"died\",\"why\":\"of \\\"grief\\\"\"}");
	hears_the_end(fd);
	setup(NULL);
}

static void garbage(void **state)
{
	static const char *const lines[] = {
		"hello",	 "GET / HTTP/1.1", "\x16\x03\x01\x02\xff",
		"{\"execute\":", "[[[[[[",	   "\"\\ud800\""
	};
	int fd = greeted();

	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		say(fd, lines[i]);
		say(fd, "\n");
		hears(fd, "{\"error\":{\"class\":\"syntax\",");
	}
	say(fd, "{\"execute\":\"query\"}\n");
	hears(fd, "\"name\":\"web\"");
	close(fd);
	all_is_well();
}

/* Half a command and gone: it is not executed. */
static void half_lines(void **state)
{
	for (unsigned i = 0; i < 200; i++) {
		int fd = dial();

		say(fd, "{\"execute\":\"pause\"}");
		close(fd);
	}
	all_is_well();
	assert_false(fake.paused);
}

static void ten_megabytes(void **state)
{
	static char piece[1 << 16];
	int fd = greeted();
	size_t sent = 0;

	memset(piece, '{', sizeof(piece));
	while (sent < 10u << 20) {
		ssize_t n = send(fd, piece, sizeof(piece), MSG_NOSIGNAL);

		if (n < 0)
			break;
		sent += (size_t)n;
	}
	assert_true(sent < 10u << 20);
	hears(fd, "a line is longer than 65536 bytes");
	hears_the_end(fd);
	all_is_well();
}

/* Commands and no ear for the answers: they wait, and others do not. */
static void never_reads(void **state)
{
	static const char command[] = "{\"execute\":\"query\"}\n";
	int fd = greeted(), other = greeted();
	struct pollfd p = { .fd = fd, .events = POLLOUT };
	char line[8192];
	unsigned told = 0;

	/* The server's kernel and the server itself hold a bounded number, then nothing goes in. */
	while (poll(&p, 1, 1000) == 1)
		assert_true(send(fd, command, sizeof(command) - 1, MSG_DONTWAIT) != 0);
	all_is_well();
	/* Events for everybody, who wants to or not; there is an end to what is kept for him. */
	while (!(p.revents & (POLLHUP | POLLERR))) {
		control_event(control, "told", NULL);
		hears(other, "{\"event\":\"told\"");
		assert_true(++told < 10 * QUEUE_MOST / 50);
		p.events = 0;
		assert_true(poll(&p, 1, 0) >= 0);
	}
	assert_true(told > 100);
	while (recv(fd, line, sizeof(line), 0) > 0)
		;
	close(fd);
	close(other);
	all_is_well();
}

/* Who does listen gets every answer, however many commands he sends at once. */
static void many_commands(void **state)
{
	enum { COMMANDS = 20000 };
	static char text[COMMANDS * 40];
	size_t length = 0, sent = 0, heard = 0, n = 0;
	int fd = greeted();
	char bytes[5000];

	for (unsigned i = 0; i < COMMANDS; i++)
		length += (size_t)sprintf(text + length, "{\"execute\":\"stats\",\"id\":%u}\n", i);
	while (heard < COMMANDS) {
		struct pollfd p = { .fd = fd, .events = POLLIN | (sent < length ? POLLOUT : 0) };

		assert_int_equal(poll(&p, 1, 30000), 1);
		if (p.revents & POLLOUT)
			sent += (size_t)send(fd, text + sent,
					     length - sent > 3000 ? 3000 : length - sent,
					     MSG_DONTWAIT);
		if (!(p.revents & POLLIN))
			continue;
		n = (size_t)recv(fd, bytes, sizeof(bytes), 0);
		assert_true(n > 0 && n <= sizeof(bytes));
		for (size_t i = 0; i < n; i++)
			heard += bytes[i] == '\n';
	}
	close(fd);
}

/* More at once than wait for the thread; together they are less than what may wait for him. */
static void too_many_events(void **state)
{
	unsigned told = 0, lost = 0;
	char line[8192];
	int fd = greeted();

	for (unsigned i = 0; i < 2500; i++)
		control_event(control, "told", NULL);
	while (told + lost < 2500) {
		assert_true(hear(fd, line, sizeof(line)));
		if (strstr(line, "\"lost\""))
			lost += (unsigned)atoi(strstr(line, "\"count\":") + 8);
		else
			told++;
	}
	assert_int_equal(told + lost, 2500);
	close(fd);
}

static void thousand_connections(void **state)
{
	static int fds[1000];
	unsigned greeted_so_far = 0, busy = 0;
	char line[8192];

	for (unsigned i = 0; i < 1000; i++) {
		fds[i] = dial();
		assert_true(hear(fds[i], line, sizeof(line)));
		if (strstr(line, "{\"fermata\":"))
			greeted_so_far++;
		else if (strstr(line, "\"class\":\"busy\""))
			busy++;
	}
	assert_int_equal(greeted_so_far, 16);
	assert_int_equal(busy, 984);
	say(fds[3], "{\"execute\":\"query\"}\n");
	hears(fds[3], "\"name\":\"web\"");
	for (unsigned i = 0; i < 1000; i++)
		close(fds[i]);
	/* He may be admitted before those are seen to have gone. */
	do {
		fds[0] = dial();
		assert_true(hear(fds[0], line, sizeof(line)));
		close(fds[0]);
	} while (!strstr(line, "{\"fermata\":"));
	for (unsigned i = 0; i < 1000; i++)
		close(dial());
}

/* Neither the folder nor the socket lets him in; were they open, he would still be told to go. */
static void somebody_else(void **state)
{
	char line[8192], sub[100];
	int status;
	pid_t pid;

	if (geteuid() != 0)
		skip();
	snprintf(sub, sizeof(sub), "%s/fermata", folder);
	assert_int_equal(chmod(folder, 0755) | chmod(sub, 0755) | chmod(path, 0666), 0);
	pid = fork();
	if (pid == 0) {
		int fd;

		if (setgid(65534) || setuid(65534))
			_exit(1);
		fd = dial();
		_exit(hear(fd, line, sizeof(line)) && strstr(line, "\"class\":\"denied\"") &&
				      !hear(fd, line, sizeof(line)) ?
			      0 :
			      2);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(chmod(folder, 0700) | chmod(sub, 0700), 0);
	all_is_well();
}

/* A socket that a killed process left is replaced; what is no socket is not. */
static void stale_socket(void **state)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	char problem[500] = "";
	struct client client;
	int fd;

	control_stop(control);
	fd = socket(AF_UNIX, SOCK_STREAM, 0);
	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	close(fd);
	assert_int_equal(client_open(&client, "web", 30000, problem, sizeof(problem)), -1);
	assert_int_equal(errno, ECONNREFUSED);
	setup(NULL);
	all_is_well();
	control_stop(control);
	assert_int_equal(mkdir(path, 0700), 0);
	control = open_control(problem, sizeof(problem));
	assert_null(control);
	assert_non_null(strstr(problem, "cannot open the socket"));
	assert_int_equal(rmdir(path), 0);
	setup(NULL);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(speaks),
		TEST(client_speaks),
		TEST(clock_verbs),
		TEST(dirty_verb),
		TEST(clock_of_a_pause),
		TEST(tells_the_end),
		TEST(garbage),
		TEST(half_lines),
		TEST(ten_megabytes),
		TEST(never_reads),
		TEST(many_commands),
		TEST(too_many_events),
		TEST(thousand_connections),
		TEST(somebody_else),
		TEST(stale_socket),
	};

	alarm(120);
	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
