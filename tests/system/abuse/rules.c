/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* Rules that are none, rings that are scribbled over, and random code with rules about everything. */
#include "abuse.h"

#define RING_BYTES ((FERMATA_RING_SIZE + PAGE - 1) & ~(PAGE - 1))

static void *ring_map(int vcpu, size_t size)
{
	void *at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu, FERMATA_RING_OFFSET);

	return at == MAP_FAILED ? NULL : at;
}

static void wrong_rings(int vcpu)
{
	void *first = ring_map(vcpu, RING_BYTES), *second = ring_map(vcpu, RING_BYTES);

	ok(first && second, "the ring can be mapped twice");
	ok(!ring_map(vcpu, PAGE) && !ring_map(vcpu, RING_BYTES + PAGE) &&
		   !ring_map(vcpu, RING_BYTES - PAGE),
	   "but not in another size");
	ok(mmap(NULL, RING_BYTES, PROT_READ, MAP_PRIVATE, vcpu, FERMATA_RING_OFFSET) == MAP_FAILED,
	   "nor privately");
	ok(mmap(NULL, RING_BYTES, PROT_READ, MAP_SHARED, vcpu, FERMATA_RING_OFFSET + PAGE) ==
		   MAP_FAILED,
	   "nor from elsewhere");
	munmap(first, RING_BYTES);
	munmap(second, RING_BYTES);
}

/* Anything may come back, but nothing is to break. */
static void random_rules(int vm)
{
	unsigned count = times(20000), added = 0, removed = 0, wrong = 0;

	for (unsigned i = 0; i < count; i++) {
		struct fermata_rule rule;

		if (below(4))
			memset(&rule, 0, sizeof(rule));
		else
			chance_fill(&rule, sizeof(rule));
		rule.id = below(4) ? 0 : below(100);
		rule.event = below(8) ? below(FERMATA_ON_EVENTS + 1) : (uint32_t)interesting();
		rule.actions = below(2) ? 0 : below(64);
		rule.filters = below(2) ? 0 : below(256);
		for (unsigned f = 0; f < FERMATA_FILTERS; f++)
			if (rule.filters >> f & 1)
				rule.range[f].last = interesting();
		if (!ioctl(vm, FERMATA_ADD_RULE, &rule)) {
			added++;
			wrong += !rule.id;
		}
		rule.id = below(added + 2);
		removed += !ioctl(vm, FERMATA_REMOVE_RULE, &rule);
		rule.id = interesting();
		ioctl(vm, FERMATA_GET_RULE, &rule);
	}
	for (unsigned id = 1; id <= added; id++) {
		struct fermata_rule rule = { .id = id };

		removed += !ioctl(vm, FERMATA_REMOVE_RULE, &rule);
	}
	ok(added && added == removed && !wrong, "of %u random rules %u are some, and all go again",
	   count, added);
}

static void some_rule(struct fermata_rule *rule, unsigned event)
{
	static const uint32_t actions[] = { 0,
					    FERMATA_DO_LOG,
					    FERMATA_DO_LOG | FERMATA_DO_STOP,
					    FERMATA_DO_LOG | FERMATA_DO_SKIP,
					    FERMATA_DO_INJECT,
					    FERMATA_DO_SET,
					    FERMATA_DO_LOG };

	memset(rule, 0, sizeof(*rule));
	rule->event = event;
	rule->actions = actions[below(ARRAY_SIZE(actions))];
	rule->every = below(5);
	if (rule->actions & FERMATA_DO_INJECT)
		rule->vector = 13;
	if (rule->actions & FERMATA_DO_SET) {
		rule->sets = 1;
		rule->reg[0] = below(FERMATA_REGS);
		rule->value[0] = interesting();
	}
}

/* One rule about every event that the processor has, and a ring with rubbish in it. */
static void everything(struct guest *g)
{
	struct fermata_ring *ring = ring_map(g->vcpu[0], RING_BYTES);
	struct fermata_rule rule;

	must(ring, "the ring");
	for (unsigned event = 0; event < FERMATA_ON_EVENTS; event++) {
		some_rule(&rule, event);
		ioctl(g->vm, FERMATA_ADD_RULE, &rule);
	}
	ring->head = interesting();
	ring->tail = below(2) ? 0 : interesting();
	munmap(ring, RING_BYTES);
}

void abuse_rules(void)
{
	struct guest g;

	guest_new(&g, 1, MODE_LONG);
	wrong_rings(g.vcpu[0]);
	random_rules(g.vm);
	guest_end(&g);
	random_code(times(6000), everything);
}
