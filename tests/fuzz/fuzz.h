/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* What the targets share: README.md. Each defines fuzz_target; fuzz.c drives it, in one of two ways. */
#ifndef FUZZ_H
#define FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FUZZ_LONGEST 65536 /* bytes of an input */

struct fuzz_target {
	const char *name;
	/* Whatever the bytes are, it comes back. Memory errors are the sanitizers' to find. Was the input taken? */
	bool (*one)(const uint8_t *data, size_t size);
	/* An input that is taken, or nearly, from fuzz_random(). Returns its size. */
	size_t (*good)(uint8_t *input);
	/* NULL: wounds anywhere. Else those that the format is sensitive to; returns the new size. */
	size_t (*wound)(uint8_t *input, size_t size);
	unsigned long inputs; /* of a test with a fixed seed: a second's worth, or two */
};
extern const struct fuzz_target fuzz_target;

/* Ends the run when a promise is broken. */
void fuzz_check(bool condition, const char *promise);
uint64_t fuzz_random(void);
/* Values at which comparisons and sums of 32 and 64 bits go wrong. */
uint64_t fuzz_interesting(void);

/* An input that is read from the front; behind its end there are zeros. */
struct fuzz_input {
	const uint8_t *at;
	size_t left;
};
uint64_t fuzz_take(struct fuzz_input *in, unsigned bytes);
/* A piece in a block of exactly its size, to be freed; *size: at most so many. */
uint8_t *fuzz_block(const uint8_t *data, size_t size);

#endif
