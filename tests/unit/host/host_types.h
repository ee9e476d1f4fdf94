/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* The types kernel/host.h is written in, for user space. See host_test.h for what tests control. */
#ifndef HOST_TYPES_H
#define HOST_TYPES_H

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef unsigned long long u64; /* as the kernel's, so that formats and pointers mean the same */
typedef int8_t s8;
typedef int16_t s16;
typedef int32_t s32;
typedef long long s64;

/* What a plain load and store are on x86; said so that ThreadSanitizer knows. */
#define READ_ONCE(x) __atomic_load_n(&(x), __ATOMIC_ACQUIRE)
#define WRITE_ONCE(x, value) __atomic_store_n(&(x), (value), __ATOMIC_RELEASE)

#define noinline __attribute__((__noinline__))
#define likely(c) __builtin_expect(!!(c), 1)
#define unlikely(c) __builtin_expect(!!(c), 0)

#define container_of(ptr, type, member) ((type *)((char *)(ptr) - offsetof(type, member)))
#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

#define HOST_MAY_FAULT(insn) insn
#define HOST_FAULT_TO(label, insn) insn
#define HOST_ZERO_ON_FAULT(insn, reg) insn

#define BIT(n) (1ul << (n))
#define BIT_ULL(n) (1ull << (n))

/* Of one type only, as the kernel's are. */
#define host_same_type(a, b)                                                                       \
	_Static_assert(__builtin_types_compatible_p(__typeof__((a) + 0), __typeof__((b) + 0)),     \
		       "min/max of different types")
#define min(a, b)                                                                                  \
	({                                                                                         \
		__typeof__(a) min_a = (a);                                                         \
		__typeof__(b) min_b = (b);                                                         \
		host_same_type(a, b);                                                              \
		min_a < min_b ? min_a : min_b;                                                     \
	})
#define max(a, b)                                                                                  \
	({                                                                                         \
		__typeof__(a) max_a = (a);                                                         \
		__typeof__(b) max_b = (b);                                                         \
		host_same_type(a, b);                                                              \
		max_a > max_b ? max_a : max_b;                                                     \
	})

/* As the kernel's: 0 instead of what is out of range. */
#define host_index(index, count)                                                                   \
	({                                                                                         \
		__typeof__(index) the_index = (index);                                             \
		the_index < (count) ? the_index : 0;                                               \
	})

void host_steps(u64 n);

struct host_lock {
	pthread_mutex_t mutex;
};

struct host_user_word {
	u64 addr, value;
};

struct host_timer {
	void (*fn)(struct host_timer *);
	u64 due_ns;
	bool armed;
	struct host_timer *next; /* armed timers */
};

#endif
