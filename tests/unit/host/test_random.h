/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* Random numbers for property tests: the same ones every time. */
#ifndef TEST_RANDOM_H
#define TEST_RANDOM_H

#include <host_types.h>

static u64 random_state = 0x9e3779b97f4a7c15ull;

static inline void random_seed(u64 seed)
{
	random_state = seed * 0x2545f4914f6cdd1dull + 0x9e3779b97f4a7c15ull;
}

/* xorshift64* (Vigna, "An experimental exploration of Marsaglia's xorshift generators") */
static inline u64 random_u64(void)
{
	random_state ^= random_state >> 12;
	random_state ^= random_state << 25;
	random_state ^= random_state >> 27;
	return random_state * 0x2545f4914f6cdd1dull;
}

static inline u32 random_below(u32 limit)
{
	return (u32)((random_u64() >> 32) * limit >> 32);
}

/* True once in `n` times. */
static inline bool random_one_in(u32 n)
{
	return !random_below(n);
}

#endif
