/* SPDX-License-Identifier: MIT OR GPL-2.0 */
#include "rows.h"

#include <cpuid.h>
#include <stdlib.h>

#include "guest.h"
#include "memory.h"

#define WARM_UP 50 /* iterations before those that count */
#define TOUCHES 2000

const struct row rows[] = {
	{ "floor", body_floor, .iterations = 50, .turns = FLOOR_TURNS },
	{ "cpuid", body_cpuid, .iterations = 1000, .native = true },
	{ "hypercall", body_vmmcall, body_vmcall, .iterations = 1000 },
	{ "rdmsr", body_rdmsr, .iterations = 1000 },
	{ "wrmsr", body_wrmsr, .iterations = 1000 },
	{ "rdtsc", body_rdtsc, .iterations = 1000, .native = true },
	{ "rdtsc-trapped", body_rdtsc_chain, .iterations = 1000, .trap = true },
	{ "out-user", body_out, .iterations = 1000 },
	{ "in-user", body_in, .iterations = 1000 },
	{ "mmio-write-user", body_mmio_write, .argument = GUEST_DEVICE, .iterations = 1000 },
	{ "mmio-read-user", body_mmio_read, .argument = GUEST_DEVICE, .iterations = 1000 },
	{ "touch-present", body_touch, .argument = GUEST_PRESENT, .iterations = TOUCHES,
	  .cold = true },
	{ "touch-absent", body_touch, .argument = GUEST_ABSENT, .iterations = TOUCHES, .cold = true,
	  .native = true },
	{ "mov-cr3", body_mov_cr3, .iterations = 1000 },
	{ "invlpg", body_invlpg, .argument = GUEST_SPARE, .iterations = 1000 },
	{ "cr4-pge", body_cr4_pge, .iterations = 1000 },
	{ "page-fault", body_touch, .argument = GUEST_WINDOW, .iterations = TOUCHES, .cold = true },
};
const size_t row_count = sizeof(rows) / sizeof(rows[0]);
_Static_assert(TOUCHES <= WINDOW_TABLES * 512, "the window has a page for each touch");
_Static_assert(TOUCHES * 4096 <= GUEST_TOUCH_SIZE, "so has each of the others");

static int ascending(const void *left, const void *right)
{
	uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;

	return (a > b) - (a < b);
}

static uint64_t mean(const uint64_t *results, uint32_t count)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < count; i++)
		sum += results[i];
	return (sum + count / 2) / count;
}

static uint64_t median(const uint64_t *results, uint32_t count)
{
	uint64_t *sorted = malloc(count * sizeof(*sorted)), value;

	if (!sorted)
		die("memory", NULL);
	for (uint32_t i = 0; i < count; i++)
		sorted[i] = results[i];
	qsort(sorted, count, sizeof(*sorted), ascending);
	value = sorted[count / 2];
	free(sorted);
	return value;
}

/*
 * The median is what an operation takes without the host's timer in between. Where one exit serves several
 * operations it would not show the exit: then the mean.
 */
static void summarize(const struct row *row, const struct memory *memory, uint64_t exits,
		      struct result *result)
{
	const uint64_t *results = memory_results(memory);
	bool shared = row->cold && exits > row->iterations / 100 &&
		      exits < row->iterations - row->iterations / 100;

	result->exits = (double)exits / row->iterations;
	result->instructions = shared ? mean(results, row->iterations) :
					median(results, row->iterations);
}

static bool intel(void)
{
	unsigned int a, b, c, d;

	return __get_cpuid(0, &a, &b, &c, &d) && b == signature_INTEL_ebx;
}

static uint64_t in_guest(const uint8_t *code)
{
	return GUEST_CODE + (code - guest_image);
}

bool row_measure(const struct row *row, const struct hypervisor *h, const struct ways *ways,
		 struct result *result)
{
	const uint8_t *body = row->intel_body && intel() ? row->intel_body : row->body;
	struct memory *memory = memory_new(row->cold);
	unsigned int rate;
	struct vm *vm = h->create(ways, row->trap, memory->region, memory->regions, &rate);
	uint64_t exits;

	if (!vm) {
		memory_free(memory);
		return false;
	}
	/* Before a cold row only what all rows use becomes warm: image, stack, results. */
	if (row->cold)
		h->run(vm, in_guest(body_rdtsc), row->iterations, 0);
	else
		h->run(vm, in_guest(body), WARM_UP, row->argument);
	exits = h->exits(vm);
	h->run(vm, in_guest(body), row->iterations, row->argument);
	exits = h->exits(vm) - exits - 1; /* the last is PORT_END's */
	summarize(row, memory, exits, result);
	result->instructions /= rate;
	if (row->turns) {
		result->instructions = (result->instructions + row->turns / 2) / row->turns;
		result->exits = 1; /* those between are not counted */
	}
	h->destroy(vm);
	memory_free(memory);
	return true;
}

/* The body's own address space: GUEST_ABSENT is memory of this process that nobody has touched. */
void row_measure_native(const struct row *row, struct result *result)
{
	void (*body)(uint64_t, uint64_t, uint64_t *) =
		(void (*)(uint64_t, uint64_t, uint64_t *))row->body;
	struct memory *memory = memory_new(row->cold);
	uint64_t *results = (uint64_t *)memory_results(memory);

	body(row->iterations, row->cold ? (uintptr_t)memory_absent(memory) : 0, results);
	summarize(row, memory, 0, result);
	memory_free(memory);
}
