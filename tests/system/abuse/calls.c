/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* Every ioctl on every kind of descriptor, with every wrong argument. */
#include <sys/resource.h>

#include "abuse.h"

enum kind { DEVICE, VM, VCPU, KINDS };

static const struct call {
	const char *name;
	unsigned long number;
	enum kind kind;
} calls[] = {
	{ "GET_CAPS", FERMATA_GET_CAPS, DEVICE },	{ "GET_CPUID", FERMATA_GET_CPUID, DEVICE },
	{ "CREATE_VM", FERMATA_CREATE_VM, DEVICE },	{ "GET_FLAW", FERMATA_GET_FLAW, DEVICE },
	{ "SET_MEMORY", FERMATA_SET_MEMORY, VM },	{ "SET_CPUID", FERMATA_SET_CPUID, VM },
	{ "CREATE_VCPU", FERMATA_CREATE_VCPU, VM },	{ "SIGNAL_MSI", FERMATA_SIGNAL_MSI, VM },
	{ "SET_LINE", FERMATA_SET_LINE, VM },		{ "ADD_RULE", FERMATA_ADD_RULE, VM },
	{ "REMOVE_RULE", FERMATA_REMOVE_RULE, VM },	{ "GET_RULE", FERMATA_GET_RULE, VM },
	{ "SET_DIRTY_LOG", FERMATA_SET_DIRTY_LOG, VM }, { "GET_DIRTY", FERMATA_GET_DIRTY, VM },
	{ "SET_FORECAST", FERMATA_SET_FORECAST, VM },	{ "RUN", FERMATA_RUN, VCPU },
	{ "GET_STATE", FERMATA_GET_STATE, VCPU },	{ "SET_STATE", FERMATA_SET_STATE, VCPU },
	{ "INTERRUPT", FERMATA_INJECT, VCPU },		{ "TRANSLATE", FERMATA_TRANSLATE, VCPU },
	{ "GET_STATS", FERMATA_GET_STATS, VCPU },	{ "GET_AUDIT", FERMATA_GET_AUDIT, VCPU },
};

static const char *const kind_name[KINDS] = { "the device", "a VM", "a vCPU" };
static const unsigned char zeros[1 << 16];

static void wrong_descriptors(const int fd[KINDS])
{
	char *room = ram_new(1 << 16);
	int pipes[2];

	must(!pipe(pipes), "pipe");
	for (size_t i = 0; i < ARRAY_SIZE(calls); i++) {
		const struct call *c = &calls[i];
		unsigned long n = c->number;

		for (enum kind k = 0; k < KINDS; k++)
			if (k != c->kind)
				gives(ioctl(fd[k], n, room), ENOTTY, "%s on %s", c->name,
				      kind_name[k]);
		gives(ioctl(pipes[0], n, room), ENOTTY, "%s on a pipe", c->name);
		/* The size lies in bits 29:16 of the number, the direction in 31:30. */
		gives(ioctl(fd[c->kind], n + (8 << 16), room), ENOTTY, "%s, 8 bytes longer",
		      c->name);
		if (c->number != FERMATA_RUN)
			gives(ioctl(fd[c->kind], n - (8 << 16), room), ENOTTY,
			      "%s, 8 bytes shorter", c->name);
		gives(ioctl(fd[c->kind], n ^ (1ul << 30), room), ENOTTY, "%s, other direction",
		      c->name);
	}
	for (enum kind k = 0; k < KINDS; k++) {
		unsigned accepted = 0;

		for (unsigned n = 0; n < 256; n++)
			accepted += ioctl(fd[k], _IO(FERMATA_IOC, n), room) != -1 && n != 0x20;
		ok(!accepted, "no unknown number does anything on %s", kind_name[k]);
		ok(read(fd[k], room, 16) == -1 && write(fd[k], zeros, 16) == -1,
		   "%s can be neither read nor written", kind_name[k]);
	}
	close(pipes[0]);
	close(pipes[1]);
	munmap(room, 1 << 16);
}

static void wrong_pointers(const int fd[KINDS])
{
	uint8_t *unmapped = ram_new(1 << 16), *readonly = ram_new(1 << 16), *edge = ram_new(1 << 16);
	void *const kernel = (void *)0xffff888000100000;
	void *const not_canonical = (void *)0x8000000000000000;
	void *const wraps = (void *)~7ul;

	munmap(unmapped, 1 << 16);
	for (size_t i = 0; i < ARRAY_SIZE(calls); i++) {
		const struct call *c = &calls[i];
		unsigned long size = _IOC_SIZE(c->number), pages = (size + PAGE - 1) & ~(PAGE - 1);
		const struct {
			const char *name;
			void *at;
		} bad[] = {
			{ "NULL", NULL },      { "unmapped", unmapped },
			{ "kernel", kernel },  { "non-canonical", not_canonical },
			{ "wrapping", wraps }, { "half mapped", edge + pages - size / 2 },
		};

		if (c->number == FERMATA_RUN)
			continue;
		mprotect(edge, 1 << 16, PROT_READ | PROT_WRITE);
		mprotect(edge + pages, PAGE, PROT_NONE);
		for (size_t b = 0; b < ARRAY_SIZE(bad); b++)
			gives(ioctl(fd[c->kind], c->number, bad[b].at), EFAULT,
			      "%s with a %s pointer", c->name, bad[b].name);
		/* GET_DIRTY of nothing has no answer to write: dirty.c */
		if (_IOC_DIR(c->number) & _IOC_READ && c->number != FERMATA_GET_DIRTY) {
			mprotect(readonly, 1 << 16, PROT_READ);
			gives(ioctl(fd[c->kind], c->number, readonly), EFAULT,
			      "%s with a read-only pointer", c->name);
		}
	}
	munmap(readonly, 1 << 16);
	munmap(edge, 1 << 16);
	gives(ioctl(fd[VCPU], FERMATA_RUN, zeros), EINVAL, "RUN with an argument");
}

/* One call with one field spoilt; the same call unspoilt is tried last. */
#define SPOIL(fd, number, good, field, bad, wanted)                                                \
	do {                                                                                       \
		__typeof__(good) spoilt = (good);                                                  \
		spoilt.field = (bad);                                                              \
		gives(ioctl((fd), (number), &spoilt), (wanted), #number ", " #field " = " #bad);   \
	} while (0)

static void wrong_device_fields(int device)
{
	struct fermata_vm_config config = { 0 };
	static struct fermata_cpuid cpuid;

	SPOIL(device, FERMATA_CREATE_VM, config, flags, FERMATA_VM_FLAGS + 1, EINVAL);
	SPOIL(device, FERMATA_CREATE_VM, config, flags, FERMATA_VM_SHADOW | FERMATA_VM_NESTED,
	      EINVAL);
	SPOIL(device, FERMATA_CREATE_VM, config, flags, 1u << 31, EINVAL);
	for (size_t i = 0; i < ARRAY_SIZE(config.reserved); i++)
		SPOIL(device, FERMATA_CREATE_VM, config, reserved[i], 1, EINVAL);
	cpuid.count = FERMATA_MAX_CPUID;
	cpuid.reserved = 1;
	gives(ioctl(device, FERMATA_GET_CPUID, &cpuid), EINVAL, "GET_CPUID with a reserved field");
	cpuid.reserved = 0;
	gives(ioctl(device, FERMATA_GET_CPUID, &cpuid), 0, "GET_CPUID");
	ok(cpuid.count > 10 && cpuid.count <= FERMATA_MAX_CPUID, "GET_CPUID fills in %u entries",
	   cpuid.count);
}

static void flaws(int device)
{
	struct fermata_flaw flaw;
	bool good = true;

	memset(&flaw, 0xff, sizeof(flaw));
	gives(ioctl(device, FERMATA_GET_FLAW, &flaw), ERANGE, "GET_FLAW behind the last one");
	for (flaw.index = 0; !ioctl(device, FERMATA_GET_FLAW, &flaw); flaw.index++)
		good = good && flaw.state <= FERMATA_FLAW_UNKNOWN && flaw.name[0] && flaw.how[0] &&
		       !flaw.name[sizeof(flaw.name) - 1] && !flaw.how[sizeof(flaw.how) - 1];
	ok(good && flaw.index > 15 && errno == ERANGE, "GET_FLAW has %u rows, all of them whole",
	   flaw.index);
}

static void wrong_forecasts(int vm)
{
	struct fermata_forecast f = {
		.port = 0x61, .size = 1, .kind = FERMATA_FORECAST_STEP, .hz = 1000, .flip_ticks = 1
	};
	struct fermata_forecast counter = { .port = 0x608,
					    .size = 4,
					    .kind = FERMATA_FORECAST_COUNTER,
					    .hz = 3579545,
					    .mask = 0xffffff };

	SPOIL(vm, FERMATA_SET_FORECAST, f, kind, 3, EINVAL);
	SPOIL(vm, FERMATA_SET_FORECAST, f, kind, 255, EINVAL);
	SPOIL(vm, FERMATA_SET_FORECAST, f, size, 0, EINVAL);
	SPOIL(vm, FERMATA_SET_FORECAST, f, size, 3, EINVAL);
	SPOIL(vm, FERMATA_SET_FORECAST, f, size, 8, EINVAL);
	SPOIL(vm, FERMATA_SET_FORECAST, f, hz, 0, EINVAL);
	SPOIL(vm, FERMATA_SET_FORECAST, f, hz, 1000000001, EINVAL);
	SPOIL(vm, FERMATA_SET_FORECAST, f, reserved[0], 1, EINVAL);
	SPOIL(vm, FERMATA_SET_FORECAST, f, reserved[2], 1, EINVAL);
	SPOIL(vm, FERMATA_SET_FORECAST, f, flip_ticks, 0, EINVAL);
	SPOIL(vm, FERMATA_SET_FORECAST, counter, halves, 1, EINVAL);
	SPOIL(vm, FERMATA_SET_FORECAST, counter, halves, 2, EINVAL);
	SPOIL(vm, FERMATA_SET_FORECAST, counter, down, 2, EINVAL);
	gives(ioctl(vm, FERMATA_SET_FORECAST, &f), 0, "a forecast");
	for (unsigned i = 0; i < times(500); i++) {
		chance_fill(&f, sizeof(f));
		if (ioctl(vm, FERMATA_SET_FORECAST, &f) && errno != EINVAL && errno != ENOSPC)
			gives(-1, EINVAL, "SET_FORECAST of random contents");
	}
}

static void wrong_vm_fields(int device, int vm)
{
	static const uint64_t bad_msi[] = { 0, 1, 0xfed00000, 0xfff00000, 0xffffffff, ~0ull };
	struct fermata_vcpu_config config = { .id = 1 };
	struct fermata_msi msi = { .address = 0xfee00000, .data = 0x30 };
	struct fermata_line line = { .line = FERMATA_LINE_LINT0 };
	static struct fermata_cpuid cpuid, tried;

	for (size_t i = 0; i < ARRAY_SIZE(config.reserved); i++)
		SPOIL(vm, FERMATA_CREATE_VCPU, config, reserved[i], 1, EINVAL);
	SPOIL(vm, FERMATA_CREATE_VCPU, config, id, FERMATA_MAX_VCPUS, EINVAL);
	SPOIL(vm, FERMATA_CREATE_VCPU, config, id, ~0u, EINVAL);
	SPOIL(vm, FERMATA_CREATE_VCPU, config, id, 0, EEXIST);
	SPOIL(vm, FERMATA_SIGNAL_MSI, msi, reserved, 1, EINVAL);
	for (size_t i = 0; i < ARRAY_SIZE(bad_msi); i++)
		SPOIL(vm, FERMATA_SIGNAL_MSI, msi, address, bad_msi[i], EINVAL);
	SPOIL(vm, FERMATA_SIGNAL_MSI, msi, data, 0x30, 0);
	SPOIL(vm, FERMATA_SET_LINE, line, reserved, 1, EINVAL);
	SPOIL(vm, FERMATA_SET_LINE, line, level, 2, EINVAL);
	SPOIL(vm, FERMATA_SET_LINE, line, line, 2, EINVAL);
	SPOIL(vm, FERMATA_SET_LINE, line, line, ~0u, EINVAL);
	SPOIL(vm, FERMATA_SET_LINE, line, vcpu, FERMATA_MAX_VCPUS, EINVAL);
	SPOIL(vm, FERMATA_SET_LINE, line, vcpu, ~0u, EINVAL);
	SPOIL(vm, FERMATA_SET_LINE, line, vcpu, 63, ENOENT);
	SPOIL(vm, FERMATA_SET_LINE, line, level, 0, 0);

	wrong_forecasts(vm);
	gives(ioctl(vm, FERMATA_SET_CPUID, &cpuid), EBUSY, "SET_CPUID after the first vCPU");
	vm = vm_create();
	cpuid.count = FERMATA_MAX_CPUID;
	must(!ioctl(device, FERMATA_GET_CPUID, &cpuid), "GET_CPUID");
	SPOIL(vm, FERMATA_SET_CPUID, cpuid, reserved, 1, EINVAL);
	SPOIL(vm, FERMATA_SET_CPUID, cpuid, count, FERMATA_MAX_CPUID + 1, EINVAL);
	SPOIL(vm, FERMATA_SET_CPUID, cpuid, count, ~0u, EINVAL);
	SPOIL(vm, FERMATA_SET_CPUID, cpuid, entry[0].reserved, 1, EINVAL);
	SPOIL(vm, FERMATA_SET_CPUID, cpuid, entry[1].flags, 2, EINVAL);
	SPOIL(vm, FERMATA_SET_CPUID, cpuid, entry[1].flags, 1u << 31, EINVAL);
	SPOIL(vm, FERMATA_SET_CPUID, cpuid, entry[1].ecx, ~0u, EINVAL);
	for (unsigned i = 0; i < times(500); i++) {
		tried = cpuid;
		for (unsigned n = 1 + below(8); n--;)
			((uint32_t *)&tried)[below(sizeof(tried) / 4)] = interesting();
		if (ioctl(vm, FERMATA_SET_CPUID, &tried) && errno != EINVAL)
			gives(-1, EINVAL, "SET_CPUID of random contents");
	}
	gives(ioctl(vm, FERMATA_SET_CPUID, &cpuid), 0, "SET_CPUID of what GET_CPUID said");
	close(vm);
}

static void wrong_vcpu_fields(int vcpu)
{
	struct fermata_injection event = { .vector = 0x20, .kind = FERMATA_INJECT_EXTINT };
	struct fermata_translate t = { .linear = CODE_AT };
	static struct fermata_state state;

	SPOIL(vcpu, FERMATA_GET_STATE, state, mask, FERMATA_STATE_ALL + 1, EINVAL);
	SPOIL(vcpu, FERMATA_GET_STATE, state, mask, ~0u, EINVAL);
	SPOIL(vcpu, FERMATA_GET_STATE, state, reserved, 1, EINVAL);
	SPOIL(vcpu, FERMATA_SET_STATE, state, mask, 1u << 31, EINVAL);
	SPOIL(vcpu, FERMATA_SET_STATE, state, reserved, 1, EINVAL);
	SPOIL(vcpu, FERMATA_SET_STATE, state, mask, 0, 0);

	SPOIL(vcpu, FERMATA_INJECT, event, reserved, 1, EINVAL);
	SPOIL(vcpu, FERMATA_INJECT, event, vector, 256, EINVAL);
	SPOIL(vcpu, FERMATA_INJECT, event, vector, ~0u, EINVAL);
	SPOIL(vcpu, FERMATA_INJECT, event, kind, FERMATA_INJECT_EXCEPTION_CODE + 1, EINVAL);
	SPOIL(vcpu, FERMATA_INJECT, event, kind, ~0u, EINVAL);
	SPOIL(vcpu, FERMATA_INJECT, event, kind, FERMATA_INJECT_EXCEPTION, EINVAL);
	event.vector = 2;
	SPOIL(vcpu, FERMATA_INJECT, event, kind, FERMATA_INJECT_EXCEPTION_CODE, EINVAL);
	event.vector = 31;
	SPOIL(vcpu, FERMATA_INJECT, event, kind, FERMATA_INJECT_EXCEPTION, EINVAL);
	SPOIL(vcpu, FERMATA_INJECT, event, vector, 0x20, 0);
	SPOIL(vcpu, FERMATA_INJECT, event, vector, 0x20, EBUSY);

	SPOIL(vcpu, FERMATA_TRANSLATE, t, access, 16, EINVAL);
	SPOIL(vcpu, FERMATA_TRANSLATE, t, access, ~0u, EINVAL);
	SPOIL(vcpu, FERMATA_TRANSLATE, t, access, FERMATA_ACCESS_READ, 0);
	for (unsigned i = 0; i < times(500); i++) {
		t.linear = interesting();
		t.access = below(16);
		if (ioctl(vcpu, FERMATA_TRANSLATE, &t) && errno != ENOENT && errno != EACCES)
			gives(-1, ENOENT, "TRANSLATE of %#llx", (unsigned long long)t.linear);
	}
}

static void wrong_maps(const int fd[KINDS])
{
	static const struct {
		const char *name;
		size_t size;
		int prot, flags;
		off_t at;
		int wanted[KINDS];
	} maps[] = {
		{ "two pages", 2 * PAGE, PROT_READ, MAP_SHARED, 0, { ENODEV, EINVAL, EINVAL } },
		{ "a private one", PAGE, PROT_READ, MAP_PRIVATE, 0, { ENODEV, EINVAL, EINVAL } },
		{ "the second page", PAGE, PROT_READ, MAP_SHARED, PAGE, { ENODEV, EINVAL, EINVAL } },
		{ "writable", PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, 0, { ENODEV, EPERM, 0 } },
		{ "read-only", PAGE, PROT_READ, MAP_SHARED, 0, { ENODEV, 0, 0 } },
	};

	for (enum kind k = 0; k < KINDS; k++)
		for (size_t i = 0; i < ARRAY_SIZE(maps); i++) {
			void *at = mmap(NULL, maps[i].size, maps[i].prot, maps[i].flags, fd[k],
					maps[i].at);

			gives(at == MAP_FAILED ? -1 : 0, maps[i].wanted[k], "mmap of %s: %s",
			      kind_name[k], maps[i].name);
			if (at == MAP_FAILED)
				continue;
			if (k == VM)
				gives(mprotect(at, PAGE, PROT_READ | PROT_WRITE), EACCES,
				      "the clock page does not become writable");
			munmap(at, maps[i].size);
		}
}

/* No room for a descriptor: nothing is left behind that stands in the way of the next try. */
static void no_descriptors(void)
{
	struct fermata_vm_config config = { 0 };
	struct rlimit old, none;
	int device = device_open(), vm, vcpu;

	if (getenv("BESIDE"))
		vm_beside(&config);
	getrlimit(RLIMIT_NOFILE, &old);
	none = old;
	none.rlim_cur = 0;
	setrlimit(RLIMIT_NOFILE, &none);
	gives(ioctl(device, FERMATA_CREATE_VM, &config), EMFILE,
	      "CREATE_VM without a free descriptor");
	if (config.kvm)
		close(config.kvm);
	setrlimit(RLIMIT_NOFILE, &old);
	vm = vm_create();
	setrlimit(RLIMIT_NOFILE, &none);
	gives(vcpu_create(vm, 0), EMFILE, "CREATE_VCPU without a free descriptor");
	setrlimit(RLIMIT_NOFILE, &old);
	vcpu = vcpu_create(vm, 0);
	gives(vcpu, 0, "and with one");
	close(vcpu);
	close(vm);
	close(device);
}

void abuse_calls(void)
{
	static struct fermata_state before, after;
	struct fermata_rule rule = { .event = FERMATA_ON_RDPMC };
	struct guest g;
	int fd[KINDS];

	guest_new(&g, 1, MODE_LONG);
	must(!ioctl(g.vm, FERMATA_ADD_RULE, &rule), "ADD_RULE"); /* for GET_RULE to find */
	fd[DEVICE] = device_open();
	fd[VM] = g.vm;
	fd[VCPU] = g.vcpu[0];
	/* The clock runs, and SIGNAL_MSI's one good call reaches the APIC. */
	before.mask = after.mask = FERMATA_STATE_ALL & ~(FERMATA_STATE_MSRS | FERMATA_STATE_APIC);
	must(!ioctl(g.vcpu[0], FERMATA_GET_STATE, &before), "GET_STATE");
	wrong_descriptors(fd);
	wrong_pointers(fd);
	wrong_device_fields(fd[DEVICE]);
	flaws(fd[DEVICE]);
	wrong_vm_fields(fd[DEVICE], fd[VM]);
	must(!ioctl(g.vcpu[0], FERMATA_GET_STATE, &after), "GET_STATE");
	ok(!memcmp(&before, &after, sizeof(before)), "none of all that changed the vCPU");
	wrong_vcpu_fields(g.vcpu[0]);
	wrong_maps(fd);
	no_descriptors();
	close(fd[DEVICE]);
	guest_end(&g);
}
