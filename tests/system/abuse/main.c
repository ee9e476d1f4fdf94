/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* abuse GROUP [PER CENT [SEED]] */
#include "abuse.h"

static const struct {
	const char *name;
	void (*run)(void);
} groups[] = {
	{ "calls", abuse_calls },     { "slots", abuse_slots },		{ "memory", abuse_memory },
	{ "swap", abuse_swap },	      { "state", abuse_state },		{ "code", abuse_code },
	{ "threads", abuse_threads }, { "processes", abuse_processes }, { "kill", abuse_kill },
	{ "leaks", abuse_leaks },     { "cpus", abuse_cpus },		{ "module", abuse_module },
	{ "kvm", abuse_kvm },	      { "forever", abuse_forever },	{ "rules", abuse_rules },
	{ "clock", abuse_clock },     { "dirty", abuse_dirty },		{ "alive", abuse_alive },
	{ "crash", abuse_crash },
};

int main(int argc, char **argv)
{
	/* The same program, after an exec() in the middle of a test. */
	if (argc == 3 && !strcmp(argv[1], "fds"))
		return fcntl(atoi(argv[2]), F_GETFD) == -1 ? 0 : 1;
	if (argc > 2)
		scale = atoi(argv[2]);
	if (argc > 3)
		chance_seed = strtoull(argv[3], NULL, 0);
	for (size_t i = 0; argc > 1 && i < ARRAY_SIZE(groups); i++)
		if (!strcmp(argv[1], groups[i].name)) {
			groups[i].run();
			return 0;
		}
	fprintf(stderr, "usage: abuse GROUP [PER CENT [SEED]]\n");
	return 2;
}
