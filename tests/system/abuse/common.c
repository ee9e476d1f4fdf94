/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* What all groups use: results, chance, time, guests. */
#include <linux/kvm.h>
#include <sys/time.h>

#include "abuse.h"

unsigned scale = 100;

unsigned times(unsigned n)
{
	unsigned scaled = (unsigned long)n * scale / 100;

	return scaled ? scaled : 1;
}

static void line(const char *start, const char *format, va_list args)
{
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

	pthread_mutex_lock(&lock);
	fputs(start, stdout);
	vprintf(format, args);
	putchar('\n');
	fflush(stdout);
	pthread_mutex_unlock(&lock);
}

bool ok(bool good, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	line(good ? "ok - " : "not ok - ", format, args);
	va_end(args);
	return good;
}

void note(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	line("# ", format, args);
	va_end(args);
}

bool gives(int result, int wanted, const char *format, ...)
{
	int got = result < 0 ? errno : 0;
	va_list args;

	va_start(args, format);
	line(got == wanted ? "ok - " : "not ok - ", format, args);
	va_end(args);
	if (got != wanted)
		note("got %s, wanted %s", strerror(got), strerror(wanted));
	return got == wanted;
}

void must(bool good, const char *what)
{
	if (good)
		return;
	ok(false, "%s: %s", what, strerror(errno));
	exit(1);
}

/* ---- chance */

uint64_t chance_seed = 1;

/* splitmix64 */
uint64_t chance(void)
{
	uint64_t z = chance_seed += 0x9e3779b97f4a7c15;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
	return z ^ (z >> 31);
}

uint64_t below(uint64_t n)
{
	return chance() % n;
}

uint64_t interesting(void)
{
	uint64_t bit = 1ull << below(64);

	switch (below(8)) {
	case 0:
		return 0;
	case 1:
		return ~0ull;
	case 2:
		return bit;
	case 3:
		return bit - 1;
	case 4:
		return ~(bit - 1);
	case 5:
		return below(0x100);
	case 6:
		return below(1 << 20);
	}
	return chance();
}

void chance_fill(void *to, size_t size)
{
	uint8_t *bytes = to;

	while (size--)
		*bytes++ = chance();
}

static uint64_t start_seed;

void remember_start(uint64_t seed)
{
	start_seed = seed;
}

void remember_seed(uint64_t seed)
{
	static int file = -1;
	char text[64];
	int length = snprintf(text, sizeof(text), "%#018llx, from %#018llx\n",
			      (unsigned long long)seed, (unsigned long long)start_seed);

	if (file < 0)
		file = open("/tmp/seed", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (pwrite(file, text, length, 0) != length)
		note("seed %s", text);
}

/* ---- time */

void sleep_us(unsigned us)
{
	struct timespec t = { us / 1000000, us % 1000000 * 1000 };

	nanosleep(&t, NULL);
}

static void tick(int signal)
{
}

void ticks(unsigned us)
{
	struct itimerval t = { { us / 1000000, us % 1000000 }, { us / 1000000, us % 1000000 } };
	struct sigaction action = { .sa_handler = tick };

	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &t, NULL);
}

int status_of(int pid)
{
	int status = -1;

	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return status;
}

/* ---- guests */

int device_open(void)
{
	int fd = open(FERMATA_DEVICE, O_RDWR | O_CLOEXEC);

	must(fd >= 0, FERMATA_DEVICE);
	return fd;
}

unsigned vm_flags;

/* BESIDE is in the environment: all VMs live beside KVM's. */
void vm_beside(struct fermata_vm_config *config)
{
	int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);

	config->flags |= FERMATA_VM_BESIDE;
	config->kvm = ioctl(kvm, KVM_CREATE_VM, 0);
	close(kvm);
}

int vm_create(void)
{
	struct fermata_vm_config config = { .flags = vm_flags };
	int device = device_open(), vm, err;
	sigset_t alarm, old;

	/* A signal ends it with EINTR, and ticks() may be faster than it is. */
	sigemptyset(&alarm);
	sigaddset(&alarm, SIGALRM);
	pthread_sigmask(SIG_BLOCK, &alarm, &old);
	if (getenv("BESIDE"))
		vm_beside(&config);
	vm = ioctl(device, FERMATA_CREATE_VM, &config);
	err = errno;
	if (config.flags & FERMATA_VM_BESIDE)
		close(config.kvm);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	close(device);
	errno = err;
	return vm;
}

int vcpu_create(int vm, unsigned id)
{
	struct fermata_vcpu_config config = { .id = id };

	return ioctl(vm, FERMATA_CREATE_VCPU, &config);
}

int slot_set(int vm, unsigned slot, uint64_t gpa, uint64_t size, const void *at, unsigned flags)
{
	struct fermata_memory memory = { slot, flags, gpa, size, (uintptr_t)at };

	return ioctl(vm, FERMATA_SET_MEMORY, &memory);
}

void *ram_new(size_t size)
{
	void *at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	must(at != MAP_FAILED, "guest memory");
	return at;
}

static void make_tables(uint8_t *low)
{
	uint64_t *top = (uint64_t *)(low + TABLES_AT), *middle = top + 512, *bottom = middle + 512;

	top[0] = (TABLES_AT + PAGE) | 7;
	middle[0] = (TABLES_AT + 2 * PAGE) | 7;
	for (uint64_t i = 0; i < 512; i++)
		bottom[i] = i << 21 | 0x87;
}

void mode_state(struct fermata_state *state, enum guest_mode mode)
{
	struct fermata_state_segments *s = &state->segments;
	struct fermata_segment data = { .limit = 0xffff, .attrib = 0x93 };
	unsigned rpl = mode == MODE_LONG_USER ? 3 : 0;

	state->mask = FERMATA_STATE_REGS | FERMATA_STATE_SEGMENTS | FERMATA_STATE_CONTROL |
		      FERMATA_STATE_PENDING;
	memset(&state->regs, 0, sizeof(state->regs));
	memset(&state->pending, 0, sizeof(state->pending));
	state->regs.rip = CODE_AT;
	state->regs.rflags = 2;
	state->regs.regs[FERMATA_RSP] = 0x7000;
	state->control.cr0 = 0x10;
	state->control.cr3 = TABLES_AT;
	state->control.cr4 = 0;
	state->control.efer = 0;
	s->cs = (struct fermata_segment){ .limit = 0xffff, .attrib = 0x9b };
	if (mode != MODE_REAL) {
		data = (struct fermata_segment){ 0x10 | rpl, 0xc93 | rpl << 5, 0xffffffff, 0 };
		s->cs = (struct fermata_segment){ 0x8 | rpl, 0xc9b, 0xffffffff, 0 };
		state->control.cr0 |= 1;
	}
	if (mode == MODE_LONG || mode == MODE_LONG_USER) {
		s->cs.attrib = 0xa9b | rpl << 5;
		state->control.cr0 |= 1u << 31;
		state->control.cr4 = 1 << 5 | 1 << 9;
		state->control.efer = 0x500;
	}
	s->ds = s->es = s->fs = s->gs = s->ss = data;
}

void guest_new(struct guest *g, unsigned vcpus, enum guest_mode mode)
{
	static struct fermata_state state;

	memset(g, 0, sizeof(*g));
	g->vcpus = vcpus;
	g->low_size = 2 * MIB;
	g->vm = vm_create();
	must(g->vm >= 0, "CREATE_VM");
	g->low = ram_new(g->low_size);
	make_tables(g->low);
	must(!slot_set(g->vm, 0, 0, g->low_size, g->low, 0), "SET_MEMORY");
	for (unsigned i = 0; i < vcpus; i++) {
		g->vcpu[i] = vcpu_create(g->vm, i);
		must(g->vcpu[i] >= 0, "CREATE_VCPU");
		g->page[i] = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, g->vcpu[i], 0);
		must(g->page[i] != MAP_FAILED, "the run page");
		state.mask = FERMATA_STATE_ALL;
		must(!ioctl(g->vcpu[i], FERMATA_GET_STATE, &state), "GET_STATE");
		mode_state(&state, mode);
		must(!ioctl(g->vcpu[i], FERMATA_SET_STATE, &state), "SET_STATE");
	}
}

void guest_end(struct guest *g)
{
	for (unsigned i = 0; i < g->vcpus; i++) {
		munmap(g->page[i], PAGE);
		close(g->vcpu[i]);
	}
	close(g->vm);
	munmap(g->low, g->low_size);
}

unsigned vendor(void)
{
	static struct fermata_caps caps;
	int device;

	if (!caps.abi) {
		device = device_open();
		must(!ioctl(device, FERMATA_GET_CAPS, &caps), "GET_CAPS");
		close(device);
	}
	return caps.vendor;
}

static struct fermata_audit audit_of(int vcpu)
{
	struct fermata_audit audit;

	must(!ioctl(vcpu, FERMATA_GET_AUDIT, &audit), "GET_AUDIT");
	return audit;
}

unsigned audit_count(int vcpu)
{
	return audit_of(vcpu).count;
}

void note_audit(int vcpu)
{
	struct fermata_audit audit = audit_of(vcpu);

	for (unsigned i = 0; i < audit.count && i < FERMATA_AUDIT_LINES; i++)
		note("audit: %.*s", FERMATA_AUDIT_TEXT, audit.line[i]);
	if (!audit.count)
		note("the audit finds nothing");
}

/* ---- the counting guest */

unsigned count_faults;

void count_setup(struct guest *g, unsigned vcpu, size_t size)
{
	static const uint8_t code[] = {
		0x48, 0x89, 0xf7,			  /* 00: mov rdi, rsi */
		0xf0, 0x48, 0xff, 0x07,			  /* 03: lock inc qword [rdi] */
		0x48, 0x81, 0xc7, 0x00, 0x10, 0x00, 0x00, /* 07: add rdi, 4096 */
		0x48, 0x39, 0xdf,			  /* 0E: cmp rdi, rbx */
		0x72, 0xf0,				  /* 11: jb 03h */
		0xe6, 0x10,				  /* 13: out 10h, al */
		0xeb, 0xe9,				  /* 15: jmp 00h */
	};

	memcpy(g->low + CODE_AT, code, sizeof(code));
	g->page[vcpu]->regs[FERMATA_RSI] = DATA_AT;
	g->page[vcpu]->regs[FERMATA_RBX] = DATA_AT + size;
}

int count_run(struct guest *g, unsigned vcpu, unsigned passes)
{
	struct fermata_run *page = g->page[vcpu];
	time_t limit = time(NULL) + 120;

	while (passes && time(NULL) < limit) {
		if (ioctl(g->vcpu[vcpu], FERMATA_RUN, 0)) {
			if (errno == EINTR)
				continue;
			note("RUN: %s", strerror(errno));
			return -1;
		}
		if (page->exit.reason == FERMATA_EXIT_MEMORY_FAULT) {
			count_faults++;
			continue;
		}
		if (page->exit.reason != FERMATA_EXIT_IO || page->exit.io.port != 0x10) {
			note("exit %s (%#x %#llx %#llx) at %#llx", exit_name(page->exit.reason),
			     page->exit.hw_reason, page->exit.hw_info1, page->exit.hw_info2,
			     page->rip);
			return -1;
		}
		page->advance = 2;
		passes--;
	}
	if (passes)
		note("%u passes left when the time was up", passes);
	return passes ? -1 : 0;
}

unsigned count_wrong(const void *data, size_t size, uint64_t wanted)
{
	unsigned wrong = 0;

	for (size_t at = 0; at < size; at += PAGE) {
		uint64_t got = *(const volatile uint64_t *)((const char *)data + at);

		if (got != wanted && !wrong++)
			note("page %zu: %llu, wanted %llu", at / PAGE, (unsigned long long)got,
			     (unsigned long long)wanted);
	}
	return wrong;
}

const char *exit_name(unsigned reason)
{
	static const char *const names[FERMATA_EXIT_REASONS] = {
		"UNCLAIMED",  "IO",	      "MMIO",	"INTACK",  "EOI",	  "SHUTDOWN",
		"FAIL_ENTRY", "MEMORY_FAULT", "HALTED", "STOPPED", "UNSUPPORTED",
	};

	return reason < FERMATA_EXIT_REASONS ? names[reason] : "?";
}

bool write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	bool good = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);

	if (fd >= 0)
		close(fd);
	return good;
}

long read_number(const char *path, const char *name)
{
	FILE *f = fopen(path, "re");
	size_t length = strlen(name);
	char text[256];
	long n = -1;

	while (f && fgets(text, sizeof(text), f))
		if (!strncmp(text, name, length)) {
			n = strtol(text + length, NULL, 10);
			break;
		}
	if (f)
		fclose(f);
	return n;
}
