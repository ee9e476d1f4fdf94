/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* ticks COMMAND [ARGUMENT...]: runs it and prints the TSC ticks from before its start to its end. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <x86intrin.h>

int main(int argc, char **argv)
{
	unsigned long long start, end;
	int status;
	pid_t pid;

	if (argc < 2)
		return 1;
	start = __rdtsc();
	pid = vfork();
	if (pid == 0) {
		execvp(argv[1], argv + 1);
		_exit(127);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid) {
		fprintf(stderr, "ticks: %s\n", strerror(errno));
		return 1;
	}
	end = __rdtsc();
	printf("ticks %llu status %d\n", end - start,
	       WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
	return 0;
}
