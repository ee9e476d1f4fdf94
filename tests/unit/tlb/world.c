/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* VMs, and their hosts' memory management, which gives their memory away, moves and shares it. */
#include "model.h"
#include "memory/shadow/internal.h"
#include "rules/rules.h"

static struct model_vm vms[VMS];
static struct host_thread threads[VMS][VM_VCPUS];
static struct fermata_caps caps;
static const struct backend *backend;

/* ---- changes of memory slots */

static void set_slot(struct model_vm *vm, u32 id, u32 gpa, u32 user, u32 pages, bool readonly)
{
	struct fermata_memory change = {
		.slot = id,
		.flags = readonly ? FERMATA_MEMORY_READONLY : 0,
		.gpa = gpa * 4096ull,
		.size = pages * 4096ull,
		.user_addr = process_user(vm) + user * 4096ull,
	};

	if (pages)
		vm->slot[id] = (struct model_slot){ true, gpa, user, pages, readonly };
	if (vm_set_memory(&vm->vm, &change))
		wrong("a slot is refused");
	if (!pages)
		vm->slot[id].live = false;
}

static void change_slots(struct model_vm *vm)
{
	u32 id = 1 + below(world.config->dirty ? 2 : 3); /* a log knows nothing of other slots */

	if (vm->slot[id].live) {
		log_forget(vm, id);
		set_slot(vm, id, 0, 0, 0, false);
	} else if (id == 1)
		set_slot(vm, id, GPA_LARGE, USER_LARGE, 512, false);
	else if (id == 2)
		set_slot(vm, id, GPA_MOVING, 32 + below(8), MOVING_PAGES, one_in(3));
	else /* the same memory at another place */
		set_slot(vm, id, GPA_MOVING + MOVING_PAGES, GPA_TABLES_END + below(8), MOVING_PAGES,
			 one_in(3));
}

/* ---- the owner's side: two threads of each, which also get in each other's way */

static void some_pages(u32 *first, u32 *pages)
{
	switch (below(4)) {
	case 0:
		*first = USER_LARGE + (one_in(2) ? 0 : below(4));
		*pages = one_in(3) ? USER_PAGES - *first : 1 + below(4);
		return;
	case 1:
		*first = 32;
		*pages = 1 + below(12);
		return;
	default:
		*first = below(GPA_RAM_END);
		*pages = 1 + below(min(4u, GPA_RAM_END - *first));
	}
}

static void change_memory(struct model_vm *vm)
{
	u32 first, pages;

	if (world.config->shrink && one_in(2)) {
		world.out->released += vm_shrink(&vm->vm, 1 + below(80));
		return;
	}
	some_pages(&first, &pages);
	world.out->invalidations++;
	switch (world.config->busy_slots && one_in(2) ? 6 : below(8)) {
	case 0:
	case 1:
	case 2:
		process_unmap(vm, first, pages);
		return;
	case 3:
	case 4:
		process_protect(vm, first, pages);
		return;
	case 5:
		process_huge(vm, !one_in(3));
		return;
	case 6: /* in two parts, as reclaim does: their tables stay */
		process_unmap(vm, USER_LARGE, 256);
		process_unmap(vm, USER_LARGE + 256, 256);
		process_huge(vm, true);
		return;
	default:
		process_move(vm, below(GPA_RAM_END));
	}
}

static void idle(u32 most)
{
	for (u32 n = below(most); n && !world.stopping; n--)
		yield();
}

static void owner_main(void *arg)
{
	struct model_vm *vm = arg;

	while (!world.stopping) {
		idle(world.config->busy_slots ? 20 : 60);
		change_memory(vm);
	}
}

static void slots_main(void *arg)
{
	struct model_vm *vm = arg;

	while (!world.stopping) {
		bool log = world.config->dirty && !one_in(20);

		idle(world.config->busy_slots || log ? 15 : 300);
		if (log)
			log_act(vm);
		else
			change_slots(vm);
	}
}

/* The owner's side of a program: two threads, too. */
static void program_main(struct model_vm *vm, u8 id)
{
	while (!world.stopping) {
		const struct step *step = program_host(id);

		yield();
		if (!step)
			continue;
		if (step->op == OP_UNMAP)
			process_unmap(vm, step->value, 1);
		else if (step->op == OP_SMALL)
			process_huge(vm, false);
		program_done(step);
	}
}

static void first_main(void *arg)
{
	program_main(arg, OWNER);
}

static void second_main(void *arg)
{
	program_main(arg, OWNER + 1);
}

/* About a linear address that nothing is at: no page is closed for it. */
static void rules_main(void *arg)
{
	struct model_vm *vm = arg;
	struct fermata_rule rule;

	while (!world.stopping) {
		memset(&rule, 0, sizeof(rule));
		rule.event = FERMATA_ON_WRITE;
		rule.filters = BIT(FERMATA_FILTER_GVA);
		rule.range[FERMATA_FILTER_GVA] = (struct fermata_range){ 1ull << 63, 1ull << 63 };
		idle(400);
		if (rules_add(&vm->vm, &rule))
			wrong("a rule is refused");
		idle(400);
		if (rules_remove(&vm->vm, rule.id))
			wrong("a rule does not go");
		world.out->changes++;
	}
}

/* ---- life */

static void vm_begin(u32 index)
{
	const struct config *config = world.config;
	struct model_vm *vm = &vms[index];
	struct fermata_vm_config how = { .shadow_without = config->shadow_without };
	u32 i;

	memset(vm, 0, sizeof(*vm));
	vm->index = index;
	vm->shadow = config->shadow_vms >> index & 1;
	vm->changing = config->changing_vms >> index & 1;
	vm->vcpus = config->vcpus;
	world.vm[index] = vm;
	process_init(vm);
	reference_init(vm);
	how.flags = (vm->shadow ? FERMATA_VM_SHADOW : 0) |
		    (config->untagged_vms >> index & 1 ? FERMATA_VM_NO_TAGS : 0);
	if (vm_init(&vm->vm, backend, &caps, &how, &vm->clock_page))
		wrong("no VM");
	vm->shadow = vm->vm.config.shadow; /* where the processor has no nested paging */
	for (i = 0; mutation.kind == PAID_BEFORE && i < CPUS; i++)
		vm->vm.paid[i] = vm->vm.memory.flush.generation;
	if (vm->shadow && config->shadow_pages)
		vm->vm.memory.shadow->max_pages = config->shadow_pages;
	set_slot(vm, 0, 0, 0, GPA_RAM_END, false);
	for (i = 0; i < vm->vcpus; i++) {
		struct model_vcpu *mv = &vm->vcpu[i];
		struct host_thread *thread = &threads[index][i];

		memset(thread, 0, sizeof(*thread));
		mv->vm = vm;
		mv->thread = thread;
		if (vcpu_init(&mv->vcpu, &vm->vm, i, thread, &mv->page))
			wrong("no vCPU");
		fiber_new(guest_main, mv, thread);
	}
	if (config->program) {
		set_slot(vm, 1, GPA_LARGE, USER_LARGE, 512, false);
		fiber_new(first_main, vm, NULL);
		fiber_new(second_main, vm, NULL);
		return;
	}
	fiber_new(owner_main, vm, NULL);
	fiber_new(slots_main, vm, NULL);
	if (vm->changing)
		fiber_new(rules_main, vm, NULL);
}

static void vm_end(struct model_vm *vm)
{
	for (u32 i = 0; i < vm->vcpus; i++) {
		world.out->moves += vm->vcpu[i].vcpu.account.stats.flush_cause[FERMATA_CAUSE_CPU];
		vcpu_destroy(&vm->vcpu[i].vcpu);
	}
	vm_destroy(&vm->vm);
	process_exit(vm);
	world.vm[vm->index] = NULL;
}

/* All VMs from their beginning to their end. */
static void live(u64 accesses)
{
	machine_begin();
	world.stopping = false;
	world.enough = accesses;
	rival_begin();
	for (u32 i = 0; i < world.config->vms; i++)
		vm_begin(i);
	machine_run();
	for (u32 i = 0; i < world.config->vms && !world.out->failed; i++)
		vm_end(&vms[i]);
}

void world_run(const struct config *config, struct outcome *outcome)
{
	memset(outcome, 0, sizeof(*outcome));
	memset(&world, 0, sizeof(world));
	world.config = config;
	world.out = outcome;
	model_random_state = config->seed * 0x2545f4914f6cdd1dull + 0x9e3779b97f4a7c15ull;
	mutation = config->mutation;
	machine_init();
	memory_init();
	for (u32 cpu = 0; cpu < CPUS && !config->used; cpu++)
		processor_init(cpu);
	memset(&caps, 0, sizeof(caps));
	backend_options.beside = config->rival;
	caps.xcr0 = 7;
	caps.tsc_khz = 1000000;
	caps.phys_bits = 40;
	backend = config->intel ? vmx_model_begin(config, &caps) : svm_model_begin(config, &caps);
	caps.nested_levels &= ~BIT(3);
	for (u32 life = 0; life < max(config->lives, 1u) && !outcome->failed; life++)
		live(outcome->accesses + config->steps);
	if (!outcome->failed) {
		if (config->intel)
			vmx_model_end();
		else
			svm_model_end();
		outcome->leaks = machine_leaks();
	}
	machine_end();
}
