// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * Drives a target. With clang, -fsanitize=fuzzer and -DFUZZ_LIBFUZZER libFuzzer does. Otherwise this is a TAP test:
 *	fuzz_NAME [INPUTS [SEED]]	wounds good inputs, the same way for the same seed
 *	fuzz_NAME --corpus FOLDER	writes good inputs into it, for libFuzzer to begin with
 *	fuzz_NAME --input FILE...	those and no others
 */
#include "fuzz.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint64_t random_state = 1;

void fuzz_check(bool condition, const char *promise)
{
	if (condition)
		return;
	fprintf(stderr, "broken promise: %s\n", promise);
	abort();
}

/* xorshift64*, Vigna 2016 */
uint64_t fuzz_random(void)
{
	random_state ^= random_state >> 12;
	random_state ^= random_state << 25;
	random_state ^= random_state >> 27;
	return random_state * 0x2545f4914f6cdd1dull;
}

uint64_t fuzz_interesting(void)
{
	static const uint64_t value[] = { 0,	       1,
					  0xff,	       0x7fff,
					  0xffff,      0x100000,
					  0x1000000,   0x7fffffff,
					  0x80000000,  0xc0000000,
					  0xfffff000,  0xffffffff,
					  0x100000000, 0x7fffffffffffffff,
					  UINT64_MAX };
	uint64_t r = fuzz_random();
	uint64_t one = value[(r >> 8) % (sizeof(value) / sizeof(value[0]))];

	switch (r % 4) {
	case 0:
		return one;
	case 1:
		return one + (r >> 16) % 33 - 16;
	case 2:
		return 1ull << (r >> 8) % 64;
	default:
		return fuzz_random();
	}
}

uint64_t fuzz_take(struct fuzz_input *in, unsigned bytes)
{
	uint64_t value = 0;

	for (unsigned i = 0; i < bytes && in->left; i++, in->left--)
		value |= (uint64_t)*in->at++ << (8 * i);
	return value;
}

uint8_t *fuzz_block(const uint8_t *data, size_t size)
{
	uint8_t *block = malloc(size ? size : 1);

	fuzz_check(block, "memory");
	if (size)
		memcpy(block, data, size);
	return block;
}

#ifdef FUZZ_LIBFUZZER

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	fuzz_target.one(data, size);
	return 0;
}

#else

static size_t wound(uint8_t *input, size_t size)
{
	uint64_t r = fuzz_random(), value;
	size_t at = size ? (r >> 8) % size : 0, n;

	if (fuzz_target.wound && r >> 60)
		return fuzz_target.wound(input, size);
	switch (size ? r % 8 : 7) {
	case 0: /* it ends */
		return at;
	case 1: /* one bit */
		input[at] ^= 1 << (r >> 48) % 8;
		return size;
	case 2: /* a piece once more */
		n = (r >> 48) % 64;
		n = n < size - at ? n : size - at;
		n = n < FUZZ_LONGEST - size ? n : FUZZ_LONGEST - size;
		memmove(input + at + n, input + at, size - at);
		return size + n;
	case 3: /* a piece less */
		n = (r >> 48) % 16;
		n = n < size - at ? n : size - at;
		memmove(input + at, input + at + n, size - at - n);
		return size - n;
	case 4:
	case 5: /* another value */
		value = fuzz_interesting();
		n = 1u << (r >> 48) % 4;
		n = n < size - at ? n : size - at;
		memcpy(input + at, &value, n);
		return size;
	case 6:
		input[at] = r >> 48;
		return size;
	default:
		if (size < FUZZ_LONGEST)
			input[size++] = r >> 48;
		return size;
	}
}

static size_t next(uint8_t *input, bool wounded)
{
	size_t size = fuzz_target.good(input);
	unsigned wounds = wounded ? fuzz_random() % 5 : 0;

	while (wounds--)
		size = wound(input, size);
	return size;
}

static int write_corpus(const char *folder, uint8_t *input)
{
	char path[4096];

	for (unsigned i = 0; i < 64; i++) {
		size_t size = next(input, false);
		FILE *file;

		snprintf(path, sizeof(path), "%s/good-%u", folder, i);
		file = fopen(path, "w");
		if (!file || fwrite(input, 1, size, file) != size || fclose(file)) {
			perror(path);
			return 1;
		}
	}
	return 0;
}

static int replay(char **paths, uint8_t *input)
{
	for (; *paths; paths++) {
		FILE *file = fopen(*paths, "r");
		size_t size;
		uint8_t *block;

		if (!file) {
			perror(*paths);
			return 1;
		}
		size = fread(input, 1, FUZZ_LONGEST, file);
		fclose(file);
		block = fuzz_block(input, size);
		printf("%s: %s\n", *paths, fuzz_target.one(block, size) ? "taken" : "refused");
		free(block);
	}
	return 0;
}

int main(int argc, char **argv)
{
	static uint8_t input[FUZZ_LONGEST];
	unsigned long inputs, taken = 0, i;
	uint64_t seed;

	if (argc == 3 && !strcmp(argv[1], "--corpus"))
		return write_corpus(argv[2], input);
	if (argc > 2 && !strcmp(argv[1], "--input"))
		return replay(argv + 2, input);
	inputs = argc > 1 ? strtoul(argv[1], NULL, 0) : fuzz_target.inputs;
	seed = argc > 2 ? strtoull(argv[2], NULL, 0) : 1;
	random_state = seed ? seed : 1;
	printf("1..1\n");
	fflush(stdout);
	for (i = 0; i < inputs; i++) {
		size_t size = next(input, true);
		uint8_t *block = fuzz_block(input, size);

		taken += fuzz_target.one(block, size);
		free(block);
	}
	/* A fuzzer that never or always gets through tests one side only. */
	printf("%sok 1 - %s: %lu inputs, seed %llu: %lu taken, %lu refused\n",
	       taken && taken < i ? "" : "not ", fuzz_target.name, i, (unsigned long long)seed,
	       taken, i - taken);
	return !(taken && taken < i);
}

#endif
