/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* How often a vCPU of KVM's has left its guest. */
#ifndef BENCH_KVM_STATS_H
#define BENCH_KVM_STATS_H

#include <stdint.h>
#include <sys/types.h>

struct kvm_stats {
	int fd;
	off_t exits; /* where in it */
};

/* 0, or -1 with errno; ENOENT: this KVM does not count its exits. */
int kvm_stats_open(struct kvm_stats *stats, int vcpu);
int kvm_stats_exits(const struct kvm_stats *stats, uint64_t *exits);

#endif
