/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* What all vCPUs of a guest share: memory, clock, CPUID. */
#include "base/processor.h"
#include "core/time.h"
#include "core/vcpu.h"

struct backend_options backend_options;

int vm_init(struct vm *vm, const struct backend *backend, const struct fermata_caps *caps,
	    const struct fermata_vm_config *config, struct fermata_clock *clock_page)
{
	const struct radix_format *format;
	u32 shadow_without = config->shadow_without;
	u8 max_leaf = caps->nested_levels & BIT(3) ? 3 : 2;
	int err;

	vm->backend = backend;
	vm->time.page = clock_page;
	vm->config.shadow = config->flags & FERMATA_VM_SHADOW || !caps->nested_levels;
	vm->config.shadow_audit = vm->config.shadow && config->flags & FERMATA_VM_SHADOW_AUDIT;
	if (vm->config.shadow && config->flags & FERMATA_VM_NESTED)
		return -ENODEV;
	vm->config.untagged = config->flags & FERMATA_VM_NO_TAGS || !caps->tags;
	host_lock_init(&vm->vcpus.lock);
	host_lock_init(&vm->time.pvclock_lock);
	forecast_init(&vm->forecasts);
	err = vm_clock_init(vm, caps->tsc_khz);
	if (err)
		return err;
	vm->cpuid_supported = host_alloc(sizeof(*vm->cpuid_supported));
	vm->paid = host_alloc(sizeof(*vm->paid) * host_cpu_count());
	if (!vm->cpuid_supported || !vm->paid || rules_vm_init(vm)) {
		err = -ENOMEM;
		goto fail;
	}
	cpuid_supported(vm->cpuid_supported, caps->xcr0);
	if (caps->xcr0 & ARCH_XCR0_PKRU)
		vm->config.pkru_at = cpu_cpuid(0xd, 9).ebx; /* SDM 1 13.4 */
	err = cpuid_set(&vm->cpuid, vm->cpuid_supported, vm->cpuid_supported);
	if (err)
		goto fail;
	if (vm->config.shadow)
		cpuid_hide_invpcid(&vm->cpuid);
	/* Under shadow paging nobody walks this table but us. */
	format = vm->config.shadow ? &npt_format : backend->format();
	err = guest_memory_init(&vm->memory, format, vm->config.shadow ? 2 : max_leaf,
				caps->phys_bits);
	if (err)
		goto fail;
	vm->memory.unwalked = vm->config.shadow;
	/* Intel's processors alone; NPT's large leaves stay. Shadows follow the guest's tables: none is large. */
	if (host_offers(HOST_ITLB_MULTIHIT)) {
		vm->memory.small_exec = !vm->config.shadow;
		shadow_without |= FERMATA_SHADOW_LARGE;
	}
	if (vm->config.shadow)
		err = shadow_init(&vm->memory, FERMATA_SHADOW_ALL & ~shadow_without, 0);
	if (!err)
		return 0;
	guest_memory_destroy(&vm->memory);
fail:
	rules_vm_destroy(vm);
	host_free(vm->cpuid_supported);
	host_free(vm->paid);
	return err;
}

void vm_destroy(struct vm *vm)
{
	run_only_end(vm);
	shadow_destroy(&vm->memory);
	guest_memory_destroy(&vm->memory);
	rules_vm_destroy(vm);
	host_free(vm->cpuid_supported);
	host_free(vm->paid);
}

int vm_set_memory(struct vm *vm, const struct fermata_memory *change)
{
	struct flush owed;
	int err = guest_memory_set_slot(&vm->memory, change, &owed);

	vm_flush(vm, &owed, FERMATA_CAUSE_SLOT);
	if (!err)
		rules_memory_changed(vm);
	return err;
}

int vm_log_dirty(struct vm *vm, const struct fermata_dirty_log *log)
{
	struct flush owed;
	int err;

	if (log->slot >= FERMATA_MAX_SLOTS || log->flags & ~FERMATA_MEMORY_LOG_DIRTY)
		return -EINVAL;
	err = guest_memory_log_dirty(&vm->memory, log->slot, log->flags & FERMATA_MEMORY_LOG_DIRTY,
				     &owed);
	vm_flush(vm, &owed, FERMATA_CAUSE_DIRTY);
	return err;
}

int vm_take_dirty(struct vm *vm, struct fermata_dirty *what, u64 *bitmap)
{
	struct flush owed;
	int err;

	if (what->slot >= FERMATA_MAX_SLOTS)
		return -EINVAL;
	err = guest_memory_take_dirty(&vm->memory, what, bitmap, &what->dirty, &owed);
	vm_flush(vm, &owed, FERMATA_CAUSE_DIRTY);
	return err;
}

int vm_set_cpuid(struct vm *vm, const struct fermata_cpuid *cpuid)
{
	struct cpuid_table *next;
	int err;

	if (vm->vcpus.count)
		return -EBUSY;
	next = host_alloc(sizeof(*next));
	if (!next)
		return -ENOMEM;
	err = cpuid_set(next, cpuid, vm->cpuid_supported);
	if (!err) {
		if (vm->config.shadow)
			cpuid_hide_invpcid(next);
		vm->cpuid = *next;
	}
	host_free(next);
	return err;
}

/* ---- memory that the host wants back */

/*
 * Free tables first, which cost nobody anything. The vCPUs' threads give back the pages that they keep for
 * their next faults by themselves.
 */
u32 vm_shrink(struct vm *vm, u32 want)
{
	struct flush owed;
	u32 count;

	if (!vm->config.shadow)
		return 0;
	count = shadow_release(&vm->memory, want);
	if (count < want) {
		shadow_retire(&vm->memory, want - count, &owed);
		vm_flush(vm, &owed, FERMATA_CAUSE_SHADOW);
		count += shadow_release(&vm->memory, want - count);
	}
	gather(vm, NULL, BIT(REQUEST_TRIM), GATHER_POST);
	return count;
}

void vm_invalidate_begin(struct vm *vm, u64 start, u64 end)
{
	struct flush owed = guest_memory_invalidate_begin(&vm->memory, start, end);

	vm_flush(vm, &owed, FERMATA_CAUSE_HOST);
}

void vm_invalidate_end(struct vm *vm, u64 start, u64 end)
{
	guest_memory_invalidate_end(&vm->memory, start, end);
}
