// SPDX-License-Identifier: MIT OR GPL-2.0
/* Rules and the log: the calls. What a rule looks like in words is rule.c's. */
#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "internal.h"

static const char *vendor_name(const fermata_vm *vm)
{
	return vm->caps.vendor == FERMATA_VENDOR_AMD ? "AMD-V" : "VT-x";
}

static const char no_rules[] = "the kernel module was built without rules";

/* Such a module says so whatever is asked. */
static bool without_rules(const fermata_vm *vm)
{
	struct fermata_rule rule = { .id = 0 };

	return ioctl(vm->fd, FERMATA_GET_RULE, &rule) && errno == EOPNOTSUPP;
}

static const char *reason(int err, const char *if_none)
{
	return err == ENOENT ? if_none : err == EOPNOTSUPP ? no_rules : strerror(err);
}

static int refused(const fermata_vm *vm, const struct fermata_rule *rule, int err)
{
	const char *name = fermata_event_name(rule->event);

	switch (err) {
	case EOPNOTSUPP:
		if (without_rules(vm))
			return fermata_fail(err, "%s: leave the rule out", no_rules);
		return fermata_fail(err,
				    "%s cannot intercept %s%s on this processor: leave the rule out",
				    vendor_name(vm), name ? name : "that event",
				    rule->filters & 1 ? " with these numbers" : "");
	case ENOSPC:
		return fermata_fail(err, "there are %u rules already: remove one first",
				    FERMATA_MAX_RULES);
	case E2BIG:
		return fermata_fail(err,
				    "rules with gva= and without gpa= can be about %u pages, all of"
				    " them about %u: remove one first, or give gpa=",
				    FERMATA_MAX_GVA_PAGES, FERMATA_MAX_GVA_PAGES_ALL);
	case EINVAL:
		return fermata_fail(err, "no such rule about %s: see struct fermata_rule",
				    name ? name : "an unknown event");
	}
	return fermata_fail(err, "the kernel refused the rule about %s: %s", name, strerror(err));
}

int fermata_rule_add(fermata_vm *vm, struct fermata_rule *rule)
{
	if (ioctl(vm->fd, FERMATA_ADD_RULE, rule))
		return refused(vm, rule, errno);
	return 0;
}

int fermata_rule_remove(fermata_vm *vm, unsigned id)
{
	struct fermata_rule rule = { .id = id };

	if (ioctl(vm->fd, FERMATA_REMOVE_RULE, &rule)) {
		int err = errno;

		return fermata_fail(err, "rule %u: %s", id,
				    reason(err, "there is none with that number"));
	}
	return 0;
}

int fermata_rule_get(fermata_vm *vm, struct fermata_rule *rule)
{
	if (ioctl(vm->fd, FERMATA_GET_RULE, rule)) {
		int err = errno;

		return fermata_fail(err, "rule %u: %s", rule->id,
				    reason(err, "there is none from there on"));
	}
	return 0;
}

/* ---- the log */

#define RING_BYTES ((FERMATA_RING_SIZE + 4095) & ~4095ul)

int fermata_log_open(fermata_vcpu *vcpu)
{
	void *at;
	int err;

	if (vcpu->ring)
		return 0;
	at = mmap(NULL, RING_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu->fd,
		  FERMATA_RING_OFFSET);
	if (at == MAP_FAILED) {
		err = errno;
		return fermata_fail(err, "cannot map the log of vCPU %u: %s", vcpu->id,
				    reason(err, strerror(err)));
	}
	vcpu->ring = at;
	return 0;
}

void fermata_log_unmap(fermata_vcpu *vcpu)
{
	if (vcpu->ring)
		munmap(vcpu->ring, RING_BYTES);
	vcpu->ring = NULL;
}

unsigned fermata_log_read(fermata_vcpu *vcpu, struct fermata_record *out, unsigned room,
			  uint64_t *dropped)
{
	struct fermata_ring *ring = vcpu->ring;
	const struct fermata_record *record;
	uint64_t head, tail;
	unsigned count = 0;

	if (dropped)
		*dropped = ring ? __atomic_load_n(&ring->dropped, __ATOMIC_RELAXED) : 0;
	if (!ring)
		return 0;
	record = (const void *)((const uint8_t *)ring + FERMATA_RING_FIRST);
	tail = ring->tail;
	head = __atomic_load_n(&ring->head, __ATOMIC_ACQUIRE);
	while (tail != head && count < room)
		out[count++] = record[tail++ % FERMATA_RING_RECORDS];
	__atomic_store_n(&ring->tail, tail, __ATOMIC_RELEASE);
	return count;
}

bool fermata_log_waiting(fermata_vcpu *vcpu)
{
	const struct fermata_ring *ring = vcpu->ring;

	return ring && __atomic_load_n(&ring->head, __ATOMIC_ACQUIRE) != ring->tail;
}
