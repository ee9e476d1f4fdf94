/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* A command of `fermata run` on its way into the box: the words that it has there, and the files that go along. */
#ifndef CLI_CARRY_H
#define CLI_CARRY_H

#include "box/box.h"
#include "options.h"

struct cargo {
	char **argv; /* ends with NULL */
	struct box_file *files;
	size_t file_count;
	uint64_t memory; /* of all guests */
};

/*
 * The command that runs these guests in the box as `options` say; keys: Ctrl-A is for the command there.
 * False: no memory. cargo_free() either way.
 */
bool cargo_pack(struct cargo *cargo, const struct run_options *options,
		const struct run_options *guest, unsigned count, bool keys);
void cargo_free(struct cargo *cargo);

#endif
