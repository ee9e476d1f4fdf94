/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* Linux, Documentation/virt/kvm/api.rst, KVM_GET_STATS_FD: a header, descriptors, values. */
#include "kvm_stats.h"

#include <errno.h>
#include <linux/kvm.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

int kvm_stats_open(struct kvm_stats *stats, int vcpu)
{
	struct kvm_stats_header header;
	struct kvm_stats_desc *desc;
	ssize_t size;

	stats->exits = 0;
	stats->fd = ioctl(vcpu, KVM_GET_STATS_FD, NULL);
	if (stats->fd < 0 || pread(stats->fd, &header, sizeof(header), 0) != sizeof(header))
		return -1;
	size = sizeof(*desc) + header.name_size;
	desc = malloc(size);
	if (!desc)
		return -1;
	for (uint32_t i = 0; i < header.num_desc && !stats->exits; i++) {
		if (pread(stats->fd, desc, size, header.desc_offset + i * size) != size)
			break;
		if (!strcmp(desc->name, "exits"))
			stats->exits = header.data_offset + desc->offset;
	}
	free(desc);
	errno = ENOENT;
	return stats->exits ? 0 : -1;
}

int kvm_stats_exits(const struct kvm_stats *stats, uint64_t *exits)
{
	return pread(stats->fd, exits, sizeof(*exits), stats->exits) == sizeof(*exits) ? 0 : -1;
}
